//! Iceberg data files as plain records: how they travel from the worker that wrote them to whoever commits them, and how their
//! metrics are read off a finished Parquet file.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, Literal, PrimitiveType, Schema, Struct, Type,
};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LakeError;

/// One data file, as `StagedTable::data_files` holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Value of the partition column in Iceberg's JSON form; `None` in an unpartitioned table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partition: Option<Value>,
    pub(crate) splits: Vec<i64>,
    /// Metrics by field id.
    pub(crate) columns: BTreeMap<i32, ColumnRecord>,
}

/// Metrics of one column of one file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ColumnRecord {
    bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nulls: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nans: Option<u64>,
    /// Iceberg's binary form of a value, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lower: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upper: Option<String>,
}

impl FileRecord {
    /// The file as Iceberg's manifests hold it. `column` is the partition column, if the table has one.
    pub(crate) fn to_data_file(
        &self,
        schema: &Schema,
        spec_id: i32,
        column: Option<&str>,
    ) -> Result<DataFile, LakeError> {
        let broken = |what: String| LakeError::Internal(format!("{}: the staged record is broken: {what}", self.path));
        let partition = match column {
            None => Struct::empty(),
            Some(name) => {
                let field = schema
                    .field_by_name(name)
                    .ok_or_else(|| broken(format!("no partition column `{name}`")))?;
                let value = self
                    .partition
                    .clone()
                    .ok_or_else(|| broken("no partition value".to_owned()))?;
                let literal =
                    Literal::try_from_json(value, &field.field_type).map_err(|error| broken(error.to_string()))?;
                Struct::from_iter([literal])
            }
        };
        let mut builder = DataFileBuilder::default();
        builder
            .content(DataContentType::Data)
            .file_path(self.path.clone())
            .file_format(DataFileFormat::Parquet)
            .partition(partition)
            .partition_spec_id(spec_id)
            .record_count(self.rows)
            .file_size_in_bytes(self.bytes)
            .split_offsets(Some(self.splits.clone()))
            .column_sizes(self.columns.iter().map(|(id, column)| (*id, column.bytes)).collect())
            .value_counts(
                self.columns
                    .iter()
                    .filter_map(|(id, column)| Some((*id, column.values?)))
                    .collect(),
            )
            .null_value_counts(
                self.columns
                    .iter()
                    .filter_map(|(id, column)| Some((*id, column.nulls?)))
                    .collect(),
            )
            .nan_value_counts(
                self.columns
                    .iter()
                    .filter_map(|(id, column)| Some((*id, column.nans?)))
                    .collect(),
            )
            .lower_bounds(self.bounds(schema, |column| column.lower.as_ref()))
            .upper_bounds(self.bounds(schema, |column| column.upper.as_ref()));
        builder.build().map_err(|error| broken(error.to_string()))
    }

    fn bounds(
        &self,
        schema: &Schema,
        side: impl Fn(&ColumnRecord) -> Option<&String>,
    ) -> std::collections::HashMap<i32, Datum> {
        let bounds = self.columns.iter().filter_map(|(id, column)| {
            let bytes = BASE64.decode(side(column)?).ok()?;
            let Type::Primitive(primitive) = schema.field_by_id(*id)?.field_type.as_ref() else {
                return None;
            };
            Some((*id, Datum::try_from_bytes(&bytes, primitive.clone()).ok()?))
        });
        bounds.collect()
    }
}

/// Reads path, rows and metrics off a finished file.
pub(crate) fn record(
    path: String,
    bytes: u64,
    metadata: &ParquetMetaData,
    schema: &Schema,
    nans: &BTreeMap<i32, u64>,
) -> FileRecord {
    let mut columns: BTreeMap<i32, Metrics> = BTreeMap::new();
    for group in metadata.row_groups() {
        for chunk in group.columns() {
            let leaf = chunk.column_descr();
            let info = leaf.self_type().get_basic_info();
            if !info.has_id() {
                continue;
            }
            let metrics = columns.entry(info.id()).or_default();
            metrics.bytes += chunk.compressed_size().unsigned_abs();
            let field = schema
                .as_struct()
                .field_by_id(info.id())
                .filter(|_| leaf.path().parts().len() == 1);
            if let Some(field) = field
                && let Type::Primitive(primitive) = field.field_type.as_ref()
            {
                metrics.widen(chunk.num_values().unsigned_abs(), chunk.statistics(), primitive);
            }
        }
    }
    FileRecord {
        path,
        rows: metadata.file_metadata().num_rows().unsigned_abs(),
        bytes,
        partition: None,
        splits: metadata
            .row_groups()
            .iter()
            .filter_map(|group| group.file_offset())
            .collect(),
        columns: columns
            .into_iter()
            .map(|(id, metrics)| (id, metrics.finish(nans.get(&id).copied())))
            .collect(),
    }
}

/// Metrics of one column while the row groups are gone through.
#[derive(Default)]
struct Metrics {
    bytes: u64,
    top: Option<TopLevel>,
}

