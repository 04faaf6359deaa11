//! `checks = [ … ]`: what must hold for the staged rows.

use std::collections::HashMap;

use super::CompileContext;
use crate::check::{Check, CheckRule};
use crate::diagnostic::{Code, Diagnostic};
use crate::key::AssetKey;
use crate::outcome::Severity;
use crate::span::{Span, Spanned};
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

/// The rules, in the order of the reference.
const RULES: [&str; 9] = [
    "not_null",
    "unique",
    "accepted",
    "range",
    "row_count",
    "null_share",
    "foreign_key",
    "sql",
    "drift",
];

pub(super) static CHECK: TableSpec = TableSpec {
    name: "check",
    doc: "One rule on the staged rows of a partition. A failure keeps them from readers, unless `severity` is \"warn\".",
    fields: &[
        FieldSpec::optional(
            "not_null",
            FieldType::STRINGS,
            "Columns without nulls; each becomes a check of its own.",
        ),
        FieldSpec::optional(
            "unique",
            FieldType::STRINGS,
            "Columns whose values no two rows share; \"key\" stands for the asset's key.",
        ),
        FieldSpec::optional(
            "accepted",
            FieldType::Table(&ACCEPTED),
            "The values that a column may have.",
        ),
        FieldSpec::optional(
            "range",
            FieldType::Table(&RANGE),
            "The least and the greatest value of a column.",
        ),
        FieldSpec::optional(
            "row_count",
            FieldType::Table(&ROW_COUNT),
            "The least and the greatest number of rows.",
        ),
        FieldSpec::optional(
            "null_share",
            FieldType::Table(&NULL_SHARE),
            "The greatest share of nulls in a column.",
        ),
        FieldSpec::optional(
            "foreign_key",
            FieldType::Table(&FOREIGN_KEY),
            "Columns whose values exist in another asset.",
        ),
        FieldSpec::optional(
            "sql",
            FieldType::Text,
            "A query, or a file with one, whose rows are the failing rows; `this` stands for the staged rows.",
        ),
        FieldSpec::optional(
            "drift",
            FieldType::Any,
            "How far the rows may stray from another asset. This release does not run it yet.",
        ),
        FieldSpec::optional(
            "severity",
            FieldType::Choice(&["error", "warn"]),
            "Whether a failure blocks; \"error\" if left out.",
        ),
        FieldSpec::optional(
            "name",
            FieldType::Text,
            "What the check is called; made from the rule if left out.",
        ),
    ],
};

static ACCEPTED: TableSpec = TableSpec {
    name: "accepted check",
    doc: "Every value that is not null is one of these.",
    fields: &[
        FieldSpec::required("column", FieldType::Text, "The column."),
        FieldSpec::required(
            "values",
            FieldType::List(&FieldType::OneOf(&[
                FieldType::String,
                FieldType::Integer,
                FieldType::Float,
                FieldType::Boolean,
                FieldType::Date,
            ])),
            "The values; compared as text.",
        ),
    ],
};

static RANGE: TableSpec = TableSpec {
    name: "range check",
    doc: "Every value that is not null lies within.",
    fields: &[
        FieldSpec::required("column", FieldType::Text, "The column."),
        FieldSpec::optional("min", FieldType::Float, "The least value."),
        FieldSpec::optional("max", FieldType::Float, "The greatest value."),
    ],
};

static ROW_COUNT: TableSpec = TableSpec {
    name: "row count check",
    doc: "The number of rows of a partition lies within.",
    fields: &[
        FieldSpec::optional("min", FieldType::IntegerWithin(0, i64::MAX), "The least number."),
        FieldSpec::optional("max", FieldType::IntegerWithin(0, i64::MAX), "The greatest number."),
    ],
};

static NULL_SHARE: TableSpec = TableSpec {
    name: "null share check",
    doc: "The share of nulls is at most this.",
    fields: &[
        FieldSpec::required("column", FieldType::Text, "The column."),
        FieldSpec::required(
            "max",
            FieldType::FloatWithin(0.0, 1.0),
            "The greatest share, from 0 to 1.",
        ),
    ],
};

