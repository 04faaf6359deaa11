//! Logarithmic loss.

use super::{Metric, MetricError, Task, mean};

pub(super) const LOG_LOSS: Metric = Metric {
    name: "log_loss",
    higher_is_better: false,
    task: Task::Binary,
    doc: "mean of -ln(probability given to what happened), probabilities clipped to 1e-15 from 0 and 1",
    compute,
};

const CLIP: f64 = 1e-15;

fn compute(targets: &[f64], predictions: &[f64]) -> Result<f64, MetricError> {
    Ok(mean(targets, predictions, |target, prediction| {
        let prediction = prediction.clamp(CLIP, 1.0 - CLIP);
        -if target == 1.0 {
            prediction.ln()
        } else {
            (-prediction).ln_1p()
        }
    }))
}
