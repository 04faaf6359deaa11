//! `not_null`: no null in a column.

use arrow::array::{Array, RecordBatch};
use arrow::compute::is_null;
use arrow::datatypes::SchemaRef;

use super::run::StreamingCheck;
use super::{SampleOfRows, Verdict, column};

pub(super) struct NotNull {
    position: usize,
    column: String,
    nulls: u64,
    sample: SampleOfRows,
}

impl NotNull {
    pub(super) fn new(schema: &SchemaRef, name: &str) -> Result<Self, String> {
        Ok(Self {
            position: column::position(schema, name)?,
            column: name.to_owned(),
            nulls: 0,
            sample: SampleOfRows::new(schema),
        })
    }
}

impl StreamingCheck for NotNull {
    fn observe(&mut self, batch: &RecordBatch) -> Result<(), String> {
        self.nulls += count_nulls(batch, self.position, &mut self.sample)?;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Verdict {
        Verdict::no_row_fails(
            self.nulls,
            format!("no null in `{}`", self.column),
            self.sample.finish(),
        )
    }
}

/// The nulls of one column; rows with a null are offered to the sample.
///
/// Logical nulls count: a null behind a dictionary or a run-end encoding, and every row of a column of type null.
pub(super) fn count_nulls(batch: &RecordBatch, position: usize, sample: &mut SampleOfRows) -> Result<u64, String> {
    let values = batch.column(position);
    let nulls = values.logical_null_count();
    if nulls > 0 && !sample.is_full() {
        let mask = match values.logical_nulls() {
            Some(nulls) => (!nulls.inner()).clone(),
            None => is_null(values).map_err(|error| error.to_string())?.values().clone(),
        };
        for row in mask.set_indices() {
            if sample.is_full() {
                break;
            }
            sample.add(batch, row);
        }
    }
    Ok(nulls as u64)
}
