//! `[partitions.NAME]`: sets of partitions.

use std::collections::HashMap;

use jiff::ToSpan;
use jiff::civil::DateTime;

use super::settings::check_zone;
use crate::diagnostic::{Code, Diagnostic};
use crate::key::is_name;
use crate::partition::{Grain, PartitionKey, Partitioning, TimePartitions};
use crate::span::{Span, Spanned};
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec, bad_name};

const GRAINS: [(&str, Grain); 7] = [
    ("minute", Grain::Minute),
    ("hour", Grain::Hour),
    ("day", Grain::Day),
    ("week", Grain::Week),
    ("month", Grain::Month),
    ("quarter", Grain::Quarter),
    ("year", Grain::Year),
];

pub(crate) static PARTITIONS: TableSpec = TableSpec {
    name: "set of partitions",
    doc: "Partitions by time (`every`, `start`, `end`) or a fixed list (`values`).",
    fields: &[
        FieldSpec::optional(
            "every",
            FieldType::Choice(&["minute", "hour", "day", "week", "month", "quarter", "year"]),
            "The length of one partition by time.",
        ),
        FieldSpec::optional(
            "start",
            FieldType::DateTime,
            "Where the first partition begins, in local time.",
        ),
        FieldSpec::optional(
            "end",
            FieldType::DateTime,
            "The last day or moment that the set holds; without it the set grows as time passes.",
        ),
        FieldSpec::optional(
            "timezone",
            FieldType::Text,
            "IANA name of the zone whose local time counts; the project's if left out.",
        ),
        FieldSpec::optional(
            "values",
            FieldType::List(&FieldType::OneOf(&[FieldType::String, FieldType::Integer])),
            "The keys of a fixed set, in their order.",
        ),
    ],
};

/// A declared set: `None` if something in it is wrong (and reported).
pub(crate) fn read_partitions(
    name: Spanned<&str>,
    table: &TableReader<'_>,
    project_zone: &str,
) -> Option<Partitioning> {
    if !is_name(name.value) {
        table.report(bad_name(
            &format!("`{}` cannot be the name of a set of partitions", name.value),
            name.span,
        ));
    }
    match (table.has("every"), table.has("values")) {
        (true, false) => read_time(table, project_zone),
        (false, true) => read_fixed(table),
        (true, true) => {
            table.report(
                Diagnostic::new(
                    Code::InvalidValue,
                    "a set of partitions is by time or fixed, not both",
                    table.key_span("values"),
                )
                .note("`every` makes it one by time", Some(table.key_span("every"))),
            );
            None
        }
        (false, false) => {
            table.report(
                Diagnostic::new(
                    Code::MissingKey,
                    "a set of partitions has no `every` and no `values`",
                    table.span(),
                )
                .help("write `every = \"day\"` and `start`, or `values = [...]`"),
            );
            None
        }
    }
}

fn read_time(table: &TableReader<'_>, project_zone: &str) -> Option<Partitioning> {
    let zone = match table.string("timezone") {
        Some(zone) if check_zone(table, zone) => zone.value.to_owned(),
        Some(_) => return None,
        None => project_zone.to_owned(),
    };
    if !table.has("start") {
        table.report(
            Diagnostic::new(Code::MissingKey, "partitions by time have no `start`", table.span())
                .help("say where the first one begins: `start = 2013-01-01`"),
        );
    }
    let every = table.string("every")?;
    let grain = GRAINS
        .iter()
        .find(|(name, _)| *name == every.value)
        .map(|(_, grain)| *grain)?;
    let start = table.date_time("start")?;
    let floor = grain.floor(start.value);
    if floor != start.value {
        table.report(
            Diagnostic::new(
                Code::InvalidValue,
                format!("no {} begins at {}", every.value, plain(start.value)),
                start.span,
            )
            .help(format!("the one that holds it begins at {}", plain(floor))),
        );
        return None;
    }
    if table.has("end") && table.date_time("end").is_none() {
        return None;
    }
    let end = table.date_time("end").map(|end| {
        // A day without a time means all of it.
        let last = match (grain, table.date("end")) {
            (Grain::Minute | Grain::Hour, Some(day)) => day.value.at(23, 59, 0, 0),
            _ => end.value,
        };
        Spanned::new(grain.floor(last), end.span)
    });
    if let Some(end) = end.filter(|end| end.value < start.value) {
        table.report(
            Diagnostic::new(Code::InvalidValue, "`end` is before `start`", end.span)
                .note("the set starts here", Some(start.span)),
        );
        return None;
    }
    // Sums of partitions stay far from the ends of the calendar.
    let far = start.value.checked_add(1.year()).is_err() || start.value.year() < 1;
    if far || end.is_some_and(|end| end.value.checked_add(1.year()).is_err()) {
        table.invalid("start", "the set reaches the end of the calendar");
        return None;
    }
    Some(Partitioning::Time(TimePartitions {
        grain,
        start: start.value,
        end: end.map(|end| end.value),
        zone,
    }))
}

fn plain(local: DateTime) -> String {
    if local.time() == jiff::civil::Time::midnight() {
        local.date().to_string()
    } else {
        local.to_string()
    }
}

fn read_fixed(table: &TableReader<'_>) -> Option<Partitioning> {
    for stray in ["start", "end", "timezone"] {
        if table.has(stray) {
            table.report(
                Diagnostic::new(
                    Code::InvalidValue,
                    format!("a fixed set has no `{stray}`"),
                    table.key_span(stray),
                )
                .help("`values` lists all of it"),
            );
        }
    }
    let mut keys = Vec::new();
    let mut seen: HashMap<String, Span> = HashMap::new();
    let mut clean = true;
    for value in table.list("values") {
        let text = match (value.as_str(), value.as_integer()) {
            (Some(text), _) => text.value.to_owned(),
            (None, Some(number)) => number.value.to_string(),
            (None, None) => continue,
        };
        if let Some(first) = seen.insert(text.clone(), value.span()) {
            table.report(
                Diagnostic::new(Code::InvalidValue, format!("`{text}` is listed twice"), value.span())
                    .note("first listed here", Some(first)),
            );
            clean = false;
            continue;
        }
        match PartitionKey::new(&text) {
            Ok(key) => keys.push(key),
            Err(error) => {
                table.report(Diagnostic::new(Code::InvalidValue, error.to_string(), value.span()));
                clean = false;
            }
        }
    }
    if clean && keys.is_empty() {
        table.invalid("values", "a fixed set needs at least one key");
        return None;
    }
    clean.then_some(Partitioning::Fixed(keys))
}
