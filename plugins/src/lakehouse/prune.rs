//! What manifests say about files, in the form that DataFusion prunes and estimates with.
//!
//! Fails closed: a bound that is missing, of another type, or not valid for all rows counts as unknown, and an unknown bound
//! keeps the file.

use std::collections::HashSet;
use std::sync::Arc;

use ahash::HashMap;
use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::{DataType, SchemaRef as ArrowSchemaRef, TimeUnit};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, ScalarValue, Statistics};
use datafusion::physical_optimizer::pruning::PruningPredicate;
use iceberg::spec::{DataFile, Datum, ManifestEntryRef, ManifestFile, PrimitiveLiteral, TableMetadata};

use super::table::identity_column;

/// Above this many bounds, per-column statistics cost more than they bring.
const STATISTICS_LIMIT: usize = 40_000;

/// The columns of a scan: Arrow fields and their field ids.
#[derive(Debug)]
pub(crate) struct Columns {
    schema: ArrowSchemaRef,
    ids: Vec<i32>,
    by_name: HashMap<String, usize>,
}

impl Columns {
    pub(crate) fn new(schema: ArrowSchemaRef, ids: Vec<i32>) -> Self {
        let by_name = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(i, field)| (field.name().clone(), i))
            .collect();
        Self { schema, ids, by_name }
    }

    /// Field ids of the projected columns.
    pub(crate) fn ids(&self, projection: Option<&Vec<usize>>) -> Vec<i32> {
        match projection {
            Some(projection) => projection.iter().map(|index| self.ids[*index]).collect(),
            None => self.ids.clone(),
        }
    }

    /// Field id of a column.
    pub(crate) fn id(&self, name: &str) -> Option<i32> {
        self.by_name.get(name).map(|index| self.ids[*index])
    }

    /// Name of the column with this field id.
    pub(crate) fn name(&self, id: i32) -> Option<&str> {
        let index = self.ids.iter().position(|known| *known == id)?;
        Some(self.schema.field(index).name())
    }

    fn typed(&self, name: &str) -> Option<(i32, &DataType)> {
        let index = *self.by_name.get(name)?;
        Some((self.ids[index], self.schema.field(index).data_type()))
    }

    /// Whether one of the files may hold NaN in this column.
    pub(crate) fn may_hold_nan(&self, name: &str, entries: &[ManifestEntryRef]) -> bool {
        match self.typed(name) {
            Some((id, data_type)) if data_type.is_floating() => entries
                .iter()
                .any(|entry| entry.data_file().nan_value_counts().get(&id) != Some(&0)),
            _ => false,
        }
    }
}

/// A bound as a value of the column's type; `None` if it cannot be one.
fn scalar(bound: &Datum, data_type: &DataType) -> Option<ScalarValue> {
    Some(match (bound.literal(), data_type) {
        (PrimitiveLiteral::Boolean(value), DataType::Boolean) => ScalarValue::Boolean(Some(*value)),
        (PrimitiveLiteral::Int(value), DataType::Int32) => ScalarValue::Int32(Some(*value)),
        (PrimitiveLiteral::Int(value), DataType::Int64) => ScalarValue::Int64(Some(i64::from(*value))),
        (PrimitiveLiteral::Long(value), DataType::Int64) => ScalarValue::Int64(Some(*value)),
        (PrimitiveLiteral::Float(value), DataType::Float32) => ScalarValue::Float32(Some(value.0)),
        (PrimitiveLiteral::Float(value), DataType::Float64) => ScalarValue::Float64(Some(f64::from(value.0))),
        (PrimitiveLiteral::Double(value), DataType::Float64) => ScalarValue::Float64(Some(value.0)),
        (PrimitiveLiteral::Int(value), DataType::Date32) => ScalarValue::Date32(Some(*value)),
        (PrimitiveLiteral::Long(value), DataType::Time64(TimeUnit::Microsecond)) => {
            ScalarValue::Time64Microsecond(Some(*value))
        }
        (PrimitiveLiteral::Long(value), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            ScalarValue::TimestampMicrosecond(Some(*value), zone.clone())
        }
        (PrimitiveLiteral::String(value), DataType::Utf8View) => ScalarValue::Utf8View(Some(value.clone())),
        (PrimitiveLiteral::Int128(value), DataType::Decimal128(precision, scale)) => {
            ScalarValue::Decimal128(Some(*value), *precision, *scale)
        }
        _ => return None,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Lower,
    Upper,
}

fn file_bound(file: &DataFile, id: i32, data_type: &DataType, side: Side) -> Option<ScalarValue> {
    // Bounds leave NaN out, while queries order it above (or below) all numbers.
    if data_type.is_floating() && file.nan_value_counts().get(&id) != Some(&0) {
        return None;
    }
    let bounds = match side {
        Side::Lower => file.lower_bounds(),
        Side::Upper => file.upper_bounds(),
    };
    scalar(bounds.get(&id)?, data_type)
}

fn array(values: impl Iterator<Item = Option<ScalarValue>>, data_type: &DataType) -> Option<ArrayRef> {
    let null = ScalarValue::try_from(data_type).ok()?;
    ScalarValue::iter_to_array(values.map(|value| value.unwrap_or_else(|| null.clone()))).ok()
}

/// Files as containers to prune.
pub(crate) struct FileBounds<'a> {
    pub(crate) columns: &'a Columns,
    pub(crate) entries: &'a [ManifestEntryRef],
}

impl FileBounds<'_> {
    fn bounds(&self, column: &Column, side: Side) -> Option<ArrayRef> {
        let (id, data_type) = self.columns.typed(&column.name)?;
        array(
            self.entries
                .iter()
                .map(|entry| file_bound(entry.data_file(), id, data_type, side)),
            data_type,
        )
    }
}

