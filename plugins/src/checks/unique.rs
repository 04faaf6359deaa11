//! `unique`: no two rows with equal values in some columns.
//!
//! The columns of a row are encoded into comparable bytes (arrow's row format) and hashed to 128 bits by two independently
//! keyed 64-bit hashes; the set of hashes is kept. Equal rows always have equal hashes, so no repeat is missed. Two different
//! rows of a billion share a hash with a probability below 2⁻⁶⁸ (n²/2¹²⁹), the only way in which a row could be called a repeat that
//! is none. 24 bytes of memory per row, give or take; past its share of the step's memory the set is dropped and the check is
//! computed over the staged files instead, by a grouping that spills to disk.

use ahash::RandomState;
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};
use hashbrown::HashSet;

use super::run::StreamingCheck;
use super::{SampleOfRows, Verdict, column};

pub(super) struct Unique {
    positions: Vec<usize>,
    columns: Vec<String>,
    converter: RowConverter,
    hashers: [RandomState; 2],
    seen: HashSet<u128, PassThrough>,
    /// Entries of `seen` that fit into the check's share of memory.
    most: usize,
    overflowed: bool,
    repeats: u64,
    sample: SampleOfRows,
}

impl Unique {
    /// `memory` is what the set may use, in bytes.
    pub(super) fn new(schema: &SchemaRef, columns: &[String], memory: u64) -> Result<Self, String> {
        if columns.is_empty() {
            return Err("no column is named".to_owned());
        }
        let positions = column::positions(schema, columns)?;
        let fields: Vec<SortField> = positions
            .iter()
            .map(|position| SortField::new(schema.field(*position).data_type().clone()))
            .collect();
        let converter = RowConverter::new(fields)
            .map_err(|error| format!("the columns {} cannot be compared: {error}", listed(columns)))?;
        Ok(Self {
            positions,
            columns: columns.to_vec(),
            converter,
            // Fixed keys: the same rows take the same time and memory on every run.
            hashers: [RandomState::with_seeds(1, 2, 3, 4), RandomState::with_seeds(5, 6, 7, 8)],
            seen: HashSet::default(),
            // A table of 17 bytes per slot, at most 7/8 full, twice as large while it grows.
            most: usize::try_from(memory / 60).unwrap_or(usize::MAX),
            overflowed: false,
            repeats: 0,
            sample: SampleOfRows::new(schema),
        })
    }
}

impl StreamingCheck for Unique {
    fn observe(&mut self, batch: &RecordBatch) -> Result<(), String> {
        if self.overflowed {
            return Ok(());
        }
        let columns: Vec<_> = self
            .positions
            .iter()
            .map(|position| batch.column(*position).clone())
            .collect();
        let nulls: Vec<_> = columns.iter().filter_map(|column| column.logical_nulls()).collect();
        let rows = self
            .converter
            .convert_columns(&columns)
            .map_err(|error| error.to_string())?;
        for (number, row) in rows.iter().enumerate() {
            // A null is equal to nothing, as in SQL's UNIQUE.
            if nulls.iter().any(|nulls| nulls.is_null(number)) {
                continue;
            }
            let [low, high] = [0, 1].map(|half: usize| self.hashers[half].hash_one(row.data()));
            if !self.seen.insert(u128::from(high) << 64 | u128::from(low)) {
                self.repeats += 1;
                self.sample.add(batch, number);
            }
        }
        if self.seen.len() > self.most {
            self.overflowed = true;
            self.seen = HashSet::default();
        }
        Ok(())
    }

    fn over_staged_rows(&self) -> Option<String> {
        self.overflowed.then(|| repeats_query(&self.columns))
    }

    fn finish(self: Box<Self>) -> Verdict {
        let expected = format!("no two rows with equal {}", listed(&self.columns));
        Verdict::no_row_fails(self.repeats, expected, self.sample.finish())
    }
}

/// The key values that occur more than once, each with how many rows repeat it beyond the first.
fn repeats_query(columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    let not_null: Vec<String> = names.iter().map(|name| format!("{name} IS NOT NULL")).collect();
    let names = names.join(", ");
    format!(
        "SELECT {names}, count(*) - 1 AS \"repeats\" FROM this WHERE {} GROUP BY {names} HAVING count(*) > 1",
        not_null.join(" AND ")
    )
}

fn listed(columns: &[String]) -> String {
    columns
        .iter()
        .map(|column| format!("`{column}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The entries are hashes already; the set uses their low half as it is.
#[derive(Clone, Default)]
struct PassThrough;

impl std::hash::BuildHasher for PassThrough {
    type Hasher = LowHalf;

    fn build_hasher(&self) -> LowHalf {
        LowHalf(0)
    }
}

#[derive(Default)]
struct LowHalf(u64);

impl std::hash::Hasher for LowHalf {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}
