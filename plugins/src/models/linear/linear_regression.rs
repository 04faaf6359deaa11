//! Ridge regression: squared error with an L2 penalty.

use serde::{Deserialize, Serialize};

use super::super::ModelError;
use super::super::matrix::TrainingMatrix;
use super::super::settings::{Parameter, Settings};
use super::design::Design;
use super::model::LinearModel;

/// Parameters of linear regression. [`Default`] gives those of its parameter list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearRegression {
    /// L2 penalty on the coefficients of standardized features.
    pub l2: f64,
    /// Categories per string column; rarer ones share one coefficient.
    pub max_categories: usize,
}

/// What a declaration may set: the same as for logistic regression.
pub(in super::super) const PARAMETERS: &[Parameter] = super::logistic_regression::PARAMETERS;

impl LinearRegression {
    /// From checked settings.
    pub(in super::super) fn from_settings(settings: &Settings) -> Self {
        Self {
            l2: settings.number("l2"),
            max_categories: settings.integer("max_categories"),
        }
    }

    /// Fits a numeric target.
    ///
    /// # Errors
    /// When, without a penalty, features are combinations of others.
    pub(in super::super) fn fit(&self, matrix: &TrainingMatrix) -> Result<LinearModel, ModelError> {
        let design = Design::new(matrix);
        let start = vec![0.0; design.coefficients()];
        let (mut products, mut right) = design.equations(|row| (1.0, matrix.target[row]));
        design.penalize(self.l2, &start, &mut products, &mut right);
        let coefficients = products.solve(&right)?;
        let terms = design.terms(&coefficients);
        Ok(LinearModel {
            intercept: coefficients[0],
            terms,
        })
    }
}

impl Default for LinearRegression {
    fn default() -> Self {
        Self::from_settings(&Settings::defaults(PARAMETERS))
    }
}
