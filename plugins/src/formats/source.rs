//! A file that was found, and the proof that it is still the same file after the last byte was read.
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::error::FormatError;
use super::objects::Object;

/// A raw file, as it was when it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The path relative to the project's root, with `/`; absolute where the file lies outside it.
    pub path: String,
    /// The path to open; of an object, none.
    pub absolute: PathBuf,
    /// The object that it is, if it is one of a store.
    pub(super) object: Option<Object>,
    /// Bytes on disk.
    pub size: u64,
    /// The last modification, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// The partition key text that `{partition}` captured.
    pub partition: Option<String>,
}

impl SourceFile {
    /// Describes one file without a pattern; `path` is what messages call it.
    pub fn at(absolute: &Path, path: impl Into<String>) -> Result<Self, FormatError> {
        let path = path.into();
        let metadata = fs::metadata(absolute).map_err(|source| FormatError::Io {
            file: path.clone(),
            source,
        })?;
        Ok(Self::from_metadata(absolute.to_owned(), path, &metadata, None))
    }

    pub(super) fn from_metadata(
        absolute: PathBuf,
        path: String,
        metadata: &Metadata,
        partition: Option<String>,
    ) -> Self {
        let stamp = Stamp::of(metadata);
        SourceFile {
            path,
            absolute,
            object: None,
            size: stamp.size,
            modified_ns: stamp.modified_ns,
            partition,
        }
    }

    pub(super) fn io(&self, source: io::Error) -> FormatError {
        FormatError::Io {
            file: self.path.clone(),
            source,
        }
    }

    pub(super) fn unsupported(&self, reason: impl Into<String>) -> FormatError {
        FormatError::Unsupported {
            file: self.path.clone(),
            reason: reason.into(),
        }
    }

    pub(super) fn schema(&self, columns: Vec<String>, reason: impl Into<String>) -> FormatError {
        FormatError::Schema {
            file: self.path.clone(),
            line: None,
            columns,
            reason: reason.into(),
        }
    }

    /// A file of this machine, as it was when it was observed.
    pub fn observed(absolute: PathBuf, path: String, size: u64, modified_ns: i64) -> Self {
        Self {
            path,
            absolute,
            object: None,
            size,
            modified_ns,
            partition: None,
        }
    }

    pub(super) fn changed(&self, how: impl Into<String>) -> FormatError {
        FormatError::Changed {
            file: self.path.clone(),
            how: how.into(),
        }
    }

    /// Opens the file when it is still the one that was found.
    pub(super) fn open(&self) -> Result<(File, Stamp), FormatError> {
        if let Some(object) = &self.object {
            return object.open(self);
        }
        // Opening a named pipe would wait for its writer, so the kind of file is asked for first.
        let before = fs::metadata(&self.absolute).map_err(|error| self.gone_or_io(error))?;
        if !before.is_file() {
            return Err(self.unsupported("it is not a regular file"));
        }
        let file = File::open(&self.absolute).map_err(|error| self.gone_or_io(error))?;
        let stamp = Stamp::of(&file.metadata().map_err(|error| self.io(error))?);
        if stamp.size != self.size {
            return Err(self.changed(format!("{} bytes when it was found, {} now", self.size, stamp.size)));
        }
        if stamp.modified_ns != self.modified_ns {
            return Err(self.changed("written again since it was found"));
        }
        Ok((file, stamp))
    }

    /// Fails when the file at the path is no longer the one that was opened.
    pub(super) fn verify(&self, opened: Stamp) -> Result<(), FormatError> {
        if let Some(object) = &self.object {
            return object.verify(self);
        }
        let now = Stamp::of(&fs::metadata(&self.absolute).map_err(|error| self.gone_or_io(error))?);
        if now.identity != opened.identity {
            return Err(self.changed("another file took its place"));
        }
        if now.size != opened.size {
            return Err(self.changed(format!("from {} bytes to {}", opened.size, now.size)));
        }
        if now.modified_ns != opened.modified_ns {
            return Err(self.changed("written again"));
        }
        Ok(())
    }

    fn gone_or_io(&self, error: io::Error) -> FormatError {
        if error.kind() == io::ErrorKind::NotFound {
            self.changed("it is gone")
        } else {
            self.io(error)
        }
    }
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    modified_ns: i64,
    /// Device and inode where the system has them.
    identity: (u64, u64),
}

impl Stamp {
    pub(super) fn of_object(size: u64, modified_ns: i64) -> Self {
        Stamp {
            size,
            modified_ns,
            identity: (0, 0),
        }
    }

    fn of(metadata: &Metadata) -> Self {
        Stamp {
            size: metadata.len(),
            modified_ns: modified_ns(metadata),
            identity: identity(metadata),
        }
    }
}

fn modified_ns(metadata: &Metadata) -> i64 {
    // A file system without modification times leaves size and identity to compare.
    let Ok(modified) = metadata.modified() else { return 0 };
    match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanoseconds| -nanoseconds),
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_metadata: &Metadata) -> (u64, u64) {
    (0, 0)
}
