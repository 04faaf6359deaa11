//! Built-in trainers, their metrics, and the artifacts they leave.
//!
//! [`train`] takes Arrow batches and a [`Trainer`] and gives an [`Artifact`]: one self-contained JSON file that knows its
//! features by name, predicts, and says what mattered. Everything here is pure of clock, environment and randomness: the
//! only seed is the trainer's parameter, and the same rows, parameters and seed give the same bytes of artifact whatever
//! the number of threads.
//!
//! ```text
//!  batches ──> TrainingMatrix (feature: what a column means; matrix: columns as f64, target)
//!                 └──> gradient_boosting | linear::{logistic_regression, linear_regression}
//!                          └──> Artifact ──save──> file ──load──> predict by column name
//!  predictions + targets ──> METRICS
//! ```
//!
//! How Arrow types become numbers: integers, floats, decimals and booleans as their value (an integer beyond 2^53 is
//! rounded), timestamps and dates as seconds since the epoch, times of day and durations as seconds, strings as categories
//! learned from the training rows (the most frequent ones; others and null are missing). Null and NaN are missing; infinite
//! values become the largest finite ones.
//!
//! Deliberately not here: splitting rows into training and test parts, the registry, promotion, and models of other
//! frameworks.

#![expect(
    clippy::float_cmp,
    reason = "classes, category codes and equal values are compared as they are, not computed"
)]

mod algorithm;
mod artifact;
mod error;
mod exponential;
mod feature;
mod gradient_boosting;
mod linear;
mod matrix;
mod metrics;
mod parallel;
mod seed;
mod settings;
mod train;

#[cfg(test)]
mod tests;

pub use algorithm::{ALGORITHMS, Algorithm, Trainer};
pub use artifact::{Artifact, Importance, Summary};
pub use error::ModelError;
pub use feature::{Feature, FeatureKind, default_features};
pub use gradient_boosting::GradientBoosting;
pub use linear::{LinearRegression, LogisticRegression};
pub use matrix::{Task, TrainingMatrix};
pub use metrics::{CalibrationBin, METRICS, Metric, MetricError, calibration, evaluate};
pub use settings::{Parameter, ParameterRange, Setting, SettingProblem};
pub use train::{Trained, TrainingSpec, train, train_unless};
