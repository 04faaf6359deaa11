//! Root mean squared error.

use super::{Metric, MetricError, Task, mean};

pub(super) const RMSE: Metric = Metric {
    name: "rmse",
    higher_is_better: false,
    task: Task::Regression,
    doc: "root of the mean squared difference of prediction and target",
    compute,
};

fn compute(targets: &[f64], predictions: &[f64]) -> Result<f64, MetricError> {
    Ok(mean(targets, predictions, |target, prediction| {
        (target - prediction) * (target - prediction)
    })
    .sqrt())
}