static FOREIGN_KEY: TableSpec = TableSpec {
    name: "foreign key check",
    doc: "Every key without nulls exists in another asset.",
    fields: &[
        FieldSpec::optional("column", FieldType::Text, "The column here."),
        FieldSpec::optional(
            "columns",
            FieldType::StringList,
            "The columns here, if there are several.",
        ),
        FieldSpec::required(
            "references",
            FieldType::Text,
            "`layer.table.column`, or `layer.table` with `referenced_columns`.",
        ),
        FieldSpec::optional(
            "referenced_columns",
            FieldType::StringList,
            "The columns there, in the same order.",
        ),
    ],
};

/// The checks of an asset, and the assets that they read.
#[derive(Default)]
pub(super) struct Checks {
    pub(super) checks: Vec<Check>,
    pub(super) reads: Vec<(AssetKey, Span)>,
}

/// Reads all checks; what is wrong in one is reported and leaves it out.
pub(super) fn read_checks(asset: &TableReader<'_>, context: &mut CompileContext<'_>) -> Checks {
    let mut found = Checks::default();
    let mut names: HashMap<String, Span> = HashMap::new();
    for table in asset.tables("checks") {
        let written: Vec<&str> = RULES.into_iter().filter(|rule| table.has(rule)).collect();
        let rule = match written.as_slice() {
            [rule] => *rule,
            [] => {
                // An unknown key was reported; it may be the rule.
                if table
                    .entries()
                    .iter()
                    .all(|(key, _)| ["name", "severity"].contains(&key.value))
                {
                    table.report(
                        Diagnostic::new(Code::MissingKey, "a check has no rule", table.span()).help(format!(
                            "the rules are {}",
                            RULES.map(|rule| format!("`{rule}`")).join(", ")
                        )),
                    );
                }
                continue;
            }
            [first, second, ..] => {
                table.report(
                    Diagnostic::new(
                        Code::InvalidValue,
                        format!("a check has one rule, not `{first}` and `{second}`"),
                        table.key_span(second),
                    )
                    .note("the first is here", Some(table.key_span(first)))
                    .help("make two checks of it"),
                );
                continue;
            }
        };
        if rule == "drift" {
            table.report(
                Diagnostic::new(
                    Code::NotRun,
                    "this release does not run `drift` checks yet",
                    table.key_span("drift"),
                )
                .label("read and left out"),
            );
            continue;
        }
        let severity = match table.string("severity").map(|severity| severity.value) {
            Some("warn") => Severity::Warn,
            _ => Severity::Error,
        };
        let name = table.string("name");
        for (derived, rule) in read_rule(rule, &table, context, &mut found.reads) {
            let (name, span) = match name {
                Some(name) => (name.value.to_owned(), name.span),
                None => (derived, table.span()),
            };
            if let Some(first) = names.insert(name.clone(), span) {
                table.report(
                    Diagnostic::new(Code::DuplicateCheck, format!("two checks are called `{name}`"), span)
                        .note("the first is here", Some(first))
                        .help("give one of them another `name`"),
                );
                continue;
            }
            found.checks.push(Check { name, severity, rule });
        }
    }
    found
}

/// The checks that one table comes to, each with the name made from its rule.
fn read_rule(
    rule: &str,
    table: &TableReader<'_>,
    context: &mut CompileContext<'_>,
    reads: &mut Vec<(AssetKey, Span)>,
) -> Vec<(String, CheckRule)> {
    let one = match rule {
        "not_null" => {
            let columns = texts(table.strings("not_null"));
            if columns.is_empty() && table.value("not_null").is_some_and(|value| value.as_list().is_some()) {
                table.invalid("not_null", "`not_null` needs at least one column");
            }
            let several = columns
                .into_iter()
                .map(|column| (format!("not_null({column})"), CheckRule::NotNull { column }));
            return several.collect();
        }
        "unique" => read_unique(table, context),
        "accepted" => read_accepted(table),
        "range" => read_range(table),
        "row_count" => read_row_count(table),
        "null_share" => read_null_share(table),
        "foreign_key" => read_foreign_key(table, reads),
        "sql" => read_sql(table, context, reads),
        _ => unreachable!("every rule has a reader: {rule}"),
    };
    one.into_iter().collect()
}

