//! One value of a table, with its place.

use serde_json::Value;
use toml::de::DeValue;

use super::check;
use crate::diagnostic::DiagnosticSink;
use crate::span::{SourceId, Span, Spanned};
use crate::table::{TableReader, TableSpec};

/// A value of a TOML file, already judged by the spec of its key.
#[derive(Clone, Copy)]
pub struct TableValue<'t> {
    pub(super) value: &'t DeValue<'t>,
    pub(super) span: Span,
    pub(super) sink: &'t DiagnosticSink,
}

impl<'t> TableValue<'t> {
    pub(super) fn new(value: &'t toml::Spanned<DeValue<'t>>, source: SourceId, sink: &'t DiagnosticSink) -> Self {
        Self {
            value: value.get_ref(),
            span: Span::new(source, value.span()),
            sink,
        }
    }

    /// Where it is written.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<Spanned<&'t str>> {
        match self.value {
            DeValue::String(text) => Some(Spanned::new(text.as_ref(), self.span)),
            _ => None,
        }
    }

    /// The whole number, if it is one of 64 bits.
    pub fn as_integer(&self) -> Option<Spanned<i64>> {
        match self.value {
            DeValue::Integer(integer) => check::integer(integer).map(|value| Spanned::new(value, self.span)),
            _ => None,
        }
    }

    /// The number, if it is one; whole ones are converted.
    pub fn as_float(&self) -> Option<Spanned<f64>> {
        check::float(self.value).map(|value| Spanned::new(value, self.span))
    }

    /// `true` or `false`, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<Vec<TableValue<'t>>> {
        match self.value {
            DeValue::Array(values) => Some(
                values
                    .iter()
                    .map(|value| TableValue::new(value, self.span.source, self.sink))
                    .collect(),
            ),
            _ => None,
        }
    }

    /// The text, or the texts of a list of them.
    pub fn as_strings(&self) -> Option<Vec<Spanned<&'t str>>> {
        match self.value {
            DeValue::String(text) => Some(vec![Spanned::new(text.as_ref(), self.span)]),
            DeValue::Array(_) => self.as_list()?.iter().map(TableValue::as_str).collect(),
            _ => None,
        }
    }

    /// A reader over the value, if it is a table. It was judged by the spec of its key; name the same spec here.
    pub fn as_table(&self, spec: &'static TableSpec) -> Option<TableReader<'t>> {
        match self.value {
            DeValue::Table(table) => Some(TableReader::new(table, self.span, spec, self.sink)),
            _ => None,
        }
    }

    /// Keys and values, if it is a table, in the order written.
    pub fn as_map(&self) -> Option<Vec<(Spanned<&'t str>, TableValue<'t>)>> {
        match self.value {
            DeValue::Table(table) => Some(check::entries(table, self.span.source, self.sink)),
            _ => None,
        }
    }

    /// The value as JSON: dates and times as text. `None` for a number that JSON cannot hold (reported already).
    pub fn to_json(&self) -> Option<Value> {
        check::to_json(self.value)
    }
}
