//! What is known of assets: the newest result per partition, the sources as observed, the models.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ::assets::outcome::{Observation, SourceFile, StagedModel};
use ::assets::{AssetKey, Fingerprint, PartitionKey};
use state::event::{Materialization, Micros};
use state::ids::RunId;

/// One asset.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AssetRecord {
    /// By partition; the one entry of an unpartitioned asset has no key.
    pub partitions: BTreeMap<Option<PartitionKey>, PartitionRecord>,
    /// The sources as last observed (ingest only).
    pub observation: Option<Observation>,
    /// The observed files by the partition that they feed, each by path.
    pub fed: BTreeMap<Option<PartitionKey>, Vec<SourceRead>>,
    /// When its newest materialization was published.
    pub newest: Option<Micros>,
}

impl AssetRecord {
    /// Takes an observation in.
    pub(super) fn observe(&mut self, observation: &Observation) {
        self.fed.clear();
        for file in &observation.files {
            let read = SourceRead {
                path: file.path.clone(),
                sha256: file.sha256.clone(),
            };
            match &file.partitions {
                None => self.fed.entry(None).or_default().push(read),
                Some(partitions) => {
                    for partition in partitions {
                        self.fed.entry(Some(partition.clone())).or_default().push(read.clone());
                    }
                }
            }
        }
        self.fed.values_mut().for_each(|files| files.sort());
        self.observation = Some(observation.clone());
    }
}

/// One partition of an asset.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PartitionRecord {
    /// The result that readers see.
    pub materialization: Option<LastMaterialization>,
    /// Set when the last try failed.
    pub failure: Option<LastFailure>,
    /// Set when a rollback brought back what it shows, until it is made anew.
    pub rolled_back: Option<Box<PartitionRollback>>,
}

/// How a partition came to show what it showed before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRollback {
    /// When.
    pub at: Micros,
    /// What it would have been made from then. While it still would be, it is left as it is.
    pub version: Fingerprint,
    /// By whom and why: one for all partitions of a rollback.
    pub asked: Arc<RollbackAsked>,
    /// Whether somebody tried since to make it anew, in vain: it is no longer left as it is.
    pub tried: bool,
}

/// Who took a table back, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackAsked {
    /// `cli`, `page`, `api`.
    pub by: String,
    /// Why, as they say.
    pub note: Option<String>,
    /// The snapshot that shows the old rows again.
    pub snapshot_id: i64,
}

impl fmt::Display for RollbackAsked {
    /// `rolled back by cli: the file was cut off`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rolled back by {}", self.by)?;
        match &self.note {
            Some(note) => write!(f, ": {note}"),
            None => Ok(()),
        }
    }
}

/// The published result of a partition, as far as decisions need it.
#[derive(Debug, Clone, PartialEq)]
pub struct LastMaterialization {
    /// The run that made it.
    pub run: RunId,
    /// When it was published.
    pub at: Micros,
    /// Its snapshot; `None` for a model.
    pub snapshot_id: Option<i64>,
    /// The code that made it.
    pub fingerprint: Fingerprint,
    /// What its rows are a function of.
    pub data_version: Fingerprint,
    /// What it saw of each input.
    pub inputs: BTreeMap<AssetKey, Fingerprint>,
    /// The source files that fed it, by path (ingest only).
    pub sources: Vec<SourceRead>,
}

/// A source file as it was when it was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceRead {
    /// Its path.
    pub path: String,
    /// Its content.
    pub sha256: String,
}

/// The last try of a partition, which failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastFailure {
    /// When.
    pub at: Micros,
    /// Whether a check kept its rows from being published.
    pub by_check: bool,
}

/// A model's versions and the aliases that point to them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelRecord {
    /// By version, from 1.
    pub versions: BTreeMap<u64, ModelVersion>,
    /// Version by alias.
    pub aliases: BTreeMap<String, u64>,
}

/// One version of a model, as far as decisions need it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelVersion {
    /// Artifact, relative to the state folder.
    pub artifact: String,
    /// SHA-256 of the artifact, hex: what the model is.
    pub sha256: String,
    /// Metrics by name.
    pub metrics: BTreeMap<String, f64>,
}

impl From<&StagedModel> for ModelVersion {
    fn from(staged: &StagedModel) -> Self {
        Self {
            artifact: staged.artifact.clone(),
            sha256: staged.sha256.clone(),
            metrics: staged.metrics.clone(),
        }
    }
}

impl LastMaterialization {
    /// What is kept of a materialization published by `run` at `at`.
    pub fn new(run: RunId, at: Micros, materialization: &Materialization) -> Self {
        Self {
            run,
            at,
            snapshot_id: materialization.snapshot_id,
            fingerprint: materialization.fingerprint.clone(),
            data_version: materialization.data_version.clone(),
            inputs: materialization.inputs.clone(),
            sources: sources_of(&materialization.sources, materialization.step.partition.as_ref()),
        }
    }
}

/// The files among `files` that feed `partition`, by path.
pub(in super::super) fn sources_of(files: &[SourceFile], partition: Option<&PartitionKey>) -> Vec<SourceRead> {
    let mut sources: Vec<SourceRead> = files
        .iter()
        .filter(|file| match (&file.partitions, partition) {
            (Some(fed), Some(partition)) => fed.contains(partition),
            _ => true,
        })
        .map(|file| SourceRead {
            path: file.path.clone(),
            sha256: file.sha256.clone(),
        })
        .collect();
    sources.sort();
    sources
}
