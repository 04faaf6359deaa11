//! Kept feature rows, and the order that decides between two of them when their times are equal.
//!
//! Rows are encoded for comparison (Arrow's row format: columns left to right, null lowest) only when a tie asks for it,
//! and a batch at most once.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{cast, interleave, take};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};

use super::PointInTimeError;

/// A row of a [`RowStore`]: batch and row within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) batch: u32,
    pub(super) row: u32,
}

impl Place {
    /// No row.
    pub(super) const NONE: Self = Self {
        batch: u32::MAX,
        row: u32::MAX,
    };

    /// Whether this is no row.
    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// Batches of candidate rows, all of the source's selected columns.
pub(super) struct RowStore {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    encoded: Vec<Option<Rows>>,
    converter: Option<RowConverter>,
    rows: usize,
    bytes: usize,
}

impl RowStore {
    /// Rows of a compacted batch: small enough that no offset of a string column overflows.
    const COMPACTED: usize = 1 << 16;

    /// An empty store for rows of this schema (plain types, see [`plain_type`]).
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self {
            schema,
            batches: Vec::new(),
            encoded: Vec::new(),
            converter: None,
            rows: 0,
            bytes: 0,
        }
    }

    /// The number of the batch that is stored next.
    pub(super) fn next_batch(&self) -> u32 {
        self.batches.len() as u32
    }

    /// Rows held, superseded ones included.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The batches alone, when all is decided.
    pub(super) fn into_batches(self) -> Vec<RecordBatch> {
        self.batches
    }

    /// Adds a batch as it is, for comparisons while it is looked through; [`Self::keep`] then makes it small.
    pub(super) fn open(&mut self, batch: RecordBatch) {
        self.batches.push(batch);
        self.encoded.push(None);
    }

    /// Keeps only these rows of the batch opened last. What they do not use of its buffers is let go.
    pub(super) fn keep(&mut self, rows: &UInt32Array) -> Result<(), PointInTimeError> {
        let (Some(batch), Some(encoded)) = (self.batches.pop(), self.encoded.pop()) else {
            return Ok(());
        };
        self.bytes -= encoded.map_or(0, |rows| rows.size());
        if rows.is_empty() {
            return Ok(());
        }
        let columns = batch
            .columns()
            .iter()
            .zip(self.schema.fields())
            .map(|(column, field)| {
                let taken = take(column, rows, None)?;
                let plain = if taken.data_type() == field.data_type() {
                    taken
                } else {
                    cast(&taken, field.data_type())?
                };
                Ok(owned(plain))
            })
            .collect::<Result<_, PointInTimeError>>()?;
        self.store(columns, rows.len())
    }

    fn store(&mut self, columns: Vec<ArrayRef>, rows: usize) -> Result<(), PointInTimeError> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        self.rows += rows;
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
        self.encoded.push(None);
        Ok(())
    }

    /// Takes over the batches of another store; its places move by the number returned.
    pub(super) fn absorb(&mut self, other: Self) -> u32 {
        let moved_by = self.next_batch();
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.batches.extend(other.batches);
        self.encoded.extend(other.encoded);
        moved_by
    }

    /// Lets go of all rows but these, which move to the places that they are set to.
    pub(super) fn compact<'a>(&mut self, live: impl Iterator<Item = &'a mut Place>) -> Result<(), PointInTimeError> {
        let mut kept: Vec<(usize, usize)> = Vec::new();
        for place in live {
            let old = (place.batch as usize, place.row as usize);
            *place = Place {
                batch: (kept.len() / Self::COMPACTED) as u32,
                row: (kept.len() % Self::COMPACTED) as u32,
            };
            kept.push(old);
        }
        let old = std::mem::take(&mut self.batches);
        self.encoded.clear();
        (self.rows, self.bytes) = (0, 0);
        for chunk in kept.chunks(Self::COMPACTED) {
            let columns = (0..self.schema.fields().len())
                .map(|column| {
                    let arrays: Vec<&dyn Array> = old.iter().map(|batch| batch.column(column).as_ref()).collect();
                    Ok(owned(interleave(&arrays, chunk)?))
                })
                .collect::<Result<_, PointInTimeError>>()?;
            self.store(columns, chunk.len())?;
        }
        Ok(())
    }

    /// Which of two rows is the greater one.
    pub(super) fn compare(&mut self, a: Place, b: Place) -> Result<Ordering, PointInTimeError> {
        if self.schema.fields().is_empty() || a == b {
            return Ok(Ordering::Equal);
        }
        self.encode(a.batch as usize)?;
        self.encode(b.batch as usize)?;
        let row = |place: Place| {
            let rows = self.encoded[place.batch as usize]
                .as_ref()
                .expect("both batches were just encoded");
            rows.row(place.row as usize)
        };
        Ok(row(a).cmp(&row(b)))
    }

    fn encode(&mut self, batch: usize) -> Result<(), PointInTimeError> {
        if self.encoded[batch].is_some() {
            return Ok(());
        }
        if self.converter.is_none() {
            let fields = self
                .schema
                .fields()
                .iter()
                .map(|field| SortField::new(field.data_type().clone()))
                .collect();
            self.converter = Some(RowConverter::new(fields)?);
        }
        let converter = self.converter.as_ref().expect("it was made above");
        let columns = self.batches[batch]
            .columns()
            .iter()
            .zip(self.schema.fields())
            .map(|(column, field)| {
                if column.data_type() == field.data_type() {
                    Ok(column.clone())
                } else {
                    cast(column, field.data_type())
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        let rows = converter.convert_columns(&columns)?;
        self.bytes += rows.size();
        self.encoded[batch] = Some(rows);
        Ok(())
    }
}

/// The type in which a selected column is kept: dictionaries are decoded, since every batch may bring its own.
pub(super) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        other => other.clone(),
    }
}

/// The array without the buffers it shares: a view of one row would otherwise hold the strings of its whole batch.
fn owned(array: ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8View => std::sync::Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => std::sync::Arc::new(array.as_binary_view().gc()),
        _ => array,
    }
}
