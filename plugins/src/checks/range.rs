//! `range`: every value that is not null lies within bounds.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, SchemaRef};

use super::run::StreamingCheck;
use super::{SampleOfRows, Verdict, column};

pub(super) struct Range {
    position: usize,
    column: String,
    min: Option<f64>,
    max: Option<f64>,
    outside: u64,
    sample: SampleOfRows,
}

impl Range {
    pub(super) fn new(schema: &SchemaRef, name: &str, min: Option<f64>, max: Option<f64>) -> Result<Self, String> {
        let position = column::position(schema, name)?;
        let data_type = schema.field(position).data_type();
        if !(data_type.is_numeric() || data_type.is_null()) {
            return Err(format!(
                "`{name}` holds {data_type}, and a range needs numbers; write a `sql` check instead"
            ));
        }
        Ok(Self {
            position,
            column: name.to_owned(),
            min,
            max,
            outside: 0,
            sample: SampleOfRows::new(schema),
        })
    }
}

impl StreamingCheck for Range {
    fn observe(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let strict = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        let values = cast_with_options(batch.column(self.position), &DataType::Float64, &strict)
            .map_err(|error| format!("failed to read `{}` as numbers: {error}", self.column))?;
        for (row, value) in values.as_primitive::<Float64Type>().iter().enumerate() {
            let Some(value) = value else { continue };
            // A NaN is in no range: the comparisons are written so that it fails both.
            let within = self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max);
            if !within {
                self.outside += 1;
                self.sample.add(batch, row);
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Verdict {
        let column = &self.column;
        let expected = match (self.min, self.max) {
            (Some(min), Some(max)) => format!("`{column}` from {min} to {max}"),
            (Some(min), None) => format!("`{column}` at least {min}"),
            (None, Some(max)) => format!("`{column}` at most {max}"),
            (None, None) => format!("`{column}` any number"),
        };
        Verdict::no_row_fails(self.outside, expected, self.sample.finish())
    }
}
