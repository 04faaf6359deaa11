//! Which runs there are, newest first.

use assets::AssetKey;
use rusqlite::{Row, params};
use serde::Serialize;

use super::page::{Page, collect, one_more, text};
use crate::event::{Micros, RunRequest};
use crate::ids::RunId;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;
use crate::status::RunStatus;

macro_rules! runs_among {
    ($chosen:literal) => {
        concat!(
            "SELECT r.id, r.seq, r.status, r.owner, r.trigger, r.selection, r.submitted_at, r.started_at, r.ended_at, r.paused,
                    coalesce(sum(a.waiting), 0), coalesce(sum(a.running), 0), coalesce(sum(a.publishing), 0),
                    coalesce(sum(a.succeeded), 0), coalesce(sum(a.failed), 0), coalesce(sum(a.skipped), 0),
                    coalesce(sum(a.canceled), 0)
             FROM (",
            $chosen,
            ") r LEFT JOIN run_asset a ON a.run = r.id GROUP BY r.seq ORDER BY r.seq DESC"
        )
    };
}

// One for each choice: a condition that may be none keeps an index from being used, and a million runs are looked through for nothing.
const RUNS: &str = runs_among!("SELECT * FROM run WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");

const OF_STATUS: &str = runs_among!("SELECT * FROM run WHERE status = ?3 AND seq < ?1 ORDER BY seq DESC LIMIT ?2");

const OF_ASSET: &str = runs_among!(
    "SELECT run.* FROM run_asset CROSS JOIN run ON run.id = run_asset.run
     WHERE run_asset.asset = ?3 AND run_asset.run_seq < ?1 ORDER BY run_asset.run_seq DESC LIMIT ?2"
);

/// Most runs succeed: of those, an asset's own are fewer to look through.
const SUCCEEDED_OF_ASSET: &str = runs_among!(
    "SELECT run.* FROM run_asset CROSS JOIN run ON run.id = run_asset.run
     WHERE run_asset.asset = ?4 AND run_asset.run_seq < ?1 AND run.status = ?3 ORDER BY run_asset.run_seq DESC LIMIT ?2"
);

const OF_STATUS_AND_ASSET: &str = runs_among!(
    "SELECT * FROM run
     WHERE status = ?3 AND seq < ?1 AND EXISTS (SELECT 1 FROM run_asset o WHERE o.run = run.id AND o.asset = ?4)
     ORDER BY seq DESC LIMIT ?2"
);

const BACKFILLS: &str = "
    SELECT r.id, r.seq, r.status, r.owner, r.trigger, r.selection, r.submitted_at, r.started_at, r.ended_at, r.paused,
           coalesce(sum(a.waiting), 0), coalesce(sum(a.running), 0), coalesce(sum(a.publishing), 0),
           coalesce(sum(a.succeeded), 0), coalesce(sum(a.failed), 0), coalesce(sum(a.skipped), 0),
           coalesce(sum(a.canceled), 0), r.request
    FROM (SELECT * FROM run WHERE trigger = 'backfill' AND seq < ?1 AND (?2 = 0 OR ended_at IS NULL)
          ORDER BY seq DESC LIMIT ?3) r
    LEFT JOIN run_asset a ON a.run = r.id
    GROUP BY r.seq
    ORDER BY r.seq DESC";

const RETRIES: &str = "
    SELECT id, seq, status, submitted_at, started_at, ended_at FROM run WHERE trigger = ?1 ORDER BY seq DESC LIMIT ?2";

const NEWEST: &str = "
    SELECT id, seq, status, submitted_at, started_at, ended_at FROM run ORDER BY seq DESC LIMIT ?1";

const OPEN: &str = "
    SELECT coalesce(sum(status = 'queued'), 0), coalesce(sum(status != 'queued'), 0)
    FROM run WHERE status IN ('queued', 'running', 'canceling')";

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// In this state.
    pub status: Option<RunStatus>,
    /// With steps of this asset.
    pub asset: Option<AssetKey>,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct RunRow {
    /// The run.
    pub run: RunId,
    /// The number of its submission; the cursor of the list.
    pub seq: i64,
    /// Where it is.
    pub status: RunStatus,
    /// `daemon` or `foreground`.
    pub owner: String,
    /// What asked for it.
    pub trigger: String,
    /// The selection as written.
    pub selection: String,
    /// When it was accepted.
    pub submitted_at: Micros,
    /// When its first attempt started.
    pub started_at: Option<Micros>,
    /// When it was over.
    pub ended_at: Option<Micros>,
    /// Whether it starts nothing more until it is resumed.
    pub paused: bool,
    /// Its steps by status.
    pub steps: StepCounts,
}

/// Steps by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, schemars::JsonSchema)]
pub struct StepCounts {
    /// Waiting.
    pub waiting: u64,
    /// Running.
    pub running: u64,
    /// Publishing.
    pub publishing: u64,
    /// Succeeded.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
    /// Skipped.
    pub skipped: u64,
    /// Canceled.
    pub canceled: u64,
}

impl StepCounts {
    /// All steps.
    pub fn total(&self) -> u64 {
        self.waiting + self.running + self.publishing + self.over()
    }

    /// The steps that are over.
    pub fn over(&self) -> u64 {
        self.succeeded + self.failed + self.skipped + self.canceled
    }

    /// From seven columns that begin at `first`, in the order of [`crate::status::StepStatus::ALL`].
    pub(super) fn of(row: &Row<'_>, first: usize) -> Result<Self, StateError> {
        let count = |index: usize| row.get(first + index).map(value::count);
        Ok(Self {
            waiting: count(0)?,
            running: count(1)?,
            publishing: count(2)?,
            succeeded: count(3)?,
            failed: count(4)?,
            skipped: count(5)?,
            canceled: count(6)?,
        })
    }
}

impl RunRow {
    /// From the columns of `RUNS`.
    pub(super) fn of(row: &Row<'_>) -> Result<Self, StateError> {
        Ok(Self {
            run: value::parsed("run.id", text(row, 0)?)?,
            seq: row.get(1)?,
            status: value::run_status(text(row, 2)?)?,
            owner: row.get(3)?,
            trigger: row.get(4)?,
            selection: row.get(5)?,
            submitted_at: row.get(6)?,
            started_at: row.get(7)?,
            ended_at: row.get(8)?,
            paused: row.get(9)?,
            steps: StepCounts::of(row, 10)?,
        })
    }
}

/// Runs that were submitted before the run with the number `before`, newest first.
pub fn runs(
    store: &Store,
    filter: &RunFilter,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<RunRow, i64>, StateError> {
    let (before, limit_and_one) = (before.unwrap_or(i64::MAX), one_more(limit));
    let status = filter.status.map(RunStatus::as_str);
    let asset = filter.asset.as_ref().map(AssetKey::as_str);
    let mut statement = store.connection.prepare_cached(choice(filter))?;
    let rows = match (status, asset) {
        (None, None) => statement.query(params![before, limit_and_one])?,
        (Some(one), None) | (None, Some(one)) => statement.query(params![before, limit_and_one, one])?,
        (Some(status), Some(asset)) => statement.query(params![before, limit_and_one, status, asset])?,
    };
    Ok(Page::of(collect(rows, RunRow::of)?, limit, |row| row.seq))
}

fn choice(filter: &RunFilter) -> &'static str {
    match (filter.status, &filter.asset) {
        (None, None) => RUNS,
        (Some(_), None) => OF_STATUS,
        (None, Some(_)) => OF_ASSET,
        (Some(RunStatus::Succeeded), Some(_)) => SUCCEEDED_OF_ASSET,
        (Some(_), Some(_)) => OF_STATUS_AND_ASSET,
    }
}

/// A backfill in a list: a run over a stretch of partitions.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct BackfillRow {
    /// The run.
    #[serde(flatten)]
    pub row: RunRow,
    /// What was asked for.
    pub request: RunRequest,
}

