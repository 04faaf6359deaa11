//! What the tables hold, with a number in place of rows: a function of code, of what was read and of the sources. Two results
//! are equal exactly if their numbers are, which makes "fresh" a statement that can be checked.

use std::collections::BTreeMap;

use assets::outcome::{Observation, SourceFile, TablePointer};
use assets::{Asset, AssetKey, Fingerprint, PartitionKey};
use orchestrator::core::StepScope;

/// What one version of a table holds, by partition.
pub(super) type Contents = BTreeMap<Option<PartitionKey>, String>;

/// Every version of every table that was ever written, and the raw files.
#[derive(Default)]
pub(super) struct Lake {
    versions: BTreeMap<String, Contents>,
    written: i64,
    /// The raw files as they are, by ingest asset.
    pub(super) sources: BTreeMap<AssetKey, BTreeMap<String, SourceFile>>,
}

impl Lake {
    /// What a version of a table holds.
    pub(super) fn read(&self, pointer: Option<&TablePointer>) -> Contents {
        pointer
            .map(|pointer| self.versions[&pointer.metadata_location].clone())
            .unwrap_or_default()
    }

    /// Writes a version of a table; nothing points to it yet.
    pub(super) fn write(&mut self, table: &AssetKey, contents: Contents) -> TablePointer {
        self.written += 1;
        let metadata_location = format!("memory:///{table}/metadata/{}.json", self.written);
        self.versions.insert(metadata_location.clone(), contents);
        TablePointer {
            metadata_location,
            snapshot_id: Some(self.written),
        }
    }

    /// The raw files of an asset as someone who looks sees them.
    pub(super) fn observe(&self, asset: &AssetKey) -> Observation {
        let files = self
            .sources
            .get(asset)
            .into_iter()
            .flat_map(|files| files.values().cloned());
        Observation {
            files: files.collect(),
            code: None,
        }
    }
}

/// What a step makes of what it reads: table contents by input with the scope it sees, versions of models, and sources.
pub(super) fn make(
    asset: &Asset,
    partition: Option<&PartitionKey>,
    tables: &[(AssetKey, StepScope, Contents)],
    models: &[(AssetKey, u64)],
    sources: &Observation,
) -> String {
    let mut parts = vec![asset.fingerprint.to_string()];
    for (input, scope, contents) in tables {
        parts.push(input.to_string());
        for (partition, content) in contents {
            let seen = match (scope, partition) {
                (StepScope::All, _) => true,
                (StepScope::Keys(keys), Some(partition)) => keys.contains(partition),
                (StepScope::Keys(_), None) => false,
            };
            if seen {
                parts.push(partition.as_ref().map_or_else(String::new, ToString::to_string));
                parts.push(content.clone());
            }
        }
    }
    for (model, version) in models {
        parts.push(format!("{model}@{version}"));
    }
    let mut read: Vec<String> = fed(sources, partition).iter().map(|file| file.sha256.clone()).collect();
    read.sort();
    parts.extend(read);
    Fingerprint::of(parts.iter().map(String::as_str)).to_string()
}

/// The files that hold rows of a partition.
pub(super) fn fed(sources: &Observation, partition: Option<&PartitionKey>) -> Vec<SourceFile> {
    let holds = |file: &&SourceFile| match (&file.partitions, partition) {
        (Some(fed), Some(partition)) => fed.contains(partition),
        _ => true,
    };
    sources.files.iter().filter(holds).cloned().collect()
}