struct TopLevel {
    values: u64,
    nulls: Option<u64>,
    /// Invalid as soon as one row group with values has no bounds.
    bounds: Option<(Option<Datum>, Option<Datum>)>,
}

impl Metrics {
    fn widen(&mut self, values: u64, statistics: Option<&Statistics>, primitive: &PrimitiveType) {
        let top = self.top.get_or_insert(TopLevel {
            values: 0,
            nulls: Some(0),
            bounds: Some((None, None)),
        });
        top.values += values;
        let nulls = statistics.and_then(Statistics::null_count_opt);
        top.nulls = top.nulls.zip(nulls).map(|(sum, count)| sum + count);
        if nulls == Some(values) {
            return;
        }
        let (lower, upper) = match statistics {
            Some(statistics) => (
                statistics
                    .min_bytes_opt()
                    .and_then(|bytes| datum(statistics, bytes, primitive)),
                statistics
                    .max_bytes_opt()
                    .and_then(|bytes| datum(statistics, bytes, primitive)),
            ),
            None => (None, None),
        };
        top.bounds = match (top.bounds.take(), lower, upper) {
            (Some((min, max)), Some(lower), Some(upper)) => Some((
                Some(min.filter(|min| *min <= lower).unwrap_or(lower)),
                Some(max.filter(|max| *max >= upper).unwrap_or(upper)),
            )),
            _ => None,
        };
    }

    fn finish(self, nans: Option<u64>) -> ColumnRecord {
        let Some(top) = self.top else {
            return ColumnRecord {
                bytes: self.bytes,
                ..ColumnRecord::default()
            };
        };
        let (lower, upper) = top.bounds.unwrap_or_default();
        let encode = |bound: Option<Datum>| {
            bound
                .and_then(|bound| bound.to_bytes().ok())
                .map(|bytes| BASE64.encode(bytes))
        };
        ColumnRecord {
            bytes: self.bytes,
            values: Some(top.values),
            nulls: top.nulls,
            nans,
            lower: encode(lower),
            upper: encode(upper),
        }
    }
}

/// A Parquet bound as an Iceberg value. A bound of text that Parquet shortened is still a bound.
fn datum(statistics: &Statistics, bytes: &[u8], primitive: &PrimitiveType) -> Option<Datum> {
    Some(match (statistics, primitive) {
        (Statistics::Boolean(_), PrimitiveType::Boolean) => Datum::bool(*bytes.first()? != 0),
        (Statistics::Int32(_), PrimitiveType::Int) => Datum::int(i32_of(bytes)?),
        (Statistics::Int32(_), PrimitiveType::Date) => Datum::date(i32_of(bytes)?),
        (Statistics::Int64(_), PrimitiveType::Long) => Datum::long(i64_of(bytes)?),
        (Statistics::Int64(_), PrimitiveType::Time) => Datum::time_micros(i64_of(bytes)?).ok()?,
        (Statistics::Int64(_), PrimitiveType::Timestamp) => Datum::timestamp_micros(i64_of(bytes)?),
        (Statistics::Int64(_), PrimitiveType::Timestamptz) => Datum::timestamptz_micros(i64_of(bytes)?),
        (Statistics::Float(_), PrimitiveType::Float) => Datum::float(f32::from_le_bytes(bytes.try_into().ok()?)),
        (Statistics::Double(_), PrimitiveType::Double) => Datum::double(f64::from_le_bytes(bytes.try_into().ok()?)),
        (Statistics::ByteArray(_), PrimitiveType::String) => Datum::string(std::str::from_utf8(bytes).ok()?),
        (Statistics::ByteArray(_), PrimitiveType::Binary) => Datum::binary(bytes.iter().copied()),
        (_, PrimitiveType::Decimal { .. }) => {
            let value = match statistics.physical_type() {
                PhysicalType::INT32 => i128::from(i32_of(bytes)?),
                PhysicalType::INT64 => i128::from(i64_of(bytes)?),
                PhysicalType::FIXED_LEN_BYTE_ARRAY => signed_big_endian(bytes)?,
                _ => return None,
            };
            Datum::try_from_bytes(&shortest_big_endian(value), primitive.clone()).ok()?
        }
        _ => return None,
    })
}

fn i32_of(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_le_bytes(bytes.try_into().ok()?))
}

fn i64_of(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_le_bytes(bytes.try_into().ok()?))
}

fn signed_big_endian(bytes: &[u8]) -> Option<i128> {
    let sign = if bytes.first()? & 0x80 != 0 { 0xff } else { 0 };
    let mut wide = [sign; 16];
    wide.get_mut(16usize.checked_sub(bytes.len())?..)?
        .copy_from_slice(bytes);
    Some(i128::from_be_bytes(wide))
}

fn shortest_big_endian(value: i128) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let mut start = bytes.iter().position(|byte| *byte != sign).unwrap_or(15);
    if start > 0 && (bytes[start] & 0x80 != 0) != (value < 0) {
        start -= 1;
    }
    bytes[start..].to_vec()
}
