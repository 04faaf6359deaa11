//! The attempts of a run, with their log files.

use assets::outcome::{Failure, TablePointer};
use assets::{AssetKey, PartitionKey};
use rusqlite::{Row, params};
use serde::Serialize;

use super::page::{Page, collect, one_more, text};
use crate::event::{Micros, PinnedVersion};
use crate::ids::{AttemptId, RunId};
use crate::logs;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

/// The columns of [`AttemptRow`], also read by `why`.
macro_rules! attempt_columns {
    () => {
        "a.id, a.seq, a.run, a.asset, a.number, a.partitions, a.inputs, a.started_at, a.ended_at, a.failure"
    };
}
pub(super) use attempt_columns;

const ATTEMPTS: &str = concat!(
    "SELECT ",
    attempt_columns!(),
    " FROM attempt a WHERE run = ?1 AND (?2 IS NULL OR asset = ?2) AND seq > ?3 ORDER BY seq LIMIT ?4"
);

const ATTEMPT: &str = concat!("SELECT ", attempt_columns!(), " FROM attempt a WHERE id = ?1");

const BARS: &str = "
    SELECT id, asset, number, started_at, ended_at, failure IS NOT NULL
    FROM attempt WHERE run = ?1 ORDER BY asset, seq LIMIT ?2";

/// The ids of open attempts.
macro_rules! open_attempts {
    () => {
        "SELECT id FROM attempt WHERE ended_at IS NULL
         UNION SELECT attempt FROM step WHERE status = 'publishing'
               AND run IN (SELECT id FROM run WHERE status IN ('queued', 'running', 'canceling'))"
    };
}

const OPEN_ATTEMPTS: &str = open_attempts!();

const PINNED_BY_ATTEMPTS: &str = concat!(
    "SELECT a.id, a.asset, a.started_at, a.inputs,
            (SELECT json_extract(e.json, '$.table') FROM event e WHERE e.seq = a.seq)
     FROM attempt a WHERE a.id IN (",
    open_attempts!(),
    ") ORDER BY a.seq"
);

/// An attempt.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct AttemptRow {
    /// The attempt.
    pub attempt: AttemptId,
    /// The number of its start; the cursor of the list.
    pub seq: i64,
    /// The run.
    pub run: RunId,
    /// The asset.
    pub asset: AssetKey,
    /// 1 for the first try.
    pub number: u32,
    /// The partitions of its batch.
    pub partitions: Vec<Option<PartitionKey>>,
    /// The inputs it was given.
    pub inputs: Vec<PinnedVersion>,
    /// When it started.
    pub started_at: Micros,
    /// When its worker had nothing more to say.
    pub ended_at: Option<Micros>,
    /// Why it ended early.
    pub failure: Option<Failure>,
    /// Its log file, relative to the state folder.
    pub log_file: String,
}

impl AttemptRow {
    /// From the columns of `attempt_columns!`.
    pub(super) fn of(row: &Row<'_>) -> Result<Self, StateError> {
        let attempt: AttemptId = value::parsed("attempt.id", text(row, 0)?)?;
        let run: RunId = value::parsed("attempt.run", text(row, 2)?)?;
        Ok(Self {
            log_file: logs::attempt_file(&run, &attempt).to_string_lossy().into_owned(),
            attempt,
            seq: row.get(1)?,
            run,
            asset: value::parsed("attempt.asset", text(row, 3)?)?,
            number: row.get(4)?,
            partitions: value::json("attempt.partitions", text(row, 5)?)?,
            inputs: value::json("attempt.inputs", text(row, 6)?)?,
            started_at: row.get(7)?,
            ended_at: row.get(8)?,
            failure: value::optional_json("attempt.failure", row.get(9)?)?,
        })
    }
}

/// The attempts of a run (and of one asset in it), oldest first, after the one with the number `after`.
pub fn attempts(
    store: &Store,
    run: &RunId,
    asset: Option<&AssetKey>,
    after: Option<i64>,
    limit: usize,
) -> Result<Page<AttemptRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(ATTEMPTS)?;
    let rows = statement.query(params![
        run.as_str(),
        asset.map(AssetKey::as_str),
        after.unwrap_or(0),
        one_more(limit)
    ])?;
    Ok(Page::of(collect(rows, AttemptRow::of)?, limit, |row| row.seq))
}

/// One attempt.
pub fn attempt(store: &Store, attempt: &AttemptId) -> Result<Option<AttemptRow>, StateError> {
    let mut statement = store.connection.prepare_cached(ATTEMPT)?;
    let mut rows = statement.query([attempt.as_str()])?;
    rows.next()?.map(AttemptRow::of).transpose()
}

/// The attempts of which no worker has said its last word.
pub fn open_attempts(store: &Store) -> Result<Vec<AttemptId>, StateError> {
    let mut statement = store.connection.prepare_cached(OPEN_ATTEMPTS)?;
    collect(statement.query([])?, |row| value::parsed("attempt.id", text(row, 0)?))
}

/// What an attempt needs of the lake while it works.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptPins {
    /// The attempt.
    pub attempt: AttemptId,
    /// The asset.
    pub asset: AssetKey,
    /// When it started.
    pub started_at: Micros,
    /// The inputs it was given.
    pub inputs: Vec<PinnedVersion>,
    /// The version of the asset's own table that it was given.
    pub table: Option<TablePointer>,
}

/// What the attempts need of which no worker has said its last word.
pub fn pinned_by_attempts(store: &Store) -> Result<Vec<AttemptPins>, StateError> {
    let mut statement = store.connection.prepare_cached(PINNED_BY_ATTEMPTS)?;
    collect(statement.query([])?, |row| {
        Ok(AttemptPins {
            attempt: value::parsed("attempt.id", text(row, 0)?)?,
            asset: value::parsed("attempt.asset", text(row, 1)?)?,
            started_at: row.get(2)?,
            inputs: value::json("attempt.inputs", text(row, 3)?)?,
            table: value::optional_json("event.json", row.get(4)?)?,
        })
    })
}

/// When an attempt was, for drawings of thousands of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptBar {
    /// The attempt.
    pub attempt: AttemptId,
    /// The asset.
    pub asset: AssetKey,
    /// 1 for the first try.
    pub number: u32,
    /// When it started.
    pub started_at: Micros,
    /// When it ended.
    pub ended_at: Option<Micros>,
    /// Whether it ended early.
    pub failed: bool,
}

/// The attempts of a run, by asset and then oldest first, at most `limit` of them; and whether there are more.
pub fn attempt_bars(store: &Store, run: &RunId, limit: usize) -> Result<(Vec<AttemptBar>, bool), StateError> {
    let mut statement = store.connection.prepare_cached(BARS)?;
    let rows = statement.query(params![run.as_str(), one_more(limit)])?;
    let mut bars = collect(rows, |row| {
        Ok(AttemptBar {
            attempt: value::parsed("attempt.id", text(row, 0)?)?,
            asset: value::parsed("attempt.asset", text(row, 1)?)?,
            number: row.get(2)?,
            started_at: row.get(3)?,
            ended_at: row.get(4)?,
            failed: row.get(5)?,
        })
    })?;
    let more = bars.len() > limit;
    bars.truncate(limit);
    Ok((bars, more))
}
