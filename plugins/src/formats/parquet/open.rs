//! Opens a Parquet file without trusting it.
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use ::parquet::errors::ParquetError;

use crate::formats::compression::{Compression, MAGIC_BYTES};
use crate::formats::error::FormatError;
use crate::formats::options::ReadLimits;
use crate::formats::source::{SourceFile, Stamp};

/// An open file and its footer.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) stamp: Stamp,
    pub(super) metadata: ArrowReaderMetadata,
}

pub(super) fn open(source: &SourceFile, limits: &ReadLimits) -> Result<Opened, FormatError> {
    let (mut file, stamp) = source.open()?;
    let mut first = Vec::with_capacity(MAGIC_BYTES);
    file.by_ref()
        .take(MAGIC_BYTES as u64)
        .read_to_end(&mut first)
        .map_err(|error| source.io(error))?;
    file.seek(SeekFrom::Start(0)).map_err(|error| source.io(error))?;
    if Compression::of_bytes(&first) != Compression::Plain {
        return Err(source.unsupported("Parquet is compressed inside the file; unpack the outer compression first"));
    }
    let metadata = guarded(source, stamp, "its footer", || {
        ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())
    })?;
    check_sizes(source, &metadata, limits)?;
    Ok(Opened { file, stamp, metadata })
}

/// Runs a call into the Parquet library. `what` is being read.
pub(super) fn guarded<T, E: Into<ParquetError>>(
    source: &SourceFile,
    stamp: Stamp,
    what: &str,
    call: impl FnOnce() -> Result<T, E>,
) -> Result<T, FormatError> {
    // What the call may have left half done is dropped with the error.
    let reason = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => match error.into() {
            ParquetError::NYI(what) => return Err(source.unsupported(format!("Parquet with {what} is not read"))),
            error => format!("{what} does not read as Parquet ({error})"),
        },
        Err(panic) => {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            format!("{what} does not read as Parquet (the reader gave up: {message})")
        }
    };
    // A file that is being replaced looks damaged; that it changed is the better answer.
    source.verify(stamp)?;
    Err(FormatError::Corrupt {
        file: source.path.clone(),
        offset: None,
        reason,
    })
}

/// Refuses sizes that do not fit the file, before memory is asked for by them.
fn check_sizes(source: &SourceFile, metadata: &ArrowReaderMetadata, limits: &ReadLimits) -> Result<(), FormatError> {
    let corrupt = |reason: &str| FormatError::Corrupt {
        file: source.path.clone(),
        offset: None,
        reason: format!("its footer does not read as Parquet ({reason})"),
    };
    let mut output: u64 = 0;
    for group in metadata.metadata().row_groups() {
        if group.num_rows() < 0 {
            return Err(corrupt("a row group with a negative number of rows"));
        }
        for column in group.columns() {
            let (Ok(packed), Ok(unpacked)) = (
                u64::try_from(column.compressed_size()),
                u64::try_from(column.uncompressed_size()),
            ) else {
                return Err(corrupt("a column with a negative size"));
            };
            if packed > source.size {
                return Err(corrupt("a column larger than the file"));
            }
            output = output.saturating_add(unpacked);
            if unpacked > limits.ratio_after && unpacked / packed.max(1) >= limits.ratio {
                let reason = format!("more than {} for each one", limits.ratio);
                return Err(FormatError::Bomb {
                    file: source.path.clone(),
                    offset: packed,
                    output: unpacked,
                    reason,
                });
            }
        }
    }
    if output > limits.output_bytes {
        let reason = format!("more than {} in all", limits.output_bytes);
        return Err(FormatError::Bomb {
            file: source.path.clone(),
            offset: source.size,
            output,
            reason,
        });
    }
    Ok(())
}
