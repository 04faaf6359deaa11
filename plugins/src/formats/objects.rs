//! Raw files that are objects of an S3-compatible store: `s3://bucket/key`.
//!
//! An object is copied to this machine before it is read, into a folder of copies that stay until the folder is full: types are inferred from all
//! files, so that most of them are opened again and again. A copy is known by the object's name, size and time; that the object is still the one
//! that was copied is asked of the store after the last byte was read, as with a file on disk.
//!
//! Reading raw files is plain code on threads of its own; the questions to the store are answered by the runtime that
//! [`Objects::new`] was called in.

use std::collections::HashMap;
use std::fs::{self, File};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use assets::pattern::{self, Segment, bucket_and_key};
use assets::warehouse::S3Store;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::error::FormatError;
use super::source::{SourceFile, Stamp};
use crate::lakehouse::{ObjectFile, ObjectStorage, S3Credentials};

/// Bytes of copies that stay.
const KEPT_BYTES: u64 = 4 << 30;

/// How objects are reached. Clones share connections and copies.
#[derive(Clone, Default)]
pub struct Objects {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    store: S3Store,
    credentials: Option<Arc<dyn S3Credentials>>,
    copies: PathBuf,
    runtime: Handle,
    buckets: Mutex<HashMap<String, ObjectStorage>>,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let store = self.inner.as_ref().map(|inner| &inner.store);
        f.debug_struct("Objects").field("store", &store).finish_non_exhaustive()
    }
}

/// An object, as it was when it was found.
#[derive(Debug, Clone)]
pub(super) struct Object {
    objects: Objects,
    url: String,
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl Eq for Object {}

impl Objects {
    /// Objects of the declared store. Copies are kept below `copies`, which is made when it is needed. Must be called inside a tokio
    /// runtime.
    pub fn new(store: S3Store, credentials: Option<Arc<dyn S3Credentials>>, copies: &Path) -> Self {
        Self {
            inner: Some(Arc::new(Inner {
                store,
                credentials,
                copies: copies.to_owned(),
                runtime: Handle::current(),
                buckets: Mutex::default(),
            })),
        }
    }

    /// One object of an observation.
    pub fn observed(&self, url: &str, size: u64, modified_ns: i64) -> SourceFile {
        SourceFile {
            path: url.to_owned(),
            absolute: PathBuf::new(),
            object: Some(Object {
                objects: self.clone(),
                url: url.to_owned(),
            }),
            size,
            modified_ns,
            partition: None,
        }
    }

    /// The objects that match `s3://bucket/pattern`, sorted by name.
    pub(super) fn discover(&self, pattern: &str) -> Result<Vec<SourceFile>, FormatError> {
        let fault = |reason: String| FormatError::Pattern {
            pattern: pattern.to_owned(),
            reason,
        };
        let (bucket, within) =
            bucket_and_key(pattern).ok_or_else(|| fault("it names no bucket and no object".to_owned()))?;
        let segments = pattern::segments(within).map_err(fault)?;
        let literal = segments[..segments.len() - 1]
            .iter()
            .map_while(|segment| match segment {
                Segment::Literal(name) => Some(name.as_str()),
                Segment::AnyFolders | Segment::Wild(_) => None,
            });
        let folder = format!("s3://{bucket}/{}", literal.collect::<Vec<_>>().join("/"));
        let asked = folder.clone();
        let listed = self.ask(&folder, |storage| async move { storage.files(&asked).await })?;
        let mut found: Vec<SourceFile> = listed
            .iter()
            .filter_map(|file| {
                let (_, key) = bucket_and_key(&file.url)?;
                let partition = fits(&key.split('/').collect::<Vec<_>>(), &segments, None)?;
                let modified_ns = nanoseconds(file);
                Some(SourceFile {
                    partition,
                    ..self.observed(&file.url, file.bytes, modified_ns)
                })
            })
            .collect();
        if found.is_empty() {
            let holds = match listed.as_slice() {
                [] => "holds nothing".to_owned(),
                [one] => format!("holds 1 object: {}", one.url),
                [one, ..] => format!("holds {} objects: {}, …", listed.len(), one.url),
            };
            return Err(FormatError::NoMatch {
                pattern: pattern.to_owned(),
                nearest: folder,
                holds,
            });
        }
        found.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(found)
    }

