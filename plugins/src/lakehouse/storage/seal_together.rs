//! The files of one commit, sealed at its end.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use iceberg::Result;
use iceberg::io::{FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage};
use serde::{Deserialize, Serialize};

use super::{LakeStorage, LocalStorage, PathError, UnsealedFile, closed};

/// A storage whose written files stay unsealed until [`SealTogether::seal`]: the files of one commit are synced together.
///
/// That is safe because nothing points to any of them before the commit's pointer moves, and it moves after `seal`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SealTogether {
    /// The trait wants a form to write down, which nobody uses.
    #[serde(skip, default = "nowhere")]
    storage: LakeStorage,
    #[serde(skip)]
    waiting: Arc<Mutex<Vec<UnsealedFile>>>,
}

impl SealTogether {
    pub(crate) fn new(storage: LakeStorage) -> Self {
        Self {
            storage,
            waiting: Arc::default(),
        }
    }

    /// Writes one whole file.
    pub(crate) fn put(&self, location: &str, bytes: &[u8]) -> std::result::Result<(), PathError> {
        let mut file = self.storage.create(location)?;
        let path = file.path.clone();
        file.write_all(bytes).map_err(PathError::at("write", &path))?;
        self.lock().push(file);
        Ok(())
    }

    /// Seals all that was written.
    pub(crate) async fn seal(&self) -> std::result::Result<(), PathError> {
        let files = std::mem::take(&mut *self.lock());
        self.storage.seal(files).await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<UnsealedFile>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nowhere() -> LakeStorage {
    LakeStorage::Local(LocalStorage::default())
}

#[async_trait]
#[typetag::serde(name = "millpond_seal_together")]
impl Storage for SealTogether {
    async fn exists(&self, path: &str) -> Result<bool> {
        self.storage.as_iceberg().exists(path).await
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        self.storage.as_iceberg().metadata(path).await
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        self.storage.as_iceberg().read(path).await
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        self.storage.as_iceberg().reader(path).await
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        Ok(self.put(path, &bytes)?)
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        Ok(Box::new(WaitingWriter {
            file: Some(self.storage.create(path)?),
            owner: self.clone(),
        }))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.storage.as_iceberg().delete(path).await
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        self.storage.as_iceberg().delete_prefix(path).await
    }

    async fn delete_stream(&self, paths: BoxStream<'static, String>) -> Result<()> {
        self.storage.as_iceberg().delete_stream(paths).await
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

struct WaitingWriter {
    file: Option<UnsealedFile>,
    owner: SealTogether,
}

#[async_trait]
impl FileWrite for WaitingWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let file = self.file.as_mut().ok_or_else(closed)?;
        let path = file.path.clone();
        Ok(file.write_all(&bytes).map_err(PathError::at("write", &path))?)
    }

    async fn close(&mut self) -> Result<()> {
        let file = self.file.take().ok_or_else(closed)?;
        self.owner.lock().push(file);
        Ok(())
    }
}
