//! Calibration: whether what is predicted with some probability comes true as often.

use serde::Serialize;

use super::super::matrix::Task;

/// Groups of rows.
const BINS: usize = 10;

/// Rows whose predictions lie next to each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// Mean of the predictions.
    pub predicted: f64,
    /// Share of the rows that came true.
    pub observed: f64,
    /// How many rows.
    pub rows: usize,
}

/// At most ten groups of as many rows each, by prediction; equal predictions are in one group. `None` for what is no probability.
pub fn calibration(task: Task, targets: &[f64], predictions: &[f64]) -> Option<Vec<CalibrationBin>> {
    if task != Task::Binary || targets.is_empty() || targets.len() != predictions.len() {
        return None;
    }
    let mut rows: Vec<(f64, f64)> = predictions.iter().copied().zip(targets.iter().copied()).collect();
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut bins = Vec::new();
    let mut begin = 0;
    for bin in 1..=BINS {
        let mut end = rows.len() * bin / BINS;
        while end > begin && end < rows.len() && rows[end].0.total_cmp(&rows[end - 1].0).is_eq() {
            end += 1;
        }
        if end <= begin {
            continue;
        }
        let group = &rows[begin..end];
        let mean = |value: fn(&(f64, f64)) -> f64| group.iter().map(value).sum::<f64>() / group.len() as f64;
        bins.push(CalibrationBin {
            predicted: mean(|row| row.0),
            observed: mean(|row| row.1),
            rows: group.len(),
        });
        begin = end;
    }
    Some(bins)
}
