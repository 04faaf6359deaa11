//! Files of the warehouse on local disk.
//!
//! Every file is written under a temporary name and sealed: synced, linked to its own name without replacing anything that
//! is there, and the folder synced; the entries of folders that are new go into their parents.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::Result;
use iceberg::io::{FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig, StorageFactory};
use serde::{Deserialize, Serialize};

use super::own_folder::OwnFolder;
use super::{ListedFile, PathError, UnsealedFile, closed, unreachable};

/// Local disk as an Iceberg storage. Clones share what they know of folders.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LocalStorage {
    /// Folders whose entry in their parent is known to be synced.
    #[serde(skip)]
    synced_folders: Arc<Mutex<HashSet<PathBuf>>>,
    own: OwnFolder,
}

/// Makes [`LocalStorage`] for the Iceberg library.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LocalStorageFactory {
    storage: LocalStorage,
}

impl LocalStorageFactory {
    /// Hands out clones of `storage`.
    pub fn new(storage: LocalStorage) -> Self {
        Self { storage }
    }
}

#[typetag::serde(name = "millpond_local")]
impl StorageFactory for LocalStorageFactory {
    fn build(&self, _config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.storage.clone()))
    }
}

static TEMPORARY_NAMES: AtomicU64 = AtomicU64::new(0);

impl LocalStorage {
    /// The same, writing and removing only below `folder`.
    pub fn writing_below(mut self, folder: &str) -> std::result::Result<Self, PathError> {
        self.own = OwnFolder::of(&local_path(folder)?.to_string_lossy());
        Ok(self)
    }

    /// Opens a file for writing under a temporary name beside `location`; its folder is made if it is missing.
    pub fn create(&self, location: &str) -> std::result::Result<UnsealedFile, PathError> {
        let path = local_path(location)?;
        self.own.holds("write", &path.to_string_lossy())?;
        let folder = path.parent().ok_or_else(|| not_a_file(&path))?;
        let name = path.file_name().ok_or_else(|| not_a_file(&path))?;
        fs::create_dir_all(folder).map_err(PathError::at("make folder", folder))?;
        loop {
            let number = TEMPORARY_NAMES.fetch_add(1, Ordering::Relaxed);
            // The process id keeps two workers apart; the leading dot keeps listings of data files clean.
            let short: String = name.to_string_lossy().chars().take(40).collect();
            let temporary = folder.join(format!(".{short}.{}-{number}.tmp", std::process::id()));
            match File::options().write(true).create_new(true).open(&temporary) {
                Ok(file) => {
                    return Ok(UnsealedFile {
                        file: Some(file),
                        temporary: Some(temporary),
                        path,
                        written: 0,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(PathError {
                        action: "write",
                        path,
                        source: error,
                    });
                }
            }
        }
    }

    /// Syncs the files side by side, gives them their names, and syncs their folders. Nothing that exists is replaced: a
    /// name that is taken is an error of kind `AlreadyExists`.
    ///
    /// When it returns an error, some of the files may have got their names; none of them is referenced by anything.
    pub async fn seal(&self, files: Vec<UnsealedFile>) -> std::result::Result<(), PathError> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.seal_blocking(files))
            .await
            .expect("sealing does not panic and is not aborted")
    }

    fn seal_blocking(&self, mut files: Vec<UnsealedFile>) -> std::result::Result<(), PathError> {
        side_by_side(&files, |file| {
            file.open().sync_all().map_err(PathError::at("sync", &file.path))
        })?;
        let mut folders = BTreeSet::new();
        let mut ancestors = Vec::new();
        for file in &mut files {
            let temporary = file
                .temporary
                .as_deref()
                .expect("a file of this storage has a temporary name");
            take_name(temporary, &file.path).map_err(PathError::at("write", &file.path))?;
            file.file = None;
            let folder = file.path.parent().expect("a file was created in a folder");
            if folders.insert(folder.to_path_buf()) {
                ancestors.extend(self.unsynced_ancestors(folder));
            }
        }
        folders.extend(
            ancestors
                .iter()
                .filter_map(|folder| folder.parent().map(Path::to_path_buf)),
        );
        let folders: Vec<PathBuf> = folders.into_iter().collect();
        side_by_side(&folders, |folder| sync_folder(folder))?;
        let mut known = self.synced_folders.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(ancestors);
        Ok(())
    }

