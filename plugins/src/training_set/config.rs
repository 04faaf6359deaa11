//! What a `training_set` asset keeps.

use assets::AssetKey;
use serde::{Deserialize, Serialize};

/// The compiled form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingSetConfig {
    /// The left side.
    pub labels: Labels,
    /// The right sides, in the order of their columns.
    pub features: Vec<FeatureColumns>,
    /// The column that tells a row's partition, if the asset has partitions.
    pub partition_column: Option<String>,
}

/// Where labels come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// The asset.
    pub from: AssetKey,
    /// The column with the moment of each label.
    pub timestamp: String,
    /// Further columns to carry along.
    pub columns: Vec<String>,
}

/// What is taken of one features asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureColumns {
    /// The asset.
    pub asset: AssetKey,
    /// The columns; `None` is all but those it is joined by.
    pub columns: Option<Vec<String>>,
    /// How it is joined; there once it is linked.
    pub joined_by: Option<JoinedBy>,
}

/// How rows of features belong to labels, as their own declaration says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedBy {
    /// The columns that say what a row is about.
    pub entity: Vec<String>,
    /// The column that says from when on a row is known.
    pub timestamp: String,
    /// For how many seconds a row may serve; `None` is for ever.
    pub ttl_seconds: Option<u64>,
    /// The column that says when a row was made.
    pub created: Option<String>,
}

impl TrainingSetConfig {
    /// The columns taken from the labels, given the entity columns of every feature asset: those, the moment, the carried ones.
    pub(super) fn label_columns<'c>(&'c self, entities: impl Iterator<Item = &'c String>) -> Vec<String> {
        let mut columns: Vec<String> = Vec::new();
        for column in entities.chain([&self.labels.timestamp]).chain(&self.labels.columns) {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        columns
    }
}
