//! Which rows teach and which judge.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use assets::outcome::{Failure, FailureClass};
use jiff::tz::TimeZone;

use super::{Split, SplitPoint};

/// Rows in two parts, each in the order that it had.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) train: Vec<RecordBatch>,
    pub(super) test: Vec<RecordBatch>,
    /// Rows in neither part: the column of the split is null.
    pub(super) left_out: usize,
}

/// Cuts the rows. Without a split all of them teach.
pub(super) fn parts(batches: Vec<RecordBatch>, split: Option<&Split>) -> Result<Parts, Failure> {
    let Some(split) = split else {
        return Ok(Parts {
            train: batches,
            ..Parts::default()
        });
    };
    let mut parts = Parts::default();
    let keys: Vec<Vec<Option<f64>>> = batches
        .iter()
        .map(|batch| keys(split, column(batch, &split.by)?))
        .collect::<Result<_, Failure>>()?;
    let data_type = batches
        .first()
        .map(|batch| column(batch, &split.by).map(|column| column.data_type().clone()))
        .transpose()?;
    let Some(from) = data_type
        .map(|data_type| threshold(split, &data_type, &keys))
        .transpose()?
        .flatten()
    else {
        return Ok(parts);
    };
    for (batch, keys) in batches.iter().zip(&keys) {
        let side = |tests: bool| -> Result<RecordBatch, Failure> {
            let mask: BooleanArray = keys
                .iter()
                .map(|key| Some(key.is_some_and(|key| (key >= from) == tests)))
                .collect();
            filter_record_batch(batch, &mask).map_err(|error| internal(&format!("split the rows: {error}")))
        };
        let (train, test) = (side(false)?, side(true)?);
        parts.left_out += batch.num_rows() - train.num_rows() - test.num_rows();
        parts.train.push(train);
        parts.test.push(test);
    }
    Ok(parts)
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef, Failure> {
    batch
        .column_by_name(name)
        .ok_or_else(|| internal(&format!("find column `{name}` among those that were read")))
}

fn internal(what: &str) -> Failure {
    Failure::new(FailureClass::Internal, format!("failed to {what}"))
}

/// The column as numbers: times in microseconds (exact as a double from 1684 to 2255), NaN counts as null.
fn keys(split: &Split, column: &ArrayRef) -> Result<Vec<Option<f64>>, Failure> {
    let data_type = column.data_type();
    let refuse = |error| internal(&format!("read the column `{}` of the split: {error}", split.by));
    if is_time(data_type) {
        let zone = match data_type {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        let times = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, zone)).map_err(refuse)?;
        let micros = cast(&times, &DataType::Int64).map_err(refuse)?;
        return Ok(micros
            .as_primitive::<Int64Type>()
            .iter()
            .map(|key| key.map(|key| key as f64))
            .collect());
    }
    if data_type.is_numeric() {
        let numbers = cast(column, &DataType::Float64).map_err(refuse)?;
        let numbers = numbers.as_primitive::<Float64Type>();
        return Ok(numbers.iter().map(|key| key.filter(|key| !key.is_nan())).collect());
    }
    let message = format!(
        "`split.by` of the asset: the column `{}` holds {data_type}, and rows are split by times or numbers",
        split.by
    );
    Err(Failure::new(FailureClass::Declaration, message))
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}

/// The least key of the test part; `None` if no row has a key.
fn threshold(split: &Split, data_type: &DataType, keys: &[Vec<Option<f64>>]) -> Result<Option<f64>, Failure> {
    let unlike = |what: &str| {
        let message = format!(
            "`split.test_from` of the asset is {what}, and the column `{}` holds {data_type}",
            split.by
        );
        Failure::new(FailureClass::Declaration, message)
    };
    match &split.point {
        SplitPoint::Time { local, zone } => {
            if !is_time(data_type) {
                return Err(unlike("a time"));
            }
            // Instants are compared in the project's zone; dates and times without zone as they are written.
            let zone = match data_type {
                DataType::Timestamp(_, Some(_)) => TimeZone::get(zone),
                _ => Ok(TimeZone::UTC),
            };
            let instant = zone.and_then(|zone| local.to_zoned(zone));
            let instant = instant.map_err(|error| internal(&format!("place {local} in time: {error}")))?;
            Ok(Some(instant.timestamp().as_microsecond() as f64))
        }
        SplitPoint::Number(number) if data_type.is_numeric() => Ok(Some(*number)),
        SplitPoint::Number(_) => Err(unlike("a number")),
        SplitPoint::Share(share) => {
            let mut sorted: Vec<f64> = keys.iter().flatten().filter_map(|key| *key).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            // Rows of one key stay together, so the test part is at least its share.
            let first = ((1.0 - share) * sorted.len() as f64) as usize;
            Ok(sorted.get(first.min(sorted.len().saturating_sub(1))).copied())
        }
    }
}
