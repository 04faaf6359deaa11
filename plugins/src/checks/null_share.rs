//! `null_share`: at most this share of nulls in a column.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::not_null::count_nulls;
use super::run::StreamingCheck;
use super::{SampleOfRows, Verdict, column};

pub(super) struct NullShare {
    position: usize,
    column: String,
    max: f64,
    rows: u64,
    nulls: u64,
    sample: SampleOfRows,
}

impl NullShare {
    pub(super) fn new(schema: &SchemaRef, name: &str, max: f64) -> Result<Self, String> {
        Ok(Self {
            position: column::position(schema, name)?,
            column: name.to_owned(),
            max,
            rows: 0,
            nulls: 0,
            sample: SampleOfRows::new(schema),
        })
    }
}

impl StreamingCheck for NullShare {
    fn observe(&mut self, batch: &RecordBatch) -> Result<(), String> {
        self.rows += batch.num_rows() as u64;
        self.nulls += count_nulls(batch, self.position, &mut self.sample)?;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Verdict {
        // No rows: nothing is null.
        let share = if self.rows == 0 {
            0.0
        } else {
            self.nulls as f64 / self.rows as f64
        };
        let passed = share <= self.max;
        Verdict {
            passed,
            figure: Some(share),
            expected: format!("a share of nulls in `{}` of at most {}", self.column, self.max),
            failing_rows: Some(self.nulls),
            sample: if passed { None } else { self.sample.finish() },
            error: None,
        }
    }
}
