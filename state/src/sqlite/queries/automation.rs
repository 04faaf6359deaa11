//! What automation requested and why, what it leaves alone, and whether it is paused.

use assets::AssetKey;
use rusqlite::{Row, params};
use serde::Serialize;

use super::page::{Page, collect, one_more, text};
use crate::automation::{EvaluatedPart, LeftOut, Stretches};
use crate::event::Micros;
use crate::ids::RunId;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

macro_rules! columns {
    () => {
        "SELECT a.asset, a.seq, a.at, a.run, a.rule, a.partitions, a.evaluation, a.left_out, r.status
         FROM automation_request a LEFT JOIN run r ON r.id = a.run "
    };
}

const OF_ASSET: &str = concat!(
    columns!(),
    "WHERE a.asset = ?1 AND a.seq < ?2 ORDER BY a.seq DESC LIMIT ?3"
);

const NEWEST: &str = concat!(columns!(), "WHERE a.seq < ?1 ORDER BY a.seq DESC, a.asset LIMIT ?2");

const OF_RUN: &str = concat!(columns!(), "WHERE a.run = ?1 ORDER BY a.asset");

const PAUSES: &str = "SELECT asset, at, by FROM automation_pause ORDER BY asset";

/// What a decision requested of one asset, and why.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct AutomationRow {
    /// The asset.
    pub asset: AssetKey,
    /// The number of the decision; the cursor of the list.
    pub seq: i64,
    /// When it was decided.
    pub at: Micros,
    /// The run.
    pub run: RunId,
    /// Where that run is.
    pub run_status: Option<String>,
    /// The rule that held.
    pub rule: String,
    /// The partitions that were requested.
    pub partitions: Stretches,
    /// The condition, part by part.
    pub evaluation: EvaluatedPart,
    /// What was left out and why.
    pub left_out: Vec<LeftOut>,
}

/// Whose automation is paused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PauseRow {
    /// The asset; all of it if absent.
    pub asset: Option<AssetKey>,
    /// Since when.
    pub at: Micros,
    /// Who paused it.
    pub by: String,
}

impl AutomationRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        Ok(Self {
            asset: value::parsed("automation_request.asset", text(row, 0)?)?,
            seq: row.get(1)?,
            at: row.get(2)?,
            run: value::parsed("automation_request.run", text(row, 3)?)?,
            rule: row.get(4)?,
            partitions: value::json("automation_request.partitions", text(row, 5)?)?,
            evaluation: value::json("automation_request.evaluation", text(row, 6)?)?,
            left_out: value::json("automation_request.left_out", text(row, 7)?)?,
            run_status: row.get(8)?,
        })
    }
}

/// What was requested of an asset before the decision with the number `before`, newest first.
pub fn requests(
    store: &Store,
    asset: &AssetKey,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<AutomationRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(OF_ASSET)?;
    let rows = statement.query(params![asset.as_str(), before.unwrap_or(i64::MAX), one_more(limit)])?;
    Ok(Page::of(collect(rows, AutomationRow::of)?, limit, |row| row.seq))
}

/// What was requested of any asset before the decision with the number `before`, newest first. A decision about more assets
/// than `limit` is cut.
pub fn newest_requests(
    store: &Store,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<AutomationRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(NEWEST)?;
    let rows = statement.query(params![before.unwrap_or(i64::MAX), one_more(limit)])?;
    Ok(Page::of(collect(rows, AutomationRow::of)?, limit, |row| row.seq))
}

/// What the decision was about that requested a run; nothing if no automation did.
pub fn requests_of_run(store: &Store, run: &RunId) -> Result<Vec<AutomationRow>, StateError> {
    let mut statement = store.connection.prepare_cached(OF_RUN)?;
    let rows = statement.query([run.as_str()])?;
    collect(rows, AutomationRow::of)
}

/// Whose automation is paused.
pub fn pauses(store: &Store) -> Result<Vec<PauseRow>, StateError> {
    let mut statement = store.connection.prepare_cached(PAUSES)?;
    let rows = statement.query([])?;
    collect(rows, |row| {
        Ok(PauseRow {
            asset: match text(row, 0)? {
                "" => None,
                asset => Some(value::parsed("automation_pause.asset", asset)?),
            },
            at: row.get(1)?,
            by: row.get(2)?,
        })
    })
}
