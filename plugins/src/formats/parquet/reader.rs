//! Reads the wanted columns of one Parquet file.
use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::SchemaRef;

use crate::formats::batch::FileBatch;
use crate::formats::column_type::type_name;
use crate::formats::columns::compare;
use crate::formats::error::FormatError;
use crate::formats::input::InputEnd;
use crate::formats::options::ReadOptions;
use crate::formats::raw_input::RawInput;
use crate::formats::source::{SourceFile, Stamp};

use super::open::{guarded, open};
use super::schema::{table_columns, wider};

/// Reads one file.
pub(in crate::formats) struct ParquetReader {
    source: Arc<SourceFile>,
    stamp: Stamp,
    /// A second handle, for the hash.
    file: std::fs::File,
    reader: ParquetRecordBatchReader,
    wanted: SchemaRef,
    /// For each wanted column, its place among those that are read; `None` when the file does not have it.
    places: Vec<Option<usize>>,
    row: u64,
}

impl ParquetReader {
    /// `schema` is all that the file should have, `wanted` what is read of it.
    pub(in crate::formats) fn open(
        source: &Arc<SourceFile>,
        options: &ReadOptions,
        schema: &SchemaRef,
        wanted: &SchemaRef,
    ) -> Result<Self, FormatError> {
        let opened = open(source, &options.limits)?;
        let columns = table_columns(source, opened.metadata.schema(), options)?;
        let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        let expected: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        compare(source, &names, &expected, "the expected schema", options)?;
        for (name, here) in columns.iter().filter(|(name, _)| !options.earlier.is_dropped(name)) {
            let field = schema
                .field_with_name(name)
                .expect("all columns of the file that are read are in the schema");
            if wider(here, field.data_type()).as_ref() != Some(field.data_type()) {
                let (here, there) = (type_name(here), type_name(field.data_type()));
                let reason = format!("column `{name}` is {here} here, but {there} in the expected schema");
                return Err(source.schema(vec![name.clone()], reason));
            }
        }
        // The reader gives the wanted columns in the order of the file.
        let in_file: Vec<Option<usize>> = wanted
            .fields()
            .iter()
            .map(|field| names.iter().position(|name| name == field.name()))
            .collect();
        let mut roots: Vec<usize> = in_file.iter().flatten().copied().collect();
        roots.sort_unstable();
        let places = in_file
            .iter()
            .map(|place| place.and_then(|place| roots.binary_search(&place).ok()))
            .collect();

        let handle = opened.file.try_clone().map_err(|error| source.io(error))?;
        let reader = guarded(source, opened.stamp, "its footer", || {
            let mask = ProjectionMask::roots(opened.metadata.parquet_schema(), roots);
            ParquetRecordBatchReaderBuilder::new_with_metadata(handle, opened.metadata.clone())
                .with_projection(mask)
                .with_batch_size(options.batch_rows.max(1))
                .build()
        })?;
        Ok(ParquetReader {
            source: Arc::clone(source),
            stamp: opened.stamp,
            file: opened.file,
            reader,
            wanted: Arc::clone(wanted),
            places,
            row: 0,
        })
    }

    /// The next batch, `None` at the end of the file.
    pub(in crate::formats) fn next(&mut self) -> Result<Option<FileBatch>, FormatError> {
        let what = format!("what follows row {}", self.row);
        let Some(batch) = guarded(&self.source, self.stamp, &what, || self.reader.next().transpose())? else {
            return Ok(None);
        };
        let rows = batch.num_rows();
        let arrays = self
            .places
            .iter()
            .zip(self.wanted.fields())
            .map(|(place, field)| match place {
                Some(place) => self.in_table_type(batch.column(*place), field),
                None => Ok(new_null_array(field.data_type(), rows)),
            })
            .collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.wanted), arrays, &options)
            .expect("every column was cast to its type in the schema");
        let lines = (self.row + 1..=self.row + rows as u64).collect();
        self.row += rows as u64;
        Ok(Some(FileBatch {
            batch,
            lines,
            bad_rows: Vec::new(),
        }))
    }

    fn in_table_type(&self, array: &ArrayRef, field: &arrow::datatypes::Field) -> Result<ArrayRef, FormatError> {
        if array.data_type() == field.data_type() {
            return Ok(Arc::clone(array));
        }
        let exact = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        let what = format!("column `{}` after row {}", field.name(), self.row);
        guarded(&self.source, self.stamp, &what, || {
            cast_with_options(array, field.data_type(), &exact)
        })
    }

    /// Parquet is not read from front to back, so its hash takes a pass of its own.
    pub(in crate::formats) fn finish(&mut self) -> Result<InputEnd, FormatError> {
        let io = |error| self.source.io(error);
        let mut file = self.file.try_clone().map_err(io)?;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut raw = RawInput::new(file);
        let bytes = raw.drain().map_err(io)?;
        self.source.verify(self.stamp)?;
        Ok(InputEnd {
            sha256: raw.sha256(),
            decompressed: bytes,
        })
    }
}
