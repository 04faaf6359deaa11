//! `sensor`, `sensor_tick` and `sensor_event`.

use rusqlite::params;

use super::run::moved;
use super::{Projection, Refusal, Stamp, illegal};
use crate::ids::RunId;
use crate::sensor::{DeclaredSensor, SensorTick, TickRange};
use crate::sqlite::value::{integer, to_json};

const DECLARED: &str = "
    INSERT INTO sensor (name, seq, kind, watches, scope, declared, paused_at, paused_by, cursor, ticks, failures, lag)
    VALUES (?1, ?2, ?3, ?4, ?5, 1, iif(?6, ?7, NULL), iif(?6, 'the declaration', NULL), NULL, 0, 0, 0)
    ON CONFLICT (name) DO UPDATE SET
        seq = ?2, kind = ?3, watches = ?4, scope = ?5, declared = 1, failures = 0,
        cursor = iif(scope = ?5, cursor, NULL), lag = iif(scope = ?5, lag, 0),
        paused_at = iif(?6, coalesce(paused_at, ?7), NULL),
        paused_by = iif(?6, coalesce(paused_by, 'the declaration'), NULL)";

const REMOVED: &str = "
    UPDATE sensor SET seq = ?2, declared = 0 WHERE name = ?1 AND declared = 1";

const PAUSED: &str = "
    UPDATE sensor SET seq = ?2, paused_at = ?3, paused_by = ?4 WHERE name = ?1 AND declared = 1 AND paused_at IS NULL";

const RESUMED: &str = "
    UPDATE sensor SET seq = ?2, paused_at = NULL, paused_by = NULL, failures = 0
    WHERE name = ?1 AND declared = 1 AND paused_at IS NOT NULL";

const READ_ON: &str = "
    UPDATE sensor SET ticks = ?2, cursor = ?3, lag = ?4, failures = iif(?5, coalesce(?6, failures + 1), 0)
    WHERE name = ?1 AND declared = 1 AND (ticks = ?2 - 1 OR ?7 AND ticks < ?2)";

const TICK: &str = "
    INSERT INTO sensor_tick (sensor, number, status, reason, run, asked_by, events, lag, seq, at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

const EVENT: &str = "
    INSERT INTO sensor_event (sensor, key, tick, what, partitions, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (sensor, key) DO NOTHING";

const KEYS_FORGOTTEN: &str = "
    DELETE FROM sensor_event WHERE sensor = ?1 AND tick BETWEEN ?2 AND ?3";

const TICKS_FORGOTTEN: &str = "
    UPDATE sensor_tick SET forgotten = ?4
    WHERE sensor = ?1 AND number BETWEEN ?2 AND ?3 AND events > 0 AND forgotten IS NULL";

impl Projection<'_> {
    pub(super) fn sensor_declared(
        &mut self,
        stamp: Stamp,
        sensor: &str,
        declared: &DeclaredSensor,
        paused: bool,
    ) -> Result<(), Refusal> {
        self.connection.prepare_cached(DECLARED)?.execute(params![
            sensor,
            stamp.seq,
            declared.kind,
            declared.watches,
            declared.scope,
            paused,
            stamp.at
        ])?;
        Ok(())
    }

    pub(super) fn sensor_removed(&mut self, stamp: Stamp, sensor: &str) -> Result<(), Refusal> {
        let changed = self
            .connection
            .prepare_cached(REMOVED)?
            .execute(params![sensor, stamp.seq])?;
        moved(changed, || format!("sensor {sensor} is not declared"))
    }

    pub(super) fn sensor_paused(&mut self, stamp: Stamp, sensor: &str, by: &str) -> Result<(), Refusal> {
        let changed = self
            .connection
            .prepare_cached(PAUSED)?
            .execute(params![sensor, stamp.seq, stamp.at, by])?;
        moved(changed, || {
            format!("sensor {sensor} is not declared, or paused already")
        })
    }

    pub(super) fn sensor_resumed(&mut self, stamp: Stamp, sensor: &str) -> Result<(), Refusal> {
        let changed = self
            .connection
            .prepare_cached(RESUMED)?
            .execute(params![sensor, stamp.seq])?;
        moved(changed, || format!("sensor {sensor} is not paused"))
    }

    /// As [`Self::sensor_ticked`], but the ticks before it may be gone.
    pub(super) fn sensor_tick_found(&mut self, stamp: Stamp, tick: &SensorTick) -> Result<(), Refusal> {
        self.tick(stamp, tick, true)
    }

    pub(super) fn sensor_ticked(&mut self, stamp: Stamp, tick: &SensorTick) -> Result<(), Refusal> {
        self.tick(stamp, tick, false)
    }

    /// What was told in these ticks may be told again. Some of them may be gone, so nothing is said of how many there are.
    pub(super) fn sensor_forgot(&mut self, stamp: Stamp, sensor: &str, ticks: &[TickRange]) -> Result<(), Refusal> {
        let mut keys = self.connection.prepare_cached(KEYS_FORGOTTEN)?;
        let mut forgotten = self.connection.prepare_cached(TICKS_FORGOTTEN)?;
        for (first, last) in ticks {
            let (first, last) = (integer(*first), integer(*last));
            keys.execute(params![sensor, first, last])?;
            forgotten.execute(params![sensor, first, last, stamp.seq])?;
        }
        Ok(())
    }

    fn tick(&mut self, stamp: Stamp, tick: &SensorTick, found: bool) -> Result<(), Refusal> {
        let (sensor, number) = (&tick.sensor, integer(tick.number));
        let changed = self.connection.prepare_cached(READ_ON)?.execute(params![
            sensor,
            number,
            tick.cursor,
            integer(tick.lag),
            tick.is_to_be_repeated(),
            tick.failures.map(integer),
            found,
        ])?;
        moved(changed, || {
            format!("tick {number} of sensor {sensor} does not follow the one before it")
        })?;
        self.connection.prepare_cached(TICK)?.execute(params![
            sensor,
            number,
            tick.status.as_str(),
            tick.reason,
            tick.run.as_ref().map(RunId::as_str),
            tick.asked_by,
            tick.events.len() as i64,
            integer(tick.lag),
            stamp.seq,
            stamp.at,
        ])?;
        let mut insert = self.connection.prepare_cached(EVENT)?;
        for event in &tick.events {
            let told = insert.execute(params![
                sensor,
                event.key,
                number,
                event.what,
                to_json(&event.partitions),
                event.payload,
            ])?;
            if told == 0 {
                return illegal(format!("sensor {sensor} told of `{}` before", event.key));
            }
        }
        Ok(())
    }
}
