//! What environments need of production's tables. Who removes old versions of tables asks here first.

use std::collections::{BTreeMap, BTreeSet};

use assets::AssetKey;
use plugins::lakehouse::{Lake, history};

use super::super::folder::StateFolder;
use super::EnvironmentError;
use super::record::list;

/// What environments need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvironmentPins {
    /// By table and snapshot: what for.
    pub snapshots: BTreeMap<AssetKey, BTreeMap<i64, String>>,
    /// Metadata that they read tables by.
    pub metadata: BTreeSet<String>,
}

/// What the environments of a project need: whatever the tables were when each was made, with the history that they had.
///
/// # Errors
/// An environment or a table cannot be read: nothing is known to be free then.
pub async fn pins(folder: &StateFolder, lake: &Lake) -> Result<EnvironmentPins, EnvironmentError> {
    let mut pins = EnvironmentPins::default();
    for record in list(folder)?.into_iter().filter(|record| record.merged.is_none()) {
        let what_for = format!("environment {}", record.name);
        for (table, pointer) in &record.tables {
            let opened = lake.table(table, pointer).await?;
            pins.metadata.insert(pointer.metadata_location.clone());
            let of_table = pins.snapshots.entry(table.clone()).or_default();
            for snapshot in history(&opened)? {
                of_table.entry(snapshot.id).or_insert_with(|| what_for.clone());
            }
        }
    }
    Ok(pins)
}
