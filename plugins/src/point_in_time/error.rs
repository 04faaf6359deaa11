//! What can be wrong with the inputs of a point-in-time join.

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

/// Why a point-in-time join cannot be made. Each message names the source and the columns, and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum PointInTimeError {
    /// A column that the join needs is not among those of its input.
    #[error("find column {column:?} of {side}: it has {}; name one of these or add it", .available.join(", "))]
    MissingColumn {
        /// "the labels" or "features NAME".
        side: String,
        /// The column asked for.
        column: String,
        /// The columns that are there.
        available: Vec<String>,
    },
    /// A column stands for a time but is of a type that is none.
    #[error(
        "read {column:?} of {side} as a time: it is {data_type}; cast it to a timestamp, a date or a 64-bit integer"
    )]
    NotATime {
        /// "the labels" or "features NAME".
        side: String,
        /// The column.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// Two times are compared that do not stand for the same kind of instant.
    #[error(
        "compare {label_column:?} of the labels, {label_kind}, with {feature_column:?} of features {source_name}, \
         {feature_kind}; cast one of them so that both are alike"
    )]
    UnlikeTimes {
        /// Timestamp column of the labels.
        label_column: String,
        /// What kind of time it is.
        label_kind: &'static str,
        /// The source.
        source_name: String,
        /// Its timestamp or created column.
        feature_column: String,
        /// What kind of time that is.
        feature_kind: &'static str,
    },
    /// Two entity columns cannot be equal by their types.
    #[error(
        "match entity column {label_column:?} of the labels ({label_type}) with {feature_column:?} of features \
         {source_name} ({feature_type}); cast one of them; keys are integers, strings, dates, booleans, decimals or bytes"
    )]
    UnlikeEntities {
        /// Entity column of the labels.
        label_column: String,
        /// Its type.
        label_type: DataType,
        /// The source.
        source_name: String,
        /// Entity column of the features.
        feature_column: String,
        /// Its type.
        feature_type: DataType,
    },
    /// Two output columns would have one name.
    #[error("name column {column:?} of features {source_name}: the name is taken by {taken_by}; rename one of them")]
    NameTaken {
        /// The output column.
        column: String,
        /// The source that adds it.
        source_name: String,
        /// Who has it already: "the labels" or "features NAME".
        taken_by: String,
    },
    /// A selected column has no order, so that a tie could not be decided.
    #[error("select column {column:?} of features {source_name}: values of type {data_type} have no order")]
    Unordered {
        /// The source.
        source_name: String,
        /// The column.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// More label rows than row numbers.
    #[error("join more than {} label rows at once; join a part of them at a time", u32::MAX - 1)]
    TooManyLabels,
    /// An input failed while it was read, or the memory pool refused.
    #[error("read the inputs of the point-in-time join: {0}")]
    Input(#[from] DataFusionError),
    /// Arrow refused a conversion.
    #[error("convert columns of the point-in-time join: {0}")]
    Arrow(#[from] ArrowError),
}

impl From<PointInTimeError> for DataFusionError {
    fn from(error: PointInTimeError) -> Self {
        match error {
            PointInTimeError::Input(error) => error,
            other => DataFusionError::External(Box::new(other)),
        }
    }
}
