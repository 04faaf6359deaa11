//! Every asset that has a partition which was materialized or failed, with its sums. Which partitions are missing or stale
//! is not stored: it follows from the project, and the core knows it.

use assets::AssetKey;
use rusqlite::{Row, params};
use serde::Serialize;

use super::page::{Page, collect, one_more, text};
use crate::event::Micros;
use crate::ids::RunId;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

const ASSETS: &str = "
    SELECT asset, materialized, failed, rows, bytes, materializations, last_seq, last_at, last_run, failed_at,
           EXISTS (SELECT 1 FROM partition_cut c WHERE c.asset = asset_summary.asset)
    FROM asset_summary WHERE asset > ?1 ORDER BY asset LIMIT ?2";

const ASSET: &str = "
    SELECT asset, materialized, failed, rows, bytes, materializations, last_seq, last_at, last_run, failed_at,
           EXISTS (SELECT 1 FROM partition_cut c WHERE c.asset = asset_summary.asset)
    FROM asset_summary WHERE asset = ?1";

/// The sums of one asset.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct AssetRow {
    /// The asset.
    pub asset: AssetKey,
    /// Partitions with a materialization (1 for an unpartitioned asset).
    pub materialized: u64,
    /// Partitions whose newest outcome is a failure.
    pub failed: u64,
    /// Rows of the newest materializations of all partitions.
    pub rows: u64,
    /// Bytes of the same.
    pub bytes: u64,
    /// Materializations ever made.
    pub materializations: u64,
    /// The number of the newest materialization.
    pub last_seq: Option<i64>,
    /// When it was published.
    pub last_at: Option<Micros>,
    /// By which run.
    pub last_run: Option<RunId>,
    /// When a step of it last failed.
    pub failed_at: Option<Micros>,
    /// Whether its table was ever cut into other partitions: rows of those that no step has made since are in the table and not counted.
    pub was_cut: bool,
}

impl AssetRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        let last_run: Option<String> = row.get(8)?;
        Ok(Self {
            asset: value::parsed("asset_summary.asset", text(row, 0)?)?,
            materialized: value::count(row.get(1)?),
            failed: value::count(row.get(2)?),
            rows: value::count(row.get(3)?),
            bytes: value::count(row.get(4)?),
            materializations: value::count(row.get(5)?),
            last_seq: row.get(6)?,
            last_at: row.get(7)?,
            last_run: last_run
                .map(|run| value::parsed("asset_summary.last_run", &run))
                .transpose()?,
            failed_at: row.get(9)?,
            was_cut: row.get(10)?,
        })
    }
}

impl AssetRow {
    /// Whether its table may have more rows than are counted, if it has so many partitions now.
    pub fn counts_less(&self, partitions: usize) -> bool {
        self.was_cut && self.materialized < partitions as u64
    }
}

/// Assets after `after`, by key.
pub fn assets(store: &Store, after: Option<&AssetKey>, limit: usize) -> Result<Page<AssetRow, AssetKey>, StateError> {
    let mut statement = store.connection.prepare_cached(ASSETS)?;
    let rows = statement.query(params![after.map_or("", AssetKey::as_str), one_more(limit)])?;
    Ok(Page::of(collect(rows, AssetRow::of)?, limit, |row| row.asset.clone()))
}

/// One asset; `None` if nothing of it was ever materialized or failed.
pub fn asset(store: &Store, asset: &AssetKey) -> Result<Option<AssetRow>, StateError> {
    let mut statement = store.connection.prepare_cached(ASSET)?;
    let mut rows = statement.query([asset.as_str()])?;
    rows.next()?.map(AssetRow::of).transpose()
}
