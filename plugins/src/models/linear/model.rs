//! The coefficients of a linear model by feature, and its scores.

use serde::{Deserialize, Serialize};

use super::super::feature::{FeatureKind, UNSEEN};
use super::super::matrix::TrainingMatrix;

/// What one feature adds to the score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(in super::super) enum Term {
    /// `coefficient * (value - mean) / scale`, or `missing`.
    Number {
        /// Mean of the training rows.
        mean: f64,
        /// Standard deviation of the training rows.
        scale: f64,
        /// Per standard deviation.
        coefficient: f64,
        /// For a missing value.
        missing: f64,
    },
    /// A number per category.
    Category {
        /// By code.
        coefficients: Vec<f64>,
        /// For a string that is not among the categories.
        other: f64,
        /// For null.
        missing: f64,
    },
}

/// A score: the intercept and what each feature adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct LinearModel {
    /// The score of a row of means.
    pub(in super::super) intercept: f64,
    /// By feature.
    pub(in super::super) terms: Vec<Term>,
}

impl Term {
    fn add(&self, value: f64) -> f64 {
        match self {
            Self::Number {
                mean,
                scale,
                coefficient,
                missing,
            } => {
                if value.is_nan() {
                    *missing
                } else {
                    coefficient * ((value - mean) / scale)
                }
            }
            Self::Category {
                coefficients,
                other,
                missing,
            } => {
                if value.is_nan() {
                    *missing
                } else if value == UNSEEN {
                    *other
                } else {
                    coefficients[value as usize]
                }
            }
        }
    }

    /// Checks the numbers against the feature that the term is of.
    pub(in super::super) fn validate(&self, kind: &FeatureKind) -> Result<(), String> {
        let numbers = match (self, kind) {
            (
                Self::Number {
                    mean,
                    scale,
                    coefficient,
                    missing,
                },
                FeatureKind::Number | FeatureKind::Time,
            ) => {
                if *scale <= 0.0 {
                    return Err(format!("its scale is {scale}"));
                }
                vec![*mean, *scale, *coefficient, *missing]
            }
            (
                Self::Category {
                    coefficients,
                    other,
                    missing,
                },
                FeatureKind::Category(categories),
            ) => {
                if coefficients.len() != categories.len() {
                    return Err(format!(
                        "it has {} coefficients for {} categories",
                        coefficients.len(),
                        categories.len()
                    ));
                }
                coefficients.iter().chain([other, missing]).copied().collect()
            }
            _ => return Err("its term is of another kind than the feature".to_owned()),
        };
        match numbers.iter().find(|number| !number.is_finite()) {
            Some(number) => Err(format!("a coefficient is {number}")),
            None => Ok(()),
        }
    }
}

impl LinearModel {
    /// The scores of rows given as columns of equal length.
    pub(in super::super) fn scores(&self, columns: &[Vec<f64>], rows: usize) -> Vec<f64> {
        let mut scores = vec![self.intercept; rows];
        for (term, column) in self.terms.iter().zip(columns) {
            for (score, &value) in scores.iter_mut().zip(column) {
                *score += term.add(value);
            }
        }
        scores
    }

    /// By feature: what it adds to a training row's score, in absolute value, on average.
    pub(in super::super) fn mean_contributions(&self, matrix: &TrainingMatrix) -> Vec<f64> {
        let rows = matrix.rows() as f64;
        let of_feature =
            |(term, column): (&Term, &Vec<f64>)| column.iter().map(|&v| term.add(v).abs()).sum::<f64>() / rows;
        self.terms.iter().zip(&matrix.columns).map(of_feature).collect()
    }
}
