//! How assets with a freshness policy stand by it, and how they came to.

use assets::AssetKey;
use rusqlite::{Row, params};
use serde::Serialize;

use super::page::{Page, collect, one_more, text};
use crate::event::Micros;
use crate::freshness::FreshnessState;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

const ALL: &str = "SELECT asset, state, since, watched, made_at, late_at, reason FROM freshness ORDER BY asset";

const ONE: &str = "SELECT asset, state, since, watched, made_at, late_at, reason FROM freshness WHERE asset = ?1";

const CHANGES: &str = "
    SELECT seq, at, previous, state, reason FROM freshness_change WHERE asset = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3";

/// How an asset stands by its freshness policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FreshnessRow {
    /// The asset.
    pub asset: AssetKey,
    /// Where it stands.
    pub state: FreshnessState,
    /// Since when.
    pub since: Micros,
    /// From when on it is watched.
    pub watched: Micros,
    /// When its newest materialization was published, as of the change into this state.
    pub made_at: Option<Micros>,
    /// From when on it is, or was, late, as of the change into this state.
    pub late_at: Option<Micros>,
    /// What the policy asks and what was there.
    pub reason: String,
}

/// One change from a state to another.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct FreshnessChangeRow {
    /// Its number; the cursor of the list.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// From which state.
    pub previous: Option<FreshnessState>,
    /// To which.
    pub state: FreshnessState,
    /// Why.
    pub reason: String,
}

impl FreshnessRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        Ok(Self {
            asset: value::parsed("freshness.asset", text(row, 0)?)?,
            state: value::freshness_state(text(row, 1)?)?,
            since: row.get(2)?,
            watched: row.get(3)?,
            made_at: row.get(4)?,
            late_at: row.get(5)?,
            reason: row.get(6)?,
        })
    }
}

impl FreshnessChangeRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        let previous: Option<String> = row.get(2)?;
        Ok(Self {
            seq: row.get(0)?,
            at: row.get(1)?,
            previous: previous.map(|state| value::freshness_state(&state)).transpose()?,
            state: value::freshness_state(text(row, 3)?)?,
            reason: row.get(4)?,
        })
    }
}

/// Every asset with a policy, by key. There are no more of them than assets.
pub fn freshness(store: &Store) -> Result<Vec<FreshnessRow>, StateError> {
    let mut statement = store.connection.prepare_cached(ALL)?;
    let rows = statement.query([])?;
    collect(rows, FreshnessRow::of)
}

/// One asset; `None` if it is not watched.
pub fn freshness_of(store: &Store, asset: &AssetKey) -> Result<Option<FreshnessRow>, StateError> {
    let mut statement = store.connection.prepare_cached(ONE)?;
    let mut rows = statement.query([asset.as_str()])?;
    rows.next()?.map(FreshnessRow::of).transpose()
}

/// The changes of an asset before the one with the number `before`, newest first.
pub fn freshness_changes(
    store: &Store,
    asset: &AssetKey,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<FreshnessChangeRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(CHANGES)?;
    let rows = statement.query(params![asset.as_str(), before.unwrap_or(i64::MAX), one_more(limit)])?;
    Ok(Page::of(collect(rows, FreshnessChangeRow::of)?, limit, |row| row.seq))
}
