//! The warehouse: where tables are, and what was read of them lately.
//!
//! Metadata files, manifest lists and manifests never change once written, so they are cached by location. Which version of
//! a table is the current one is not known here: callers bring a [`TablePointer`] and hand new ones on.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ahash::HashMap;
use assets::AssetKey;
use assets::outcome::TablePointer;
use assets::warehouse::S3Store;
use datafusion::execution::cache::DefaultFilesMetadataCache;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use iceberg::io::FileIO;
use iceberg::spec::{
    FormatVersion, Manifest, ManifestEntryRef, ManifestFile, ManifestList, PrimitiveLiteral, Schema, SnapshotRef,
    TableMetadata,
};

use super::LakeError;
use super::cache::Cache;
use super::metadata_text::MetadataText;
use super::storage::{LakeStorage, ListedFile, LocalStorage, ObjectStorage, S3Credentials, is_of_store, local_path};
use super::table::LakeTable;

/// Bytes of table metadata kept.
const METADATA_CACHE_BYTES: usize = 64 << 20;
/// Bytes of manifests and manifest lists kept (estimated: Avro is unpacked to about eight times its size).
const MANIFEST_CACHE_BYTES: usize = 256 << 20;
const UNPACKED: usize = 8;
/// Bytes of Parquet footers kept.
const FOOTER_CACHE_BYTES: usize = 64 << 20;

/// A warehouse folder and the caches over it. Clones share the caches; one per process is the idea.
#[derive(Clone)]
pub struct Lake {
    inner: Arc<Inner>,
}

struct Inner {
    warehouse: String,
    /// Where tables are written: the warehouse, or a folder in it.
    tables: String,
    storage: LakeStorage,
    io: FileIO,
    metadata: Cache<Arc<TableMetadata>>,
    manifests: Cache<Arc<LoadedManifest>>,
    lists: Cache<Arc<ManifestList>>,
    /// Of tables with many snapshots, the text of the metadata that was written last.
    texts: Cache<Arc<MetadataText>>,
    footers: Arc<DefaultFilesMetadataCache>,
}

impl fmt::Debug for Lake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lake")
            .field("warehouse", &self.inner.warehouse)
            .finish_non_exhaustive()
    }
}

/// A manifest in memory, with its live files by partition.
#[derive(Debug)]
pub(crate) struct LoadedManifest {
    pub(crate) manifest: Manifest,
    /// Positions of live entries by the value of a single partition field; `None` if the spec has none or several.
    by_partition: Option<HashMap<Option<PrimitiveLiteral>, Vec<u32>>>,
}

impl LoadedManifest {
    fn new(manifest: Manifest) -> Self {
        let single = manifest.metadata().partition_spec().fields().len() == 1;
        let by_partition = single.then(|| {
            let mut index: HashMap<Option<PrimitiveLiteral>, Vec<u32>> = HashMap::default();
            for (position, entry) in manifest.entries().iter().enumerate() {
                if entry.is_alive() {
                    let value = entry.data_file().partition().fields().first().cloned().flatten();
                    index
                        .entry(value.and_then(|value| value.as_primitive_literal()))
                        .or_default()
                        .push(position as u32);
                }
            }
            index
        });
        Self { manifest, by_partition }
    }

    /// The live entries.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &ManifestEntryRef> {
        self.manifest.entries().iter().filter(|entry| entry.is_alive())
    }

    /// The live entries with this value of the only partition field.
    pub(crate) fn of_partition(&self, value: &PrimitiveLiteral) -> impl Iterator<Item = &ManifestEntryRef> {
        let positions = self
            .by_partition
            .as_ref()
            .and_then(|index| index.get(&Some(value.clone())));
        positions
            .into_iter()
            .flatten()
            .map(|position| &self.manifest.entries()[*position as usize])
    }
}

impl Lake {
    /// Opens the warehouse in a folder: a URL (`file:///…`) or an absolute path. Nothing is read or made yet.
    pub fn open(warehouse: &str) -> Result<Self, LakeError> {
        if let Some((scheme, _)) = warehouse.split_once("://")
            && scheme != "file"
        {
            return Err(LakeError::Location {
                location: warehouse.to_owned(),
                reason: format!("there is no folder at a `{scheme}` location"),
            });
        }
        let path = local_path(warehouse)?;
        let text = path.to_str().ok_or_else(|| LakeError::Location {
            location: warehouse.to_owned(),
            reason: "the path is not UTF-8, which Iceberg's metadata cannot hold".to_owned(),
        })?;
        let storage = LocalStorage::default();
        // The folder that holds the warehouse is the user's and older than the lake.
        if let Some(parent) = path.parent() {
            storage.trust(parent);
        }
        let warehouse = format!("file://{}", text.trim_end_matches('/'));
        Ok(Self::over(warehouse, LakeStorage::Local(storage)))
    }

