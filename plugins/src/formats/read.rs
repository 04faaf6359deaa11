//! Reads files one after the other into batches of typed rows.
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use super::bad_row::{BadRow, BadRowLog};
use super::batch::FileBatch;
use super::delimited::DelimitedReader;
use super::error::{FormatError, did_you_mean, name_list};
use super::input::InputEnd;
use super::json::JsonReader;
use super::options::{Format, ReadOptions};
use super::parquet::ParquetReader;
use super::source::SourceFile;

/// Some rows of one file.
#[derive(Debug, Clone)]
pub struct ReadBatch {
    /// The rows, in the columns that were asked for.
    pub batch: RecordBatch,
    /// Index into the files that were given.
    pub file: usize,
    /// How many rows of the same file came in earlier batches.
    pub first_row: u64,
    /// For each row the 1-based physical line on which it starts; its 1-based number for Parquet.
    pub lines: Vec<u64>,
    /// Rows that were left out, in the order of the file.
    pub bad_rows: Vec<BadRow>,
}

/// A file that was read to its end and is still the file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRead {
    /// Index into the files that were given.
    pub file: usize,
    /// How many rows came in batches.
    pub rows: u64,
    /// How many rows were left out.
    pub bad_rows: u64,
    /// Bytes that came out of the compression.
    pub decompressed: u64,
    /// The SHA-256 of the file as it lies on disk, as lowercase hex.
    pub sha256: String,
}

/// Reads the files one after the other, in bounded memory.
///
/// `schema` is what every file should hold, as [`infer`](super::infer()) gives it; types other than those of
/// [`ColumnType`](super::ColumnType) are taken from Parquet only. `projection` names the columns to read, in the
/// order wanted; the text of the others is not looked at beyond finding where it ends.
///
/// # Errors
/// For a projection that names no column of the schema, and files of several formats. All else comes while
/// reading, with the batch in which it shows; after an error the reader is at its end.
pub fn read(
    files: &[SourceFile],
    options: &ReadOptions,
    schema: &SchemaRef,
    projection: Option<&[&str]>,
) -> Result<Reader, FormatError> {
    let files: Vec<Arc<SourceFile>> = files.iter().cloned().map(Arc::new).collect();
    let format = Format::of_all(&files, options)?;
    let wanted = match projection {
        None => Arc::clone(schema),
        Some(names) => project(files.first(), schema, names)?,
    };
    Ok(Reader {
        files,
        options: options.clone(),
        format,
        expected: Arc::clone(schema),
        schema: wanted,
        log: BadRowLog::new(options.on_bad_row),
        next_file: 0,
        open: None,
        finished: Vec::new(),
        failed: false,
    })
}

fn project(first: Option<&Arc<SourceFile>>, schema: &SchemaRef, names: &[&str]) -> Result<SchemaRef, FormatError> {
    let mut fields = Vec::with_capacity(names.len());
    for (position, name) in names.iter().enumerate() {
        let refuse = |what: String| FormatError::Schema {
            file: first.map_or_else(String::new, |file| file.path.clone()),
            line: None,
            columns: vec![(*name).to_owned()],
            reason: what,
        };
        if names[..position].contains(name) {
            return Err(refuse(format!("column `{name}` is asked for twice")));
        }
        let field = schema.field_with_name(name).map_err(|_| {
            let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let near = did_you_mean(name, known.iter().copied());
            refuse(format!("no column `{name}`{near}; there are {}", name_list(&known)))
        })?;
        fields.push(field.clone());
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// An iterator over the batches of a set of files; see [`read`].
pub struct Reader {
    files: Vec<Arc<SourceFile>>,
    options: ReadOptions,
    format: Format,
    /// What every file should hold.
    expected: SchemaRef,
    /// What is read of it.
    schema: SchemaRef,
    log: BadRowLog,
    next_file: usize,
    open: Option<Open>,
    finished: Vec<FileRead>,
    failed: bool,
}

struct Open {
    file: FileReader,
    index: usize,
    rows: u64,
    bad_rows: u64,
}

enum FileReader {
    Delimited(Box<DelimitedReader>),
    Json(Box<JsonReader>),
    Parquet(Box<ParquetReader>),
}

impl FileReader {
    fn next(&mut self, log: &mut BadRowLog) -> Result<Option<FileBatch>, FormatError> {
        match self {
            FileReader::Delimited(reader) => reader.next(log),
            FileReader::Json(reader) => reader.next(log),
            FileReader::Parquet(reader) => reader.next(),
        }
    }

    fn finish(&mut self) -> Result<InputEnd, FormatError> {
        match self {
            FileReader::Delimited(reader) => reader.finish(),
            FileReader::Json(reader) => reader.finish(),
            FileReader::Parquet(reader) => reader.finish(),
        }
    }
}

impl Reader {
    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The files that have been read to their end, with what is known of them then: all of them once the iterator
    /// is at its end without an error.
    pub fn finished(&self) -> &[FileRead] {
        &self.finished
    }

    fn open_next(&mut self) -> Result<Option<Open>, FormatError> {
        let Some(source) = self.files.get(self.next_file) else {
            return Ok(None);
        };
        let (options, schema, wanted) = (&self.options, &self.expected, &self.schema);
        let file = match self.format {
            Format::Csv | Format::Tsv => FileReader::Delimited(Box::new(DelimitedReader::open(
                source,
                self.format,
                options,
                schema,
                wanted,
            )?)),
            Format::JsonLines => FileReader::Json(Box::new(JsonReader::open(source, options, schema, wanted)?)),
            Format::Parquet => FileReader::Parquet(Box::new(ParquetReader::open(source, options, schema, wanted)?)),
        };
        let index = self.next_file;
        self.next_file += 1;
        Ok(Some(Open {
            file,
            index,
            rows: 0,
            bad_rows: 0,
        }))
    }

    fn advance(&mut self) -> Result<Option<ReadBatch>, FormatError> {
        loop {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => match self.open_next()? {
                    Some(open) => open,
                    None => return Ok(None),
                },
            };
            if let Some(FileBatch { batch, lines, bad_rows }) = open.file.next(&mut self.log)? {
                let first_row = open.rows;
                let file = open.index;
                open.rows += batch.num_rows() as u64;
                open.bad_rows += bad_rows.len() as u64;
                self.open = Some(open);
                return Ok(Some(ReadBatch {
                    batch,
                    file,
                    first_row,
                    lines,
                    bad_rows,
                }));
            }
            let InputEnd { sha256, decompressed } = open.file.finish()?;
            let Open {
                index, rows, bad_rows, ..
            } = open;
            self.finished.push(FileRead {
                file: index,
                rows,
                bad_rows,
                decompressed,
                sha256,
            });
        }
    }
}

impl Iterator for Reader {
    type Item = Result<ReadBatch, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.advance().transpose();
        self.failed = matches!(item, Some(Err(_)));
        item
    }
}
