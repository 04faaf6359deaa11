//! Linear models: logistic regression for yes/no targets, ridge regression for numbers.
//!
//! Both share a design: numbers are standardized over the training rows and missing ones stand at the mean, with an
//! indicator of their own where training saw any missing; categories become one column each, the rarer ones and null one
//! each as well. The penalty `l2 / 2 * sum of squared coefficients` leaves the intercept alone. Both are solved exactly,
//! by Cholesky's method on the normal equations (logistic: Newton's method, which is iteratively reweighted least squares,
//! with halved steps where a full one would not descend). Sums run in the order of rows, so that the same rows give the
//! same bits.
//!
//! Files: `design` (rows to terms), `cholesky`, `logistic_regression`, `linear_regression`, `model` (coefficients by
//! feature, prediction). What it does not do: L1, interactions, robust losses.

mod cholesky;
mod design;
mod linear_regression;
mod logistic_regression;
mod model;

pub use linear_regression::LinearRegression;
pub(super) use linear_regression::PARAMETERS as LINEAR_PARAMETERS;
pub use logistic_regression::LogisticRegression;
pub(super) use logistic_regression::PARAMETERS as LOGISTIC_PARAMETERS;
pub(super) use model::LinearModel;
