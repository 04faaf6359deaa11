//! Schedules as last declared, and what became of their instants.

use rusqlite::{Row, params};
use serde::Serialize;

use super::page::{Page, collect, one_more, text};
use crate::event::Micros;
use crate::ids::RunId;
use crate::schedule::{DeclaredTimes, TickStatus};
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

const SCHEDULES: &str = "
    SELECT name, times, declared, paused_at, paused_by, accounted FROM schedule
    WHERE name > ?1 ORDER BY name LIMIT ?2";

macro_rules! tick_columns {
    () => {
        "SELECT t.schedule, t.instant, t.last, t.count, t.status, t.reason, t.run, t.by_hand, t.seq, t.at, r.status
         FROM tick t LEFT JOIN run r ON r.id = t.run "
    };
}

const TICKS: &str = concat!(
    tick_columns!(),
    "WHERE t.schedule = ?1 AND t.seq < ?2 ORDER BY t.seq DESC LIMIT ?3"
);

const ALL_TICKS: &str = concat!(tick_columns!(), "WHERE t.seq < ?1 ORDER BY t.seq DESC LIMIT ?2");

const TICK_OF_RUN: &str = concat!(tick_columns!(), "WHERE t.run = ?1 ORDER BY t.seq LIMIT 1");

/// A schedule that was ever declared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduleRow {
    /// Its name.
    pub schedule: String,
    /// When it is due, as last declared.
    pub times: DeclaredTimes,
    /// Whether the project still declares it.
    pub declared: bool,
    /// When it was paused, if it is.
    pub paused_at: Option<Micros>,
    /// Who paused it.
    pub paused_by: Option<String>,
    /// Every instant up to here is accounted for.
    pub accounted: Micros,
}

/// An instant, or a stretch of them, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct TickRow {
    /// The schedule.
    pub schedule: String,
    /// The instant; of a stretch the first.
    pub instant: Micros,
    /// The last instant of a stretch; otherwise the same as `instant`.
    pub last: Micros,
    /// How many instants.
    pub count: u64,
    /// What became of it.
    pub status: TickStatus,
    /// Why.
    pub reason: Option<String>,
    /// The run that was requested.
    pub run: Option<RunId>,
    /// Where that run is.
    pub run_status: Option<String>,
    /// Someone asked for it.
    pub by_hand: bool,
    /// Its number; the cursor of the list.
    pub seq: i64,
    /// When it was decided.
    pub at: Micros,
}

impl ScheduleRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        Ok(Self {
            schedule: row.get(0)?,
            times: value::json("schedule.times", text(row, 1)?)?,
            declared: row.get(2)?,
            paused_at: row.get(3)?,
            paused_by: row.get(4)?,
            accounted: row.get(5)?,
        })
    }
}

impl TickRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        let run: Option<String> = row.get(6)?;
        Ok(Self {
            schedule: row.get(0)?,
            instant: row.get(1)?,
            last: row.get(2)?,
            count: value::count(row.get(3)?),
            status: value::tick_status(text(row, 4)?)?,
            reason: row.get(5)?,
            run: run.map(|run| value::parsed("tick.run", &run)).transpose()?,
            by_hand: row.get(7)?,
            seq: row.get(8)?,
            at: row.get(9)?,
            run_status: row.get(10)?,
        })
    }
}

/// Schedules after `after`, by name; also those that the project no longer declares.
pub fn schedules(store: &Store, after: Option<&str>, limit: usize) -> Result<Page<ScheduleRow, String>, StateError> {
    let mut statement = store.connection.prepare_cached(SCHEDULES)?;
    let rows = statement.query(params![after.unwrap_or_default(), one_more(limit)])?;
    Ok(Page::of(collect(rows, ScheduleRow::of)?, limit, |row| {
        row.schedule.clone()
    }))
}

/// The ticks of a schedule before the one with the number `before`, newest first.
pub fn ticks(
    store: &Store,
    schedule: &str,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<TickRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(TICKS)?;
    let rows = statement.query(params![schedule, before.unwrap_or(i64::MAX), one_more(limit)])?;
    Ok(Page::of(collect(rows, TickRow::of)?, limit, |row| row.seq))
}

/// The ticks of all schedules before the one with the number `before`, newest first.
pub fn all_ticks(store: &Store, before: Option<i64>, limit: usize) -> Result<Page<TickRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(ALL_TICKS)?;
    let rows = statement.query(params![before.unwrap_or(i64::MAX), one_more(limit)])?;
    Ok(Page::of(collect(rows, TickRow::of)?, limit, |row| row.seq))
}

/// The tick that requested a run.
pub fn tick_of_run(store: &Store, run: &RunId) -> Result<Option<TickRow>, StateError> {
    let mut statement = store.connection.prepare_cached(TICK_OF_RUN)?;
    let mut rows = statement.query([run.as_str()])?;
    rows.next()?.map(TickRow::of).transpose()
}
