//! A few rows as text, for a person to look at.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use assets::outcome::Sample;

/// Rows that a sample holds at most.
pub const SAMPLE_ROWS: usize = 10;

/// Characters of one value that a sample keeps.
const VALUE_CHARACTERS: usize = 200;

/// Collects the first rows that are offered.
#[derive(Debug, Clone)]
pub struct SampleOfRows {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
    most: usize,
}

impl SampleOfRows {
    /// An empty sample of rows with this schema.
    pub fn new(schema: &Schema) -> Self {
        Self::of_at_most(schema, SAMPLE_ROWS)
    }

    /// An empty sample for another number of rows.
    pub fn of_at_most(schema: &Schema, most: usize) -> Self {
        Self {
            columns: schema.fields().iter().map(|field| field.name().clone()).collect(),
            rows: Vec::new(),
            most,
        }
    }

    /// Whether more rows would be ignored.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= self.most
    }

    /// Adds row `row` of `batch`, unless the sample is full. A value that cannot be shown as text becomes a note.
    pub fn add(&mut self, batch: &RecordBatch, row: usize) {
        if !self.is_full() {
            self.rows.push(
                batch
                    .columns()
                    .iter()
                    .map(|column| value_text(column.as_ref(), row))
                    .collect(),
            );
        }
    }

    /// The sample; `None` if no row was added.
    pub fn finish(self) -> Option<Sample> {
        (!self.rows.is_empty()).then_some(self.all())
    }

    /// The sample, with or without rows.
    pub fn all(self) -> Sample {
        Sample {
            columns: self.columns,
            rows: self.rows,
        }
    }
}

/// One value as text, shortened; `None` is null.
fn value_text(column: &dyn Array, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    let options = FormatOptions::default().with_display_error(true);
    let text = match ArrayFormatter::try_new(column, &options) {
        Ok(formatter) => formatter.value(row).to_string(),
        Err(error) => format!("<{} cannot be shown: {error}>", column.data_type()),
    };
    Some(shorten(&text, VALUE_CHARACTERS))
}

/// At most `characters` characters of `text`; a cut text ends in an ellipsis.
pub(super) fn shorten(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some(_) => text.chars().take(characters.saturating_sub(1)).chain(['…']).collect(),
    }
}
