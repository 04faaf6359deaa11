//! A store that is asked for a small file once: later reads, and those of what this process wrote, are answered from memory. Files of the
//! warehouse never change, so there is nothing to invalidate.
//!
//! A reader of Parquet asks for the footer, then for columns; over a network each question costs what ten megabytes cost, and a table cut by
//! days is made of small files.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::super::cache::Cache;

/// Files up to this size are read whole.
pub(super) const SMALL_BYTES: u64 = 2 << 20;
/// Bytes of them that are kept.
const KEPT_BYTES: usize = 32 << 20;

#[derive(Debug)]
pub(super) struct SmallFiles {
    store: Arc<dyn ObjectStore>,
    /// By path; `None` for a file that is known to be larger.
    files: Cache<Option<Whole>>,
}

#[derive(Debug, Clone)]
struct Whole {
    bytes: Bytes,
    meta: ObjectMeta,
}

impl SmallFiles {
    pub(super) fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            files: Cache::new(KEPT_BYTES),
        }
    }

    /// Remembers a file that the store has whole.
    pub(super) fn keep(&self, path: &Path, bytes: Bytes) {
        let meta = ObjectMeta {
            location: path.clone(),
            last_modified: std::time::UNIX_EPOCH.into(),
            size: bytes.len() as u64,
            e_tag: None,
            version: None,
        };
        self.put(path, Some(Whole { bytes, meta }));
    }

    fn put(&self, path: &Path, file: Option<Whole>) {
        let weight = file.as_ref().map_or(0, |file| file.bytes.len()) + path.as_ref().len() + 200;
        self.files.put(path.as_ref(), file, weight);
    }

    /// The bytes of a range that ends within the first [`SMALL_BYTES`], with what is known of the file.
    async fn read(&self, path: &Path, range: Range<u64>) -> Result<Option<(Bytes, ObjectMeta)>> {
        let whole = match self.files.get(path.as_ref()) {
            Some(None) => return Ok(None),
            Some(Some(whole)) => whole,
            None => {
                let options = GetOptions {
                    range: Some(GetRange::Bounded(0..SMALL_BYTES)),
                    ..GetOptions::default()
                };
                let found = self.store.get_opts(path, options).await?;
                let meta = found.meta.clone();
                let whole = Whole {
                    bytes: found.bytes().await?,
                    meta,
                };
                self.put(path, (whole.meta.size <= SMALL_BYTES).then(|| whole.clone()));
                whole
            }
        };
        // Beyond the end: the store has words for that.
        Ok((range.end <= whole.bytes.len() as u64 && range.start < range.end)
            .then(|| (whole.bytes.slice(range.start as usize..range.end as usize), whole.meta)))
    }
}

impl fmt::Display for SmallFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for SmallFiles {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.store.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let plain = options.if_match.is_none()
            && options.if_none_match.is_none()
            && options.if_modified_since.is_none()
            && options.if_unmodified_since.is_none()
            && options.version.is_none()
            && !options.head;
        if let Some(GetRange::Bounded(range)) = &options.range
            && plain
            && range.end <= SMALL_BYTES
            && let Some((bytes, meta)) = self.read(location, range.clone()).await?
        {
            return Ok(GetResult {
                payload: GetResultPayload::Stream(stream::iter([Ok(bytes)]).boxed()),
                meta,
                range: range.clone(),
                attributes: Attributes::default(),
            });
        }
        self.store.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
