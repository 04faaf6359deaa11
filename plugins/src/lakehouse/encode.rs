//! One partition's rows on their way into Parquet files: gathered, encoded on a background thread, rolled over by size.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Float64Type, SchemaRef as ArrowSchemaRef};
use iceberg::spec::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tokio::task::JoinHandle;

use super::LakeError;
use super::data_file::{FileRecord, record};
use super::storage::{LakeStorage, UnsealedFile};

/// Rows are handed to the background thread in pieces of about this size.
const PIECE_BYTES: usize = 8 << 20;
const PIECE_ROWS: usize = 64 * 1024;

/// What all files of one writer share.
#[derive(Debug)]
pub(crate) struct EncoderSettings {
    storage: LakeStorage,
    arrow: ArrowSchemaRef,
    schema: SchemaRef,
    properties: WriterProperties,
    target_bytes: u64,
}

impl EncoderSettings {
    pub(crate) fn new(
        storage: LakeStorage,
        arrow: ArrowSchemaRef,
        schema: SchemaRef,
        target_bytes: u64,
        zstd_level: i32,
    ) -> Result<Self, LakeError> {
        let level = ZstdLevel::try_new(zstd_level)
            .map_err(|error| LakeError::Internal(format!("zstd has no level {zstd_level}: {error}")))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_created_by(format!("millpond {}", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            storage,
            arrow,
            schema,
            properties,
            target_bytes,
        })
    }
}

/// A finished file and what its manifest entry says of it.
type Finished = (UnsealedFile, FileRecord);

#[derive(Debug)]
pub(crate) struct Encoder {
    settings: Arc<EncoderSettings>,
    /// Location without number and ending.
    stem: String,
    gathered: Vec<RecordBatch>,
    gathered_bytes: usize,
    gathered_rows: usize,
    /// Bytes of rows that the background thread works on.
    handed_bytes: usize,
    /// What the open file held when it was last seen.
    open_bytes: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle(Box<Work>),
    Busy(JoinHandle<Result<Box<Work>, LakeError>>),
    /// An encoding failed; the error was reported.
    Failed,
}

/// What the background thread works on.
#[derive(Debug, Default)]
struct Work {
    open: Option<OpenFile>,
    finished: Vec<Finished>,
}

#[derive(Debug)]
struct OpenFile {
    writer: ArrowWriter<SharedFile>,
    file: SharedFile,
    location: String,
    nans: BTreeMap<i32, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    KeepOpen,
    EndRowGroup,
    Close,
}

impl Encoder {
    pub(crate) fn new(settings: Arc<EncoderSettings>, stem: String) -> Self {
        Self {
            settings,
            stem,
            gathered: Vec::new(),
            gathered_bytes: 0,
            gathered_rows: 0,
            handed_bytes: 0,
            open_bytes: 0,
            state: State::Idle(Box::default()),
        }
    }

    /// Bytes in memory for this partition.
    pub(crate) fn held_bytes(&self) -> usize {
        self.gathered_bytes + self.handed_bytes + self.open_bytes
    }

    /// Takes rows; they are encoded once enough have gathered.
    pub(crate) async fn push(&mut self, batch: RecordBatch) -> Result<(), LakeError> {
        self.gathered_bytes += batch.get_array_memory_size();
        self.gathered_rows += batch.num_rows();
        self.gathered.push(batch);
        if self.gathered_rows >= PIECE_ROWS || self.gathered_bytes >= PIECE_BYTES {
            self.start(Then::KeepOpen).await?;
        }
        Ok(())
    }

    /// Encodes what has gathered and writes it out, so that nothing but the footer stays in memory.
    pub(crate) async fn end_row_group(&mut self) -> Result<(), LakeError> {
        self.start(Then::EndRowGroup).await?;
        let work = self.idle().await?;
        self.state = State::Idle(work);
        self.open_bytes = 0;
        Ok(())
    }

    /// Whether a file is open, or about to be.
    pub(crate) fn is_open(&self) -> bool {
        match &self.state {
            State::Idle(work) => work.open.is_some(),
            State::Busy(_) => true,
            State::Failed => false,
        }
    }

    /// Encodes what has gathered and closes the file; more rows go to another one.
    pub(crate) async fn end_file(&mut self) -> Result<(), LakeError> {
        self.start(Then::Close).await?;
        let work = self.idle().await?;
        self.state = State::Idle(work);
        self.open_bytes = 0;
        Ok(())
    }

    /// Encodes the rest and closes the file.
    pub(crate) async fn close(mut self) -> Result<Vec<Finished>, LakeError> {
        self.start(Then::Close).await?;
        Ok(self.idle().await?.finished)
    }

