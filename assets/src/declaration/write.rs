//! `write`: whether a step's rows replace those that are there, are added, or are merged with them by a key.

use crate::asset::WriteMode;
use crate::diagnostic::{Code, Diagnostic};
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

const MODE: FieldType = FieldType::Choice(&["replace", "append", "merge"]);

pub(super) const WRITE: FieldType = FieldType::OneOf(&[MODE, FieldType::Table(&TABLE)]);

static TABLE: TableSpec = TableSpec {
    name: "write",
    doc: "How a step's rows join those of the table.",
    fields: &[
        FieldSpec::required(
            "mode",
            MODE,
            "\"replace\" the partition, \"append\" to it, or \"merge\" each row with the one that has the same key.",
        ),
        FieldSpec::optional(
            "key",
            FieldType::STRINGS,
            "The columns that tell which row a merged one replaces; the asset's `key` if left out.",
        ),
    ],
};

/// Kinds whose rows can be merged: the others make all rows of a partition at once, or none.
const MERGING: &[&str] = &["sql", "ingest"];

/// How an asset is written. A key of the merge becomes the asset's, if that declares none.
pub(super) fn read_write(table: &TableReader<'_>, kind: &str, key_columns: &mut Vec<String>) -> WriteMode {
    let (mode, at) = match table.string("write") {
        Some(mode) => (Some(mode.value), mode.span),
        None => match table.table("write") {
            Some(write) => {
                let mode = write.string("mode");
                let key: Vec<String> = write
                    .strings("key")
                    .into_iter()
                    .map(|text| text.value.to_owned())
                    .collect();
                if mode.is_some_and(|mode| mode.value != "merge") && !key.is_empty() {
                    let message = "only a merge has a key".to_owned();
                    write.report(Diagnostic::new(Code::InvalidValue, message, write.key_span("key")));
                } else if !key.is_empty() && !key_columns.is_empty() && *key_columns != key {
                    let message = format!(
                        "the asset's `key` is {}, that of the merge another one",
                        key_columns.join(", ")
                    );
                    write.report(
                        Diagnostic::new(Code::InvalidValue, message, write.key_span("key"))
                            .help("say it once: leave out `write.key`, or `key`"),
                    );
                } else if !key.is_empty() {
                    *key_columns = key;
                }
                (mode.map(|mode| mode.value), table.key_span("write"))
            }
            None => return WriteMode::Replace,
        },
    };
    match mode {
        Some("append") => WriteMode::Append,
        Some("merge") => {
            if key_columns.is_empty() {
                let message = "a merge needs a key: the columns that tell which row another one replaces".to_owned();
                table.report(
                    Diagnostic::new(Code::InvalidValue, message, at)
                        .help("write = { mode = \"merge\", key = [\"id\"] }"),
                );
            }
            if !kind.is_empty() && !MERGING.contains(&kind) {
                let message = format!("the rows of an asset of the kind `{kind}` cannot be merged");
                table.report(
                    Diagnostic::new(Code::InvalidValue, message, at)
                        .help("`sql` and `ingest` assets can; read this one in a `sql` asset that merges"),
                );
            }
            WriteMode::Merge
        }
        _ => WriteMode::Replace,
    }
}
