//! Checks that are queries over the staged rows.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;

use super::{SampleOfRows, Verdict};
use crate::query::QuerySession;

/// A query whose rows are failing rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryCheck {
    /// The query; the staged rows of the partition are `this`.
    pub sql: String,
    /// What is expected, in words.
    pub expected: String,
    /// Column that tells how many failing rows one row of the answer stands for; each stands for itself without it.
    pub counted_by: Option<&'static str>,
}

impl QueryCheck {
    /// The finding, from the rows that the query gave. They are counted, and all but the first are dropped as they come.
    pub async fn judge(&self, rows: SendableRecordBatchStream, session: &QuerySession) -> Verdict {
        match count(rows, self.counted_by, session).await {
            Ok((failing, sample)) => Verdict::no_row_fails(failing, self.expected.clone(), sample.finish()),
            Err(error) => Verdict::none(self.expected.clone(), error),
        }
    }
}

async fn count(
    mut rows: SendableRecordBatchStream,
    counted_by: Option<&str>,
    session: &QuerySession,
) -> Result<(u64, SampleOfRows), String> {
    let mut sample = SampleOfRows::new(&rows.schema());
    let mut failing = 0;
    while let Some(batch) = rows
        .try_next()
        .await
        .map_err(|error| session.read_error(error).failure.message)?
    {
        failing += stands_for(&batch, counted_by);
        for row in 0..batch.num_rows() {
            if sample.is_full() {
                break;
            }
            sample.add(&batch, row);
        }
    }
    Ok((failing, sample))
}

/// Rows of the partition that the rows of a batch stand for.
fn stands_for(batch: &RecordBatch, counted_by: Option<&str>) -> u64 {
    counted_by
        .and_then(|column| batch.column_by_name(column))
        .and_then(|repeats| repeats.as_primitive_opt::<Int64Type>())
        .map_or(batch.num_rows() as u64, |repeats| {
            repeats.values().iter().map(|count| count.unsigned_abs()).sum()
        })
}