/// Backfills that were submitted before the run with the number `before`, newest first; with `open` only those that are not over.
pub fn backfills(
    store: &Store,
    open: bool,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<BackfillRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(BACKFILLS)?;
    let rows = statement.query(params![before.unwrap_or(i64::MAX), open, one_more(limit)])?;
    let convert = |row: &Row<'_>| {
        Ok(BackfillRow {
            row: RunRow::of(row)?,
            request: value::json("run.request", text(row, 17)?)?,
        })
    };
    Ok(Page::of(collect(rows, convert)?, limit, |row| row.row.seq))
}

/// When a run was, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RunSpan {
    /// The run.
    pub run: RunId,
    /// The number of its submission.
    pub seq: i64,
    /// Where it is.
    pub status: RunStatus,
    /// When it was accepted.
    pub submitted_at: Micros,
    /// When its first attempt started.
    pub started_at: Option<Micros>,
    /// When it was over.
    pub ended_at: Option<Micros>,
}

impl RunSpan {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        Ok(Self {
            run: value::parsed("run.id", text(row, 0)?)?,
            seq: row.get(1)?,
            status: value::run_status(text(row, 2)?)?,
            submitted_at: row.get(3)?,
            started_at: row.get(4)?,
            ended_at: row.get(5)?,
        })
    }
}

