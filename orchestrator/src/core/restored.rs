//! What counts again of a partition that a rollback brings back: what made it then, in the snapshot of the rollback.

use std::collections::BTreeMap;

use assets::{AssetPartition, Fingerprint};
use state::event::{Materialization, RestoredMaterialization};
use state::ids::{AttemptId, RunId};

/// What files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldRows {
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What counts again of a partition: what made it, in the new snapshot, with what its files hold. `None` if it was not there.
///
/// `after` is what the older snapshot `target` has of it, `known` what made it as far as anybody knows.
pub fn restored(
    step: &AssetPartition,
    after: Option<HeldRows>,
    known: Option<RestoredMaterialization>,
    target: i64,
    snapshot_id: i64,
) -> Option<RestoredMaterialization> {
    let mut restored = match (known, after) {
        // It was made without rows; or it was made, and taken back since.
        (Some(known), None) => Some(known).filter(|known| known.materialization.rows == 0)?,
        (Some(known), Some(_)) => known,
        // Nothing is known any more of how it was made: it was long ago, or another program did.
        (None, Some(_)) => of_unknown_origin(step, target),
        (None, None) => return None,
    };
    let materialization = &mut restored.materialization;
    let after = after.unwrap_or_default();
    materialization.snapshot_id = Some(snapshot_id);
    materialization.rows = after.rows;
    materialization.bytes = after.bytes;
    // They were asked then, and stand in the history of the checks as of then.
    materialization.checks.clear();
    let to = serde_json::Value::from(target.to_string());
    materialization.metadata.insert("rolled_back_to".to_owned(), to);
    Some(restored)
}

/// Whether nothing is known any more of how it was made.
pub(super) fn is_of_unknown_origin(restored: &RestoredMaterialization) -> bool {
    restored.run.is_unknown()
}

/// A partition of which the state does not know (any more) who made it: its rows are known by the snapshot that shows them, and
/// its code and inputs are none that an asset has.
fn of_unknown_origin(step: &AssetPartition, target: i64) -> RestoredMaterialization {
    let partition = step.partition.as_ref().map_or("", |key| key.as_str());
    RestoredMaterialization {
        run: RunId::unknown(),
        attempt: AttemptId::from_bits(0),
        materialization: Materialization {
            step: step.clone(),
            fingerprint: Fingerprint::of(["not known"]),
            data_version: Fingerprint::of(["snapshot", &target.to_string(), partition]),
            inputs: BTreeMap::new(),
            snapshot_id: None,
            rows: 0,
            bytes: 0,
            metadata: BTreeMap::new(),
            checks: Vec::new(),
            sources: Vec::new(),
        },
    }
}
