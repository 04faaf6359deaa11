//! Judging values by their description. What is wrong is reported once, here; the getters then stay silent.

use jiff::civil::{Date, DateTime};
use serde_json::Value;
use toml::de::{DeInteger, DeTable, DeValue};

use super::value::TableValue;
use super::{FieldSpec, FieldType, TableSpec};
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink, closest};
use crate::key::{AssetKey, is_name};
use crate::partition::parse_length;
use crate::span::{SourceId, Span, Spanned};

pub(super) use crate::quantity::{bytes, seconds};

/// Reports unknown keys, missing keys and wrong values of a table and of everything below it.
///
/// An asset of unknown kind is judged by the keys of every asset alone, and its other keys by nobody.
pub(super) fn table(
    table: &DeTable<'_>,
    span: Span,
    specs: [Option<&'static TableSpec>; 2],
    unknown_keys: bool,
    sink: &DiagnosticSink,
) {
    let fields = || specs.iter().flatten().flat_map(|spec| spec.fields);
    // The most special description names the table.
    let name = specs.iter().flatten().last().map_or("table", |spec| spec.name);
    for (key, value) in table {
        let key_span = Span::new(span.source, key.span());
        match fields().find(|field| field.name == key.get_ref().as_ref()) {
            Some(field) => check_value(
                field.name,
                &field.kind,
                value.get_ref(),
                Span::new(span.source, value.span()),
                sink,
            ),
            None if unknown_keys => sink.report(unknown_key(key.get_ref(), key_span, name, fields())),
            None => {}
        }
    }
    for field in fields().filter(|field| field.required && !table.contains_key(field.name)) {
        sink.report(
            Diagnostic::new(
                Code::MissingKey,
                format!("{} has no `{}`", with_article(name), field.name),
                span,
            )
            .label(format!("`{}` is missing", field.name))
            .help(format!(
                "`{}` takes {}: {}",
                field.name,
                field.kind.words(),
                as_part(field.doc)
            )),
        );
    }
}

fn unknown_key<'f>(
    key: &str,
    span: Span,
    table: &str,
    fields: impl Iterator<Item = &'f FieldSpec> + Clone,
) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::UnknownKey, format!("unknown key `{key}`"), span)
        .label(format!("not a key of {}", with_article(table)));
    match closest(key, fields.clone().map(|field| field.name)) {
        Some(name) => diagnostic.help(format!("did you mean `{name}`?")),
        None => {
            let names: Vec<String> = fields.map(|field| format!("`{}`", field.name)).collect();
            diagnostic.help(format!("its keys are {}", names.join(", ")))
        }
    }
}

/// A sentence as part of another: no capital, no period.
fn as_part(sentence: &str) -> String {
    let mut characters = sentence.trim_end_matches('.').chars();
    let first = characters.next().into_iter().flat_map(char::to_lowercase);
    first.chain(characters).collect()
}

/// `an asset`, `a file source`.
fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {noun}")
}