    /// Waits for the background thread.
    async fn idle(&mut self) -> Result<Box<Work>, LakeError> {
        self.handed_bytes = 0;
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Idle(work) => Ok(work),
            State::Busy(handle) => match handle.await {
                Ok(work) => work,
                Err(error) => Err(LakeError::Internal(format!("encoding {} stopped: {error}", self.stem))),
            },
            State::Failed => Err(LakeError::Internal(format!("{} failed before", self.stem))),
        }
    }

    async fn start(&mut self, then: Then) -> Result<(), LakeError> {
        let mut work = self.idle().await?;
        self.open_bytes = work.open.as_ref().map_or(0, |open| open.writer.memory_size());
        let batches = std::mem::take(&mut self.gathered);
        self.handed_bytes = self.gathered_bytes;
        (self.gathered_bytes, self.gathered_rows) = (0, 0);
        let (settings, stem) = (Arc::clone(&self.settings), self.stem.clone());
        self.state = State::Busy(tokio::task::spawn_blocking(move || {
            work.encode(&settings, &stem, &batches, then)?;
            Ok(work)
        }));
        Ok(())
    }
}

impl Work {
    fn encode(
        &mut self,
        settings: &EncoderSettings,
        stem: &str,
        batches: &[RecordBatch],
        then: Then,
    ) -> Result<(), LakeError> {
        for batch in batches {
            if self.open.is_none() {
                self.open = Some(OpenFile::create(
                    settings,
                    format!("{stem}-{:05}.parquet", self.finished.len()),
                )?);
            }
            let open = self.open.as_mut().expect("a file was opened just now");
            count_nans(batch, &settings.schema, &mut open.nans);
            open.writer
                .write(batch)
                .map_err(|error| LakeError::parquet("write", &open.location, &error))?;
            if (open.writer.bytes_written() + open.writer.in_progress_size()) as u64 >= settings.target_bytes {
                self.finish_file(settings)?;
            }
        }
        match then {
            Then::KeepOpen => {}
            Then::EndRowGroup => {
                if let Some(open) = &mut self.open {
                    open.writer
                        .flush()
                        .map_err(|error| LakeError::parquet("write", &open.location, &error))?;
                }
            }
            Then::Close => self.finish_file(settings)?,
        }
        Ok(())
    }

    fn finish_file(&mut self, settings: &EncoderSettings) -> Result<(), LakeError> {
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        let metadata = open
            .writer
            .finish()
            .map_err(|error| LakeError::parquet("write", &open.location, &error))?;
        let file = open.file.take()?;
        let record = record(
            open.location.clone(),
            file.written(),
            &metadata,
            &settings.schema,
            &open.nans,
        );
        self.finished.push((file, record));
        Ok(())
    }
}

impl OpenFile {
    fn create(settings: &EncoderSettings, location: String) -> Result<Self, LakeError> {
        let file = SharedFile(Arc::new(Mutex::new(Some(settings.storage.create(&location)?))));
        let options = ArrowWriterOptions::new().with_properties(settings.properties.clone());
        let writer = ArrowWriter::try_new_with_options(file.clone(), Arc::clone(&settings.arrow), options)
            .map_err(|error| LakeError::parquet("write", &location, &error))?;
        Ok(Self {
            writer,
            file,
            location,
            nans: BTreeMap::new(),
        })
    }
}

/// NaN values per float column; only columns of `schema` at the top.
fn count_nans(batch: &RecordBatch, schema: &Schema, counts: &mut BTreeMap<i32, u64>) {
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let Some(known) = schema.as_struct().field_by_name(field.name()) else {
            continue;
        };
        let nans = match field.data_type() {
            arrow::datatypes::DataType::Float32 => column
                .as_primitive::<Float32Type>()
                .iter()
                .flatten()
                .filter(|value| value.is_nan())
                .count(),
            arrow::datatypes::DataType::Float64 => column
                .as_primitive::<Float64Type>()
                .iter()
                .flatten()
                .filter(|value| value.is_nan())
                .count(),
            _ => continue,
        };
        *counts.entry(known.id).or_default() += nans as u64;
    }
}

/// A file under a Parquet writer that keeps it once it has finished: the last word is ours, since the file is still to be synced.
#[derive(Debug, Clone)]
struct SharedFile(Arc<Mutex<Option<UnsealedFile>>>);

impl SharedFile {
    fn take(&self) -> Result<UnsealedFile, LakeError> {
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        file.ok_or_else(|| LakeError::Internal("a data file was finished twice".to_owned()))
    }

    fn with<T>(&self, act: impl FnOnce(&mut UnsealedFile) -> io::Result<T>) -> io::Result<T> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => act(file),
            None => Err(io::Error::other("the data file was finished before")),
        }
    }
}

impl Write for SharedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(UnsealedFile::flush)
    }
}