    /// `folder` and the folders above it whose entries may not be on disk yet.
    fn unsynced_ancestors(&self, folder: &Path) -> Vec<PathBuf> {
        let known = self.synced_folders.lock().unwrap_or_else(PoisonError::into_inner);
        folder
            .ancestors()
            .take_while(|folder| !known.contains(*folder))
            .map(Path::to_path_buf)
            .collect()
    }

    /// Treats `folder` and all above it as being on disk already.
    pub(crate) fn trust(&self, folder: &Path) {
        let mut known = self.synced_folders.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(folder.ancestors().map(Path::to_path_buf));
    }

    /// Removes a file; one that is gone already is fine.
    pub fn remove(&self, location: &str) -> std::result::Result<(), PathError> {
        let path = local_path(location)?;
        self.own.holds("remove", &path.to_string_lossy())?;
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(PathError {
                action: "remove",
                path,
                source: error,
            }),
        }
    }

    pub(super) async fn remove_all(&self, locations: &[String]) -> Vec<std::result::Result<(), PathError>> {
        let (this, locations) = (self.clone(), locations.to_vec());
        blocking(move || locations.iter().map(|location| this.remove(location)).collect()).await
    }

    /// Reads a whole file.
    pub async fn read_file(&self, location: &str) -> std::result::Result<Bytes, PathError> {
        let path = local_path(location)?;
        blocking(move || fs::read(&path).map(Bytes::from).map_err(PathError::at("read", &path))).await
    }

    /// Reads whole files, one after the other on one thread.
    pub(super) async fn read_files(&self, locations: &[&str]) -> std::result::Result<Vec<Bytes>, PathError> {
        let paths: Vec<PathBuf> = locations
            .iter()
            .map(|location| local_path(location))
            .collect::<std::result::Result<_, _>>()?;
        let read = |path: &PathBuf| fs::read(path).map(Bytes::from).map_err(PathError::at("read", path));
        blocking(move || paths.iter().map(read).collect()).await
    }

    pub(super) async fn end_of(&self, location: &str, most: u64) -> std::result::Result<(u64, Bytes), PathError> {
        let path = local_path(location)?;
        blocking(move || {
            let look = || {
                let file = File::open(&path)?;
                let bytes = file.metadata()?.len();
                let mut end = vec![0; bytes.min(most) as usize];
                let from = bytes - end.len() as u64;
                file.read_exact_at(&mut end, from)?;
                Ok((bytes, Bytes::from(end)))
            };
            look().map_err(PathError::at("read", &path))
        })
        .await
    }

    pub(super) async fn list(&self, folder: &str) -> std::result::Result<Vec<ListedFile>, PathError> {
        let folder = local_path(folder)?;
        blocking(move || {
            let mut found = Vec::new();
            walk(&folder, &mut found)?;
            Ok(found)
        })
        .await
    }
}

