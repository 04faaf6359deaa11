//! The parameters of gradient boosting, as a declaration writes them.

use serde::{Deserialize, Serialize};

use super::super::settings::{Parameter, ParameterRange, Settings};

/// Parameters of gradient boosting. [`Default`] gives those of [`PARAMETERS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientBoosting {
    /// Trees, one per round.
    pub trees: usize,
    /// How much of each tree's correction is taken.
    pub learning_rate: f64,
    /// Splits from the root to a leaf, at most.
    pub max_depth: usize,
    /// The least sum of second derivatives on either side of a split (for squared error: rows).
    pub min_child_weight: f64,
    /// L2 penalty on leaf values (lambda).
    pub l2: f64,
    /// The least gain of a split.
    pub gamma: f64,
    /// Bins per feature, that of missing values included.
    pub max_bins: usize,
    /// The share of rows that each tree sees.
    pub subsample: f64,
    /// The share of features that each tree sees.
    pub colsample: f64,
    /// Rounds without improvement after which to stop; zero means never.
    pub early_stopping_rounds: usize,
    /// The share of training rows held out to judge improvement, when stopping early.
    pub validation_share: f64,
    /// Seed of all samples.
    pub seed: u64,
}

const fn integer(name: &'static str, default: f64, least: f64, most: f64, doc: &'static str) -> Parameter {
    Parameter {
        name,
        default,
        range: ParameterRange::Integer { least, most },
        doc,
    }
}

const fn number(name: &'static str, default: f64, above: f64, most: f64, doc: &'static str) -> Parameter {
    Parameter {
        name,
        default,
        range: ParameterRange::Above { above, most },
        doc,
    }
}

const fn penalty(name: &'static str, default: f64, doc: &'static str) -> Parameter {
    Parameter {
        name,
        default,
        range: ParameterRange::AtLeast { least: 0.0 },
        doc,
    }
}

/// What a declaration may set.
pub(in super::super) const PARAMETERS: &[Parameter] = &[
    integer("trees", 100.0, 1.0, 100_000.0, "trees, one per round"),
    number(
        "learning_rate",
        0.1,
        0.0,
        1.0,
        "how much of each tree's correction is taken",
    ),
    integer("max_depth", 6.0, 1.0, 12.0, "splits from the root to a leaf, at most"),
    penalty(
        "min_child_weight",
        1.0,
        "least sum of second derivatives on either side of a split",
    ),
    penalty("l2", 1.0, "penalty on leaf values (lambda)"),
    penalty("gamma", 0.0, "least gain of a split"),
    integer(
        "max_bins",
        256.0,
        3.0,
        256.0,
        "bins per feature, that of missing values included",
    ),
    number("subsample", 1.0, 0.0, 1.0, "share of the rows that each tree sees"),
    number("colsample", 1.0, 0.0, 1.0, "share of the features that each tree sees"),
    integer(
        "early_stopping_rounds",
        0.0,
        0.0,
        100_000.0,
        "rounds without improvement after which to stop; 0: never",
    ),
    number(
        "validation_share",
        0.1,
        0.0,
        0.9,
        "share of the training rows held out to judge improvement",
    ),
    integer("seed", 0.0, 0.0, 9_007_199_254_740_992.0, "seed of all samples"),
];

impl GradientBoosting {
    /// From checked settings.
    pub(in super::super) fn from_settings(settings: &Settings) -> Self {
        Self {
            trees: settings.integer("trees"),
            learning_rate: settings.number("learning_rate"),
            max_depth: settings.integer("max_depth"),
            min_child_weight: settings.number("min_child_weight"),
            l2: settings.number("l2"),
            gamma: settings.number("gamma"),
            max_bins: settings.integer("max_bins"),
            subsample: settings.number("subsample"),
            colsample: settings.number("colsample"),
            early_stopping_rounds: settings.integer("early_stopping_rounds"),
            validation_share: settings.number("validation_share"),
            seed: settings.integer("seed") as u64,
        }
    }
}

impl Default for GradientBoosting {
    fn default() -> Self {
        Self::from_settings(&Settings::defaults(PARAMETERS))
    }
}
