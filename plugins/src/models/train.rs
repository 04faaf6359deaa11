//! Training: batches in, artifact out.

use std::num::NonZeroUsize;

use arrow::array::RecordBatch;

use super::ModelError;
use super::algorithm::Trainer;
use super::artifact::{Artifact, Importance, Model, Summary};
use super::gradient_boosting::{self, Ensemble};
use super::matrix::{Task, TrainingMatrix};
use super::metrics::evaluate;

/// What to train on which columns.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSpec {
    /// The column to predict: boolean, or a number.
    pub target: String,
    /// The columns to predict it from; see [`default_features`](super::default_features).
    pub features: Vec<String>,
    /// How.
    pub trainer: Trainer,
}

/// What training gives.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The model.
    pub artifact: Artifact,
    /// Its metrics on the rows that it was trained on, which flatter it: judge it on others.
    pub training_metrics: Vec<(&'static str, f64)>,
}

/// Trains a model on batches of one schema. The same rows, specification and seed give the same artifact, whatever the
/// number of threads.
///
/// # Errors
/// When columns are missing or unfit, nothing is left to learn from, or the target does not fit the trainer.
pub fn train(spec: &TrainingSpec, batches: &[RecordBatch], threads: NonZeroUsize) -> Result<Trained, ModelError> {
    train_unless(spec, batches, threads, &|| false)
}

/// [`train`], which gives up with [`ModelError::Stopped`] once `stop` says so. It is asked before every tree, and before every
/// step of an iteration: at least every few seconds, whatever the rows.
///
/// # Errors
/// Those of [`train`], and [`ModelError::Stopped`].
pub fn train_unless(
    spec: &TrainingSpec,
    batches: &[RecordBatch],
    threads: NonZeroUsize,
    stop: &dyn Fn() -> bool,
) -> Result<Trained, ModelError> {
    let matrix = TrainingMatrix::from_batches(batches, &spec.target, &spec.features, spec.trainer.most_categories())?;
    let (model, task, importance) = match &spec.trainer {
        Trainer::GradientBoosting(parameters) => {
            let (ensemble, task) = gradient_boosting::fit(&matrix, parameters, threads.get(), stop)?;
            let importance = gains(&ensemble, matrix.features.len());
            (Model::Trees(ensemble), task, importance)
        }
        Trainer::LogisticRegression(parameters) => {
            let model = parameters.fit(&matrix, stop)?;
            let importance = model.mean_contributions(&matrix);
            (Model::Linear(model), Task::Binary, importance)
        }
        Trainer::LinearRegression(parameters) => {
            let model = parameters.fit(&matrix)?;
            let importance = model.mean_contributions(&matrix);
            (Model::Linear(model), Task::Regression, importance)
        }
    };
    let summary = Summary {
        rows: matrix.rows(),
        dropped_rows: matrix.dropped_rows,
        trees: match &model {
            Model::Trees(ensemble) => Some(ensemble.trees.len()),
            Model::Linear(_) => None,
        },
        importance: shares(&matrix, &importance),
    };
    let features = matrix.features.clone();
    let artifact = Artifact::new(
        spec.trainer.clone(),
        task,
        spec.target.clone(),
        features,
        model,
        summary,
    );
    let predictions = artifact.predict_columns(&matrix.columns, matrix.rows(), threads.get());
    let training_metrics = evaluate(task, &matrix.target, &predictions)
        .into_iter()
        .filter_map(|(metric, value)| Some((metric.name, value.ok()?)))
        .collect();
    Ok(Trained {
        artifact,
        training_metrics,
    })
}

/// The loss saved by the splits on each feature.
fn gains(ensemble: &Ensemble, features: usize) -> Vec<f64> {
    let mut gains = vec![0.0; features];
    for tree in &ensemble.trees {
        for (feature, gain) in tree.feature.iter().zip(&tree.gain) {
            gains[*feature as usize] += gain;
        }
    }
    gains
}

/// Shares of the whole, the largest first, equal ones by name.
fn shares(matrix: &TrainingMatrix, importance: &[f64]) -> Vec<Importance> {
    let whole: f64 = importance.iter().sum();
    let mut shares: Vec<Importance> = matrix
        .features
        .iter()
        .zip(importance)
        .map(|(feature, &part)| Importance {
            feature: feature.name.clone(),
            share: if whole > 0.0 { part / whole } else { 0.0 },
        })
        .collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.feature.cmp(&b.feature)));
    shares
}