fn walk(folder: &Path, found: &mut Vec<ListedFile>) -> std::result::Result<(), PathError> {
    let failed = |error| PathError::at("list", folder)(error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        match fs::symlink_metadata(&path) {
            Ok(file) if file.is_dir() => walk(&path, found)?,
            Ok(file) if file.is_file() => found.push(ListedFile {
                location: path.to_string_lossy().into_owned(),
                bytes: file.len(),
                written: file.modified().map_err(failed)?,
            }),
            Ok(_) => {}
            // Someone else removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// The path of a location: what follows `file://`, or an absolute path as it is.
pub(crate) fn local_path(location: &str) -> std::result::Result<PathBuf, PathError> {
    let path = location
        .strip_prefix("file://")
        .or_else(|| location.strip_prefix("file:"))
        .unwrap_or(location);
    let path = Path::new(path);
    if path.is_absolute() {
        Ok(path.to_path_buf())
    } else {
        Err(unreachable(location, "not a `file://` location with an absolute path"))
    }
}

fn not_a_file(path: &Path) -> PathError {
    PathError {
        action: "write",
        path: path.to_path_buf(),
        source: io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"),
    }
}

/// Gives `temporary` the name `path` unless that is taken.
fn take_name(temporary: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, path) {
        Ok(()) => fs::remove_file(temporary),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => {
            // A file system without hard links: reserve the name, then move over the reservation.
            File::options().write(true).create_new(true).open(path)?;
            fs::rename(temporary, path)
        }
    }
}

fn sync_folder(folder: &Path) -> std::result::Result<(), PathError> {
    File::open(folder)
        .and_then(|open| open.sync_all())
        .map_err(PathError::at("sync folder", folder))
}

/// Runs `work` on each item, up to eight at a time: the disk merges syncs that wait together.
fn side_by_side<T: Sync>(
    items: &[T],
    work: impl Fn(&T) -> std::result::Result<(), PathError> + Sync,
) -> std::result::Result<(), PathError> {
    if items.len() < 2 {
        return items.iter().try_for_each(work);
    }
    let next = AtomicU64::new(0);
    let work = &work;
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            work(item)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..items.len().min(8)).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("syncing does not panic"))
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("file work does not panic and is not aborted")
}

#[async_trait]
#[typetag::serde(name = "millpond_local")]
impl Storage for LocalStorage {
    async fn exists(&self, path: &str) -> Result<bool> {
        let path = local_path(path)?;
        Ok(blocking(move || path.try_exists().map_err(PathError::at("look for", &path))).await?)
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        let path = local_path(path)?;
        let size = blocking(move || fs::metadata(&path).map_err(PathError::at("read", &path)))
            .await?
            .len();
        Ok(FileMetadata { size })
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        Ok(self.read_file(path).await?)
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        let path = local_path(path)?;
        let reader = blocking(move || match File::open(&path) {
            Ok(file) => Ok(RangeReader {
                file: Arc::new(file),
                path,
            }),
            Err(source) => Err(PathError {
                action: "read",
                path,
                source,
            }),
        })
        .await?;
        Ok(Box::new(reader))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        let mut writer = self.writer(path).await?;
        writer.write(bytes).await?;
        writer.close().await
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        Ok(Box::new(SealingWriter {
            file: Some(self.create(path)?),
            storage: self.clone(),
        }))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        Ok(self.remove(path)?)
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        let path = local_path(path)?;
        self.own.holds("remove", &path.to_string_lossy())?;
        blocking(move || match fs::remove_dir_all(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(PathError {
                action: "remove",
                path,
                source: error,
            }),
        })
        .await?;
        Ok(())
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> Result<()> {
        while let Some(path) = paths.next().await {
            self.remove(&path)?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

struct RangeReader {
    file: Arc<File>,
    path: PathBuf,
}

#[async_trait]
impl FileRead for RangeReader {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        let bytes = blocking(move || {
            let mut buffer = vec![0; (range.end - range.start) as usize];
            file.read_exact_at(&mut buffer, range.start)
                .map_err(PathError::at("read", &path))?;
            Ok::<_, PathError>(Bytes::from(buffer))
        })
        .await?;
        Ok(bytes)
    }
}

struct SealingWriter {
    file: Option<UnsealedFile>,
    storage: LocalStorage,
}

#[async_trait]
impl FileWrite for SealingWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let file = self.file.as_mut().ok_or_else(closed)?;
        let path = file.path.clone();
        Ok(file.write_all(&bytes).map_err(PathError::at("write", &path))?)
    }

    async fn close(&mut self) -> Result<()> {
        let file = self.file.take().ok_or_else(closed)?;
        Ok(self.storage.seal(vec![file]).await?)
    }
}
