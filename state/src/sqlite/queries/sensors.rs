//! Sensors as last declared, what became of their looks, and what they told of.

use assets::PartitionKey;
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use super::page::{Page, collect, one_more, text};
use crate::event::Micros;
use crate::ids::RunId;
use crate::schedule::TickStatus;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

const SENSORS: &str = "
    SELECT name, kind, watches, declared, paused_at, paused_by, cursor, ticks, failures, lag FROM sensor
    WHERE name > ?1 ORDER BY name LIMIT ?2";

macro_rules! tick_columns {
    () => {
        "SELECT t.sensor, t.number, t.status, t.reason, t.run, t.asked_by, t.events, t.lag, t.seq, t.at, r.status,
                (SELECT json_group_array(what) FROM
                     (SELECT what FROM sensor_event e WHERE e.sensor = t.sensor AND e.tick = t.number
                      ORDER BY what LIMIT 3))
         FROM sensor_tick t LEFT JOIN run r ON r.id = t.run "
    };
}

const TICKS: &str = concat!(
    tick_columns!(),
    "WHERE t.sensor = ?1 AND t.number < ?2 ORDER BY t.number DESC LIMIT ?3"
);

const ALL_TICKS: &str = concat!(tick_columns!(), "WHERE t.seq < ?1 ORDER BY t.seq DESC LIMIT ?2");

const TICK_OF_RUN: &str = concat!(tick_columns!(), "WHERE t.run = ?1 LIMIT 1");

const EVENTS: &str = "
    SELECT key, what, partitions FROM sensor_event WHERE sensor = ?1 AND tick = ?2 AND key > ?3 ORDER BY key LIMIT ?4";

const EVENT: &str = "
    SELECT e.tick, e.payload, t.run FROM sensor_event e
    JOIN sensor_tick t ON t.sensor = e.sensor AND t.number = e.tick
    WHERE e.sensor = ?1 AND e.key = ?2";

/// A sensor that was ever declared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SensorRow {
    /// Its name.
    pub sensor: String,
    /// The word of its kind.
    pub kind: String,
    /// What it watches, for people.
    pub watches: String,
    /// Whether the project still declares it.
    pub declared: bool,
    /// When it was paused, if it is.
    pub paused_at: Option<Micros>,
    /// Who paused it.
    pub paused_by: Option<String>,
    /// Up to where it has read.
    pub cursor: Option<String>,
    /// How many ticks it had.
    pub ticks: u64,
    /// How many looks in a row failed.
    pub failures: u64,
    /// How many events were seen and not told of yet.
    pub lag: u64,
}

/// A tick of a sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SensorTickRow {
    /// The sensor.
    pub sensor: String,
    /// 1, 2, 3, …
    pub number: u64,
    /// What became of it.
    pub status: TickStatus,
    /// Why.
    pub reason: Option<String>,
    /// The run that was requested.
    pub run: Option<RunId>,
    /// Who asked for it, if someone did.
    pub asked_by: Option<String>,
    /// How many events it told of.
    pub events: u64,
    /// How many were left for later ticks.
    pub lag: u64,
    /// Its number among all events of the project; the cursor of the list.
    pub seq: i64,
    /// When it was decided.
    pub at: Micros,
    /// Where the run is.
    pub run_status: Option<String>,
    /// What the first of its events are.
    pub examples: Vec<String>,
}

/// What a sensor told of.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct SensorEventRow {
    /// Its key; the cursor of the list.
    pub key: String,
    /// What it is, for people.
    pub what: String,
    /// The partitions that it is about.
    pub partitions: Vec<PartitionKey>,
}

impl SensorRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        Ok(Self {
            sensor: row.get(0)?,
            kind: row.get(1)?,
            watches: row.get(2)?,
            declared: row.get(3)?,
            paused_at: row.get(4)?,
            paused_by: row.get(5)?,
            cursor: row.get(6)?,
            ticks: value::count(row.get(7)?),
            failures: value::count(row.get(8)?),
            lag: value::count(row.get(9)?),
        })
    }
}

impl SensorTickRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        let run: Option<String> = row.get(4)?;
        Ok(Self {
            sensor: row.get(0)?,
            number: value::count(row.get(1)?),
            status: value::tick_status(text(row, 2)?)?,
            reason: row.get(3)?,
            run: run.map(|run| value::parsed("sensor_tick.run", &run)).transpose()?,
            asked_by: row.get(5)?,
            events: value::count(row.get(6)?),
            lag: value::count(row.get(7)?),
            seq: row.get(8)?,
            at: row.get(9)?,
            run_status: row.get(10)?,
            examples: value::json("sensor_event.what", text(row, 11)?)?,
        })
    }
}

impl SensorEventRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        Ok(Self {
            key: row.get(0)?,
            what: row.get(1)?,
            partitions: value::json("sensor_event.partitions", text(row, 2)?)?,
        })
    }
}

/// Sensors after `after`, by name; also those that the project no longer declares.
pub fn sensors(store: &Store, after: Option<&str>, limit: usize) -> Result<Page<SensorRow, String>, StateError> {
    let mut statement = store.connection.prepare_cached(SENSORS)?;
    let rows = statement.query(params![after.unwrap_or_default(), one_more(limit)])?;
    Ok(Page::of(collect(rows, SensorRow::of)?, limit, |row| row.sensor.clone()))
}

/// The ticks of a sensor before the one with the number `before` (its own), newest first.
pub fn sensor_ticks(
    store: &Store,
    sensor: &str,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<SensorTickRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(TICKS)?;
    let rows = statement.query(params![sensor, before.unwrap_or(i64::MAX), one_more(limit)])?;
    Ok(Page::of(collect(rows, SensorTickRow::of)?, limit, |row| {
        value::integer(row.number)
    }))
}

