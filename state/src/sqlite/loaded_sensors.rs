//! What the core needs to know of sensors to carry on.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::error::StateError;
use super::value;
use crate::event::Micros;
use crate::sensor::DeclaredSensor;

/// A sensor that was ever declared.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedSensor {
    /// What it watches, as last declared.
    pub watched: DeclaredSensor,
    /// Whether the project declared it last.
    pub declared: bool,
    /// When and by whom it was paused, if it is.
    pub paused: Option<(Micros, String)>,
    /// Up to where it has read.
    pub cursor: Option<String>,
    /// How many ticks it had.
    pub ticks: u64,
    /// How many looks in a row failed.
    pub failures: u64,
    /// How many events were seen and are not told of yet.
    pub lag: u64,
    /// The keys of the events that it told of and remembers, each with the number of the tick that did.
    pub told: Vec<(String, u64)>,
    /// When each of those ticks was.
    pub told_at: BTreeMap<u64, Micros>,
}

const SENSORS: &str = "
    SELECT name, kind, watches, scope, declared, paused_at, paused_by, cursor, ticks, failures, lag FROM sensor";

const KEYS: &str = "
    SELECT key, tick FROM sensor_event WHERE sensor = ?1";

const TOLD_AT: &str = "
    SELECT number, at FROM sensor_tick WHERE sensor = ?1 AND events > 0 AND forgotten IS NULL";

pub(super) fn sensors(connection: &Connection) -> Result<BTreeMap<String, LoadedSensor>, StateError> {
    let mut sensors = BTreeMap::new();
    let mut statement = connection.prepare(SENSORS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let paused: (Option<Micros>, Option<String>) = (row.get(5)?, row.get(6)?);
        let told = connection
            .prepare_cached(KEYS)?
            .query_map([&name], |row| Ok((row.get(0)?, value::count(row.get(1)?))))?
            .collect::<Result<_, _>>()?;
        let told_at = connection
            .prepare_cached(TOLD_AT)?
            .query_map([&name], |row| Ok((value::count(row.get(0)?), row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let sensor = LoadedSensor {
            watched: DeclaredSensor {
                kind: row.get(1)?,
                watches: row.get(2)?,
                scope: row.get(3)?,
            },
            declared: row.get(4)?,
            paused: paused.0.zip(paused.1),
            cursor: row.get(7)?,
            ticks: value::count(row.get(8)?),
            failures: value::count(row.get(9)?),
            lag: value::count(row.get(10)?),
            told,
            told_at,
        };
        sensors.insert(name, sensor);
    }
    Ok(sensors)
}
