//! What a feature column means to a model, learned from the training rows and kept in the artifact.

use std::cmp::Reverse;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, Schema, TimeUnit};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::ModelError;

/// The code of a string that is not among the learned categories.
pub(super) const UNSEEN: f64 = -1.0;

/// A feature of a model: a column by name, and how its values become numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The column.
    pub name: String,
    /// How it is read.
    pub kind: FeatureKind,
}

/// How a column becomes numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FeatureKind {
    /// Integers, floats, decimals, booleans: their value.
    Number,
    /// Timestamps and dates: seconds since the epoch; times of day and durations: seconds.
    Time,
    /// Strings: the position in this list, which is ordered by frequency in the training rows, then by name.
    Category(Vec<String>),
}

/// The columns of a schema that can be features, without these.
pub fn default_features(schema: &Schema, without: &[&str]) -> Vec<String> {
    schema
        .fields()
        .iter()
        .filter(|field| !without.contains(&field.name().as_str()) && Reading::of(field.data_type()).is_some())
        .map(|field| field.name().clone())
        .collect()
}

/// What a type can be read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Number,
    /// Seconds are the integer times numerator over denominator.
    Time(i64, i64),
    Category,
}

impl Reading {
    fn of(data_type: &DataType) -> Option<Self> {
        let per_second = |unit: &TimeUnit| match unit {
            TimeUnit::Second => 1,
            TimeUnit::Millisecond => 1_000,
            TimeUnit::Microsecond => 1_000_000,
            TimeUnit::Nanosecond => 1_000_000_000,
        };
        match data_type {
            DataType::Boolean => Some(Self::Number),
            other if other.is_numeric() => Some(Self::Number),
            DataType::Date32 => Some(Self::Time(86_400, 1)),
            DataType::Date64 => Some(Self::Time(1, 1_000)),
            DataType::Timestamp(unit, _) | DataType::Duration(unit) => Some(Self::Time(1, per_second(unit))),
            DataType::Time32(unit) | DataType::Time64(unit) => Some(Self::Time(1, per_second(unit))),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Self::Category),
            DataType::Dictionary(_, values) => Self::of(values),
            // A column of nulls alone has no type of its own: every value is missing.
            DataType::Null => Some(Self::Number),
            _ => None,
        }
    }
}

impl Feature {
    /// Learns a feature from its training values. `most` limits the categories that are kept.
    pub(super) fn learn(
        name: &str,
        arrays: &[ArrayRef],
        data_type: &DataType,
        most: usize,
    ) -> Result<Self, ModelError> {
        let reading = Reading::of(data_type).ok_or_else(|| unfit(name, data_type, "a feature"))?;
        let kind = match reading {
            Reading::Number => FeatureKind::Number,
            Reading::Time(..) => FeatureKind::Time,
            Reading::Category => FeatureKind::Category(frequent(arrays, most)?),
        };
        Ok(Self {
            name: name.to_owned(),
            kind,
        })
    }

    /// Appends the values of a column as numbers: NaN where missing; categories by their code, [`UNSEEN`] for another one.
    pub(super) fn encode(&self, array: &ArrayRef, into: &mut Vec<f64>) -> Result<(), ModelError> {
        let reading = Reading::of(array.data_type());
        match (&self.kind, reading) {
            (FeatureKind::Number, Some(Reading::Number)) => {
                let values = cast(array, &DataType::Float64)?;
                let values = values.as_primitive::<Float64Type>();
                // NaN stays NaN; clamping makes infinite values finite.
                into.extend(
                    values
                        .iter()
                        .map(|value| value.map_or(f64::NAN, |value| value.clamp(f64::MIN, f64::MAX))),
                );
            }
            (FeatureKind::Time, Some(Reading::Time(numerator, denominator))) => {
                let values = cast(array, &DataType::Int64)?;
                let values = values.as_primitive::<Int64Type>();
                into.extend(values.iter().map(|value| match value {
                    Some(value) => (value as f64) * (numerator as f64) / (denominator as f64),
                    None => f64::NAN,
                }));
            }
            (FeatureKind::Category(categories), Some(Reading::Category)) => {
                let codes: HashMap<&str, f64, _> = categories
                    .iter()
                    .enumerate()
                    .map(|(code, category)| (category.as_str(), code as f64))
                    .collect::<HashMap<_, _, ahash::RandomState>>();
                let values = cast(array, &DataType::Utf8View)?;
                into.extend(values.as_string_view().iter().map(|value| match value {
                    Some(value) => codes.get(value).copied().unwrap_or(UNSEEN),
                    None => f64::NAN,
                }));
            }
            (kind, _) => {
                // A column of nulls alone stands for missing values of any kind.
                if array.data_type() == &DataType::Null {
                    into.extend(std::iter::repeat_n(f64::NAN, array.len()));
                    return Ok(());
                }
                let expected = match kind {
                    FeatureKind::Number => "a number, as in training",
                    FeatureKind::Time => "a time, as in training",
                    FeatureKind::Category(_) => "a string, as in training",
                };
                return Err(unfit(&self.name, array.data_type(), expected));
            }
        }
        Ok(())
    }
}

pub(super) fn unfit(column: &str, data_type: &DataType, expected: &'static str) -> ModelError {
    ModelError::UnfitType {
        column: column.to_owned(),
        data_type: data_type.clone(),
        expected,
    }
}

/// The most frequent strings, by frequency, then by name.
fn frequent(arrays: &[ArrayRef], most: usize) -> Result<Vec<String>, ModelError> {
    let mut counts: HashMap<String, u64, ahash::RandomState> = HashMap::default();
    for array in arrays {
        let values = cast(array, &DataType::Utf8View)?;
        for value in values.as_string_view().iter().flatten() {
            match counts.get_mut(value) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(value.to_owned(), 1);
                }
            }
        }
    }
    let mut counted: Vec<(String, u64)> = counts.into_iter().collect();
    counted.sort_unstable_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
    counted.truncate(most);
    Ok(counted.into_iter().map(|(category, _)| category).collect())
}
