//! The keys of a `command` asset.

use assets::table::{FieldSpec, FieldType, TableSpec};

pub(super) const SPEC: TableSpec = TableSpec {
    name: "command asset",
    doc: "Any program, over the Dagster Pipes protocol: it gets its inputs as Parquet files and leaves its rows as Parquet \
          files in its output folder.",
    fields: &[
        FieldSpec::required(
            "command",
            FieldType::StringList,
            "The program and its arguments: [\"python3\", \"train.py\"]. No shell is between.",
        ),
        FieldSpec::optional(
            "needs",
            FieldType::List(&FieldType::AssetKey),
            "The assets that the program reads; it finds their files in its context.",
        ),
        FieldSpec::optional(
            "env",
            FieldType::Map(&FieldType::String),
            "Environment variables that are set for the program, beside those of Millpond itself. No secrets: those are \
             inherited.",
        ),
        FieldSpec::optional(
            "working_directory",
            FieldType::Text,
            "Where the program runs, by its path from the project's folder; the project's folder without it.",
        ),
    ],
};
