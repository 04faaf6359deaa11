//! `columns` and `schema`: what an asset promises of its columns.

use std::collections::BTreeMap;

use crate::check::{Check, CheckRule};
use crate::contract::{Contract, DeclaredColumn, SchemaPolicy};
use crate::diagnostic::{Code, Diagnostic};
use crate::outcome::Severity;
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

pub(super) const COLUMNS: FieldType = FieldType::Map(&COLUMN);

const COLUMN: FieldType = FieldType::OneOf(&[FieldType::Text, FieldType::Table(&DECLARED)]);

pub(super) const SCHEMA: FieldType = FieldType::Choice(SchemaPolicy::WORDS);

/// One column with all that can be said of it.
static DECLARED: TableSpec = TableSpec {
    name: "column",
    doc: "What is promised of a column.",
    fields: &[
        FieldSpec::optional(
            "type",
            FieldType::Text,
            "Its type: boolean, int, long, float, double, decimal(p,s), date, time, timestamp, timestamptz, string, binary.",
        ),
        FieldSpec::optional(
            "required",
            FieldType::Boolean,
            "Whether every row has a value; a row without one keeps the step from being published.",
        ),
        FieldSpec::optional("description", FieldType::Text, "What it holds, for people."),
        FieldSpec::optional("tags", FieldType::STRINGS, "Free words."),
        FieldSpec::optional(
            "was",
            FieldType::STRINGS,
            "What it was called before, the latest name first: the column of the table is renamed, and keeps its values in all partitions.",
        ),
        FieldSpec::optional(
            "dropped",
            FieldType::Boolean,
            "The column is gone: the rows have it no longer, and the table loses it with the next ones.",
        ),
    ],
};

/// Types without parameters.
const PLAIN: &[&str] = &[
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "string",
    "binary",
    "uuid",
];

/// The text of the type that is declared for a column, whichever way it is written, and where.
pub fn declared_types<'t>(table: &TableReader<'t>) -> Vec<(String, crate::span::Spanned<&'t str>)> {
    let mut types = Vec::new();
    for (name, value) in table.map("columns") {
        let text = match value.as_str() {
            Some(text) => Some(text),
            None => value.as_table(&DECLARED).and_then(|column| column.string("type")),
        };
        if let Some(text) = text {
            types.push((name.value.to_owned(), text));
        }
    }
    types
}

fn texts(table: &TableReader<'_>, name: &str) -> Vec<String> {
    let texts = table.strings(name).into_iter();
    texts.map(|text| text.value.to_owned()).collect()
}

/// The columns that are declared, in the order written, judged nowhere yet.
pub fn declared_columns(table: &TableReader<'_>) -> Vec<DeclaredColumn> {
    let types = declared_types(table);
    let mut columns = Vec::new();
    for (name, value) in table.map("columns") {
        let told = value.as_table(&DECLARED);
        let told = told.as_ref();
        let column_type = types.iter().find(|(known, _)| known == name.value);
        columns.push(DeclaredColumn {
            name: name.value.to_owned(),
            column_type: column_type.and_then(|(_, text)| normal(text.value)),
            required: told.and_then(|told| told.boolean("required")).unwrap_or(false),
            description: told
                .and_then(|told| told.string("description"))
                .map(|text| text.value.to_owned()),
            tags: told.map_or_else(Vec::new, |told| texts(told, "tags")),
            was: told.map_or_else(Vec::new, |told| texts(told, "was")),
            dropped: told.and_then(|told| told.boolean("dropped")).unwrap_or(false),
        });
    }
    columns
}

