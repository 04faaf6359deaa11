//! The history of an asset, or of one of its partitions.

use std::collections::BTreeMap;

use assets::{AssetKey, AssetPartition, Fingerprint};
use rusqlite::{Row, params};
use serde::Serialize;
use serde_json::Value;

use super::page::{Page, collect, one_more, text};
use crate::event::Micros;
use crate::ids::{AttemptId, RunId};
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

macro_rules! columns {
    () => {
        "seq, at, asset, partition, run, attempt, fingerprint, data_version, inputs, snapshot_id, rows, bytes, metadata"
    };
}

const OF_ASSET: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM materialization WHERE asset = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3"
);

const OF_PARTITION: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM materialization WHERE asset = ?1 AND partition = ?2 AND seq < ?3 ORDER BY seq DESC LIMIT ?4"
);

const ONE: &str = concat!("SELECT ", columns!(), " FROM materialization WHERE seq = ?1");

// Ends as soon as all that the run made was found. Beside `max(seq)` stands the snapshot of that row.
const MADE: &str = "
    SELECT count(*), coalesce(sum(rows), 0), coalesce(sum(bytes), 0), count(DISTINCT snapshot_id),
           snapshot_id, max(seq)
    FROM (SELECT seq, rows, bytes, snapshot_id FROM materialization
          WHERE asset = ?1 AND seq > ?2 AND run = ?3 ORDER BY seq LIMIT ?4)";

// Of the attempts that made the newest partitions. What a batch took is shared out among its partitions.
const COST: &str = "
    WITH newest AS (SELECT attempt, rows, bytes FROM materialization WHERE asset = ?1 ORDER BY seq DESC LIMIT ?2)
    SELECT (SELECT count(*) FROM newest), (SELECT coalesce(sum(rows), 0) FROM newest),
           (SELECT coalesce(sum(bytes), 0) FROM newest), coalesce(sum(ended_at - started_at), 0),
           coalesce(sum(json_array_length(partitions)), 0)
    FROM attempt WHERE id IN (SELECT attempt FROM newest) AND ended_at IS NOT NULL";

/// One materialization.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct MaterializationRow {
    /// Its number; the cursor of the list.
    pub seq: i64,
    /// When it was published.
    pub at: Micros,
    /// What it materialized.
    pub step: AssetPartition,
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: AttemptId,
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
    /// Numbers to plot.
    pub metadata: BTreeMap<String, Value>,
}

impl MaterializationRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        let columns = ["materialization.asset", "materialization.partition"];
        Ok(Self {
            seq: row.get(0)?,
            at: row.get(1)?,
            step: value::asset_partition(columns, text(row, 2)?, text(row, 3)?)?,
            run: value::parsed("materialization.run", text(row, 4)?)?,
            attempt: value::parsed("materialization.attempt", text(row, 5)?)?,
            fingerprint: value::fingerprint(row.get(6)?),
            data_version: value::fingerprint(row.get(7)?),
            inputs: value::json("materialization.inputs", text(row, 8)?)?,
            snapshot_id: row.get(9)?,
            rows: value::count(row.get(10)?),
            bytes: value::count(row.get(11)?),
            metadata: value::json("materialization.metadata", text(row, 12)?)?,
        })
    }
}

/// Materializations of `asset` before the one with the number `before`, newest first.
pub fn of_asset(
    store: &Store,
    asset: &AssetKey,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<MaterializationRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(OF_ASSET)?;
    let rows = statement.query(params![asset.as_str(), before.unwrap_or(i64::MAX), one_more(limit)])?;
    Ok(Page::of(collect(rows, MaterializationRow::of)?, limit, |row| row.seq))
}

/// Materializations of one partition, newest first.
pub fn of_partition(
    store: &Store,
    step: &AssetPartition,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<MaterializationRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(OF_PARTITION)?;
    let rows = statement.query(params![
        step.asset.as_str(),
        value::partition_text(step.partition.as_ref()),
        before.unwrap_or(i64::MAX),
        one_more(limit)
    ])?;
    Ok(Page::of(collect(rows, MaterializationRow::of)?, limit, |row| row.seq))
}

/// The materialization with the number `seq`.
pub fn one(store: &Store, seq: i64) -> Result<Option<MaterializationRow>, StateError> {
    let mut statement = store.connection.prepare_cached(ONE)?;
    let mut rows = statement.query([seq])?;
    rows.next()?.map(MaterializationRow::of).transpose()
}

/// What a run made of one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Made {
    /// How many partitions.
    pub partitions: u64,
    /// Rows in all of them.
    pub rows: u64,
    /// Bytes in all of them.
    pub bytes: u64,
    /// How many snapshots show them; 0 for a model.
    pub snapshots: u64,
    /// The last of these.
    pub last_snapshot: Option<i64>,
}

/// What a run made of an asset: `since` is the number of the run's submission, `most` how many of its steps succeeded.
pub fn made_by_run(store: &Store, run: &RunId, since: i64, asset: &AssetKey, most: u64) -> Result<Made, StateError> {
    let mut statement = store.connection.prepare_cached(MADE)?;
    let made = statement.query_row(
        params![asset.as_str(), since, run.as_str(), value::integer(most)],
        |row| {
            Ok(Made {
                partitions: value::count(row.get(0)?),
                rows: value::count(row.get(1)?),
                bytes: value::count(row.get(2)?),
                snapshots: value::count(row.get(3)?),
                last_snapshot: row.get(4)?,
            })
        },
    )?;
    Ok(made)
}

/// What partitions of an asset took so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// The newest partitions that were looked at.
    pub partitions: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long the attempts took that made them.
    pub micros: Micros,
    /// How many partitions these attempts had.
    pub tried: u64,
}

/// What the newest `limit` materializations of an asset took; `None` if there is none.
pub fn cost(store: &Store, asset: &AssetKey, limit: usize) -> Result<Option<Cost>, StateError> {
    let mut statement = store.connection.prepare_cached(COST)?;
    let cost = statement.query_row(params![asset.as_str(), value::integer(limit as u64)], |row| {
        Ok(Cost {
            partitions: value::count(row.get(0)?),
            rows: value::count(row.get(1)?),
            bytes: value::count(row.get(2)?),
            micros: row.get(3)?,
            tried: value::count(row.get(4)?),
        })
    })?;
    Ok((cost.partitions > 0 && cost.tried > 0).then_some(cost))
}
