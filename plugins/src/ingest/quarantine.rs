//! Rows that are set aside, and those that belong nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use assets::outcome::{Failure, FailureClass};
use assets::{AssetKey, PartitionKey, PartitionedBy};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use super::failure::HELP_ON_BAD_ROWS;
use crate::kind::QUARANTINE_PARTITION;

/// Bytes of a row's text that are kept.
const RAW_BYTES: usize = 1024;
/// Rows of a batch.
const BATCH_ROWS: usize = 8192;
/// Kinds of stray rows that a message names.
const NAMED: usize = 5;

/// A row that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AsideRow {
    /// Index of its file.
    pub(super) file: usize,
    /// Where it starts, from 1.
    pub(super) line: u64,
    /// Why.
    pub(super) reason: String,
    /// Its text, shortened.
    pub(super) raw: String,
}

/// Rows that were set aside, at most as many as are allowed.
pub(super) struct Aside {
    limit: u64,
    rows: Vec<AsideRow>,
}

impl Aside {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            rows: Vec::new(),
        }
    }

    /// Sets a row aside; `file` is the name of its file.
    pub(super) fn add(&mut self, row: AsideRow, file: &str) -> Result<(), Failure> {
        if self.rows.len() as u64 >= self.limit {
            let count = self.rows.len() + 1;
            let message = format!(
                "read on after {count} bad rows, more than the {} allowed; the last is {file} line {}: {}",
                self.limit, row.line, row.reason
            );
            return Err(Failure::new(FailureClass::Data, message)
                .with_help("correct the file or the declared columns, or raise `limit` of `quarantine`"));
        }
        self.rows.push(row);
        Ok(())
    }

    /// The rows as a table. A row that cannot tell its own partition counts to the first one that its file feeds, so that it
    /// is told once, whichever partitions are made together; `home` says which that is for a file, or that it is not now.
    pub(super) fn table(
        self,
        partitioned: bool,
        files: &[String],
        home: impl Fn(usize) -> Option<PartitionKey>,
    ) -> SendableRecordBatchStream {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let mut fields = vec![
            text("file"),
            Field::new("line", DataType::Int64, true),
            text("reason"),
            text("raw"),
        ];
        if partitioned {
            fields.push(text(QUARANTINE_PARTITION));
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let mut rows: Vec<(AsideRow, Option<PartitionKey>)> = Vec::with_capacity(self.rows.len());
        for row in self.rows {
            let key = if partitioned { home(row.file) } else { None };
            if !partitioned || key.is_some() {
                rows.push((row, key));
            }
        }
        let batches: Vec<Result<RecordBatch, _>> = rows
            .chunks(BATCH_ROWS)
            .map(|rows| batch(&schema, files, rows).map_err(Into::into))
            .collect();
        Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches)))
    }
}

fn batch(
    schema: &SchemaRef,
    files: &[String],
    rows: &[(AsideRow, Option<PartitionKey>)],
) -> Result<RecordBatch, ArrowError> {
    let texts =
        |text: &dyn Fn(&AsideRow) -> String| -> StringArray { rows.iter().map(|(row, _)| Some(text(row))).collect() };
    let lines: Int64Array = rows.iter().map(|(row, _)| i64::try_from(row.line).ok()).collect();
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(texts(&|row| files[row.file].clone())),
        Arc::new(lines),
        Arc::new(texts(&|row| row.reason.clone())),
        Arc::new(texts(&|row| row.raw.clone())),
    ];
    if schema.fields().len() > columns.len() {
        let keys: StringArray = rows
            .iter()
            .map(|(_, key)| key.as_ref().map(PartitionKey::as_str))
            .collect();
        columns.push(Arc::new(keys));
    }
    RecordBatch::try_new(Arc::clone(schema), columns)
}

/// A row as text, for one that was read well and cannot be used all the same.
pub(super) fn row_text(columns: &[ArrayRef], row: usize) -> String {
    let mut text = String::new();
    for (position, column) in columns.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        // A value that cannot be shown leaves its field empty: the text is for people.
        text.push_str(&array_value_to_string(column, row).unwrap_or_default());
        if text.len() > RAW_BYTES {
            let mut end = RAW_BYTES;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push('…');
            break;
        }
    }
    text
}

/// Rows that belong to no partition, counted.
#[derive(Default)]
pub(super) struct Astray {
    rows: u64,
    by_place: BTreeMap<String, u64>,
    files: BTreeSet<String>,
    first: Option<(String, u64)>,
}

impl Astray {
    pub(super) fn add(&mut self, place: &str, file: &str, line: u64) {
        self.rows += 1;
        self.first.get_or_insert_with(|| (file.to_owned(), line));
        // Rows in a million wrong places are as wrong as in a thousand; the count stays exact.
        if self.by_place.len() < 1000 || self.by_place.contains_key(place) {
            *self.by_place.entry(place.to_owned()).or_default() += 1;
        }
        if !self.files.contains(file) {
            self.files.insert(file.to_owned());
        }
    }

    /// The failure of a step that met such rows.
    pub(super) fn failure(&self, asset: &AssetKey, by: &PartitionedBy) -> Option<Failure> {
        let (file, line) = self.first.as_ref()?;
        let mut places: Vec<(&String, &u64)> = self.by_place.iter().collect();
        places.sort_by_key(|(_, rows)| std::cmp::Reverse(**rows));
        let mut shown: Vec<String> = places
            .iter()
            .take(NAMED)
            .map(|(place, rows)| format!("{place} ({rows})"))
            .collect();
        if places.len() > NAMED {
            shown.push(format!("{} more", places.len() - NAMED));
        }
        let (noun, belong) = if self.rows == 1 {
            ("row", "belongs")
        } else {
            ("rows", "belong")
        };
        let files = match self.files.len() {
            1 => String::new(),
            files => format!(" in {files} files"),
        };
        let message = format!(
            "{} {noun}{files} {belong} to no partition of {asset}: {}; the first is {file} line {line}",
            self.rows,
            shown.join(", ")
        );
        Some(Failure::new(FailureClass::Data, message).with_help(format!(
            "the set `{}` is {}: widen it, or {HELP_ON_BAD_ROWS}",
            by.name,
            by.partitioning.describe()
        )))
    }
}
