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

/// One materialization.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
