//! Logistic regression by Newton's method.

use serde::{Deserialize, Serialize};

use super::super::ModelError;
use super::super::exponential::{exp, logistic};
use super::super::matrix::TrainingMatrix;
use super::super::settings::{Parameter, ParameterRange, Settings};
use super::design::Design;
use super::model::LinearModel;

/// Parameters of logistic regression. [`Default`] gives those of its parameter list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogisticRegression {
    /// L2 penalty on the coefficients of standardized features.
    pub l2: f64,
    /// Categories per string column; rarer ones share one coefficient.
    pub max_categories: usize,
}

/// What a declaration may set.
pub(in super::super) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "l2",
        default: 1.0,
        range: ParameterRange::AtLeast { least: 0.0 },
        doc: "penalty on the coefficients of standardized features",
    },
    Parameter {
        name: "max_categories",
        default: 50.0,
        range: ParameterRange::Integer {
            least: 1.0,
            most: 1_000.0,
        },
        doc: "categories per string column; rarer ones share one coefficient",
    },
];

const MOST_ITERATIONS: usize = 100;
/// Half the Newton decrement, relative to the loss, at which the next step would change nothing that counts.
const TOLERANCE: f64 = 1e-12;

impl LogisticRegression {
    /// From checked settings.
    pub(in super::super) fn from_settings(settings: &Settings) -> Self {
        Self {
            l2: settings.number("l2"),
            max_categories: settings.integer("max_categories"),
        }
    }

    /// Fits log-odds to a binary target.
    ///
    /// # Errors
    /// When the target has one class or other values, (without a penalty) no coefficients are best, or `stop` says so before
    /// an iteration.
    pub(in super::super) fn fit(
        &self,
        matrix: &TrainingMatrix,
        stop: &dyn Fn() -> bool,
    ) -> Result<LinearModel, ModelError> {
        matrix.require_two_classes()?;
        let design = Design::new(matrix);
        let target = &matrix.target;
        let mut coefficients = vec![0.0; design.coefficients()];
        let share = target.iter().sum::<f64>() / target.len() as f64;
        coefficients[0] = (share / (1.0 - share)).ln();
        let mut loss = self.loss(&design, target, &coefficients);
        for iterations in 0..MOST_ITERATIONS {
            if stop() {
                return Err(ModelError::Stopped);
            }
            let (mut curvature, mut descent) = design.equations(|row| {
                let probability = logistic(design.score(row, &coefficients));
                (probability * (1.0 - probability), target[row] - probability)
            });
            design.penalize(self.l2, &coefficients, &mut curvature, &mut descent);
            let step = curvature.solve(&descent)?;
            let decrement: f64 = step.iter().zip(&descent).map(|(step, descent)| step * descent).sum();
            if decrement / 2.0 <= TOLERANCE * loss.max(1.0) {
                // Without a penalty, nothing left to lose means that coefficients would grow for ever.
                if self.l2 == 0.0 && loss < 1e-6 * target.len() as f64 {
                    return Err(ModelError::NotConverged { iterations });
                }
                let terms = design.terms(&coefficients);
                return Ok(LinearModel {
                    intercept: coefficients[0],
                    terms,
                });
            }
            // The loss is convex: some fraction of the step descends.
            let mut fraction = 1.0;
            loop {
                let tried: Vec<f64> = coefficients
                    .iter()
                    .zip(&step)
                    .map(|(at, step)| at + fraction * step)
                    .collect();
                let tried_loss = self.loss(&design, target, &tried);
                if tried_loss <= loss || fraction < 1e-10 {
                    (coefficients, loss) = (tried, tried_loss.min(loss));
                    break;
                }
                fraction /= 2.0;
            }
        }
        Err(ModelError::NotConverged {
            iterations: MOST_ITERATIONS,
        })
    }

    fn loss(&self, design: &Design, target: &[f64], coefficients: &[f64]) -> f64 {
        let of_rows: f64 = target
            .iter()
            .enumerate()
            .map(|(row, target)| {
                let score = design.score(row, coefficients);
                score.max(0.0) - target * score + exp(-score.abs()).ln_1p()
            })
            .sum();
        of_rows + self.l2 / 2.0 * coefficients[1..].iter().map(|c| c * c).sum::<f64>()
    }
}

impl Default for LogisticRegression {
    fn default() -> Self {
        Self::from_settings(&Settings::defaults(PARAMETERS))
    }
}
