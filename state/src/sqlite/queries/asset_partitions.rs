//! Where each partition of an asset stands.

use std::collections::BTreeMap;

use assets::outcome::Failure;
use assets::{AssetKey, Fingerprint, PartitionKey};
use rusqlite::{Row, params};
use serde::Serialize;

use super::page::{Page, collect, one_more, text};
use crate::event::Micros;
use crate::ids::RunId;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

/// The columns of [`PartitionRow`], also read by `why`.
macro_rules! partition_columns {
    () => {
        "partition, seq, run, at, fingerprint, data_version, inputs, snapshot_id, rows, bytes,
         failed, failed_seq, failed_run, failed_at, failure"
    };
}
pub(super) use partition_columns;

const PARTITIONS: &str = concat!(
    "SELECT ",
    partition_columns!(),
    " FROM asset_partition WHERE asset = ?1 AND partition > ?2 ORDER BY partition LIMIT ?3"
);

const FIRST: &str = concat!(
    "SELECT ",
    partition_columns!(),
    " FROM asset_partition WHERE asset = ?1 ORDER BY partition LIMIT ?2"
);

const FAILED: &str = concat!(
    "SELECT ",
    partition_columns!(),
    " FROM asset_partition WHERE asset = ?1 AND failed = 1 AND (?2 IS NULL OR partition > ?2) ORDER BY partition LIMIT ?3"
);

/// Where one partition stands.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct PartitionRow {
    /// The key; `None` for an unpartitioned asset.
    pub partition: Option<PartitionKey>,
    /// Its newest materialization.
    pub current: Option<Current>,
    /// Whether its newest outcome is a failure.
    pub failed: bool,
    /// Its newest failure, also when it was materialized since.
    pub last_failure: Option<LastFailure>,
}

/// The newest materialization of a partition.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Current {
    /// Its number.
    pub seq: i64,
    /// The run that made it.
    pub run: RunId,
    /// When it was published.
    pub at: Micros,
    /// The fingerprint of its code.
    pub fingerprint: Fingerprint,
    /// What its rows are a function of.
    pub data_version: Fingerprint,
    /// The data version of each input.
    pub inputs: BTreeMap<AssetKey, Fingerprint>,
    /// The snapshot that shows it.
    pub snapshot_id: Option<i64>,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The newest failure of a partition.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct LastFailure {
    /// Its number.
    pub seq: i64,
    /// The run.
    pub run: RunId,
    /// When.
    pub at: Micros,
    /// Why.
    pub failure: Failure,
}

impl PartitionRow {
    /// From the columns of `partition_columns!`.
    pub(super) fn of(row: &Row<'_>) -> Result<Self, StateError> {
        let current = match row.get(1)? {
            None => None,
            Some(seq) => Some(Current {
                seq,
                run: value::parsed("asset_partition.run", text(row, 2)?)?,
                at: row.get(3)?,
                fingerprint: value::fingerprint(row.get(4)?),
                data_version: value::fingerprint(row.get(5)?),
                inputs: value::json("asset_partition.inputs", text(row, 6)?)?,
                snapshot_id: row.get(7)?,
                rows: value::count(row.get(8)?),
                bytes: value::count(row.get(9)?),
            }),
        };
        let last_failure = match row.get(11)? {
            None => None,
            Some(seq) => Some(LastFailure {
                seq,
                run: value::parsed("asset_partition.failed_run", text(row, 12)?)?,
                at: row.get(13)?,
                failure: value::json("asset_partition.failure", text(row, 14)?)?,
            }),
        };
        Ok(Self {
            partition: value::partition("asset_partition.partition", text(row, 0)?)?,
            current,
            failed: row.get(10)?,
            last_failure,
        })
    }
}

/// Partitions of `asset` after `after`, by key; with `failed_only` those whose newest outcome is a failure. Partitions that
/// never ran are not here.
pub fn asset_partitions(
    store: &Store,
    asset: &AssetKey,
    failed_only: bool,
    after: Option<&PartitionKey>,
    limit: usize,
) -> Result<Page<PartitionRow, Option<PartitionKey>>, StateError> {
    let after = after.map(PartitionKey::as_str);
    let rows = match (failed_only, after) {
        (true, after) => {
            let mut statement = store.connection.prepare_cached(FAILED)?;
            collect(
                statement.query(params![asset.as_str(), after, one_more(limit)])?,
                PartitionRow::of,
            )?
        }
        (false, Some(after)) => {
            let mut statement = store.connection.prepare_cached(PARTITIONS)?;
            collect(
                statement.query(params![asset.as_str(), after, one_more(limit)])?,
                PartitionRow::of,
            )?
        }
        (false, None) => {
            let mut statement = store.connection.prepare_cached(FIRST)?;
            collect(
                statement.query(params![asset.as_str(), one_more(limit)])?,
                PartitionRow::of,
            )?
        }
    };
    Ok(Page::of(rows, limit, |row| row.partition.clone()))
}
