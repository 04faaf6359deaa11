//! `row_count`: the number of rows lies within bounds.

use arrow::array::RecordBatch;

use super::Verdict;
use super::run::StreamingCheck;

pub(super) struct RowCount {
    min: Option<u64>,
    max: Option<u64>,
    rows: u64,
}

impl RowCount {
    pub(super) fn new(min: Option<u64>, max: Option<u64>) -> Self {
        Self { min, max, rows: 0 }
    }
}

impl StreamingCheck for RowCount {
    fn observe(&mut self, batch: &RecordBatch) -> Result<(), String> {
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Verdict {
        let passed = self.min.is_none_or(|min| self.rows >= min) && self.max.is_none_or(|max| self.rows <= max);
        Verdict {
            passed,
            figure: Some(self.rows as f64),
            expected: expected(self.min, self.max),
            failing_rows: None,
            sample: None,
            error: None,
        }
    }
}

fn expected(min: Option<u64>, max: Option<u64>) -> String {
    let rows = |count: u64| {
        if count == 1 {
            "1 row".to_owned()
        } else {
            format!("{count} rows")
        }
    };
    match (min, max) {
        (Some(min), Some(max)) if min == max => format!("exactly {}", rows(min)),
        (Some(min), Some(max)) => format!("{min} to {}", rows(max)),
        (Some(min), None) => format!("at least {}", rows(min)),
        (None, Some(max)) => format!("at most {}", rows(max)),
        (None, None) => "any number of rows".to_owned(),
    }
}
