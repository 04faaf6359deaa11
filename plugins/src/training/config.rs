//! What a `training` asset keeps.

use assets::AssetKey;
use serde::{Deserialize, Serialize};

use crate::models::Trainer;

/// The compiled form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingConfig {
    /// The asset whose rows teach.
    pub from: AssetKey,
    /// The column to predict.
    pub target: String,
    /// How.
    pub trainer: Trainer,
    /// Whether the trainer's seed is the declaration's; if not, the step's seed takes its place.
    pub seeded: bool,
    /// Columns to predict from, if said.
    pub features: Option<Vec<String>>,
    /// Columns that are no features, if `features` does not say: those of the training set that are of the labels.
    pub label_columns: Option<Vec<String>>,
    /// The partition column of `from`: no feature by itself.
    pub partition_column: Option<String>,
    /// Which rows judge; `None` is none of them.
    pub split: Option<Split>,
    /// Metrics by name; `None` is all that fit.
    pub metrics: Option<Vec<String>>,
    /// When a new version takes an alias. The daemon reads `promote.alias` and `promote.when` of the asset's configuration.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub promote: Option<Promote>,
}

/// When a new version takes an alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promote {
    /// The alias.
    pub alias: String,
    /// The condition, as [`assets::condition::Condition`] reads it; `None` is always.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub when: Option<String>,
}

/// Which rows judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// The column that orders the rows.
    pub by: String,
    /// Where the test part begins.
    pub point: SplitPoint,
}

/// Where the test part begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitPoint {
    /// At a local time.
    Time {
        /// `2013-11-01T00:00:00`.
        local: jiff::civil::DateTime,
        /// The zone that it is local to, where the column holds instants.
        zone: String,
    },
    /// At a number.
    Number(f64),
    /// Where this share of the rows is left.
    Share(f64),
}