type Named = (String, CheckRule);

fn texts(written: Vec<Spanned<&str>>) -> Vec<String> {
    written.into_iter().map(|text| text.value.to_owned()).collect()
}

fn read_unique(table: &TableReader<'_>, context: &CompileContext<'_>) -> Option<Named> {
    let mut columns = texts(table.strings("unique"));
    if columns.is_empty() {
        if table.value("unique")?.as_list().is_some() {
            table.invalid("unique", "`unique` needs at least one column");
        }
        return None;
    }
    // One text alone; a list holds columns, even one called `key`.
    if columns == ["key"] && table.value("unique")?.as_str().is_some() {
        if context.key_columns().is_empty() {
            table.report(
                Diagnostic::new(Code::MissingKey, "the asset declares no `key`", table.span_of("unique"))
                    .help("declare `key = [...]`, or list the columns here"),
            );
            return None;
        }
        columns = context.key_columns().to_vec();
    }
    Some((format!("unique({})", columns.join(", ")), CheckRule::Unique { columns }))
}

fn read_accepted(table: &TableReader<'_>) -> Option<Named> {
    let accepted = table.table("accepted")?;
    let column = accepted.string("column")?.value.to_owned();
    let mut values = Vec::new();
    for value in accepted.list("values") {
        // As the engine writes the value when it casts it to text.
        values.push(match (value.as_str(), value.to_json()?) {
            (Some(text), _) => text.value.to_owned(),
            (None, serde_json::Value::String(date)) => date,
            (None, json) => json.to_string(),
        });
    }
    if values.is_empty() {
        if accepted.has("values") {
            accepted.invalid("values", "`values` needs at least one value");
        }
        return None;
    }
    Some((format!("accepted({column})"), CheckRule::Accepted { column, values }))
}

fn read_range(table: &TableReader<'_>) -> Option<Named> {
    let range = table.table("range")?;
    let column = range.string("column")?.value.to_owned();
    let (min, max) = (range.float("min"), range.float("max"));
    check_bounds(&range, min.map(|min| min.value), max.map(|max| max.value))?;
    let (min, max) = (min.map(|min| min.value), max.map(|max| max.value));
    Some((format!("range({column})"), CheckRule::Range { column, min, max }))
}

fn read_row_count(table: &TableReader<'_>) -> Option<Named> {
    let count = table.table("row_count")?;
    let (min, max) = (count.integer("min"), count.integer("max"));
    check_bounds(&count, min.map(|min| min.value), max.map(|max| max.value))?;
    let bound = |bound: Option<Spanned<i64>>| bound.map(|bound| bound.value as u64);
    Some((
        "row_count".to_owned(),
        CheckRule::RowCount {
            min: bound(min),
            max: bound(max),
        },
    ))
}

/// There is a bound, and the least is not above the greatest. `None` after a report.
fn check_bounds<N: PartialOrd>(table: &TableReader<'_>, min: Option<N>, max: Option<N>) -> Option<()> {
    if !table.has("min") && !table.has("max") {
        table.report(
            Diagnostic::new(Code::MissingKey, "nothing is bounded", table.span()).help("write `min`, `max` or both"),
        );
        return None;
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        table.report(
            Diagnostic::new(Code::InvalidValue, "`min` is greater than `max`", table.span_of("min"))
                .note("the greatest is here", Some(table.span_of("max"))),
        );
        return None;
    }
    Some(())
}