/// Judges one value by its type and reports what is wrong.
pub(super) fn check_value(key: &str, kind: &FieldType, value: &DeValue<'_>, span: Span, sink: &DiagnosticSink) {
    let Some(kind) = shape(kind, value) else {
        sink.report(
            Diagnostic::new(
                Code::WrongType,
                format!("`{key}` takes {}, not {}", kind.words(), words_of(value)),
                span,
            )
            .label(format!("expected {}", kind.words())),
        );
        return;
    };
    let invalid = |message: String| sink.report(Diagnostic::new(Code::InvalidValue, message, span));
    match (kind, value) {
        (FieldType::Table(spec), DeValue::Table(inner)) => table(inner, span, [Some(spec), None], true, sink),
        (FieldType::Map(element), DeValue::Table(inner)) => {
            for (name, value) in inner {
                check_value(
                    name.get_ref(),
                    element,
                    value.get_ref(),
                    Span::new(span.source, value.span()),
                    sink,
                );
            }
        }
        (FieldType::List(element), DeValue::Array(values)) => {
            for value in values {
                check_value(
                    key,
                    element,
                    value.get_ref(),
                    Span::new(span.source, value.span()),
                    sink,
                );
            }
        }
        (FieldType::StringList, DeValue::Array(values)) => {
            for value in values {
                let span = Span::new(span.source, value.span());
                check_value(key, &FieldType::Text, value.get_ref(), span, sink);
            }
        }
        (FieldType::Choice(choices), DeValue::String(text)) if !choices.contains(&text.as_ref()) => sink.report(
            Diagnostic::new(
                Code::InvalidValue,
                format!("`{key}` cannot be \"{}\"", shorten(text)),
                span,
            )
            .help(format!("it is {}", kind.words()))
            .did_you_mean(text, choices.iter().copied()),
        ),
        (FieldType::Text, DeValue::String(text)) if text.trim().is_empty() => {
            invalid(format!("`{key}` cannot be empty"));
        }
        (FieldType::Name, DeValue::String(text)) if !is_name(text) => {
            sink.report(bad_name(&format!("`{}` is not a name", shorten(text)), span));
        }
        (FieldType::AssetKey, DeValue::String(text)) => {
            if let Err(error) = text.parse::<AssetKey>() {
                sink.report(Diagnostic::new(Code::BadName, error.to_string(), span));
            }
        }
        (FieldType::IntegerWithin(least, most), DeValue::Integer(written)) => match integer(written) {
            Some(number) if (*least..=*most).contains(&number) => {}
            _ => invalid(format!(
                "`{key}` is {}, not {}",
                between(*least as f64, *most as f64),
                written.as_str()
            )),
        },
        (FieldType::Integer, DeValue::Integer(written)) if integer(written).is_none() => {
            invalid(format!("`{key}` does not fit into 64 bits"));
        }
        (FieldType::FloatWithin(least, most), value) => match float(value) {
            Some(number) if (*least..=*most).contains(&number) => {}
            _ => invalid(format!("`{key}` is {}", between(*least, *most))),
        },
        (FieldType::Float, value) if float(value).is_none() => {
            invalid(format!("`{key}` is not a finite number of 64 bits"));
        }
        (FieldType::Date, value) if date(value).is_none() => {
            sink.report(
                Diagnostic::new(Code::InvalidValue, format!("`{key}` is not a day"), span)
                    .help("write it as 2013-03-01"),
            );
        }
        (FieldType::DateTime, value) if date_time(value).is_none() => sink.report(
            Diagnostic::new(
                Code::InvalidValue,
                format!("`{key}` is not a day or a local time"),
                span,
            )
            .help("write it as 2013-03-01 or 2013-03-01T06:00:00, without an offset"),
        ),
        (FieldType::Duration, DeValue::String(text)) => {
            if let Err(error) = seconds(text) {
                sink.report(
                    Diagnostic::new(
                        Code::InvalidValue,
                        format!("`{key}` is not a length of time: {error}"),
                        span,
                    )
                    .help("write it as `90s`, `26h`, `1h 30m` or `7 days`"),
                );
            }
        }
        (FieldType::CalendarDuration, DeValue::String(text)) if parse_length(text).is_none() => sink.report(
            Diagnostic::new(Code::InvalidValue, format!("`{key}` is not a length of time"), span)
                .help("write it as `26 hours`, `7 days` or `1 month`"),
        ),
        (FieldType::ByteSize, DeValue::String(text)) => {
            if let Err(error) = bytes(text) {
                sink.report(
                    Diagnostic::new(
                        Code::InvalidValue,
                        format!("`{key}` is not an amount of bytes: {error}"),
                        span,
                    )
                    .help("write it as `512 MB` or `1 GiB`"),
                );
            }
        }
        (FieldType::Any, value) if !is_json(value) => {
            invalid(format!(
                "`{key}` holds a number that is not finite or does not fit into 64 bits"
            ));
        }
        _ => {}
    }
}

/// A name with characters or a length that names cannot have.
pub(crate) fn bad_name(message: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::BadName, message, span)
        .help("a name has 1 to 120 characters of a-z, 0-9 and _ and does not start with a digit")
}

/// Whether a value is fit to be handed out for a key of this type.
pub(super) fn fits(kind: &FieldType, value: &DeValue<'_>) -> bool {
    let Some(kind) = shape(kind, value) else { return false };
    match (kind, value) {
        (FieldType::Choice(choices), DeValue::String(text)) => choices.contains(&text.as_ref()),
        (FieldType::Text, DeValue::String(text)) => !text.trim().is_empty(),
        (FieldType::Name, DeValue::String(text)) => is_name(text),
        (FieldType::AssetKey, DeValue::String(text)) => text.parse::<AssetKey>().is_ok(),
        (FieldType::IntegerWithin(least, most), DeValue::Integer(written)) => {
            integer(written).is_some_and(|number| (*least..=*most).contains(&number))
        }
        (FieldType::FloatWithin(least, most), value) => {
            float(value).is_some_and(|number| (*least..=*most).contains(&number))
        }
        (FieldType::CalendarDuration, DeValue::String(text)) => parse_length(text).is_some(),
        (FieldType::Duration, DeValue::String(text)) => seconds(text).is_ok(),
        (FieldType::ByteSize, DeValue::String(text)) => bytes(text).is_ok(),
        _ => true,
    }
}