    /// Asks the store of a location and waits for the answer.
    fn ask<T, F, A>(&self, url: &str, question: F) -> Result<T, FormatError>
    where
        F: FnOnce(ObjectStorage) -> A,
        A: Future<Output = Result<T, crate::lakehouse::PathError>>,
    {
        let failed = |source: io::Error| FormatError::Io {
            file: url.to_owned(),
            source,
        };
        let Some(inner) = &self.inner else {
            return Err(failed(io::Error::other("no store is declared that it could be in")));
        };
        let storage = inner.bucket(url).map_err(failed)?;
        inner
            .runtime
            .block_on(question(storage))
            .map_err(|error| failed(error.source))
    }
}

impl Inner {
    fn bucket(&self, url: &str) -> io::Result<ObjectStorage> {
        let (bucket, _) = bucket_and_key(url).ok_or_else(|| io::Error::other("it names no bucket"))?;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = buckets.get(bucket) {
            return Ok(known.clone());
        }
        let storage = ObjectStorage::connect(url, &self.store, self.credentials.clone(), &self.copies)
            .map_err(io::Error::other)?;
        buckets.insert(bucket.to_owned(), storage.clone());
        Ok(storage)
    }

    /// Where the copy of an object is.
    fn copy_of(&self, source: &SourceFile) -> PathBuf {
        let named = format!("{} {} {}", source.path, source.size, source.modified_ns);
        let name = hex::encode(&Sha256::digest(named)[..16]);
        // Formats are told by the ends of names.
        let end: String = source
            .path
            .chars()
            .rev()
            .take_while(|letter| *letter != '/')
            .take(40)
            .collect();
        let end: String = end
            .chars()
            .rev()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() || letter == '.' {
                    letter
                } else {
                    '_'
                }
            })
            .collect();
        self.copies.join(format!("{name}-{end}"))
    }

    /// Removes the oldest copies beyond what is kept.
    fn make_room(&self, just: &Path) -> io::Result<()> {
        let mut copies = Vec::new();
        let mut bytes = 0;
        for entry in fs::read_dir(&self.copies)? {
            let entry = entry?;
            let Ok(metadata) = entry.metadata() else { continue };
            bytes += metadata.len();
            copies.push((metadata.modified().unwrap_or(UNIX_EPOCH), metadata.len(), entry.path()));
        }
        copies.sort();
        for (_, size, path) in copies {
            if bytes <= KEPT_BYTES {
                break;
            }
            if path != just {
                // Whoever reads it goes on with what is open.
                fs::remove_file(path).ok();
                bytes -= size;
            }
        }
        Ok(())
    }
}

impl Object {
    /// Opens the copy of the object, which is made if it is not there.
    pub(super) fn open(&self, source: &SourceFile) -> Result<(File, Stamp), FormatError> {
        let inner = self.objects.inner.as_ref();
        let Some(inner) = inner else {
            return Err(source.io(io::Error::other("no store is declared that it could be in")));
        };
        let copy = inner.copy_of(source);
        let whole = |file: &File| file.metadata().is_ok_and(|metadata| metadata.len() == source.size);
        let file = match File::open(&copy) {
            Ok(file) if whole(&file) => file,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(source.io(error)),
            // Not copied yet, or what a power cut left of a copy.
            Ok(_) | Err(_) => {
                self.fetch(source, inner, &copy)?;
                File::open(&copy).map_err(|error| source.io(error))?
            }
        };
        Ok((file, Stamp::of_object(source.size, source.modified_ns)))
    }

