//! How tables were taken back to what they were.

use assets::{AssetKey, AssetPartition};
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::page::collect;
use crate::event::Micros;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

const OF_ASSET: &str = "
    SELECT seq, at, snapshot_id, to_snapshot, from_snapshot, partitions, by, note
    FROM rollback WHERE asset = ?1 ORDER BY seq DESC LIMIT ?2";

const OF_PARTITION: &str = "
    SELECT r.seq, r.at, r.snapshot_id, r.to_snapshot, r.from_snapshot, r.partitions, r.by, r.note
    FROM partition_rollback p JOIN rollback r ON r.asset = p.asset AND r.seq = p.rollback
    WHERE p.asset = ?1 AND p.partition = ?2";

/// One rollback. Ids of snapshots are texts: they are larger than the numbers of many programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RollbackRow {
    /// Its number.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// The snapshot that shows the old rows again.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub snapshot_id: i64,
    /// The snapshot that it went back to.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub to_snapshot: i64,
    /// How many partitions changed by it.
    pub partitions: u64,
    /// `cli`, `page`, `api`.
    pub by: String,
    /// Why.
    pub note: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a field over so")]
fn as_text<S: serde::Serializer>(id: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

impl RollbackRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        Ok(Self {
            seq: row.get(0)?,
            at: row.get(1)?,
            snapshot_id: row.get(2)?,
            to_snapshot: row.get(3)?,
            partitions: value::count(row.get(5)?),
            by: row.get(6)?,
            note: row.get(7)?,
        })
    }
}

/// The newest rollbacks of an asset, newest first.
pub fn of_asset(store: &Store, asset: &AssetKey, limit: usize) -> Result<Vec<RollbackRow>, StateError> {
    let mut statement = store.connection.prepare_cached(OF_ASSET)?;
    let rows = statement.query(params![asset.as_str(), value::integer(limit as u64)])?;
    collect(rows, RollbackRow::of)
}

/// The rollback by which a partition shows what it shows.
pub fn of_partition(store: &Store, step: &AssetPartition) -> Result<Option<RollbackRow>, StateError> {
    let key = [step.asset.as_str(), value::partition_text(step.partition.as_ref())];
    store
        .connection
        .prepare_cached(OF_PARTITION)?
        .query_row(key, |row| Ok(RollbackRow::of(row)))
        .optional()?
        .transpose()
}
