//! Mean absolute error.

use super::{Metric, MetricError, Task, mean};

pub(super) const MAE: Metric = Metric {
    name: "mae",
    higher_is_better: false,
    task: Task::Regression,
    doc: "mean absolute difference of prediction and target",
    compute,
};

fn compute(targets: &[f64], predictions: &[f64]) -> Result<f64, MetricError> {
    Ok(mean(targets, predictions, |target, prediction| {
        (target - prediction).abs()
    }))
}
