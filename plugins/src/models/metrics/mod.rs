//! How good predictions are. Each metric is a file; [`METRICS`] lists them all.
//!
//! Targets and predictions are numbers by row: for a binary task targets are 0 or 1 and predictions probabilities of 1.

mod accuracy;
mod auc;
mod brier;
mod calibration;
mod log_loss;
mod mae;
mod rmse;

pub use calibration::{CalibrationBin, calibration};

use assets::diagnostic::closest;

use super::matrix::Task;

/// A metric: its name, which way is better, and how it is computed.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name in a declaration.
    pub name: &'static str,
    /// Whether more of it is better.
    pub higher_is_better: bool,
    /// The task that it judges.
    pub task: Task,
    /// What it is, with its formula's source where it has one.
    pub doc: &'static str,
    /// From targets and predictions of equal length, at least one, all finite.
    compute: fn(&[f64], &[f64]) -> Result<f64, MetricError>,
}

/// Every metric.
pub const METRICS: &[Metric] = &[
    auc::AUC,
    log_loss::LOG_LOSS,
    brier::BRIER,
    accuracy::ACCURACY,
    rmse::RMSE,
    mae::MAE,
];

/// Why a metric has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// There is no metric of that name.
    #[error("compute {name:?}: there is no such metric{}; there are {}", meant(.suggestion.as_deref()), .known.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The name that was probably meant.
        suggestion: Option<String>,
        /// All names.
        known: Vec<&'static str>,
    },
    /// No rows.
    #[error("compute {metric}: there are no rows to judge; widen the test part")]
    NoRows {
        /// The metric.
        metric: &'static str,
    },
    /// Targets and predictions do not belong together.
    #[error("compute {metric}: there are {targets} targets and {predictions} predictions")]
    Lengths {
        /// The metric.
        metric: &'static str,
        /// Number of targets.
        targets: usize,
        /// Number of predictions.
        predictions: usize,
    },
    /// A target or prediction is not a number, or for a binary metric a target is neither 0 nor 1.
    #[error("compute {metric}: row {row} has {what}, which it does not judge")]
    Unfit {
        /// The metric.
        metric: &'static str,
        /// The row, from zero.
        row: usize,
        /// The value in words.
        what: String,
    },
    /// A ranking of one class.
    #[error("compute {metric}: all rows to judge are of one class; widen the test part")]
    SingleClass {
        /// The metric.
        metric: &'static str,
    },
}

fn meant(suggestion: Option<&str>) -> String {
    suggestion
        .map(|name| format!(" (did you mean {name:?}?)"))
        .unwrap_or_default()
}

impl Metric {
    /// The metric of a name.
    pub fn named(name: &str) -> Result<&'static Self, MetricError> {
        METRICS.iter().find(|metric| metric.name == name).ok_or_else(|| {
            let known: Vec<&'static str> = METRICS.iter().map(|metric| metric.name).collect();
            MetricError::Unknown {
                name: name.to_owned(),
                suggestion: closest(name, known.iter().copied()).map(str::to_owned),
                known,
            }
        })
    }

    /// Its value for predictions of these targets.
    ///
    /// # Errors
    /// When there are no rows, a value is not finite or unfit for the task, or the metric needs two classes.
    pub fn compute(&self, targets: &[f64], predictions: &[f64]) -> Result<f64, MetricError> {
        let metric = self.name;
        if targets.len() != predictions.len() {
            return Err(MetricError::Lengths {
                metric,
                targets: targets.len(),
                predictions: predictions.len(),
            });
        }
        if targets.is_empty() {
            return Err(MetricError::NoRows { metric });
        }
        for (row, (&target, &prediction)) in targets.iter().zip(predictions).enumerate() {
            let fits = match self.task {
                Task::Binary => (target == 0.0 || target == 1.0) && (0.0..=1.0).contains(&prediction),
                Task::Regression => target.is_finite() && prediction.is_finite(),
            };
            if !fits {
                let what = format!("the target {target} and the prediction {prediction}");
                return Err(MetricError::Unfit { metric, row, what });
            }
        }
        (self.compute)(targets, predictions)
    }
}

/// All metrics of a task, each with its value or why it has none.
pub fn evaluate(task: Task, targets: &[f64], predictions: &[f64]) -> Vec<(&'static Metric, Result<f64, MetricError>)> {
    let of_task = METRICS.iter().filter(|metric| metric.task == task);
    of_task
        .map(|metric| (metric, metric.compute(targets, predictions)))
        .collect()
}

/// The mean of a term over all rows.
fn mean(targets: &[f64], predictions: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    targets
        .iter()
        .zip(predictions)
        .map(|(&target, &prediction)| term(target, prediction))
        .sum::<f64>()
        / targets.len() as f64
}
