//! The keys of an `ingest` asset.

use assets::table::{FieldSpec, FieldType, TableSpec};

/// Rows that are set aside wait in memory until the last file is read.
const MOST_QUARANTINED: i64 = 100_000;

static QUARANTINE: TableSpec = TableSpec {
    name: "quarantine",
    doc: "Rows that cannot be used go to a table of their own.",
    fields: &[FieldSpec::required(
        "limit",
        FieldType::IntegerWithin(0, MOST_QUARANTINED),
        "More rows than this fail the step: then it is the file that is wrong, not its rows.",
    )],
};

static ON_BAD_ROW: TableSpec = TableSpec {
    name: "bad rows",
    doc: "What happens to rows that cannot be used.",
    fields: &[FieldSpec::required(
        "quarantine",
        FieldType::Table(&QUARANTINE),
        "They go to the table `layer.name__quarantine`, with file, line and reason.",
    )],
};

static FILES: TableSpec = TableSpec {
    name: "file source",
    doc: "Raw files: CSV, TSV, JSON lines or Parquet, plain or compressed (gz, zst, bz2, xz).",
    fields: &[
        FieldSpec::required(
            "path",
            FieldType::Text,
            "Which files, from the project's folder: *, ?, [a-z], ** for folders, and {partition} where the path holds the \
             partition's key.",
        ),
        FieldSpec::optional(
            "format",
            FieldType::Choice(&["csv", "tsv", "json", "parquet"]),
            "The format; without it, what the files' names say. json is one object on each line.",
        ),
        FieldSpec::optional(
            "null",
            FieldType::OneOf(&[FieldType::String, FieldType::List(&FieldType::String)]),
            "The text or texts that stand for null; they replace the empty field.",
        ),
        FieldSpec::optional(
            "delimiter",
            FieldType::String,
            "The character between fields of csv and tsv.",
        ),
        FieldSpec::optional(
            "quote",
            FieldType::String,
            "The character around fields of csv and tsv; empty where quotes have no meaning.",
        ),
        FieldSpec::optional(
            "header",
            FieldType::Boolean,
            "Whether the first line of csv and tsv holds the names of the columns; true without it.",
        ),
        FieldSpec::optional(
            "names",
            FieldType::StringList,
            "The names of the columns of csv and tsv: needed without a header, used in place of it with one.",
        ),
    ],
};

static SOURCE: TableSpec = TableSpec {
    name: "source",
    doc: "Where the rows come from.",
    fields: &[FieldSpec::required("files", FieldType::Table(&FILES), "Raw files.")],
};

pub(super) static SPEC: TableSpec = TableSpec {
    name: "ingest asset",
    doc: "Raw files as they are, typed and nothing more.",
    fields: &[
        FieldSpec::required("from", FieldType::Table(&SOURCE), "Where the rows come from."),
        FieldSpec::optional(
            "derive",
            FieldType::Map(&FieldType::Text),
            "Columns computed from the raw ones, each a SQL expression: flight_date = \"make_date(year, month, day)\".",
        ),
        FieldSpec::optional(
            "on_bad_row",
            FieldType::OneOf(&[FieldType::Choice(&["fail"]), FieldType::Table(&ON_BAD_ROW)]),
            "What happens to rows that cannot be used: they fail the step (the default), or are set aside.",
        ),
        FieldSpec::optional(
            "missing_columns",
            FieldType::Choice(&["fail", "null"]),
            "What happens when a file lacks a column that others have: it fails the step (the default), or the column is null.",
        ),
    ],
};
