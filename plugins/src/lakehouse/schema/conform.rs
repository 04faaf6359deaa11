//! Casting rows to the columns that files are written with.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, SchemaRef as ArrowSchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;

use crate::lakehouse::LakeError;

/// Casts the columns of `batch`, by name, to `target`; a value that does not fit is an error, never a null or a rounded one.
pub(crate) fn conform(batch: &RecordBatch, target: &ArrowSchemaRef) -> Result<RecordBatch, LakeError> {
    let mut columns = Vec::with_capacity(target.fields().len());
    for field in target.fields() {
        let column = batch.column_by_name(field.name()).ok_or_else(|| {
            LakeError::Internal(format!(
                "column `{}` of the staged schema is missing in a batch",
                field.name()
            ))
        })?;
        columns.push(lossless(field.name(), column, field.data_type())?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(target), columns, &options)
        .map_err(|error| LakeError::Internal(format!("a batch does not fit the staged schema: {error}")))
}

fn lossless(column: &str, array: &ArrayRef, target: &DataType) -> Result<ArrayRef, LakeError> {
    if array.data_type() == target {
        return Ok(Arc::clone(array));
    }
    let refuse = |error: ArrowError| LakeError::ColumnType {
        column: column.to_owned(),
        reason: format!("a value of {} does not fit {target}: {error}", array.data_type()),
        help: "round, cut or CAST the value in the query so that it fits".to_owned(),
    };
    let options = CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    };
    let cast = cast_with_options(array, target, &options).map_err(refuse)?;
    if loses_digits(array.data_type(), target) {
        let back = cast_with_options(&cast, array.data_type(), &options).map_err(refuse)?;
        if &back != array {
            return Err(LakeError::ColumnType {
                column: column.to_owned(),
                reason: format!("{} has digits that {target} cannot hold", array.data_type()),
                help: format!("cut them off in the query: date_trunc('microseconds', {column})"),
            });
        }
    }
    Ok(cast)
}

/// Whether a cast of these types could drop digits without an error.
fn loses_digits(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Timestamp(TimeUnit::Nanosecond, _), DataType::Timestamp(TimeUnit::Microsecond, _))
        | (DataType::Time64(TimeUnit::Nanosecond), DataType::Time64(TimeUnit::Microsecond)) => true,
        (DataType::Date64, DataType::Date32) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{TimestampNanosecondArray, UInt64Array};

    #[test]
    fn values_that_do_not_fit_are_refused_by_column() {
        let big: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let error = lossless("n", &big, &DataType::Int64).unwrap_err();
        assert!(error.to_string().starts_with("write column `n`: "), "{error}");
        let micro = DataType::Timestamp(TimeUnit::Microsecond, None);
        let fine: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![Some(1_000), None]));
        assert!(lossless("t", &fine, &micro).is_ok());
        let cut: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_001]));
        assert!(lossless("t", &cut, &micro).unwrap_err().to_string().contains("digits"));
    }
}