/// The ticks of all sensors before the one with the number `before` (among all events), newest first.
pub fn all_sensor_ticks(
    store: &Store,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<SensorTickRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(ALL_TICKS)?;
    let rows = statement.query(params![before.unwrap_or(i64::MAX), one_more(limit)])?;
    Ok(Page::of(collect(rows, SensorTickRow::of)?, limit, |row| row.seq))
}

/// The tick that requested a run.
pub fn sensor_tick_of_run(store: &Store, run: &RunId) -> Result<Option<SensorTickRow>, StateError> {
    let mut statement = store.connection.prepare_cached(TICK_OF_RUN)?;
    let mut rows = statement.query([run.as_str()])?;
    rows.next()?.map(SensorTickRow::of).transpose()
}

/// What a tick told of, after the event with the key `after`.
pub fn sensor_events(
    store: &Store,
    sensor: &str,
    tick: u64,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<SensorEventRow, String>, StateError> {
    let mut statement = store.connection.prepare_cached(EVENTS)?;
    let rows = statement.query(params![
        sensor,
        value::integer(tick),
        after.unwrap_or_default(),
        one_more(limit)
    ])?;
    Ok(Page::of(collect(rows, SensorEventRow::of)?, limit, |row| {
        row.key.clone()
    }))
}

/// Where an event was told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToldEvent {
    /// The tick that told of it.
    pub tick: u64,
    /// The digest of what came with it.
    pub payload: Option<String>,
    /// The run that was requested.
    pub run: Option<RunId>,
}

/// The event with this key, if the sensor told of it.
pub fn sensor_event(store: &Store, sensor: &str, key: &str) -> Result<Option<ToldEvent>, StateError> {
    let mut statement = store.connection.prepare_cached(EVENT)?;
    let mut rows = statement.query(params![sensor, key])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let run: Option<String> = row.get(2)?;
    Ok(Some(ToldEvent {
        tick: value::count(row.get(0)?),
        payload: row.get(1)?,
        run: run.map(|run| value::parsed("sensor_tick.run", &run)).transpose()?,
    }))
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRun {
    /// The number of the event that says so.
    pub seq: i64,
    /// The run.
    pub run: RunId,
    /// How it ended.
    pub status: String,
    /// What it was asked for.
    pub selection: String,
    /// Its assets.
    pub assets: Vec<String>,
}

const NEWEST: &str = "
    SELECT coalesce(max(seq), 0) FROM event";

const ENDED_RUNS: &str = "
    SELECT e.seq, r.id, r.status, r.selection,
           (SELECT json_group_array(a.asset) FROM run_asset a WHERE a.run = r.id)
    FROM event e JOIN run r ON r.id = e.run
    WHERE e.type = 'run_ended' AND e.seq > ?1 AND r.trigger <> ?2 ORDER BY e.seq LIMIT ?3";

/// The number of the newest event.
pub fn newest_event(store: &Store) -> Result<i64, StateError> {
    Ok(store
        .connection
        .prepare_cached(NEWEST)?
        .query_row([], |row| row.get(0))?)
}

/// Runs that ended after the event with the number `after`, oldest first; without those of one trigger.
pub fn ended_runs(store: &Store, after: i64, but_trigger: &str, limit: usize) -> Result<Vec<EndedRun>, StateError> {
    let mut statement = store.connection.prepare_cached(ENDED_RUNS)?;
    let rows = statement.query(params![after, but_trigger, limit as i64])?;
    collect(rows, |row| {
        Ok(EndedRun {
            seq: row.get(0)?,
            run: value::parsed("run.id", text(row, 1)?)?,
            status: row.get(2)?,
            selection: row.get(3)?,
            assets: value::json("run_asset.asset", text(row, 4)?)?,
        })
    })
}

/// A materialization of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMaterialization {
    /// The number of the event that says so.
    pub seq: i64,
    /// The partition.
    pub partition: Option<PartitionKey>,
    /// The run that made it.
    pub run: RunId,
}

const MATERIALIZED: &str = "
    SELECT m.seq, m.partition, m.run FROM materialization m LEFT JOIN run r ON r.id = m.run
    WHERE m.asset = ?1 AND m.seq > ?2 AND r.trigger IS NOT ?3 ORDER BY m.seq LIMIT ?4";

/// Materializations of an asset after the event with the number `after`, oldest first; without those of one trigger.
pub fn materialized_after(
    store: &Store,
    asset: &str,
    after: i64,
    but_trigger: &str,
    limit: usize,
) -> Result<Vec<NewMaterialization>, StateError> {
    let mut statement = store.connection.prepare_cached(MATERIALIZED)?;
    let rows = statement.query(params![asset, after, but_trigger, limit as i64])?;
    collect(rows, |row| {
        Ok(NewMaterialization {
            seq: row.get(0)?,
            partition: value::partition("materialization.partition", text(row, 1)?)?,
            run: value::parsed("materialization.run", text(row, 2)?)?,
        })
    })
}

const CURRENT_VERSION: &str = "
    SELECT metadata_location FROM iceberg_tables
    WHERE catalog_name = 'millpond' AND table_namespace = ?1 AND table_name = ?2";

/// The current metadata file of a table in the catalog; `None` if there is no such table.
pub fn current_version(store: &Store, layer: &str, name: &str) -> Result<Option<String>, StateError> {
    let mut statement = store.connection.prepare_cached(CURRENT_VERSION)?;
    let mut rows = statement.query(params![layer, name])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}
