//! Brier score.

use super::{Metric, MetricError, Task, mean};

pub(super) const BRIER: Metric = Metric {
    name: "brier",
    higher_is_better: false,
    task: Task::Binary,
    doc: "mean squared difference of probability and outcome (Brier 1950, the form for two classes)",
    compute,
};

fn compute(targets: &[f64], predictions: &[f64]) -> Result<f64, MetricError> {
    Ok(mean(targets, predictions, |target, prediction| {
        (target - prediction) * (target - prediction)
    }))
}
