//! Files of the warehouse in a bucket of an S3-compatible store.
//!
//! A file is written to this machine's disk first, without a name, so that it costs no memory and vanishes with the process; sealing
//! uploads it, in parts if it is large, and then asks the store whether it has it whole: one that says yes and keeps nothing, or half,
//! is found out before a table refers to the file. Requests are tried again by the library, within limits.
//!
//! Nothing here relies on conditional writes, which some stores accept and ignore: names have random parts, and which version of a
//! table is the current one is kept elsewhere. Parts of an upload that a crash cut short stay in the bucket, unseen, until a rule of the
//! bucket removes them.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use assets::warehouse::S3Store;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use futures::{StreamExt, TryStreamExt};
use iceberg::Result;
use iceberg::io::{Storage, StorageConfig, StorageFactory};
use object_store::aws::{AmazonS3Builder, AwsCredential, AwsCredentialProvider};
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload,
    RetryConfig,
};
use serde::{Deserialize, Serialize};

use super::own_folder::OwnFolder;
use super::small_files::{SMALL_BYTES, SmallFiles};
use super::{ListedFile, PathError, UnsealedFile, unreachable};

/// Larger files are uploaded in parts of this size. The smallest that a store takes is 5 MiB, and 10,000 are the most.
const PART_BYTES: u64 = 16 << 20;
/// Requests at the same time: files, or parts of one file.
const TOGETHER: usize = 8;
const PARTS_TOGETHER: usize = 4;
/// How long one request may take, where the project does not say.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request is tried again, where the project does not say.
const RETRY_WITHIN: Duration = Duration::from_secs(90);

/// Tells the keys of a store each time they are needed.
#[async_trait]
pub trait S3Credentials: std::fmt::Debug + Send + Sync {
    /// The id of the key, the secret one, and the token of a session if there is one; or why they are not known.
    async fn look_up(&self) -> std::result::Result<(String, String, Option<String>), String>;
}

/// Why a store cannot be reached the way it is declared.
#[derive(Debug, thiserror::Error)]
#[error("the store of `{location}` cannot be reached: {reason}")]
pub struct S3Error {
    location: String,
    reason: String,
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFile {
    /// `s3://bucket/key`.
    pub url: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last written; stores tell it to the second, or closer.
    pub written: std::time::SystemTime,
    /// What changes whenever its bytes do; empty where the store does not tell.
    pub tag: String,
}

/// A bucket as an Iceberg storage. Clones share the connections.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ObjectStorage {
    bucket: String,
    /// The trait wants a form to write down, which nobody uses.
    #[serde(skip)]
    store: Option<Arc<dyn ObjectStore>>,
    /// The same for reading data files.
    #[serde(skip)]
    small_files: Option<Arc<SmallFiles>>,
    #[serde(skip)]
    spool: PathBuf,
    own: OwnFolder,
}

/// Makes [`ObjectStorage`] for the Iceberg library.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct ObjectStorageFactory {
    storage: ObjectStorage,
}

impl ObjectStorageFactory {
    pub(super) fn new(storage: ObjectStorage) -> Self {
        Self { storage }
    }
}

#[typetag::serde(name = "millpond_objects")]
impl StorageFactory for ObjectStorageFactory {
    fn build(&self, _config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.storage.clone()))
    }
}

#[derive(Debug)]
struct Keys(Arc<dyn S3Credentials>);

#[async_trait]
impl object_store::CredentialProvider for Keys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let (key_id, secret_key, token) =
            self.0
                .look_up()
                .await
                .map_err(|reason| object_store::Error::Unauthenticated {
                    path: String::new(),
                    source: reason.into(),
                })?;
        Ok(Arc::new(AwsCredential {
            key_id,
            secret_key,
            token,
        }))
    }
}