fn read_null_share(table: &TableReader<'_>) -> Option<Named> {
    let share = table.table("null_share")?;
    let column = share.string("column")?.value.to_owned();
    let max = share.float("max")?.value;
    Some((format!("null_share({column})"), CheckRule::NullShare { column, max }))
}

fn read_foreign_key(table: &TableReader<'_>, reads: &mut Vec<(AssetKey, Span)>) -> Option<Named> {
    let foreign = table.table("foreign_key")?;
    let columns = match (foreign.string("column"), foreign.has("columns")) {
        (Some(column), false) => vec![column.value.to_owned()],
        (None, true) => texts(foreign.strings("columns")),
        (Some(_), true) => {
            foreign.report(Diagnostic::new(
                Code::InvalidValue,
                "`column` or `columns`, not both",
                foreign.key_span("columns"),
            ));
            return None;
        }
        (None, false) => Vec::new(),
    };
    if columns.is_empty() {
        if !foreign.has("column") {
            foreign.report(
                Diagnostic::new(Code::MissingKey, "a foreign key has no column here", foreign.span())
                    .help("write `column = \"…\"` or `columns = [...]`"),
            );
        }
        return None;
    }
    let references = foreign.string("references")?;
    let (asset, referenced) = match references.value.split('.').collect::<Vec<_>>().as_slice() {
        [layer, name, column] => (
            AssetKey::new(layer, name),
            Some((*column).to_owned()).filter(|column| !column.is_empty()),
        ),
        [layer, name] => (AssetKey::new(layer, name), None),
        _ => (references.value.parse(), None),
    };
    let asset = match asset {
        Ok(asset) => asset,
        Err(error) => {
            foreign.report(
                Diagnostic::new(Code::BadName, error.to_string(), references.span)
                    .help("write `layer.table.column`, or `layer.table` with `referenced_columns`"),
            );
            return None;
        }
    };
    let referenced_columns = match (referenced, foreign.has("referenced_columns")) {
        (Some(column), false) => vec![column],
        (None, true) => texts(foreign.strings("referenced_columns")),
        (Some(_), true) => {
            foreign.report(
                Diagnostic::new(
                    Code::InvalidValue,
                    "the column is named twice",
                    foreign.key_span("referenced_columns"),
                )
                .note("here it is named first", Some(references.span)),
            );
            return None;
        }
        (None, false) => {
            foreign.report(
                Diagnostic::new(Code::MissingKey, "a foreign key has no column there", references.span)
                    .help("write `layer.table.column`, or add `referenced_columns = [...]`"),
            );
            return None;
        }
    };
    if referenced_columns.len() != columns.len() {
        let message = format!(
            "{} here and {} there",
            count_columns(columns.len()),
            count_columns(referenced_columns.len())
        );
        foreign.report(Diagnostic::new(Code::InvalidValue, message, foreign.span()).help("name as many there as here"));
        return None;
    }
    reads.push((asset.clone(), references.span));
    let name = format!("foreign_key({})", columns.join(", "));
    Some((
        name,
        CheckRule::ForeignKey {
            columns,
            references: asset,
            referenced_columns,
        },
    ))
}

fn count_columns(number: usize) -> String {
    if number == 1 {
        "1 column".to_owned()
    } else {
        format!("{number} columns")
    }
}

fn read_sql(
    table: &TableReader<'_>,
    context: &mut CompileContext<'_>,
    reads: &mut Vec<(AssetKey, Span)>,
) -> Option<Named> {
    let query = context.parse_check(table.string("sql")?)?;
    reads.extend(
        query
            .tables
            .into_iter()
            .map(|reference| (reference.asset, reference.span)),
    );
    // The first words of the query, for a check without a name.
    let words: Vec<&str> = query.text.split_whitespace().collect();
    let mut name: String = words.join(" ").chars().take(60).collect();
    if name.len() < words.join(" ").len() {
        name.push('…');
    }
    Some((
        format!("sql({name})"),
        CheckRule::Sql {
            query: query.text.trim().to_owned(),
        },
    ))
}