/// The runs that run again what `run` left undone, newest first.
pub fn retries_of(store: &Store, run: &RunId, limit: usize) -> Result<Vec<RunSpan>, StateError> {
    let mut statement = store.connection.prepare_cached(RETRIES)?;
    let rows = statement.query(params![format!("retry of {run}"), one_more(limit) - 1])?;
    collect(rows, RunSpan::of)
}

/// The runs that were submitted since a moment, newest first, and whether there were more than `limit`.
pub fn runs_since(store: &Store, since: Micros, limit: usize) -> Result<(Vec<RunSpan>, bool), StateError> {
    let mut statement = store.connection.prepare_cached(NEWEST)?;
    let mut rows = statement.query([one_more(limit)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let run = RunSpan::of(row)?;
        if run.submitted_at < since {
            break;
        }
        if found.len() == limit {
            return Ok((found, true));
        }
        found.push(run);
    }
    Ok((found, false))
}

/// How many runs are queued, and how many have begun and are not over.
pub fn open_counts(store: &Store) -> Result<(u64, u64), StateError> {
    let mut statement = store.connection.prepare_cached(OPEN)?;
    Ok(statement.query_row([], |row| Ok((value::count(row.get(0)?), value::count(row.get(1)?))))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::open::OpenMode;

    /// Whatever is asked for, the runs of a page are found by an index, newest first, and none is looked at in vain or sorted.
    #[test]
    fn no_choice_looks_through_all_runs() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db"), OpenMode::Writer).unwrap();
        let asset: AssetKey = "silver.flights".parse().unwrap();
        for status in [None, Some(RunStatus::Succeeded), Some(RunStatus::Failed)] {
            for asset in [None, Some(asset.clone())] {
                let filter = RunFilter { status, asset };
                let sql = choice(&filter);
                let mut statement = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                let unset = (1..=statement.parameter_count()).map(|_| rusqlite::types::Null);
                let plan: Vec<String> = statement
                    .query_map(rusqlite::params_from_iter(unset), |row| row.get::<_, String>(3))
                    .unwrap()
                    .collect::<Result<_, _>>()
                    .unwrap();
                let first = plan.iter().find(|line| line.contains(" run")).unwrap();
                let expected = match (status, &filter.asset) {
                    (Some(RunStatus::Succeeded) | None, Some(_)) => "run_asset_by_asset (asset=? AND run_seq<?)",
                    (Some(_), _) => "run_by_status (status=? AND seq<?)",
                    (None, None) => "(seq<?)",
                };
                assert!(
                    first.starts_with("SEARCH") && first.contains(expected),
                    "{filter:?}: {plan:#?}"
                );
                assert!(
                    !plan.iter().any(|line| line.starts_with("SCAN run")),
                    "{filter:?}: {plan:#?}"
                );
            }
        }
    }
}