/// What an asset declares of its columns. Each that is required becomes a check, unless there is one. `partitions` is the column that
/// tells a row's partition.
pub(super) fn read_contract(
    table: &TableReader<'_>,
    kind: &str,
    key_columns: &[String],
    partitions: Option<&str>,
    checks: &mut Vec<Check>,
) -> Contract {
    let mut contract = Contract {
        columns: Vec::new(),
        schema: match table.string("schema").map(|word| word.value) {
            Some("fail") => Some(SchemaPolicy::Fail),
            Some("evolve") => Some(SchemaPolicy::Evolve),
            Some("ignore") => Some(SchemaPolicy::Ignore),
            _ => None,
        },
    };
    let types = declared_types(table);
    // An ingest asset's are the types that its files are read with, and are judged where they are read.
    if kind != "ingest" {
        for (_, text) in &types {
            if normal(text.value).is_none() {
                let message = format!("`{}` is not a type of a column", text.value);
                table.report(
                    Diagnostic::new(Code::InvalidValue, message, text.span)
                        .help(format!("the types are {} and decimal(p,s)", PLAIN.join(", "))),
                );
            }
        }
    }
    contract.columns = declared_columns(table);
    judge_changes(table, &contract, key_columns, partitions);
    if contract.schema == Some(SchemaPolicy::Ignore) {
        return contract;
    }
    for column in contract.kept().filter(|column| column.required) {
        let name = format!("not_null({})", column.name);
        if checks.iter().all(|check| check.name != name) {
            checks.push(Check {
                name,
                severity: Severity::Error,
                rule: CheckRule::NotNull {
                    column: column.name.clone(),
                },
            });
        }
    }
    contract
}

/// Columns that were renamed or dropped: each has one fate, and what the asset counts on is there.
fn judge_changes(table: &TableReader<'_>, contract: &Contract, key_columns: &[String], partitions: Option<&str>) {
    let mut renamed: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in table.map("columns") {
        let Some(told) = value.as_table(&DECLARED) else {
            continue;
        };
        let refuse = |key: &str, message: String, help: &str| {
            let span = told.span_of(key);
            told.report(Diagnostic::new(Code::InvalidValue, message, span).help(help));
        };
        let dropped = told.boolean("dropped") == Some(true);
        if dropped {
            if let Some(key) = ["type", "required", "tags", "was"]
                .into_iter()
                .find(|key| told.has(key))
            {
                let message = format!("`{}` is dropped, and nothing can be promised of it", name.value);
                refuse(
                    key,
                    message,
                    "leave out `dropped` if the column is there, and this if it is not",
                );
            }
            let counted_on = match name.value {
                name if partitions == Some(name) => Some("tells the partition of a row"),
                name if key_columns.iter().any(|key| key == name) => Some("is part of the key"),
                _ => None,
            };
            if let Some(why) = counted_on {
                let message = format!("`{}` {why}, and cannot be dropped", name.value);
                refuse("dropped", message, "name another column there first");
            }
        }
        for was in told.strings("was") {
            let message = if was.value == name.value {
                format!("`{}` is what the column is called now", was.value)
            } else if contract.column(was.value).is_some() {
                format!("`{}` is declared as a column of its own", was.value)
            } else if contract.dropped().any(|dropped| dropped == was.value) {
                format!("`{}` is declared as dropped", was.value)
            } else if let Some(other) = renamed.insert(was.value, name.value) {
                format!("`{}` is what `{other}` was called before, too", was.value)
            } else {
                continue;
            };
            let help = "name a column that the table had, and that only this one continues";
            told.report(Diagnostic::new(Code::InvalidValue, message, was.span).help(help));
        }
    }
}

/// A type as Iceberg writes it; `None` if it is none.
fn normal(text: &str) -> Option<String> {
    let plain: String = text.to_lowercase().split_whitespace().collect();
    if PLAIN.contains(&plain.as_str()) {
        return Some(plain);
    }
    let (precision, scale) = plain.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale): (u32, u32) = (precision.parse().ok()?, scale.parse().ok()?);
    (1..=38).contains(&precision).then_some(())?;
    (scale <= precision).then(|| format!("decimal({precision},{scale})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_iceberg_writes_them() {
        assert_eq!(normal("LONG").as_deref(), Some("long"));
        assert_eq!(normal("decimal(10, 2)").as_deref(), Some("decimal(10,2)"));
        for wrong in ["", "text", "decimal", "decimal(39,2)", "decimal(3,4)", "list<int>"] {
            assert_eq!(normal(wrong), None, "{wrong}");
        }
    }
}
