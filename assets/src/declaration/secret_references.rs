//! `{ env = "NAME" }`, `{ file = "PATH" }`, `{ command = ["PROGRAM"] }`: where a secret is found.

use crate::secret::SecretReference;
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

/// A reference to a secret. A literal in its place is reported by the search for literal secrets.
pub(crate) static SECRET: TableSpec = TableSpec {
    name: "reference to a secret",
    doc: "Where a secret is found; exactly one of its keys.",
    fields: &[
        FieldSpec::optional(
            "env",
            FieldType::Text,
            "The environment variable of the daemon that holds it.",
        ),
        FieldSpec::optional(
            "file",
            FieldType::Text,
            "The file that holds it and nothing else, from the project's folder.",
        ),
        FieldSpec::optional(
            "command",
            FieldType::StringList,
            "The program that writes it to standard output and nothing else.",
        ),
    ],
};

/// What a key takes that refers to a secret. A text is let through here, since the search for literal secrets reports it.
pub(crate) const SECRET_REFERENCE: FieldType = FieldType::OneOf(&[FieldType::Table(&SECRET), FieldType::Text]);

/// Reads the reference under `key`; `None` if it is absent or wrong (and reported).
pub(crate) fn read_secret(table: &TableReader<'_>, key: &str) -> Option<SecretReference> {
    let reference = table.table(key)?;
    let text = |name: &str| reference.string(name).map(|text| text.value.to_owned());
    let words = reference.strings("command");
    let ways = ["env", "file", "command"].iter().filter(|name| reference.has(name));
    if ways.count() != 1 {
        table.invalid(
            key,
            format!("`{key}` names its secret by exactly one of `env`, `file` and `command`"),
        );
        return None;
    }
    if reference.has("command") {
        if words.is_empty() {
            reference.invalid("command", "`command` names no program");
            return None;
        }
        let words = words.into_iter().map(|word| word.value.to_owned());
        return Some(SecretReference::Command(words.collect()));
    }
    text("env")
        .map(SecretReference::Env)
        .or_else(|| text("file").map(SecretReference::File))
}
