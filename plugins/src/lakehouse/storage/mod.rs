//! Files of the warehouse, on local disk or in an S3-compatible store, written so that a crash leaves the old state or the new one.
//!
//! A file is [created](LakeStorage::create), written, and *sealed*: durable, complete and under its name. Until it is sealed nobody
//! sees it, and nothing refers to it before the pointer to a new version of the table moves, which is not kept here. So no store
//! needs conditional writes. Many files are sealed together, because syncs and uploads that wait side by side cost little more
//! than one.
//!
//! | file | what |
//! |---|---|
//! | `local` | a folder: temporary name, sync, link, folder sync |
//! | `objects` | a bucket: written to this machine first, uploaded whole or in parts, looked at again |
//! | `small_files` | a bucket that is asked for a small file once |
//! | `own_folder` | what keeps a storage from changing anything outside of a folder |
//! | `seal_together` | the files of one commit, sealed at its end |
//!
//! The Iceberg library reaches the same files through its own [`iceberg::io::Storage`] trait. A path is what follows `file://` or
//! `s3://bucket/`, letter by letter: nothing is percent-decoded, as in the other Iceberg libraries. This module knows nothing of tables.

mod local;
mod object_files;
mod objects;
mod own_folder;
mod seal_together;
mod small_files;

pub use local::{LocalStorage, LocalStorageFactory};
pub use objects::{ObjectFile, ObjectStorage, S3Credentials, S3Error};

pub(crate) use local::local_path;
pub(crate) use objects::{is_of_store, of_store, refused};
pub(crate) use seal_together::SealTogether;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use iceberg::io::{FileIO, FileIOBuilder, Storage};
use iceberg::{Error, ErrorKind};
use object_store::ObjectStore;

/// Where the files of a warehouse are.
#[derive(Debug, Clone)]
pub enum LakeStorage {
    /// In a folder.
    Local(LocalStorage),
    /// In a bucket.
    Objects(ObjectStorage),
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// Where, as [`LakeStorage::same`] writes it.
    pub location: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last written.
    pub written: SystemTime,
}

impl LakeStorage {
    /// The same files, of which only those below `folder` can be written or removed: see [`own_folder`].
    pub fn writing_below(self, folder: &str) -> Result<Self, PathError> {
        Ok(match self {
            Self::Local(storage) => Self::Local(storage.writing_below(folder)?),
            Self::Objects(storage) => Self::Objects(storage.writing_below(folder)?),
        })
    }

    /// Begins a file. Nobody sees it under its name yet.
    pub fn create(&self, location: &str) -> Result<UnsealedFile, PathError> {
        match self {
            Self::Local(storage) => storage.create(location),
            Self::Objects(storage) => storage.create(location),
        }
    }

    /// Makes the files durable under their names, side by side. On local disk a name that is taken is an error; a bucket cannot tell
    /// (names have random parts).
    ///
    /// When it returns an error, some of the files may have got their names; none of them is referenced by anything.
    pub async fn seal(&self, files: Vec<UnsealedFile>) -> Result<(), PathError> {
        match self {
            Self::Local(storage) => storage.seal(files).await,
            Self::Objects(storage) => storage.seal(files).await,
        }
    }

    /// Removes files; those that are gone already are fine. What became of each, in their order.
    pub async fn remove_all(&self, locations: &[String]) -> Vec<Result<(), PathError>> {
        match self {
            Self::Local(storage) => storage.remove_all(locations).await,
            Self::Objects(storage) => storage.remove_all(locations).await,
        }
    }

    /// Removes a file; one that is gone already is fine.
    pub async fn remove(&self, location: &str) -> Result<(), PathError> {
        match self {
            Self::Local(storage) => storage.remove(location),
            Self::Objects(storage) => storage.remove(location).await,
        }
    }

    /// Reads a whole file.
    pub async fn read_file(&self, location: &str) -> Result<Bytes, PathError> {
        match self {
            Self::Local(storage) => storage.read_file(location).await,
            Self::Objects(storage) => storage.read_file(location).await,
        }
    }

    /// Reads small files whole and at once, where that is quicker than one by one as somebody asks: `None` in a bucket.
    pub(super) async fn read_at_once(&self, locations: &[&str]) -> Result<Option<Vec<Bytes>>, PathError> {
        match self {
            Self::Local(storage) => storage.read_files(locations).await.map(Some),
            Self::Objects(_) => Ok(None),
        }
    }

