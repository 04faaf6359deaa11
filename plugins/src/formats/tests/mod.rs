//! The formats on real files, real codecs and damaged input.
mod bad_rows;
mod compressed;
mod delimited;
mod discovery;
mod earlier_columns;
mod flights;
mod inference;
mod json_lines;
mod parquet_files;
mod round_trip;
mod stability;

use std::fs;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::*;

/// A folder of raw files that goes away with the test.
struct Landing(tempfile::TempDir);

impl Landing {
    fn new() -> Self {
        Landing(tempfile::tempdir().unwrap())
    }

    fn with(files: &[(&str, &[u8])]) -> Self {
        let landing = Landing::new();
        for (name, bytes) in files {
            landing.write(name, bytes);
        }
        landing
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn find(&self, pattern: &str) -> Vec<SourceFile> {
        discover(self.root(), pattern, &Objects::default()).unwrap()
    }

    fn one(&self, name: &str) -> SourceFile {
        SourceFile::at(&self.root().join(name), name).unwrap()
    }
}

/// All that one reading gives.
#[derive(Debug)]
struct Outcome {
    rows: RecordBatch,
    lines: Vec<u64>,
    bad_rows: Vec<BadRow>,
    finished: Vec<FileRead>,
}

fn read_all(files: &[SourceFile], options: &ReadOptions, schema: &SchemaRef) -> Result<Outcome, FormatError> {
    let mut reader = read(files, options, schema, None)?;
    let (mut batches, mut lines, mut bad_rows) = (Vec::new(), Vec::new(), Vec::new());
    for batch in &mut reader {
        let batch = batch?;
        assert_eq!(batch.batch.num_rows(), batch.lines.len());
        batches.push(batch.batch);
        lines.extend(batch.lines);
        bad_rows.extend(batch.bad_rows);
    }
    let rows = concat_batches(reader.schema(), &batches).unwrap();
    Ok(Outcome {
        rows,
        lines,
        bad_rows,
        finished: reader.finished().to_vec(),
    })
}

/// Infers, then reads.
fn load(files: &[SourceFile], options: &ReadOptions) -> Result<Outcome, FormatError> {
    let inferred = infer(files, options)?;
    read_all(files, options, &inferred.schema)
}

/// Rows as text, `∅` for null.
fn shown(batch: &RecordBatch) -> Vec<Vec<String>> {
    let format = FormatOptions::default().with_null("∅");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &format).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect())
        .collect()
}

/// `name:type` of every column.
fn types(schema: &SchemaRef) -> Vec<String> {
    schema
        .fields()
        .iter()
        .map(|field| {
            let kind = ColumnType::from_arrow(field.data_type())
                .map_or(field.data_type().to_string(), |kind| kind.to_string());
            format!("{}:{kind}", field.name())
        })
        .collect()
}

fn declared(columns: &[(&str, &str)]) -> Vec<(String, ColumnType)> {
    columns
        .iter()
        .map(|(name, kind)| ((*name).to_owned(), kind.parse().unwrap()))
        .collect()
}

fn collecting(limit: u64) -> ReadOptions {
    ReadOptions {
        on_bad_row: OnBadRow::Collect { limit },
        ..ReadOptions::default()
    }
}
