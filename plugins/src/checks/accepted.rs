//! `accepted`: every value that is not null is one of a list.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use hashbrown::HashSet;

use super::run::StreamingCheck;
use super::{SampleOfRows, Verdict, column};

/// Values of the list that `expected` names.
const SHOWN_VALUES: usize = 12;

pub(super) struct Accepted {
    position: usize,
    column: String,
    expected: String,
    values: HashSet<String, ahash::RandomState>,
    outside: u64,
    sample: SampleOfRows,
}

impl Accepted {
    pub(super) fn new(schema: &SchemaRef, name: &str, values: &[String]) -> Result<Self, String> {
        let position = column::position(schema, name)?;
        let data_type = schema.field(position).data_type();
        if !arrow::compute::can_cast_types(data_type, &DataType::Utf8) {
            return Err(format!(
                "`{name}` holds {data_type}, which has no text form to compare; write a `sql` check instead"
            ));
        }
        let shown: Vec<String> = values
            .iter()
            .take(SHOWN_VALUES)
            .map(|value| format!("`{value}`"))
            .collect();
        let more = values.len().saturating_sub(SHOWN_VALUES);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        Ok(Self {
            position,
            column: name.to_owned(),
            expected: format!("`{name}` one of {}{more}", shown.join(", ")),
            values: values.iter().cloned().collect(),
            outside: 0,
            sample: SampleOfRows::new(schema),
        })
    }

    fn text(&self, values: &ArrayRef) -> Result<StringArray, String> {
        let text = cast(values, &DataType::Utf8)
            .map_err(|error| format!("failed to read `{}` as text: {error}", self.column))?;
        Ok(text.as_string::<i32>().clone())
    }
}

impl StreamingCheck for Accepted {
    fn observe(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let values = batch.column(self.position);
        // A dictionary is looked up once per distinct value, not once per row.
        if let Some(dictionary) = values.as_any_dictionary_opt() {
            let text = self.text(&Arc::clone(dictionary.values()))?;
            let accepted: Vec<bool> = text
                .iter()
                .map(|value| value.is_none_or(|v| self.values.contains(v)))
                .collect();
            for (row, key) in dictionary.normalized_keys().into_iter().enumerate() {
                if values.is_valid(row) && !accepted[key] {
                    self.outside += 1;
                    self.sample.add(batch, row);
                }
            }
            return Ok(());
        }
        for (row, value) in self.text(values)?.iter().enumerate() {
            if value.is_some_and(|value| !self.values.contains(value)) {
                self.outside += 1;
                self.sample.add(batch, row);
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Verdict {
        Verdict::no_row_fails(self.outside, self.expected, self.sample.finish())
    }
}