impl ObjectStorage {
    /// The bucket of `location` (`s3://bucket/prefix`). Nothing is asked of the store yet. Without `credentials` the store is asked
    /// with those of the machine: its role, or that of its container.
    ///
    /// What is to be uploaded waits in the folder `spool`, which is made when it is needed.
    pub fn connect(
        location: &str,
        declared: &S3Store,
        credentials: Option<Arc<dyn S3Credentials>>,
        spool: &Path,
    ) -> std::result::Result<Self, S3Error> {
        let wrong = |reason: String| S3Error {
            location: location.to_owned(),
            reason,
        };
        let (bucket, _) = bucket_and_key(location).ok_or_else(|| wrong("it names no bucket".to_owned()))?;
        let endpoint = declared.endpoint.as_deref();
        let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
        let options = ClientOptions::new()
            .with_timeout(declared.timeout.unwrap_or(REQUEST_TIMEOUT))
            .with_connect_timeout(Duration::from_secs(5).min(declared.timeout.unwrap_or(REQUEST_TIMEOUT)))
            .with_allow_http(plain);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(declared.region.as_deref().unwrap_or("us-east-1"))
            .with_virtual_hosted_style_request(!declared.path_style.unwrap_or(endpoint.is_some()))
            .with_client_options(options)
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(100),
                    max_backoff: Duration::from_secs(5),
                    base: 2.0,
                },
                max_retries: 20,
                retry_timeout: declared.retry_within.unwrap_or(RETRY_WITHIN),
            });
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        if let Some(credentials) = credentials {
            builder = builder.with_credentials(Arc::new(Keys(credentials)) as AwsCredentialProvider);
        }
        let store: Arc<dyn ObjectStore> = Arc::new(builder.build().map_err(|error| wrong(error.to_string()))?);
        Ok(Self {
            bucket: bucket.to_owned(),
            small_files: Some(Arc::new(SmallFiles::over(Arc::clone(&store)))),
            store: Some(store),
            spool: spool.to_owned(),
            own: OwnFolder::default(),
        })
    }

    /// The same, writing and removing only below `folder`.
    pub(super) fn writing_below(mut self, folder: &str) -> std::result::Result<Self, PathError> {
        self.own = OwnFolder::of(&self.same(folder)?);
        Ok(self)
    }

    /// `s3://bucket`.
    pub(super) fn root(&self) -> String {
        format!("s3://{}", self.bucket)
    }

    pub(super) fn store(&self) -> Arc<dyn ObjectStore> {
        let store = self.store.as_ref();
        Arc::clone(store.expect("a storage is made by connecting; its written form is never read"))
    }

    /// The store for reading data files.
    pub(super) fn small_files(&self) -> Arc<SmallFiles> {
        let store = self.small_files.as_ref();
        Arc::clone(store.expect("a storage is made by connecting; its written form is never read"))
    }

    pub(super) fn key(&self, location: &str) -> std::result::Result<Key, PathError> {
        match bucket_and_key(location) {
            Some((bucket, key)) if bucket == self.bucket => {
                Key::parse(key).map_err(|error| unreachable(location, error))
            }
            Some((bucket, _)) => Err(unreachable(
                location,
                format!("it is in the bucket `{bucket}`, and the warehouse in `{}`", self.bucket),
            )),
            None => Err(unreachable(location, "not an `s3://` location")),
        }
    }

    pub(super) fn same(&self, location: &str) -> std::result::Result<String, PathError> {
        Ok(self.located(&self.key(location)?))
    }

    fn located(&self, key: &Key) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    pub(super) fn create(&self, location: &str) -> std::result::Result<UnsealedFile, PathError> {
        self.own.holds("write", &self.same(location)?)?;
        let file = nameless(&self.spool).map_err(PathError::at("write", &self.spool))?;
        Ok(UnsealedFile {
            file: Some(file),
            temporary: None,
            path: PathBuf::from(location),
            written: 0,
        })
    }

    pub(super) async fn seal(&self, files: Vec<UnsealedFile>) -> std::result::Result<(), PathError> {
        stream::iter(files.into_iter().map(|file| self.upload(file)))
            .buffer_unordered(TOGETHER)
            .try_collect()
            .await
    }

    async fn upload(&self, file: UnsealedFile) -> std::result::Result<(), PathError> {
        let location = file.path.to_string_lossy().into_owned();
        let (key, bytes, store) = (self.key(&location)?, file.written, self.store());
        let mut small = None;
        if bytes <= PART_BYTES {
            let (_, whole) = part(file, 0, bytes).await?;
            small = (bytes <= SMALL_BYTES).then(|| whole.clone());
            let sent = store.put(&key, PutPayload::from_bytes(whole)).await;
            sent.map_err(|error| asked("write", &location, error))?;
        } else {
            self.upload_in_parts(file, &key).await?;
        }
        let kept = match store.head(&key).await {
            Ok(kept) => Some(kept.size),
            Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => return Err(asked("look for", &location, error)),
        };
        if kept == Some(bytes) {
            if let Some(whole) = small
                && location.ends_with(".parquet")
            {
                // Checks read what was staged just now.
                self.small_files().keep(&key, whole);
            }
            return Ok(());
        }
        let has = kept.map_or_else(|| "nothing".to_owned(), |kept| kept.to_string());
        Err(PathError {
            action: "write",
            path: PathBuf::from(location),
            source: of_store(
                io::ErrorKind::Other,
                format!("the store took {bytes} bytes and has {has}"),
            ),
        })
    }

    async fn upload_in_parts(&self, mut file: UnsealedFile, key: &Key) -> std::result::Result<(), PathError> {
        let (location, bytes, store) = (file.path.to_string_lossy().into_owned(), file.written, self.store());
        let failed = |error| asked("write", &location, error);
        let mut upload = store.put_multipart(key).await.map_err(failed)?;
        let mut sending = stream::FuturesUnordered::new();
        let (mut at, mut outcome) = (0, Ok(()));
        // Parts have the order in which they are begun.
        loop {
            if at < bytes && sending.len() < PARTS_TOGETHER && outcome.is_ok() {
                let (back, read) = part(file, at, PART_BYTES.min(bytes - at)).await?;
                file = back;
                at += read.len() as u64;
                sending.push(upload.put_part(PutPayload::from_bytes(read)));
            } else {
                match sending.next().await {
                    Some(sent) => outcome = outcome.and(sent),
                    None => break,
                }
            }
        }
        drop(sending);
        let outcome = match outcome {
            Ok(()) => upload.complete().await.map(drop),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            // Best effort: what stays is unseen.
            upload.abort().await.ok();
        }
        outcome.map_err(failed)
    }

    pub(super) async fn remove(&self, location: &str) -> std::result::Result<(), PathError> {
        self.own.holds("remove", &self.same(location)?)?;
        match self.store().delete(&self.key(location)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(asked("remove", location, error)),
        }
    }

    pub(super) async fn remove_all(&self, locations: &[String]) -> Vec<std::result::Result<(), PathError>> {
        let removals = locations.to_vec().into_iter().map(|location| {
            let this = self.clone();
            async move { this.remove(&location).await }
        });
        stream::iter(removals).buffered(TOGETHER).collect().await
    }

    pub(super) async fn read_file(&self, location: &str) -> std::result::Result<Bytes, PathError> {
        let failed = |error| asked("read", location, error);
        let found = self.store().get(&self.key(location)?).await.map_err(failed)?;
        found.bytes().await.map_err(failed)
    }

    pub(super) async fn end_of(&self, location: &str, most: u64) -> std::result::Result<(u64, Bytes), PathError> {
        let failed = |error| asked("read", location, error);
        let (key, store) = (self.key(location)?, self.store());
        let options = GetOptions {
            range: Some(GetRange::Suffix(most)),
            ..GetOptions::default()
        };
        match store.get_opts(&key, options).await {
            Ok(found) => {
                let bytes = found.meta.size;
                Ok((bytes, found.bytes().await.map_err(failed)?))
            }
            Err(error @ object_store::Error::NotFound { .. }) => Err(failed(error)),
            // An empty file has no last bytes, which stores answer with an error.
            Err(_) => {
                let bytes = store.head(&key).await.map_err(failed)?.size;
                let end = store.get_range(&key, bytes.saturating_sub(most)..bytes);
                match bytes {
                    0 => Ok((0, Bytes::new())),
                    _ => Ok((bytes, end.await.map_err(failed)?)),
                }
            }
        }
    }

    /// What the store says of an object; `None` if it is not there.
    ///
    /// # Errors
    /// The store does not answer, or refuses.
    pub async fn look_at(&self, location: &str) -> std::result::Result<Option<ObjectFile>, PathError> {
        match self.store().head(&self.key(location)?).await {
            Ok(found) => Ok(Some(self.file(found))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(asked("look at", location, error)),
        }
    }

    /// The objects below a folder, in no order.
    ///
    /// # Errors
    /// As [`Self::look_at`].
    pub async fn files(&self, folder: &str) -> std::result::Result<Vec<ObjectFile>, PathError> {
        let key = match bucket_and_key(folder) {
            Some((_, "")) => None,
            _ => Some(self.key(folder)?),
        };
        let found: Vec<ObjectMeta> = self
            .store()
            .list(key.as_ref())
            .try_collect()
            .await
            .map_err(|error| asked("list", folder, error))?;
        Ok(found.into_iter().map(|found| self.file(found)).collect())
    }

    /// Writes an object into a file of this machine; how many bytes it has.
    ///
    /// # Errors
    /// As [`Self::look_at`]; or the file cannot be written.
    pub async fn copy_to(&self, location: &str, to: &Path) -> std::result::Result<u64, PathError> {
        use tokio::io::AsyncWriteExt;
        let failed = |error| asked("read", location, error);
        let found = self.store().get(&self.key(location)?).await.map_err(failed)?;
        let mut file = tokio::fs::File::create(to).await.map_err(PathError::at("write", to))?;
        let (mut bytes, mut parts) = (0, found.into_stream());
        while let Some(part) = parts.try_next().await.map_err(failed)? {
            file.write_all(&part).await.map_err(PathError::at("write", to))?;
            bytes += part.len() as u64;
        }
        // A write that failed is told by the flush.
        file.flush().await.map_err(PathError::at("write", to))?;
        file.sync_all().await.map_err(PathError::at("sync", to))?;
        Ok(bytes)
    }

    fn file(&self, found: ObjectMeta) -> ObjectFile {
        ObjectFile {
            url: self.located(&found.location),
            bytes: found.size,
            written: found.last_modified.into(),
            tag: found.e_tag.unwrap_or_default(),
        }
    }

    pub(super) async fn list(&self, folder: &str) -> std::result::Result<Vec<ListedFile>, PathError> {
        let found = self.files(folder).await?.into_iter().map(|file| ListedFile {
            location: file.url,
            bytes: file.bytes,
            written: file.written,
        });
        Ok(found.collect())
    }
}