impl PruningStatistics for FileBounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, Side::Lower)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, Side::Upper)
    }

    fn num_containers(&self) -> usize {
        self.entries.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let id = self.columns.id(&column.name)?;
        let counts = self
            .entries
            .iter()
            .map(|entry| entry.data_file().null_value_counts().get(&id).copied());
        Some(Arc::new(UInt64Array::from_iter(counts)))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.entries.iter().map(|entry| Some(entry.record_count()));
        Some(Arc::new(UInt64Array::from_iter(rows)))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// Manifests as containers to prune: only the partition column has bounds.
pub(crate) struct ManifestBounds<'a> {
    columns: &'a Columns,
    manifests: &'a [&'a ManifestFile],
    /// For each manifest, the name of its partition column and its bounds.
    bounds: Vec<Option<(String, Option<Datum>, Option<Datum>)>>,
}

impl<'a> ManifestBounds<'a> {
    pub(crate) fn new(columns: &'a Columns, metadata: &TableMetadata, manifests: &'a [&'a ManifestFile]) -> Self {
        let bounds = manifests.iter().map(|file| {
            let spec = metadata.partition_spec_by_id(file.partition_spec_id)?;
            let [field] = spec.fields() else { return None };
            let (_, column_type) = identity_column(spec, metadata.current_schema())?;
            let [summary] = file.partitions.as_deref()? else {
                return None;
            };
            // A null partition value has no place between the bounds.
            if summary.contains_null || summary.contains_nan == Some(true) {
                return None;
            }
            let read = |bytes: Option<&[u8]>| Datum::try_from_bytes(bytes?, column_type.clone()).ok();
            let lower = read(summary.lower_bound.as_ref().map(|bytes| bytes.as_slice()));
            let upper = read(summary.upper_bound.as_ref().map(|bytes| bytes.as_slice()));
            Some((columns.name(field.source_id)?.to_owned(), lower, upper))
        });
        Self {
            columns,
            manifests,
            bounds: bounds.collect(),
        }
    }

    /// Which manifests may hold files that match all predicates.
    pub(crate) fn keep(&self, predicates: &[PruningPredicate]) -> Vec<bool> {
        let mut keep = vec![true; self.manifests.len()];
        if self.manifests.is_empty() {
            return keep;
        }
        for predicate in predicates {
            if let Ok(wanted) = predicate.prune(self) {
                keep.iter_mut().zip(wanted).for_each(|(keep, wanted)| *keep &= wanted);
            }
        }
        keep
    }

    fn side(&self, column: &Column, side: Side) -> Option<ArrayRef> {
        let (_, data_type) = self.columns.typed(&column.name)?;
        let values = self.bounds.iter().map(|bounds| {
            let (name, lower, upper) = bounds.as_ref()?;
            let bound = if side == Side::Lower { lower } else { upper };
            if *name == column.name {
                scalar(bound.as_ref()?, data_type)
            } else {
                None
            }
        });
        array(values, data_type)
    }
}

impl PruningStatistics for ManifestBounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.side(column, Side::Lower)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.side(column, Side::Upper)
    }

    fn num_containers(&self) -> usize {
        self.manifests.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// Statistics of all columns over `entries`; row counts are exact when no filter applies.
pub(crate) fn table_statistics(columns: &Columns, entries: &[ManifestEntryRef], exact: bool) -> Statistics {
    let rows: u64 = entries.iter().map(|entry| entry.record_count()).sum();
    let bytes: u64 = entries.iter().map(|entry| entry.file_size_in_bytes()).sum();
    let known = entries.len() * columns.ids.len() <= STATISTICS_LIMIT;
    let fields = columns.schema.fields().iter().zip(&columns.ids);
    let statistics = Statistics {
        num_rows: Precision::Exact(rows as usize),
        total_byte_size: Precision::Inexact(bytes as usize),
        column_statistics: fields
            .map(|(field, id)| match known {
                true => column_statistics(*id, field.data_type(), entries),
                false => ColumnStatistics::new_unknown(),
            })
            .collect(),
    };
    if exact { statistics } else { statistics.to_inexact() }
}

fn column_statistics(id: i32, data_type: &DataType, entries: &[ManifestEntryRef]) -> ColumnStatistics {
    let mut statistics = ColumnStatistics::new_unknown();
    let mut nulls = Some(0u64);
    let mut bounds: Option<(Option<ScalarValue>, Option<ScalarValue>)> = Some((None, None));
    for entry in entries {
        let file = entry.data_file();
        let file_nulls = file.null_value_counts().get(&id).copied();
        nulls = nulls.zip(file_nulls).map(|(sum, count)| sum + count);
        if file_nulls == Some(file.record_count()) {
            continue; // Only nulls: no bounds to widen by.
        }
        let lower = file_bound(file, id, data_type, Side::Lower);
        let upper = file_bound(file, id, data_type, Side::Upper);
        bounds = match (bounds, lower, upper) {
            (Some((min, max)), Some(lower), Some(upper)) => {
                let min = min.filter(|min| *min <= lower).unwrap_or(lower);
                let max = max.filter(|max| *max >= upper).unwrap_or(upper);
                Some((Some(min), Some(max)))
            }
            _ => None,
        };
    }
    if let Some(nulls) = nulls {
        statistics.null_count = Precision::Exact(nulls as usize);
    }
    if let Some((Some(min), Some(max))) = bounds {
        // Bounds of text may be shortened; those of floats do not tell the two zeros apart.
        let inexact = matches!(data_type, DataType::Utf8View | DataType::BinaryView) || data_type.is_floating();
        let precision = if inexact { Precision::Inexact } else { Precision::Exact };
        statistics.min_value = precision(min);
        statistics.max_value = precision(max);
    }
    statistics
}
