//! Arrow batches as the columns of numbers that trainers work on.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter, is_not_null};
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use serde::{Deserialize, Serialize};

use super::ModelError;
use super::feature::{Feature, unfit};

/// What a model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The probability that a yes/no target is yes.
    Binary,
    /// A number.
    Regression,
}

/// Training rows: features as columns of numbers (missing is NaN) and the target.
#[derive(Debug, Clone)]
pub struct TrainingMatrix {
    pub(super) features: Vec<Feature>,
    /// By feature, by row. Categories are codes, see [`Feature`].
    pub(super) columns: Vec<Vec<f64>>,
    /// By row; 0 or 1 for a binary task.
    pub(super) target: Vec<f64>,
    pub(super) target_name: String,
    /// Boolean targets and those of 0 and 1 alone are binary.
    pub(super) binary: bool,
    /// Rows left out because their target is null.
    pub(super) dropped_rows: usize,
}

impl TrainingMatrix {
    /// Reads the target and the features from batches of one schema, learning at most `most_categories` per string
    /// column. Rows whose target is null are left out and counted.
    ///
    /// # Errors
    /// When a column is missing or of an unfit type, or no row or feature is left.
    pub fn from_batches(
        batches: &[RecordBatch],
        target: &str,
        features: &[String],
        most_categories: usize,
    ) -> Result<Self, ModelError> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let nothing = |rows| ModelError::NothingToLearn {
            rows,
            features: features.len(),
            target: target.to_owned(),
        };
        let Some(first) = batches.first() else {
            return Err(nothing(0));
        };
        let schema = first.schema();
        let known: Vec<BooleanArray> = batches
            .iter()
            .map(|batch| Ok(is_not_null(batch.column(position(&schema, target)?))?))
            .collect::<Result<_, ModelError>>()?;
        let known_rows: usize = known.iter().map(BooleanArray::true_count).sum();
        if known_rows == 0 || features.is_empty() {
            return Err(nothing(known_rows));
        }
        if known_rows >= u32::MAX as usize {
            return Err(ModelError::TooManyRows { rows: known_rows });
        }
        let column = |name: &str| -> Result<Vec<ArrayRef>, ModelError> {
            let position = position(&schema, name)?;
            let known = batches.iter().zip(&known);
            known
                .map(|(batch, known)| Ok(filter(batch.column(position), known)?))
                .collect()
        };

        let target_type = schema.field(position(&schema, target)?).data_type().clone();
        let target_values = target_values(target, &target_type, &column(target)?)?;
        let binary = target_values.iter().all(|&value| value == 0.0 || value == 1.0);

        let mut learned = Vec::with_capacity(features.len());
        let mut columns = Vec::with_capacity(features.len());
        for name in features {
            let arrays = column(name)?;
            let data_type = schema.field(position(&schema, name)?).data_type();
            let feature = Feature::learn(name, &arrays, data_type, most_categories)?;
            let mut values = Vec::with_capacity(known_rows);
            for array in &arrays {
                feature.encode(array, &mut values)?;
            }
            learned.push(feature);
            columns.push(values);
        }
        Ok(Self {
            features: learned,
            columns,
            target: target_values,
            target_name: target.to_owned(),
            binary,
            dropped_rows: rows - known_rows,
        })
    }

    /// Training rows.
    pub fn rows(&self) -> usize {
        self.target.len()
    }

    /// Whether the target is boolean, or of 0 and 1 alone.
    pub fn is_binary(&self) -> bool {
        self.binary
    }

    /// The target by row.
    pub fn target(&self) -> &[f64] {
        &self.target
    }

    /// Makes sure that there are two classes, and both occur.
    pub(super) fn require_two_classes(&self) -> Result<(), ModelError> {
        let target = self.target_name.clone();
        if let Some(&value) = self.target.iter().find(|&&value| value != 0.0 && value != 1.0) {
            return Err(ModelError::NotBinary { target, value });
        }
        let value = self.target[0];
        if self.target.iter().all(|&other| other == value) {
            return Err(ModelError::SingleClass {
                target,
                rows: self.rows(),
                value,
            });
        }
        Ok(())
    }
}

/// Where a column stands.
pub(super) fn position(schema: &SchemaRef, name: &str) -> Result<usize, ModelError> {
    schema
        .fields()
        .find(name)
        .map(|(position, _)| position)
        .ok_or_else(|| ModelError::MissingColumn {
            column: name.to_owned(),
            available: schema.fields().iter().map(|field| field.name().clone()).collect(),
        })
}

/// The values of a target column, which must be boolean or a number, and finite. Nulls are not expected.
pub(super) fn target_values(name: &str, data_type: &DataType, arrays: &[ArrayRef]) -> Result<Vec<f64>, ModelError> {
    if !(data_type.is_numeric() || data_type == &DataType::Boolean) {
        return Err(unfit(name, data_type, "a target (a boolean or a number)"));
    }
    let mut values = Vec::with_capacity(arrays.iter().map(Array::len).sum());
    for array in arrays {
        let numbers = cast(array, &DataType::Float64)?;
        values.extend_from_slice(numbers.as_primitive::<Float64Type>().values());
    }
    match values.iter().find(|value| !value.is_finite()) {
        Some(&value) => Err(ModelError::TargetNotFinite {
            target: name.to_owned(),
            value,
        }),
        None => Ok(values),
    }
}