    /// The size of a file and its last `most` bytes.
    pub async fn end_of(&self, location: &str, most: u64) -> Result<(u64, Bytes), PathError> {
        match self {
            Self::Local(storage) => storage.end_of(location, most).await,
            Self::Objects(storage) => storage.end_of(location, most).await,
        }
    }

    /// Every file below a folder, in no order; links are not followed. A folder that is not there has none.
    pub async fn list(&self, folder: &str) -> Result<Vec<ListedFile>, PathError> {
        match self {
            Self::Local(storage) => storage.list(folder).await,
            Self::Objects(storage) => storage.list(folder).await,
        }
    }

    /// A location in the one spelling that two names of the same file share: writers differ in their schemes.
    pub fn same(&self, location: &str) -> Result<String, PathError> {
        match self {
            Self::Local(_) => Ok(local_path(location)?.to_string_lossy().into_owned()),
            Self::Objects(storage) => storage.same(location),
        }
    }

    /// The path of a file within the store that DataFusion reads it from.
    pub(crate) fn path_in_store(&self, location: &str) -> Result<object_store::path::Path, PathError> {
        match self {
            Self::Local(_) => {
                let path = local_path(location)?;
                let text = path.to_string_lossy();
                // `parse`, not `from`: the letters of the path stay as they are, `%` included.
                object_store::path::Path::parse(text.trim_start_matches('/'))
                    .map_err(|error| unreachable(location, error))
            }
            Self::Objects(storage) => storage.key(location),
        }
    }

    /// The store to give to DataFusion, with the URL that it goes by; `None` for the local disk, which DataFusion knows.
    pub(crate) fn object_store(&self) -> Option<(String, Arc<dyn ObjectStore>)> {
        match self {
            Self::Local(_) => None,
            Self::Objects(storage) => Some((storage.root(), storage.small_files())),
        }
    }

    pub(crate) fn io(&self) -> FileIO {
        match self {
            Self::Local(storage) => FileIOBuilder::new(Arc::new(LocalStorageFactory::new(storage.clone()))),
            Self::Objects(storage) => FileIOBuilder::new(Arc::new(objects::ObjectStorageFactory::new(storage.clone()))),
        }
        .build()
    }

    fn as_iceberg(&self) -> &dyn Storage {
        match self {
            Self::Local(storage) => storage,
            Self::Objects(storage) => storage,
        }
    }
}

/// A file that is not under its name yet. Dropped without being sealed, it is gone.
#[derive(Debug)]
pub struct UnsealedFile {
    file: Option<File>,
    /// Its name until then; a file that is to be uploaded has none.
    temporary: Option<PathBuf>,
    path: PathBuf,
    written: u64,
}

impl UnsealedFile {
    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The name that it gets.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> &File {
        self.file
            .as_ref()
            .expect("an unsealed file is open until it is sealed or dropped")
    }
}

impl Write for UnsealedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = self
            .file
            .as_mut()
            .expect("an unsealed file is open until it is sealed or dropped");
        let written = file.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for UnsealedFile {
    fn drop(&mut self) {
        if self.file.take().is_some()
            && let Some(temporary) = &self.temporary
        {
            // Best effort: what stays behind has a temporary name and is nobody's data.
            drop(fs::remove_file(temporary));
        }
    }
}

/// An error of the operating system or of a store with the path that it is about.
#[derive(Debug, thiserror::Error)]
#[error("{action} `{}`: {source}", path.display())]
pub struct PathError {
    /// What was tried.
    pub action: &'static str,
    /// On which file or folder.
    pub path: PathBuf,
    /// The error, with its kind.
    pub source: io::Error,
}

impl PathError {
    fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self { action, path, source }
    }
}

impl From<PathError> for super::LakeError {
    fn from(error: PathError) -> Self {
        super::LakeError::io(error.action, error.path.display(), error.source)
    }
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        let kind = match error.source.kind() {
            io::ErrorKind::AlreadyExists => ErrorKind::PreconditionFailed,
            _ => ErrorKind::Unexpected,
        };
        Error::new(kind, format!("{} {}", error.action, error.path.display())).with_source(error.source)
    }
}

fn unreachable(location: &str, why: impl std::fmt::Display) -> PathError {
    PathError {
        action: "reach",
        path: PathBuf::from(location),
        source: io::Error::new(io::ErrorKind::InvalidInput, why.to_string()),
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unexpected, "write to a file that was closed")
}