/// The alternative whose TOML type the value has; `None` if it has none of them.
fn shape<'k>(kind: &'k FieldType, value: &DeValue<'_>) -> Option<&'k FieldType> {
    let matches = match kind {
        FieldType::OneOf(types) => return types.iter().find_map(|kind| shape(kind, value)),
        FieldType::String
        | FieldType::Text
        | FieldType::Name
        | FieldType::AssetKey
        | FieldType::Choice(_)
        | FieldType::Duration
        | FieldType::CalendarDuration
        | FieldType::ByteSize => matches!(value, DeValue::String(_)),
        FieldType::Integer | FieldType::IntegerWithin(..) => matches!(value, DeValue::Integer(_)),
        FieldType::Float | FieldType::FloatWithin(..) => matches!(value, DeValue::Integer(_) | DeValue::Float(_)),
        FieldType::Boolean => matches!(value, DeValue::Boolean(_)),
        FieldType::Date | FieldType::DateTime => matches!(value, DeValue::Datetime(_) | DeValue::String(_)),
        FieldType::StringList | FieldType::List(_) => matches!(value, DeValue::Array(_)),
        FieldType::Table(_) | FieldType::Map(_) | FieldType::Asset | FieldType::Sensor => {
            matches!(value, DeValue::Table(_))
        }
        FieldType::Any => true,
    };
    matches.then_some(kind)
}

/// The description of the table that a key takes, if it takes one.
pub(super) fn table_spec(kind: &FieldType) -> Option<&'static TableSpec> {
    match kind {
        FieldType::Table(spec) => Some(spec),
        FieldType::OneOf(types) => types.iter().find_map(table_spec),
        _ => None,
    }
}

fn words_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `from 1 to 10`, `at least 0`, `at most 1`; the ends of the 64-bit range count as no bound.
fn between(least: f64, most: f64) -> String {
    match (least <= i64::MIN as f64, most >= i64::MAX as f64) {
        (false, false) => format!("from {least} to {most}"),
        (false, true) => format!("at least {least}"),
        (true, _) => format!("at most {most}"),
    }
}

/// A text short enough for a message.
fn shorten(text: &str) -> String {
    let plain: String = text
        .chars()
        .take(60)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().count() > 60 {
        format!("{plain}…")
    } else {
        plain
    }
}

pub(super) fn integer(written: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(written.as_str(), written.radix()).ok()
}

pub(super) fn float(value: &DeValue<'_>) -> Option<f64> {
    let number = match value {
        DeValue::Integer(written) => integer(written)? as f64,
        DeValue::Float(written) => written.as_str().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

pub(super) fn date(value: &DeValue<'_>) -> Option<Date> {
    match value {
        DeValue::String(text) if text.len() == 10 => text.parse().ok(),
        DeValue::Datetime(written) if written.time.is_none() => to_date(written.date?),
        _ => None,
    }
}

pub(super) fn date_time(value: &DeValue<'_>) -> Option<DateTime> {
    match value {
        // The parser of jiff would skip an offset in silence.
        DeValue::String(text) if text.len() >= 10 && !text[10..].contains(['+', '-', 'Z', 'z', '[']) => {
            text.parse().ok()
        }
        DeValue::Datetime(written) if written.offset.is_none() => {
            let date = to_date(written.date?)?;
            match written.time {
                Some(time) => {
                    let time = jiff::civil::Time::new(
                        time.hour as i8,
                        time.minute as i8,
                        time.second.unwrap_or(0) as i8,
                        time.nanosecond.unwrap_or(0) as i32,
                    );
                    Some(date.to_datetime(time.ok()?))
                }
                None => Some(date.to_datetime(jiff::civil::Time::midnight())),
            }
        }
        _ => None,
    }
}

fn to_date(written: toml::value::Date) -> Option<Date> {
    Date::new(written.year as i16, written.month as i8, written.day as i8).ok()
}

/// Whether JSON can hold a value.
fn is_json(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Integer(written) => integer(written).is_some(),
        DeValue::Float(_) => float(value).is_some(),
        DeValue::Array(values) => values.iter().all(|value| is_json(value.get_ref())),
        DeValue::Table(table) => table.values().all(|value| is_json(value.get_ref())),
        DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => true,
    }
}

/// A value as JSON: dates and times as text. `None` if a number has no JSON.
pub(super) fn to_json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(written) => integer(written)?.into(),
        DeValue::Float(_) => Value::from(float(value)?),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(written) => Value::String(written.to_string()),
        DeValue::Array(values) => Value::Array(
            values
                .iter()
                .map(|value| to_json(value.get_ref()))
                .collect::<Option<_>>()?,
        ),
        DeValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(key, value)| Some((key.get_ref().to_string(), to_json(value.get_ref())?)))
                .collect::<Option<_>>()?,
        ),
    })
}

/// Keys and values in the order written.
pub(super) fn entries<'t>(
    table: &'t DeTable<'t>,
    source: SourceId,
    sink: &'t DiagnosticSink,
) -> Vec<(Spanned<&'t str>, TableValue<'t>)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| {
            let key = Spanned::new(key.get_ref().as_ref(), Span::new(source, key.span()));
            (key, TableValue::new(value, source, sink))
        })
        .collect();
    entries.sort_by_key(|(key, _)| key.span);
    entries
}
