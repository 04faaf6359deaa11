//! The materialization that a partition had in a snapshot.

use std::collections::BTreeSet;

use assets::AssetPartition;

use super::events;
use crate::event::{Event, RestoredMaterialization};
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

const OF_PARTITION: &str = "
    SELECT seq, snapshot_id FROM materialization WHERE asset = ?1 AND partition = ?2 ORDER BY seq DESC";

/// The newest materialization of `step` that is in one of these snapshots; `None` if it had none, or if nothing is known of it
/// any more.
pub fn materialization_in(
    store: &Store,
    step: &AssetPartition,
    snapshots: &BTreeSet<i64>,
) -> Result<Option<RestoredMaterialization>, StateError> {
    let mut statement = store.connection.prepare_cached(OF_PARTITION)?;
    let key = [step.asset.as_str(), value::partition_text(step.partition.as_ref())];
    let mut rows = statement.query(key)?;
    while let Some(row) = rows.next()? {
        let snapshot: Option<i64> = row.get(1)?;
        if snapshot.is_none_or(|snapshot| !snapshots.contains(&snapshot)) {
            continue;
        }
        return Ok(match events::one(store, row.get(0)?)? {
            Some(Event::StepSucceeded {
                run,
                attempt,
                materialization,
            }) => Some(RestoredMaterialization {
                run,
                attempt,
                materialization,
            }),
            Some(Event::PartitionRolledBack { restored, .. }) => restored,
            _ => None,
        });
    }
    Ok(None)
}
