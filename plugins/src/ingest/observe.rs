//! Looking at the files: which there are, what they hold, and which partitions each of them feeds.
//!
//! A file whose size and time are those of the last look is not opened, unless the asset reads its files in another way since, or
//! has other partitions. Of the others an unpartitioned asset needs the hash
//! alone; elsewhere the columns that tell the partition are read, computed and routed as they will be when the rows are made, so
//! that both say the same. Rows that cannot be used do not keep a file from being looked at: they are told when it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use assets::outcome::{Failure, FailureClass, Observation, SourceFile};
use assets::{Asset, Fingerprint, PartitionedBy};

use super::derive::{Derived, columns_of};
use super::failure::of_format;
use super::route::{Place, Router, path_key};
use super::{IngestConfig, blocking};
use crate::formats::{self, Objects, OnBadRow, content_hash, discover, infer, read};
use crate::kind::ObserveContext;
use crate::step::ProjectSettings;

pub(super) async fn observe(context: ObserveContext<'_>) -> Result<Observation, Failure> {
    let look = Look::of(context.asset, context.project, context.objects)?;
    let previous = context.previous.cloned().unwrap_or_default();
    blocking(move || look.files(&previous)).await
}

/// One look at the files of an asset.
pub(super) struct Look {
    pub(super) config: IngestConfig,
    pub(super) root: PathBuf,
    pub(super) objects: Objects,
    pub(super) by: Option<PartitionedBy>,
    /// What decides which rows of a file belong where.
    code: Fingerprint,
}

impl Look {
    /// The look that an asset needs.
    pub(super) fn of(asset: &Asset, project: &ProjectSettings, objects: &Objects) -> Result<Self, Failure> {
        let partitions = serde_json::to_string(&asset.partitions).expect("a set of partitions has a JSON form");
        Ok(Self {
            config: IngestConfig::of(asset)?,
            root: PathBuf::from(&project.root),
            objects: objects.clone(),
            by: asset.partitions.clone(),
            code: Fingerprint::of([asset.config.to_string().as_str(), partitions.as_str()]),
        })
    }

    /// All files, by path. Those of the previous look that are still the same are not opened.
    pub(super) fn files(&self, previous: &Observation) -> Result<Observation, Failure> {
        let found = discover(Path::new(&self.root), &self.config.path, &self.objects).map_err(of_format)?;
        let told = previous
            .files
            .iter()
            .filter(|_| previous.code.as_ref() == Some(&self.code));
        let known: BTreeMap<&str, &SourceFile> = told.map(|file| (file.path.as_str(), file)).collect();
        let mut files = Vec::with_capacity(found.len());
        let mut unknown = Vec::new();
        for file in found {
            match known.get(file.path.as_str()) {
                Some(same) if same.bytes == file.size && same.modified_ns == file.modified_ns => {
                    files.push((*same).clone());
                }
                _ => unknown.push(file),
            }
        }
        files.extend(self.open(&unknown)?);
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Observation {
            files,
            code: Some(self.code.clone()),
        })
    }

    fn open(&self, files: &[formats::SourceFile]) -> Result<Vec<SourceFile>, Failure> {
        let Some(by) = &self.by else {
            return files.iter().map(|file| hashed(file, None)).collect();
        };
        if self.config.partition_in_path() {
            let key = |file: &formats::SourceFile| path_key(by, file.partition.as_deref()).into_iter().collect();
            return files.iter().map(|file| hashed(file, Some(key(file)))).collect();
        }
        if files.is_empty() {
            return Ok(Vec::new());
        }
        self.read(files, by)
    }

    /// Reads what tells the partitions of rows, and nothing else.
    fn read(&self, files: &[formats::SourceFile], by: &PartitionedBy) -> Result<Vec<SourceFile>, Failure> {
        let options = self.config.options(OnBadRow::Collect { limit: u64::MAX })?;
        let raw = infer(files, &options).map_err(of_format)?.schema;
        let derive = self.config.derive.iter().find(|(name, _)| *name == by.column);
        let needed: BTreeSet<String> = match derive {
            Some((name, text)) => columns_of(name, text, &raw)?,
            None => [by.column.clone()].into(),
        };
        // In the order of the files, and only what is there: the router says what is not.
        let fields = raw.fields().iter().map(|field| field.name().as_str());
        let needed: Vec<&str> = fields.filter(|name| needed.contains(*name)).collect();
        if derive.is_none() && needed.is_empty() {
            Router::new(by, &raw, false)?;
        }
        let mut reader = read(files, &options, &raw, Some(&needed)).map_err(of_format)?;
        let derived = Derived::bind(derive.map(std::slice::from_ref).unwrap_or_default(), reader.schema())?;
        let router = Router::new(by, derived.schema(), false)?;
        let mut fed = vec![BTreeSet::new(); files.len()];
        while let Some(read) = reader.next() {
            let read = read.map_err(of_format)?;
            let batch = match derived.compute(&read.batch) {
                Ok(batch) => vec![batch],
                Err(_) => (0..read.batch.num_rows())
                    .filter_map(|row| derived.compute(&read.batch.slice(row, 1)).ok())
                    .collect(),
            };
            for batch in batch {
                for place in router.route(&batch, None)?.places {
                    if let Place::Partition(key) = place {
                        fed[read.file].insert(key);
                    }
                }
            }
        }
        let finished: BTreeMap<usize, &str> = reader
            .finished()
            .iter()
            .map(|read| (read.file, read.sha256.as_str()))
            .collect();
        files
            .iter()
            .zip(fed)
            .enumerate()
            .map(|(index, (file, fed))| {
                let sha256 = finished.get(&index).ok_or_else(|| {
                    Failure::new(FailureClass::Internal, format!("{} was not read to its end", file.path))
                })?;
                Ok(SourceFile {
                    path: file.path.clone(),
                    bytes: file.size,
                    modified_ns: file.modified_ns,
                    sha256: (*sha256).to_owned(),
                    partitions: Some(fed.into_iter().collect()),
                })
            })
            .collect()
    }
}

/// A file whose bytes alone matter.
fn hashed(file: &formats::SourceFile, partitions: Option<Vec<assets::PartitionKey>>) -> Result<SourceFile, Failure> {
    Ok(SourceFile {
        path: file.path.clone(),
        bytes: file.size,
        modified_ns: file.modified_ns,
        sha256: content_hash(file).map_err(of_format)?,
        partitions,
    })
}
