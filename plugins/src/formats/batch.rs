//! A batch while its rows are read.
use std::mem;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use jiff::tz::TimeZone;

use super::bad_row::BadRow;
use super::column_builder::ColumnBuilder;
use super::error::FormatError;
use super::options::ReadOptions;
use super::source::SourceFile;

/// A batch is handed on once its text is this long, so that wide rows do not make huge batches.
const BATCH_BYTES: usize = 16 << 20;

/// A batch is handed on once it has this many bad rows, so that a file of nothing else stays in bounds too.
const BATCH_BAD_ROWS: usize = 1024;

/// Rows of one file.
pub(super) struct FileBatch {
    pub(super) batch: RecordBatch,
    /// For each row its 1-based line.
    pub(super) lines: Vec<u64>,
    pub(super) bad_rows: Vec<BadRow>,
}

pub(super) struct BatchBuilder {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    zone: Option<TimeZone>,
    lines: Vec<u64>,
    bad_rows: Vec<BadRow>,
    bytes: usize,
    most_rows: usize,
}

impl BatchBuilder {
    pub(super) fn new(source: &SourceFile, schema: &SchemaRef, options: &ReadOptions) -> Result<Self, FormatError> {
        let most_rows = options.batch_rows.max(1);
        let columns = schema
            .fields()
            .iter()
            .map(|field| {
                ColumnBuilder::new(field.data_type(), most_rows).ok_or_else(|| {
                    let name = field.name();
                    let reason = format!("column `{name}`: text cannot be read as Arrow's {}", field.data_type());
                    source.schema(vec![name.clone()], reason)
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(BatchBuilder {
            schema: Arc::clone(schema),
            columns,
            zone: options.zone.clone(),
            lines: Vec::with_capacity(most_rows),
            bad_rows: Vec::new(),
            bytes: 0,
            most_rows,
        })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns, and the zone of texts without an offset.
    pub(super) fn columns(&mut self) -> (&mut [ColumnBuilder], Option<&TimeZone>) {
        (&mut self.columns, self.zone.as_ref())
    }

    /// A row was appended to all columns.
    pub(super) fn row_done(&mut self, line: u64, bytes: usize) {
        self.lines.push(line);
        self.bytes += bytes;
    }

    /// Takes back what was appended since the last whole row.
    pub(super) fn undo_row(&mut self) {
        for column in &mut self.columns {
            column.truncate(self.lines.len());
        }
    }

    pub(super) fn bad_row(&mut self, row: BadRow) {
        self.bad_rows.push(row);
    }

    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= self.most_rows || self.bytes >= BATCH_BYTES || self.bad_rows.len() >= BATCH_BAD_ROWS
    }

    /// The rows so far, `None` when there are none; the builder is empty again.
    pub(super) fn finish(&mut self) -> Option<FileBatch> {
        if self.lines.is_empty() && self.bad_rows.is_empty() {
            return None;
        }
        let lines = mem::replace(&mut self.lines, Vec::with_capacity(self.most_rows));
        let arrays = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        // Without columns, as when only rows are counted, the batch still knows its length.
        let options = RecordBatchOptions::new().with_row_count(Some(lines.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .expect("every row was appended to every column of the schema");
        self.bytes = 0;
        Some(FileBatch {
            batch,
            lines,
            bad_rows: mem::take(&mut self.bad_rows),
        })
    }
}