    /// Opens the warehouse at `s3://bucket/prefix`. Nothing is asked of the store yet. What is to be uploaded waits in the folder
    /// `spool`.
    pub fn connect(
        warehouse: &str,
        store: &S3Store,
        credentials: Option<Arc<dyn S3Credentials>>,
        spool: &Path,
    ) -> Result<Self, LakeError> {
        let storage =
            ObjectStorage::connect(warehouse, store, credentials, spool).map_err(|error| LakeError::Location {
                location: warehouse.to_owned(),
                reason: error.to_string(),
            })?;
        let warehouse = warehouse.trim_end_matches('/').to_owned();
        Ok(Self::over(warehouse, LakeStorage::Objects(storage)))
    }

    /// The same warehouse, as an environment sees it: every version of every table can be read, and whatever is written goes
    /// below `folder` (a URL in the warehouse). Nothing outside of it can be written or removed.
    pub fn writing_below(&self, folder: &str) -> Result<Self, LakeError> {
        let folder = folder.trim_end_matches('/').to_owned();
        let storage = self.inner.storage.clone().writing_below(&folder)?;
        Ok(Self::new(self.inner.warehouse.clone(), folder, storage))
    }

    fn over(warehouse: String, storage: LakeStorage) -> Self {
        Self::new(warehouse.clone(), warehouse, storage)
    }

    fn new(warehouse: String, tables: String, storage: LakeStorage) -> Self {
        Self {
            inner: Arc::new(Inner {
                warehouse,
                tables,
                io: storage.io(),
                storage,
                metadata: Cache::new(METADATA_CACHE_BYTES),
                manifests: Cache::new(MANIFEST_CACHE_BYTES),
                lists: Cache::new(MANIFEST_CACHE_BYTES / 4),
                texts: Cache::new(METADATA_CACHE_BYTES),
                footers: Arc::new(DefaultFilesMetadataCache::new(FOOTER_CACHE_BYTES)),
            }),
        }
    }

    /// URL of the warehouse, without a slash at the end.
    pub fn warehouse(&self) -> &str {
        &self.inner.warehouse
    }

    /// URL of the folder that a table is written to: `<warehouse>/<layer>/<name>`, or that in the folder that is written to.
    pub fn table_location(&self, key: &AssetKey) -> String {
        format!("{}/{}/{}", self.inner.tables, key.layer(), key.name())
    }

    /// Opens one version of a table.
    pub async fn table(&self, key: &AssetKey, pointer: &TablePointer) -> Result<LakeTable, LakeError> {
        let metadata = self.metadata(&pointer.metadata_location).await?;
        if let Some(snapshot) = pointer.snapshot_id
            && metadata.snapshot_by_id(snapshot).is_none()
        {
            return Err(LakeError::NoSnapshot {
                table: key.clone(),
                snapshot,
            });
        }
        Ok(LakeTable::new(self.clone(), key.clone(), metadata, pointer.clone()))
    }

