//! Accuracy.

use super::{Metric, MetricError, Task, mean};

pub(super) const ACCURACY: Metric = Metric {
    name: "accuracy",
    higher_is_better: true,
    task: Task::Binary,
    doc: "share of rows on the right side of one half (one half itself counts as yes)",
    compute,
};

fn compute(targets: &[f64], predictions: &[f64]) -> Result<f64, MetricError> {
    Ok(mean(targets, predictions, |target, prediction| {
        f64::from((prediction >= 0.5) == (target == 1.0))
    }))
}
