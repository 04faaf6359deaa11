//! Up to where lineage was told, and what was under way there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use assets::{AssetKey, AssetPartition, PartitionKey};
use serde::{Deserialize, Serialize};
use state::ids::{AttemptId, RunId};

/// What is kept from event to event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// The number of the last event whose lineage was taken.
    pub after: i64,
    /// Attempts whose steps are not all over.
    #[serde(default)]
    pub attempts: BTreeMap<AttemptId, OpenAttempt>,
    /// Runs that are not over: the job that each is a run of.
    #[serde(default)]
    pub runs: BTreeMap<RunId, String>,
}

/// An attempt under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAttempt {
    /// Its run.
    pub run: RunId,
    /// Its asset.
    pub asset: AssetKey,
    /// What it reads, each with the snapshot or the model version it was given.
    pub inputs: Vec<(AssetKey, Option<String>)>,
    /// The partitions that are not over.
    pub partitions: BTreeSet<Option<PartitionKey>>,
}

impl Cursor {
    /// The cursor of a file; `None` if there is none.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file, whole or not at all.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let temporary = path.with_extension("json.new");
        let file = std::fs::File::create(&temporary)?;
        serde_json::to_writer(&file, self)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    }

    /// Takes the attempt of a step that is over; `None` if it was not under way.
    pub fn end(&mut self, run: &RunId, step: &AssetPartition) -> Option<(AttemptId, OpenAttempt)> {
        let found = self.attempts.iter().find(|(_, attempt)| {
            attempt.run == *run && attempt.asset == step.asset && attempt.partitions.contains(&step.partition)
        });
        let id = found?.0.clone();
        let attempt = self.attempts.get_mut(&id)?;
        attempt.partitions.remove(&step.partition);
        let known = attempt.clone();
        if known.partitions.is_empty() {
            self.attempts.remove(&id);
        }
        Some((id, known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_forgets_what_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openlineage.json");
        assert_eq!(Cursor::read(&path).unwrap(), None);
        let (run, attempt) = (RunId::from_bits(1), AttemptId::from_bits(2));
        let asset: AssetKey = "gold.a".parse().unwrap();
        let keys = ["x", "y"].map(|key| Some(PartitionKey::new(key).unwrap()));
        let mut cursor = Cursor {
            after: 7,
            ..Cursor::default()
        };
        cursor.runs.insert(run.clone(), "materialize".to_owned());
        cursor.attempts.insert(
            attempt.clone(),
            OpenAttempt {
                run: run.clone(),
                asset: asset.clone(),
                inputs: vec![("bronze.b".parse().unwrap(), Some("9".to_owned()))],
                partitions: keys.iter().cloned().collect(),
            },
        );
        cursor.save(&path).unwrap();
        assert_eq!(Cursor::read(&path).unwrap(), Some(cursor.clone()));
        for key in &keys {
            let step = AssetPartition::new(asset.clone(), key.clone());
            assert_eq!(cursor.end(&run, &step).unwrap().0, attempt);
            assert_eq!(cursor.end(&run, &step), None);
        }
        assert_eq!(cursor.attempts, BTreeMap::new());
    }
}