    /// Every file below a folder of the warehouse.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub async fn list(&self, folder: &str) -> Result<Vec<ListedFile>, LakeError> {
        Ok(self.inner.storage.list(folder).await?)
    }

    /// Reads a whole file of the warehouse.
    ///
    /// # Errors
    /// It is gone or cannot be read.
    pub async fn read_file(&self, location: &str) -> Result<bytes::Bytes, LakeError> {
        self.read(location).await
    }

    pub(crate) fn storage(&self) -> &LakeStorage {
        &self.inner.storage
    }

    pub(crate) fn io(&self) -> &FileIO {
        &self.inner.io
    }

    pub(crate) fn footers(&self) -> Arc<dyn FileMetadataCache> {
        Arc::clone(&self.inner.footers) as Arc<dyn FileMetadataCache>
    }

    pub(crate) async fn metadata(&self, location: &str) -> Result<Arc<TableMetadata>, LakeError> {
        if let Some(known) = self.inner.metadata.get(location) {
            return Ok(known);
        }
        let bytes = self.read(location).await?;
        let metadata = if location.ends_with(".gz.metadata.json") || bytes.starts_with(&[0x1f, 0x8b]) {
            let mut text = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&bytes[..]), &mut text)
                .map_err(|error| corrupt(location, &error))?;
            serde_json::from_slice::<TableMetadata>(&text)
        } else {
            serde_json::from_slice::<TableMetadata>(&bytes)
        };
        let metadata = Arc::new(metadata.map_err(|error| corrupt(location, &error))?);
        self.inner
            .metadata
            .put(location, Arc::clone(&metadata), bytes.len() * 2);
        Ok(metadata)
    }

    /// Remembers metadata that was just written.
    pub(crate) fn remember_metadata(&self, location: &str, metadata: Arc<TableMetadata>, bytes: usize) {
        self.inner.metadata.put(location, metadata, bytes * 2);
    }

    /// Remembers the text of metadata that was just written, for the commit that goes on from it.
    pub(super) fn remember_text(&self, location: &str, text: &Arc<MetadataText>) {
        self.inner.texts.put(location, Arc::clone(text), text.bytes().len());
    }

    /// The text of a version of the metadata, if it was written here; only once, since one commit goes on from it.
    pub(super) fn take_text(&self, location: &str) -> Option<Arc<MetadataText>> {
        self.inner.texts.take(location)
    }

    pub(crate) async fn manifest_list(
        &self,
        snapshot: &SnapshotRef,
        version: FormatVersion,
    ) -> Result<Arc<ManifestList>, LakeError> {
        let location = snapshot.manifest_list();
        if let Some(known) = self.inner.lists.get(location) {
            return Ok(known);
        }
        let bytes = self.read(location).await?;
        let list = ManifestList::parse_with_version(&bytes, version).map_err(|error| corrupt(location, &error))?;
        let list = Arc::new(list);
        self.inner
            .lists
            .put(location, Arc::clone(&list), bytes.len() * UNPACKED);
        Ok(list)
    }

    pub(crate) async fn manifest(&self, file: &ManifestFile) -> Result<Arc<LoadedManifest>, LakeError> {
        if let Some(known) = self.inner.manifests.get(&file.manifest_path) {
            return Ok(known);
        }
        let manifest =
            file.load_manifest(&self.inner.io)
                .await
                .map_err(|error| match super::error::find_io(&error) {
                    Some(io) if io.kind() == std::io::ErrorKind::NotFound => missing(&file.manifest_path),
                    Some(io) if io.raw_os_error().is_some() || is_of_store(&io) => {
                        LakeError::io("read", &file.manifest_path, io)
                    }
                    _ => corrupt(&file.manifest_path, &error),
                })?;
        let loaded = Arc::new(LoadedManifest::new(manifest));
        let weight = usize::try_from(file.manifest_length).unwrap_or_default() * UNPACKED;
        self.inner
            .manifests
            .put(&file.manifest_path, Arc::clone(&loaded), weight);
        Ok(loaded)
    }

    async fn read(&self, location: &str) -> Result<bytes::Bytes, LakeError> {
        self.inner.storage.read_file(location).await.map_err(|error| {
            if error.source.kind() == std::io::ErrorKind::NotFound {
                missing(location)
            } else {
                error.into()
            }
        })
    }
}

fn missing(location: &str) -> LakeError {
    LakeError::Corrupt {
        path: location.to_owned(),
        reason: "the file is gone, yet the table refers to it".to_owned(),
    }
}

fn corrupt(location: &str, error: &dyn std::error::Error) -> LakeError {
    let mut reason = error.to_string();
    if reason.len() > 300 {
        reason = reason.chars().take(300).collect();
    }
    LakeError::Corrupt {
        path: location.to_owned(),
        reason: format!("the file is damaged: {reason}"),
    }
}

/// The current schema, or that of a snapshot.
pub(crate) fn schema_of(metadata: &TableMetadata, snapshot: Option<&SnapshotRef>) -> Result<Arc<Schema>, LakeError> {
    match snapshot {
        Some(snapshot) => snapshot
            .schema(metadata)
            .map_err(|error| LakeError::iceberg("read the columns of", metadata.location(), error)),
        None => Ok(Arc::clone(metadata.current_schema())),
    }
}