    fn fetch(&self, source: &SourceFile, inner: &Inner, copy: &Path) -> Result<(), FormatError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        self.verify(source)?;
        fs::create_dir_all(&inner.copies).map_err(|error| source.io(error))?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = inner.copies.join(format!(".{}-{number}.tmp", std::process::id()));
        let (url, to) = (self.url.clone(), temporary.clone());
        let written = self
            .objects
            .ask(&self.url, |storage| async move { storage.copy_to(&url, &to).await });
        let done = written.and_then(|bytes| {
            if bytes != source.size {
                return Err(source.changed(format!("{} bytes when it was found, {bytes} now", source.size)));
            }
            fs::rename(&temporary, copy).map_err(|error| source.io(error))
        });
        if done.is_err() {
            fs::remove_file(&temporary).ok();
            return done;
        }
        inner.make_room(copy).map_err(|error| source.io(error))
    }

    /// Fails when the object is not the one that was found.
    pub(super) fn verify(&self, source: &SourceFile) -> Result<(), FormatError> {
        let url = self.url.clone();
        let now = self
            .objects
            .ask(&self.url, |storage| async move { storage.look_at(&url).await })?;
        match now {
            None => Err(source.changed("it is gone")),
            Some(now) if now.bytes != source.size => {
                Err(source.changed(format!("{} bytes when it was found, {} now", source.size, now.bytes)))
            }
            Some(now) if !same_time(nanoseconds(&now), source.modified_ns) => {
                Err(source.changed("written again since it was found"))
            }
            Some(_) => Ok(()),
        }
    }
}

/// The partition that a key names, if it fits.
fn fits(parts: &[&str], segments: &[Segment], partition: Option<&str>) -> Option<Option<String>> {
    let Some((segment, rest)) = segments.split_first() else {
        return parts.is_empty().then(|| partition.map(str::to_owned));
    };
    if *segment == Segment::AnyFolders {
        let here = fits(parts, rest, partition);
        return here.or_else(|| {
            let (part, left) = parts.split_first()?;
            segment.fits(part)?;
            fits(left, segments, partition)
        });
    }
    let (part, left) = parts.split_first()?;
    match segment {
        Segment::Literal(name) => (name == part).then(|| fits(left, rest, partition)).flatten(),
        Segment::AnyFolders => None,
        Segment::Wild(_) => {
            let fit = segment.fits(part)?;
            fits(left, rest, fit.partition.as_deref().or(partition))
        }
    }
}

/// The time of an object as a file's time is kept. A listing tells it closer than a question about one object does, so that seconds are what
/// both agree on; what is below stands for the tag, which differs where an object was written twice within a second.
fn nanoseconds(file: &ObjectFile) -> i64 {
    let seconds = file.written.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let tag = Sha256::digest(&file.tag);
    let below = match file.tag.as_str() {
        "" => 0,
        _ => 1 + u32::from_be_bytes([tag[0], tag[1], tag[2], tag[3]]) % 999_999_999,
    };
    i64::try_from(seconds).unwrap_or(i64::MAX / 1_000_000_000 - 1) * 1_000_000_000 + i64::from(below)
}

/// Whether two of these times can be of the same object: some stores tell no tags where they list.
fn same_time(one: i64, other: i64) -> bool {
    const SECOND: i64 = 1_000_000_000;
    let untold = one % SECOND == 0 || other % SECOND == 0;
    one / SECOND == other / SECOND && (untold || one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fit_patterns_as_paths_do() {
        let of = |pattern: &str, key: &str| {
            let segments = pattern::segments(pattern).unwrap();
            fits(&key.split('/').collect::<Vec<_>>(), &segments, None)
        };
        assert_eq!(of("in/*.csv", "in/a.csv"), Some(None));
        assert_eq!(of("in/*.csv", "in/.a.csv"), None);
        assert_eq!(of("in/*.csv", "in/b/a.csv"), None);
        assert_eq!(of("**/*.csv", "in/b/a.csv"), Some(None));
        assert_eq!(of("in/**/*.csv", "in/a.csv"), Some(None));
        assert_eq!(
            of("in/{partition}/*.csv", "in/2026-01-01/a.csv"),
            Some(Some("2026-01-01".to_owned()))
        );
        assert_eq!(of("in/day={partition}.csv", "in/day=x.csv"), Some(Some("x".to_owned())));
        assert!(pattern::check("s3://bucket/in/*.csv").is_ok());
        for bad in ["s3://bucket", "s3://bucket/", "s3:///x", "s3://b*/x"] {
            assert!(pattern::check(bad).is_err(), "{bad}");
        }
    }
}
