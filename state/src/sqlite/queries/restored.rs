//! The materialization that a partition had in a snapshot.

use std::collections::BTreeSet;

use assets::{AssetKey, AssetPartition};
use rusqlite::{OptionalExtension, params};

use super::events;
use crate::event::{Event, RestoredMaterialization};
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

const NEWEST_OF_SNAPSHOT: &str = "
    SELECT max(seq) FROM (
        SELECT max(seq) AS seq FROM materialization WHERE asset = ?1 AND snapshot_id = ?2
        UNION ALL SELECT max(seq) FROM rollback WHERE asset = ?1 AND snapshot_id = ?2)";

const OF_PARTITION: &str = "
    SELECT seq, snapshot_id FROM materialization WHERE asset = ?1 AND partition = ?2 ORDER BY seq DESC";

const FORGOTTEN: &str = "
    SELECT seq FROM forgotten_materialization WHERE asset = ?1 AND partition = ?2";

/// Whether a rollback took a partition away after it was made: what it brings back is a materialization of its own. The partitions of a
/// rollback are told right after it.
const TAKEN_AWAY: &str = "
    SELECT 1 FROM rollback r JOIN event e ON e.seq > r.seq AND e.seq <= r.seq + r.partitions
    WHERE r.asset = ?1 AND r.seq > ?3 AND r.seq <= ?4 AND e.type = 'partition_rolled_back'
          AND json_extract(e.json, '$.step.asset') = ?1 AND coalesce(json_extract(e.json, '$.step.partition'), '') = ?2
          AND json_extract(e.json, '$.restored') IS NULL
    LIMIT 1";

/// The same of a partition that was none any more because the table was cut in another way.
const CUT_AWAY: &str = "
    SELECT 1 FROM partition_cut WHERE asset = ?1 AND partition = ?2 AND seq > ?3 AND seq <= ?4 LIMIT 1";

/// The snapshots in which partitions were made or taken back, as far as anything is known of that.
const TOLD: &str = "
    SELECT snapshot_id FROM materialization WHERE asset = ?1 AND snapshot_id IS NOT NULL
    UNION SELECT snapshot_id FROM rollback WHERE asset = ?1";

/// What a table showed in one of its snapshots.
///
/// A table goes on from snapshot to snapshot in the order of what is stored, so what a snapshot showed of a partition is the newest
/// that was made of it until then, whether or not the table still has the snapshot in which that was.
#[derive(Debug, Clone)]
pub struct ShownIn {
    /// The snapshot.
    snapshot: i64,
    /// The newest that was made, or taken back, in the snapshot itself; nothing of that may be known any more.
    until: Option<i64>,
    /// The snapshots that it was built on, as far as the table has them.
    ancestors: BTreeSet<i64>,
    /// The snapshots that came after it. What an environment made in several counts here in one transaction, in no order.
    later: BTreeSet<i64>,
    /// The snapshots of the table of which it is known what was made in them.
    told: BTreeSet<i64>,
}

impl ShownIn {
    /// What `asset` showed in `snapshot`, which was built on `ancestors` (itself among them), and before `later` ones.
    pub fn of(
        store: &Store,
        asset: &AssetKey,
        snapshot: i64,
        ancestors: BTreeSet<i64>,
        later: BTreeSet<i64>,
    ) -> Result<Self, StateError> {
        let mut statement = store.connection.prepare_cached(NEWEST_OF_SNAPSHOT)?;
        let mut told = store.connection.prepare_cached(TOLD)?;
        let told = told.query_map([asset.as_str()], |row| row.get(0))?;
        Ok(Self {
            told: told.collect::<Result<_, _>>()?,
            snapshot,
            until: statement.query_row(params![asset.as_str(), snapshot], |row| row.get(0))?,
            ancestors,
            later,
        })
    }

    /// What made a partition as it was shown; `None` if it had not been made, or if nothing is known of it any more. `last_added_in` is the
    /// snapshot in which its newest rows came to be, where it has rows: it may be one of which nothing is known here, of another program,
    /// or of an environment that made them anew before it was merged.
    pub fn made(
        &self,
        store: &Store,
        step: &AssetPartition,
        last_added_in: Option<i64>,
    ) -> Result<Option<RestoredMaterialization>, StateError> {
        if last_added_in.is_some_and(|added| !self.told.contains(&added)) {
            return Ok(None);
        }
        let mut statement = store.connection.prepare_cached(OF_PARTITION)?;
        let key = [step.asset.as_str(), value::partition_text(step.partition.as_ref())];
        let mut rows = statement.query(key)?;
        while let Some(row) = rows.next()? {
            let (seq, snapshot): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
            let Some(snapshot) = snapshot else { continue };
            // What the table does not have any more is told by its number, which an environment's are in no order of; where there is none
            // to hold it against, nothing is known of it, nor of those before.
            let is_of_it = self.ancestors.contains(&snapshot) || last_added_in == Some(snapshot);
            let is_after = self.later.contains(&snapshot) || self.until.is_some_and(|until| seq > until);
            if !is_of_it && is_after {
                continue;
            }
            if !is_of_it && self.until.is_none() {
                return Ok(None);
            }
            // What came after it and is forgotten may be what the snapshot showed; what made the snapshot itself is what it showed.
            if snapshot != self.snapshot && forgotten(store, key)?.is_some_and(|forgotten| forgotten > seq) {
                return Ok(None);
            }
            let until = self.until.unwrap_or(i64::MAX);
            for gone in [TAKEN_AWAY, CUT_AWAY] {
                let mut gone = store.connection.prepare_cached(gone)?;
                if gone.exists(params![key[0], key[1], seq, until])? {
                    return Ok(None);
                }
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

/// The newest materialization of a partition that retention has removed.
fn forgotten(store: &Store, [asset, partition]: [&str; 2]) -> Result<Option<i64>, StateError> {
    let mut statement = store.connection.prepare_cached(FORGOTTEN)?;
    let found = statement.query_row(params![asset, partition], |row| row.get(0));
    Ok(found.optional()?)
}
