//! The storage of objects as the table library asks for it: files that are read in ranges, and written as a whole.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::Result;
use iceberg::io::{FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage};
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};

use super::objects::{ObjectStorage, asked};
use super::{PathError, UnsealedFile, closed};

#[async_trait]
#[typetag::serde(name = "millpond_objects")]
impl Storage for ObjectStorage {
    async fn exists(&self, path: &str) -> Result<bool> {
        match self.store().head(&self.key(path)?).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(asked("look for", path, error).into()),
        }
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        let found = self.store().head(&self.key(path)?).await;
        let size = found.map_err(|error| asked("read", path, error))?.size;
        Ok(FileMetadata { size })
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        Ok(self.read_file(path).await?)
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        Ok(Box::new(RangeReader {
            key: self.key(path)?,
            location: path.to_owned(),
            store: self.small_files(),
        }))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        let mut writer = self.writer(path).await?;
        writer.write(bytes).await?;
        writer.close().await
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        Ok(Box::new(UploadingWriter {
            file: Some(self.create(path)?),
            storage: self.clone(),
        }))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        Ok(self.remove(path).await?)
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        for file in self.list(path).await? {
            self.remove(&file.location).await?;
        }
        Ok(())
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> Result<()> {
        while let Some(path) = paths.next().await {
            self.remove(&path).await?;
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
    key: Key,
    location: String,
    store: Arc<dyn ObjectStore>,
}

#[async_trait]
impl FileRead for RangeReader {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let read = self.store.get_range(&self.key, range).await;
        Ok(read.map_err(|error| asked("read", &self.location, error))?)
    }
}

struct UploadingWriter {
    file: Option<UnsealedFile>,
    storage: ObjectStorage,
}

#[async_trait]
impl FileWrite for UploadingWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        use std::io::Write;
        let file = self.file.as_mut().ok_or_else(closed)?;
        let path = file.path.clone();
        Ok(file.write_all(&bytes).map_err(PathError::at("write", &path))?)
    }

    async fn close(&mut self) -> Result<()> {
        let file = self.file.take().ok_or_else(closed)?;
        Ok(self.storage.seal(vec![file]).await?)
    }
}
