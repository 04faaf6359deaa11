//! Which runs made the snapshots of a table: of which partitions, and why.

use std::collections::BTreeMap;

use assets::{AssetKey, PartitionKey};
use rusqlite::params;
use serde::Serialize;

use super::page::text;
use crate::ids::RunId;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

// Beside `min(seq)` stand the values of that row: the first partition's run speaks for all.
const MAKERS: &str = "
    SELECT m.snapshot_id, count(*), min(m.partition), max(m.partition), count(DISTINCT m.run), m.run, r.trigger,
           r.selection, s.reason, min(m.seq)
    FROM materialization m
    LEFT JOIN run r ON r.id = m.run
    LEFT JOIN step s ON s.run = m.run AND s.asset = m.asset AND s.partition = m.partition
    WHERE m.asset = ?1 AND m.snapshot_id IN (SELECT value FROM json_each(?2))
    GROUP BY m.snapshot_id";

/// How one snapshot was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct SnapshotMaker {
    /// How many partitions it published; 1 for a table without any.
    pub partitions: u64,
    /// The first of them.
    pub first: Option<PartitionKey>,
    /// The last.
    pub last: Option<PartitionKey>,
    /// The run that made the first.
    pub run: RunId,
    /// How many runs shared it.
    pub runs: u64,
    /// What asked for the run; `None` once it is removed.
    pub trigger: Option<String>,
    /// What was asked for.
    pub selection: Option<String>,
    /// Why the first partition was made.
    pub reason: Option<String>,
}

/// Those of the snapshots that runs made, as far as it is still known.
pub fn makers(store: &Store, asset: &AssetKey, snapshots: &[i64]) -> Result<BTreeMap<i64, SnapshotMaker>, StateError> {
    let mut found = BTreeMap::new();
    let mut statement = store.connection.prepare_cached(MAKERS)?;
    let mut rows = statement.query(params![asset.as_str(), value::to_json(snapshots)])?;
    while let Some(row) = rows.next()? {
        let maker = SnapshotMaker {
            partitions: value::count(row.get(1)?),
            first: value::partition("materialization.partition", text(row, 2)?)?,
            last: value::partition("materialization.partition", text(row, 3)?)?,
            runs: value::count(row.get(4)?),
            run: value::parsed("materialization.run", text(row, 5)?)?,
            trigger: row.get(6)?,
            selection: row.get(7)?,
            reason: row.get(8)?,
        };
        found.insert(row.get(0)?, maker);
    }
    Ok(found)
}
