//! `columns` and `schema`: what an asset promises of its columns.

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

/// What an asset declares of its columns. Each that is required becomes a check, unless there is one.
pub(super) fn read_contract(table: &TableReader<'_>, kind: &str, checks: &mut Vec<Check>) -> Contract {
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
    for (name, value) in table.map("columns") {
        let told = value.as_table(&DECLARED);
        let told = told.as_ref();
        let column_type = types.iter().find(|(known, _)| known == name.value);
        contract.columns.push(DeclaredColumn {
            name: name.value.to_owned(),
            column_type: column_type.and_then(|(_, text)| normal(text.value)),
            required: told.and_then(|told| told.boolean("required")).unwrap_or(false),
            description: told
                .and_then(|told| told.string("description"))
                .map(|text| text.value.to_owned()),
            tags: told.map_or_else(Vec::new, |told| {
                let tags = told.strings("tags").into_iter();
                tags.map(|text| text.value.to_owned()).collect()
            }),
        });
    }
    if contract.schema == Some(SchemaPolicy::Ignore) {
        return contract;
    }
    for column in contract.columns.iter().filter(|column| column.required) {
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
