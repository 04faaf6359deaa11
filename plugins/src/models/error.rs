//! What can be wrong with training rows, artifacts and rows to predict.

use std::path::PathBuf;

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use assets::outcome::{Failure, FailureClass};

use crate::step_run::{Cancellation, of_io};

/// Why a model cannot be trained, saved, loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A column that the model needs is not there.
    #[error("find column {column:?}: the rows have {}; select it or rename one of these", .available.join(", "))]
    MissingColumn {
        /// The column asked for.
        column: String,
        /// The columns that are there.
        available: Vec<String>,
    },
    /// A column is of a type that cannot stand for what the model takes it as.
    #[error("use column {column:?} as {expected}: it is {data_type}; cast it in the query that feeds the model")]
    UnfitType {
        /// The column.
        column: String,
        /// Its type.
        data_type: DataType,
        /// What it should stand for.
        expected: &'static str,
    },
    /// There is nothing to learn from.
    #[error("train on {rows} rows with a known {target:?} and {features} features: at least one of each is needed")]
    NothingToLearn {
        /// Rows whose target is not null.
        rows: usize,
        /// Feature columns.
        features: usize,
        /// The target column.
        target: String,
    },
    /// A binary trainer met a target of one class.
    #[error(
        "learn two classes of {target:?}: all {rows} training rows have the value {value}; widen the training part"
    )]
    SingleClass {
        /// The target column.
        target: String,
        /// Training rows.
        rows: usize,
        /// The one value.
        value: f64,
    },
    /// A binary trainer met a target that is not binary.
    #[error(
        "learn two classes of {target:?}: it has the value {value} beside 0 and 1; make it boolean, or take a trainer for \
         numbers"
    )]
    NotBinary {
        /// The target column.
        target: String,
        /// A value that is neither 0 nor 1.
        value: f64,
    },
    /// A target value is NaN or infinite.
    #[error("learn {target:?}: it has the value {value}; filter such rows out")]
    TargetNotFinite {
        /// The target column.
        target: String,
        /// The value.
        value: f64,
    },
    /// More rows than the trainers count.
    #[error("train on {rows} rows at once: at most {} are counted; sample them", u32::MAX - 1)]
    TooManyRows {
        /// Rows given.
        rows: usize,
    },
    /// The equations of a linear model have no single solution.
    #[error("solve for the coefficients: some features are combinations of others; set l2 above 0 or drop them")]
    Collinear,
    /// Newton's method did not settle.
    #[error("settle the coefficients in {iterations} iterations: the features separate the classes; raise l2")]
    NotConverged {
        /// Iterations made.
        iterations: usize,
    },
    /// A file is not a model artifact, or a damaged one.
    #[error("load the model artifact {}: {reason}; train the model again or restore the file", .path.display())]
    Artifact {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{action} {}: {source}", .path.display())]
    File {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The caller wanted no model any more.
    #[error("train: it was stopped on request")]
    Stopped,
    /// Arrow refused a conversion.
    #[error("convert the columns of a model: {0}")]
    Arrow(#[from] ArrowError),
}

impl ModelError {
    /// The failure of a step that met this error.
    pub fn failure(&self) -> Failure {
        let class = match self {
            Self::Stopped => return Cancellation::failure(),
            Self::File { action, path, source } => return of_io(&format!("{action} {}", path.display()), source),
            Self::MissingColumn { .. } | Self::UnfitType { .. } => FailureClass::Declaration,
            Self::NothingToLearn { .. }
            | Self::SingleClass { .. }
            | Self::NotBinary { .. }
            | Self::TargetNotFinite { .. }
            | Self::TooManyRows { .. }
            | Self::Collinear
            | Self::NotConverged { .. }
            | Self::Artifact { .. } => FailureClass::Data,
            Self::Arrow(_) => FailureClass::Internal,
        };
        Failure::new(class, format!("failed to {self}"))
    }
}
