//! Rows to merge that do not fit into memory: put aside in files of a scratch folder, in Arrow's own stream format, and read again.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::internal;
use crate::lakehouse::LakeError;

/// A part of the rows that are split is so much of what may be held: beside it its keys are in memory, and its values once more.
const PART_OF_HELD: u64 = 2;

/// Where rows are put aside, and from how many bytes on.
pub struct MergeScratch {
    folder: PathBuf,
    most_bytes: u64,
    written: AtomicU64,
}

impl MergeScratch {
    /// Rows of more than `most_bytes` are put aside in files of this folder, which is its owner's to empty.
    pub fn new(folder: PathBuf, most_bytes: u64) -> Self {
        Self {
            folder,
            most_bytes,
            written: AtomicU64::new(0),
        }
    }

    /// Whether so many bytes may be in memory.
    pub fn holds(&self, bytes: u64) -> bool {
        bytes <= self.most_bytes
    }

    /// Into how many parts rows of so many bytes are split.
    pub(super) fn parts_of(&self, bytes: u64) -> usize {
        let part = (self.most_bytes / PART_OF_HELD).max(1);
        usize::try_from(bytes.div_ceil(part))
            .unwrap_or(usize::MAX)
            .clamp(1, 1 << 12)
    }

    fn write(&self, batches: &[RecordBatch]) -> Result<PathBuf, LakeError> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("merge-{number}.arrow"));
        let failed = |error: ArrowError| match error {
            ArrowError::IoError(_, source) => LakeError::io("write", path.display(), source),
            error => internal(error),
        };
        let file = File::create(&path).map_err(|error| LakeError::io("create", path.display(), error))?;
        let mut writer = StreamWriter::try_new(BufWriter::new(file), &batches[0].schema()).map_err(failed)?;
        for batch in batches {
            writer.write(&in_full(batch)?).map_err(failed)?;
        }
        writer.finish().map_err(failed)?;
        let mut buffered = writer.into_inner().map_err(failed)?;
        buffered
            .flush()
            .map_err(|error| LakeError::io("write", path.display(), error))?;
        Ok(path)
    }
}

/// The rows to merge of one partition, or a part of them.
#[derive(Default)]
pub struct RowsToMerge {
    held: Vec<RecordBatch>,
    files: Vec<PathBuf>,
    bytes: u64,
}

impl RowsToMerge {
    /// Adds rows, in memory; how many bytes they take there.
    pub fn push(&mut self, batch: RecordBatch) -> u64 {
        let bytes = batch.get_array_memory_size() as u64;
        self.bytes += bytes;
        self.held.push(batch);
        bytes
    }

    /// How many bytes the rows take in memory, or would.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes what is in memory to a file.
    ///
    /// # Errors
    /// It cannot be written: the disk is full.
    pub fn put_aside(&mut self, scratch: &MergeScratch) -> Result<(), LakeError> {
        if !self.held.is_empty() {
            self.files.push(scratch.write(&self.held)?);
            self.held.clear();
        }
        Ok(())
    }

    /// All of them, in the order in which they came.
    pub(super) fn batches(&self) -> Result<impl Iterator<Item = Result<RecordBatch, LakeError>>, LakeError> {
        let files = self.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(files.into_iter().flatten().chain(self.held.iter().cloned().map(Ok)))
    }

    /// The same, and their files are gone once they were read.
    pub(super) fn into_batches(mut self) -> Result<impl Iterator<Item = Result<RecordBatch, LakeError>>, LakeError> {
        // A file that is open is read to its end, though it has no name any more.
        let files = self.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let held = std::mem::take(&mut self.held);
        Ok(files.into_iter().flatten().chain(held.into_iter().map(Ok)))
    }
}

impl Drop for RowsToMerge {
    fn drop(&mut self) {
        for path in &self.files {
            // What cannot be removed now goes with the folder.
            std::fs::remove_file(path).ok();
        }
    }
}

fn read(path: &PathBuf) -> Result<impl Iterator<Item = Result<RecordBatch, LakeError>> + use<>, LakeError> {
    let file = File::open(path).map_err(|error| LakeError::io("open", path.display(), error))?;
    let reader = StreamReader::try_new(BufReader::new(file), None).map_err(internal)?;
    Ok(reader.map(|batch| batch.map_err(internal)))
}

/// In which of so many parts a key belongs.
pub(super) fn part_of(key: &[u8], many: usize) -> usize {
    // The same in every process.
    let hash = ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one(key);
    (hash % many as u64) as usize
}

/// Without the rows beside it that its buffers hold, of which a batch that was taken apart has many.
fn in_full(batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
    let columns = batch.columns().iter().map(|column| -> ArrayRef {
        match column.data_type() {
            DataType::Utf8View => Arc::new(column.as_string_view().gc()),
            DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
            _ => Arc::clone(column),
        }
    });
    RecordBatch::try_new(batch.schema(), columns.collect()).map_err(internal)
}
