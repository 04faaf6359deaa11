//! What a partition has already, where rows are added and not replaced: the rows of a file are added once.
//!
//! A file is known by its bytes. Under another name it is the same; a name with other bytes is a new file, unless the old bytes
//! are nowhere any more: then nobody can tell new rows from those that were there, and the step says so.

use std::collections::{BTreeMap, BTreeSet};

use assets::PartitionKey;
use assets::outcome::{Failure, FailureClass, Observation, SourceFile};

use crate::step::{OrderedPartition, OrderedSource};

/// The files whose rows the partitions of a step have.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// By content, the name then and the partitions.
    files: BTreeMap<String, (String, BTreeSet<Option<PartitionKey>>)>,
}

impl Added {
    /// What the partitions of an order have. Nothing, for an asset whose rows are replaced.
    pub(super) fn of(partitions: &[OrderedPartition]) -> Self {
        let mut added = Self::default();
        for partition in partitions {
            for OrderedSource { path, sha256 } in &partition.has {
                let (_, has) = added
                    .files
                    .entry(sha256.clone())
                    .or_insert_with(|| (path.clone(), BTreeSet::new()));
                has.insert(partition.key.clone());
            }
        }
        added
    }

    /// Whether the partition has the rows of the file with these bytes.
    pub(super) fn has(&self, sha256: &str, partition: Option<&PartitionKey>) -> bool {
        self.files
            .get(sha256)
            .is_some_and(|(_, has)| has.contains(&partition.cloned()))
    }

    /// Refuses files that were changed after their rows were added.
    pub(super) fn judge(&self, observation: &Observation) -> Result<(), Failure> {
        let there: BTreeSet<&str> = observation.files.iter().map(|file| file.sha256.as_str()).collect();
        let gone = self.files.iter().filter(|(sha256, _)| !there.contains(sha256.as_str()));
        for (_, (path, has)) in gone {
            let feeds = |file: &&SourceFile| match &file.partitions {
                Some(fed) => fed.iter().any(|key| has.contains(&Some(key.clone()))),
                None => true,
            };
            let changed = observation.files.iter().find(|file| file.path == *path).filter(feeds);
            if let Some(file) = changed {
                let message = format!(
                    "add the rows of {}: it was changed after its rows had been added",
                    file.path
                );
                return Err(Failure::new(FailureClass::Data, message).with_help(
                    "put new rows into a file of their own and the old file back, or let the rows be replaced: write = \"replace\"",
                ));
            }
        }
        Ok(())
    }

    /// Completes the files that were read by those that were not read again.
    pub(super) fn complete(&self, sources: &mut Vec<SourceFile>, observation: &Observation) {
        let read: BTreeSet<String> = sources.iter().map(|file| file.sha256.clone()).collect();
        for (sha256, (path, has)) in self.files.iter().filter(|(sha256, _)| !read.contains(*sha256)) {
            let there = observation.files.iter().find(|file| file.sha256 == *sha256);
            let partitions = has.iter().flatten().cloned().collect::<Vec<_>>();
            sources.push(SourceFile {
                path: there.map_or(path, |file| &file.path).clone(),
                // Of a file that is gone nothing is known but what it held.
                bytes: there.map_or(0, |file| file.bytes),
                modified_ns: there.map_or(0, |file| file.modified_ns),
                sha256: sha256.clone(),
                partitions: (!has.contains(&None)).then_some(partitions),
            });
        }
    }
}
