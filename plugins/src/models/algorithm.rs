//! The algorithms by name, and a trainer: an algorithm with its parameters.

use std::collections::BTreeMap;

use assets::diagnostic::closest;
use serde::{Deserialize, Serialize};

use super::gradient_boosting::{self, GradientBoosting};
use super::linear::{LINEAR_PARAMETERS, LOGISTIC_PARAMETERS, LinearRegression, LogisticRegression};
use super::settings::{Parameter, Setting, SettingProblem, Settings};

/// An algorithm that comes with Millpond.
#[derive(Debug, Clone, Copy)]
pub struct Algorithm {
    /// Its name in a declaration.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub doc: &'static str,
    /// What a declaration may set.
    pub parameters: &'static [Parameter],
    make: fn(&Settings) -> Trainer,
}

/// Every algorithm.
pub const ALGORITHMS: &[Algorithm] = &[
    Algorithm {
        name: "gradient_boosting",
        doc: "boosted trees for yes/no and numeric targets; takes missing values and categories as they are",
        parameters: gradient_boosting::PARAMETERS,
        make: |settings| Trainer::GradientBoosting(GradientBoosting::from_settings(settings)),
    },
    Algorithm {
        name: "logistic_regression",
        doc: "a linear model of the log-odds of a yes/no target",
        parameters: LOGISTIC_PARAMETERS,
        make: |settings| Trainer::LogisticRegression(LogisticRegression::from_settings(settings)),
    },
    Algorithm {
        name: "linear_regression",
        doc: "a linear model of a numeric target (ridge regression)",
        parameters: LINEAR_PARAMETERS,
        make: |settings| Trainer::LinearRegression(LinearRegression::from_settings(settings)),
    },
];

/// An algorithm with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trainer {
    /// Boosted trees.
    GradientBoosting(GradientBoosting),
    /// A linear model of log-odds.
    LogisticRegression(LogisticRegression),
    /// A linear model of a number.
    LinearRegression(LinearRegression),
}

impl Trainer {
    /// The trainer that a declaration describes, or all mistakes in it.
    pub fn from_settings(algorithm: &str, set: &BTreeMap<String, Setting>) -> Result<Self, Vec<SettingProblem>> {
        let Some(known) = ALGORITHMS.iter().find(|known| known.name == algorithm) else {
            let names: Vec<&str> = ALGORITHMS.iter().map(|known| known.name).collect();
            return Err(vec![SettingProblem {
                key: "algorithm".to_owned(),
                message: format!("there is no algorithm {algorithm:?}; there are {}", names.join(", ")),
                suggestion: closest(algorithm, names).map(str::to_owned),
            }]);
        };
        Settings::check(known.name, known.parameters, set).map(|settings| (known.make)(&settings))
    }

    /// The name of the algorithm.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::GradientBoosting(_) => "gradient_boosting",
            Self::LogisticRegression(_) => "logistic_regression",
            Self::LinearRegression(_) => "linear_regression",
        }
    }

    /// How many categories of a string column the algorithm tells apart.
    pub(super) fn most_categories(&self) -> usize {
        match self {
            Self::GradientBoosting(parameters) => parameters.max_bins - 1,
            Self::LogisticRegression(parameters) => parameters.max_categories,
            Self::LinearRegression(parameters) => parameters.max_categories,
        }
    }
}
