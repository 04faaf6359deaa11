//! The materialization that a partition had in a snapshot.

use std::collections::BTreeSet;

use assets::{AssetKey, AssetPartition};
use rusqlite::{OptionalExtension, params};

use super::events;
use crate::event::{Event, RestoredMaterialization};
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::retention::retained_to;
use crate::sqlite::value;

const NEWEST_OF_SNAPSHOT: &str = "
    SELECT max(seq) FROM (
        SELECT max(seq) AS seq FROM materialization WHERE asset = ?1 AND snapshot_id = ?2
        UNION ALL SELECT max(seq) FROM rollback WHERE asset = ?1 AND snapshot_id = ?2)";

const OF_PARTITION: &str = "
    SELECT seq, snapshot_id FROM materialization WHERE asset = ?1 AND partition = ?2 AND seq <= ?3 ORDER BY seq DESC";

const STAYS_IN_ANY_CASE: &str = "
    SELECT EXISTS (SELECT 1 FROM materialization m JOIN run r ON r.id = m.run WHERE m.seq = ?1)
        OR EXISTS (SELECT 1 FROM event WHERE seq = ?1 AND type = 'partition_rolled_back')";

/// What a table showed in one of its snapshots.
///
/// A table goes on from snapshot to snapshot in the order of what is stored, so what a snapshot showed of a partition is the newest
/// that was made of it until then, whether or not the table still has the snapshot in which that was.
#[derive(Debug, Clone)]
pub struct ShownIn {
    /// The newest that was made, or taken back, in the snapshot itself; nothing of that may be known any more.
    until: Option<i64>,
    /// The snapshots that it was built on, as far as the table has them.
    ancestors: BTreeSet<i64>,
    /// Up to here some may be gone.
    retained_to: i64,
}

impl ShownIn {
    /// What `asset` showed in `snapshot`, which was built on `ancestors` (itself among them).
    pub fn of(store: &Store, asset: &AssetKey, snapshot: i64, ancestors: BTreeSet<i64>) -> Result<Self, StateError> {
        let mut statement = store.connection.prepare_cached(NEWEST_OF_SNAPSHOT)?;
        Ok(Self {
            until: statement.query_row(params![asset.as_str(), snapshot], |row| row.get(0))?,
            ancestors,
            retained_to: retained_to(&store.connection)?,
        })
    }

    /// What made a partition as it was shown; `None` if it had not been made, or if nothing is known of it any more.
    pub fn made(&self, store: &Store, step: &AssetPartition) -> Result<Option<RestoredMaterialization>, StateError> {
        let mut statement = store.connection.prepare_cached(OF_PARTITION)?;
        let key = [step.asset.as_str(), value::partition_text(step.partition.as_ref())];
        let mut rows = statement.query(params![key[0], key[1], self.until.unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            let (seq, snapshot): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
            let among = |snapshot: i64| self.until.is_some() || self.ancestors.contains(&snapshot);
            if !snapshot.is_some_and(among) {
                continue;
            }
            // Where nothing is known any more of the snapshot itself, it may be what made this partition.
            if seq < self.retained_to && (self.until.is_none() || may_hide_another(store, seq)?) {
                return Ok(None);
            }
            return Ok(match events::one(store, seq)? {
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
}

/// Whether something newer may have been removed: retention keeps rollbacks whatever followed, and now and then a run. Of a
/// run that it removed it keeps what nothing newer had followed.
fn may_hide_another(store: &Store, seq: i64) -> Result<bool, StateError> {
    let kept = store
        .connection
        .prepare_cached(STAYS_IN_ANY_CASE)?
        .query_row([seq], |row| row.get::<_, bool>(0))
        .optional()?;
    Ok(kept.unwrap_or(false))
}
