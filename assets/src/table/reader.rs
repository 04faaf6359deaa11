//! Typed getters over a table that was judged by its spec.

use jiff::civil::{Date, DateTime};
use toml::de::DeTable;

use super::check;
use super::value::TableValue;
use super::{FieldSpec, FieldType, TableSpec};
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink};
use crate::key::AssetKey;
use crate::span::{SourceId, Span, Spanned};

/// A table under reading.
///
/// Whoever opens the outermost table calls [`Self::check`] once; that reports unknown keys, missing keys and wrong values in
/// it and everything below. Getters report nothing: they return `None` for what is absent or wrong.
#[derive(Clone)]
pub struct TableReader<'t> {
    table: &'t DeTable<'t>,
    span: Span,
    specs: [Option<&'static TableSpec>; 2],
    sink: &'t DiagnosticSink,
}

impl<'t> TableReader<'t> {
    /// A reader over `table`, which stands at `span`.
    pub(crate) fn new(table: &'t DeTable<'t>, span: Span, spec: &'static TableSpec, sink: &'t DiagnosticSink) -> Self {
        Self {
            table,
            span,
            specs: [Some(spec), None],
            sink,
        }
    }

    /// The same table with further keys: those of an asset's kind beside those of every asset.
    pub(crate) fn with_more_keys(mut self, spec: &'static TableSpec) -> Self {
        self.specs[1] = Some(spec);
        self
    }

    /// Judges the table and everything below it: unknown keys, missing keys, wrong types, values out of range.
    pub(crate) fn check(&self) {
        check::table(self.table, self.span, self.specs, true, self.sink);
    }

    /// Judges the keys that are described, and says nothing of others.
    pub(crate) fn check_known_keys(&self) {
        check::table(self.table, self.span, self.specs, false, self.sink);
    }

    /// Where the table is written: its header or its braces.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The file it is written in.
    pub fn source(&self) -> SourceId {
        self.span.source
    }

    /// Whether the key is written.
    pub fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Where a key is written, or the table itself.
    pub fn key_span(&self, name: &str) -> Span {
        self.table
            .get_key_value(name)
            .map_or(self.span, |(key, _)| Span::new(self.source(), key.span()))
    }

    /// Where a key's value is written, or the table itself.
    pub fn span_of(&self, name: &str) -> Span {
        self.value(name).map_or(self.span, |value| value.span())
    }

    /// Reports a mistake.
    pub fn report(&self, diagnostic: Diagnostic) {
        self.sink.report(diagnostic);
    }

    /// Reports a value that has the right type and makes no sense. `message` names the key.
    pub fn invalid(&self, name: &str, message: impl Into<String>) {
        self.report(Diagnostic::new(Code::InvalidValue, message, self.span_of(name)));
    }

    /// Any value.
    pub fn value(&self, name: &str) -> Option<TableValue<'t>> {
        self.field(name);
        self.table
            .get(name)
            .map(|value| TableValue::new(value, self.source(), self.sink))
    }

    /// A text (of any of the kinds of text).
    pub fn string(&self, name: &str) -> Option<Spanned<&'t str>> {
        let field = self.field(name)?;
        let value = self.value(name)?;
        check::fits(&field.kind, value.value).then(|| value.as_str()).flatten()
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Option<Spanned<i64>> {
        let field = self.field(name)?;
        let value = self.value(name)?;
        check::fits(&field.kind, value.value)
            .then(|| value.as_integer())
            .flatten()
    }

    /// A number.
    pub fn float(&self, name: &str) -> Option<Spanned<f64>> {
        let field = self.field(name)?;
        let value = self.value(name)?;
        check::fits(&field.kind, value.value)
            .then(|| value.as_float())
            .flatten()
    }

    /// `true` or `false`.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        self.value(name)?.as_bool()
    }

    /// A day.
    pub fn date(&self, name: &str) -> Option<Spanned<Date>> {
        let value = self.value(name)?;
        check::date(value.value).map(|date| Spanned::new(date, value.span))
    }

    /// A day and local time; a day alone is its first moment.
    pub fn date_time(&self, name: &str) -> Option<Spanned<DateTime>> {
        let value = self.value(name)?;
        check::date_time(value.value).map(|time| Spanned::new(time, value.span))
    }

    /// A length of time in seconds.
    pub fn duration(&self, name: &str) -> Option<Spanned<u64>> {
        let value = self.value(name)?;
        let text = value.as_str()?;
        check::seconds(text.value)
            .ok()
            .map(|seconds| Spanned::new(seconds, text.span))
    }

    /// An amount of bytes.
    pub fn byte_size(&self, name: &str) -> Option<Spanned<u64>> {
        let value = self.value(name)?;
        let text = value.as_str()?;
        check::bytes(text.value)
            .ok()
            .map(|bytes| Spanned::new(bytes, text.span))
    }

    /// A list of texts; one text alone counts as a list of one. Empty if absent.
    pub fn strings(&self, name: &str) -> Vec<Spanned<&'t str>> {
        self.value(name)
            .and_then(|value| value.as_strings())
            .unwrap_or_default()
    }

    /// An asset's key.
    pub fn asset_key(&self, name: &str) -> Option<Spanned<AssetKey>> {
        let text = self.value(name)?.as_str()?;
        text.value.parse().ok().map(|key| Spanned::new(key, text.span))
    }

    /// The elements of a list. Empty if absent.
    pub fn list(&self, name: &str) -> Vec<TableValue<'t>> {
        self.value(name).and_then(|value| value.as_list()).unwrap_or_default()
    }

    /// A table with described keys: the key's type must be [`FieldType::Table`], or have one among its alternatives.
    pub fn table(&self, name: &str) -> Option<TableReader<'t>> {
        let field = self.field(name)?;
        let value = self.value(name)?;
        let spec = check::table_spec(&field.kind)?;
        value.as_table(spec)
    }

    /// A list of tables with described keys. Elements that are not tables are left out (reported already).
    pub fn tables(&self, name: &str) -> Vec<TableReader<'t>> {
        let Some(field) = self.field(name) else {
            return Vec::new();
        };
        let FieldType::List(element) = field.kind else {
            return Vec::new();
        };
        let Some(spec) = check::table_spec(element) else {
            return Vec::new();
        };
        self.list(name)
            .iter()
            .filter_map(|value| value.as_table(spec))
            .collect()
    }

    /// Keys and values of a table with free keys, in the order written. Empty if absent.
    pub fn map(&self, name: &str) -> Vec<(Spanned<&'t str>, TableValue<'t>)> {
        self.value(name).and_then(|value| value.as_map()).unwrap_or_default()
    }

    /// Every key that is written, in the order written, and its value.
    pub fn entries(&self) -> Vec<(Spanned<&'t str>, TableValue<'t>)> {
        check::entries(self.table, self.source(), self.sink)
    }

    /// The description of a key. Asking for a key that no spec names is a slip of ours that a test meets.
    fn field(&self, name: &str) -> Option<&'static FieldSpec> {
        let field = self
            .specs
            .iter()
            .flatten()
            .flat_map(|spec| spec.fields)
            .find(|field| field.name == name);
        debug_assert!(
            field.is_some(),
            "`{name}` is not a key of {:?}",
            self.specs.map(|spec| spec.map(|spec| spec.name))
        );
        field
    }
}
