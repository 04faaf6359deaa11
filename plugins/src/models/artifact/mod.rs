//! The artifact of a trained model: one self-contained file that predicts by column name.
//!
//! The file is JSON: a format name and version, the algorithm with its parameters, the target, the features with their
//! dictionaries, the model (trees in arrays, or coefficients) and a training summary. It holds no time and no host, so the
//! same training gives the same bytes. `file` saves and loads, `validate` refuses what could not predict, `predict`
//! predicts.

mod file;
mod predict;
mod validate;

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::algorithm::Trainer;
use super::feature::Feature;
use super::gradient_boosting::{Ensemble, Forest};
use super::linear::LinearModel;
use super::matrix::Task;

/// The first member of every artifact file.
const FORMAT: &str = "millpond-model";
/// What this code writes; it reads this version alone.
const VERSION: u32 = 1;

/// A trained model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    format: String,
    version: u32,
    /// The algorithm and the parameters that it was trained with.
    pub trainer: Trainer,
    /// What it predicts.
    pub task: Task,
    /// The target column.
    pub target: String,
    /// The feature columns, in the order of the model.
    pub features: Vec<Feature>,
    /// What training had to say.
    pub summary: Summary,
    pub(super) model: Model,
    #[serde(skip)]
    forest: OnceLock<Forest>,
}

/// What a model is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Model {
    /// Boosted trees.
    Trees(Ensemble),
    /// Coefficients.
    Linear(LinearModel),
}

/// What training had to say, kept in the artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Rows trained on.
    pub rows: usize,
    /// Rows left out because their target was null.
    pub dropped_rows: usize,
    /// Trees kept (early stopping keeps the best ones); absent for linear models.
    pub trees: Option<usize>,
    /// What each feature brought, the most important first.
    pub importance: Vec<Importance>,
}

/// What a feature brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Importance {
    /// The feature.
    pub feature: String,
    /// Its share of the whole, between 0 and 1: of the loss saved by splits (trees), or of the mean absolute contribution
    /// to the score (linear models).
    pub share: f64,
}

impl Artifact {
    /// Puts an artifact together from what training gave.
    pub(super) fn new(
        trainer: Trainer,
        task: Task,
        target: String,
        features: Vec<Feature>,
        model: Model,
        summary: Summary,
    ) -> Self {
        let format = FORMAT.to_owned();
        Self {
            format,
            version: VERSION,
            trainer,
            task,
            target,
            features,
            summary,
            model,
            forest: OnceLock::new(),
        }
    }
}

impl PartialEq for Artifact {
    fn eq(&self, other: &Self) -> bool {
        // The forest is made from the model.
        (
            &self.trainer,
            self.task,
            &self.target,
            &self.features,
            &self.summary,
            &self.model,
        ) == (
            &other.trainer,
            other.task,
            &other.target,
            &other.features,
            &other.summary,
            &other.model,
        )
    }
}