/// Bucket and key of `s3://bucket/key`; writers of other engines say `s3a` and `s3n`.
fn bucket_and_key(location: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = location.split_once("://")?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    (matches!(scheme, "s3" | "s3a" | "s3n") && !bucket.is_empty()).then(|| (bucket, key.trim_end_matches('/')))
}

/// A file that no folder lists: it is gone when it is closed, by a crash too.
fn nameless(folder: &Path) -> io::Result<std::fs::File> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    std::fs::create_dir_all(folder)?;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("upload-{}-{number}.tmp", std::process::id()));
        match std::fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
        {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads a part of a file that waits to be uploaded, and gives the file back.
async fn part(file: UnsealedFile, from: u64, bytes: u64) -> std::result::Result<(UnsealedFile, Bytes), PathError> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut read = vec![0; bytes as usize];
        let mut open = file.open();
        open.seek(SeekFrom::Start(from))
            .and_then(|_| open.read_exact(&mut read))
            .map_err(PathError::at("upload", &file.path))?;
        Ok((file, Bytes::from(read)))
    });
    reading.await.expect("reading does not panic and is not aborted")
}

/// What a store answered, or what is wrong with the answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct OfStore(String);

pub(super) fn asked(action: &'static str, location: &str, error: object_store::Error) -> PathError {
    PathError {
        action,
        path: PathBuf::from(location),
        source: refused(&error),
    }
}

/// A refusal of the store as an I/O error: its kind, and what was said without the library's own words around it.
pub(crate) fn refused(error: &object_store::Error) -> io::Error {
    use object_store::Error as Said;
    let (kind, source): (_, Option<&(dyn std::error::Error + Send + Sync)>) = match error {
        Said::NotFound { source, .. } => (io::ErrorKind::NotFound, Some(source.as_ref())),
        Said::PermissionDenied { source, .. } | Said::Unauthenticated { source, .. } => {
            (io::ErrorKind::PermissionDenied, Some(source.as_ref()))
        }
        Said::Generic { source, .. } => (io::ErrorKind::Other, Some(source.as_ref())),
        _ => (io::ErrorKind::Other, None),
    };
    let said = source.map_or_else(|| error.to_string(), ToString::to_string);
    of_store(kind, said)
}

/// What a store said, as an I/O error.
pub(crate) fn of_store(kind: io::ErrorKind, said: String) -> io::Error {
    io::Error::new(kind, OfStore(said))
}

/// Whether an error tells of a store that did not answer as it should, and not of a file.
pub(crate) fn is_of_store(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<OfStore>())
}
