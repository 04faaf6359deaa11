//! `schedule` and `tick`.

use rusqlite::params;

use super::run::moved;
use super::{Projection, Refusal, Stamp, illegal};
use crate::ids::RunId;
use crate::schedule::{DeclaredTimes, Tick};
use crate::sqlite::value::{integer, to_json};

const DECLARED: &str = "
    INSERT INTO schedule (name, seq, times, declared, paused_at, paused_by, accounted)
    VALUES (?1, ?2, ?3, 1, iif(?4, ?5, NULL), iif(?4, 'the declaration', NULL), ?5)
    ON CONFLICT (name) DO UPDATE SET
        seq = ?2, times = ?3, declared = 1, accounted = max(accounted, ?5),
        paused_at = iif(?4, coalesce(paused_at, ?5), NULL),
        paused_by = iif(?4, coalesce(paused_by, 'the declaration'), NULL)";

const REMOVED: &str = "
    UPDATE schedule SET seq = ?2, declared = 0 WHERE name = ?1 AND declared = 1";

const PAUSED: &str = "
    UPDATE schedule SET seq = ?2, paused_at = ?3, paused_by = ?4 WHERE name = ?1 AND declared = 1 AND paused_at IS NULL";

const RESUMED: &str = "
    UPDATE schedule SET seq = ?2, paused_at = NULL, paused_by = NULL, accounted = max(accounted, ?3)
    WHERE name = ?1 AND declared = 1 AND paused_at IS NOT NULL";

const ACCOUNTED: &str = "
    UPDATE schedule SET accounted = ?3 WHERE name = ?1 AND accounted < ?2";

const TICK: &str = "
    INSERT INTO tick (schedule, instant, last, count, status, reason, run, by_hand, seq, at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

const IS_TICK: &str = "
    SELECT EXISTS (SELECT 1 FROM tick WHERE schedule = ?1 AND instant = ?2),
           EXISTS (SELECT 1 FROM schedule WHERE name = ?1 AND declared = 1)";

impl Projection<'_> {
    pub(super) fn schedule_declared(
        &mut self,
        stamp: Stamp,
        schedule: &str,
        times: &DeclaredTimes,
        paused: bool,
    ) -> Result<(), Refusal> {
        self.connection.prepare_cached(DECLARED)?.execute(params![
            schedule,
            stamp.seq,
            to_json(times),
            paused,
            stamp.at
        ])?;
        Ok(())
    }

    pub(super) fn schedule_removed(&mut self, stamp: Stamp, schedule: &str) -> Result<(), Refusal> {
        let changed = self
            .connection
            .prepare_cached(REMOVED)?
            .execute(params![schedule, stamp.seq])?;
        moved(changed, || format!("schedule {schedule} is not declared"))
    }

    pub(super) fn schedule_paused(&mut self, stamp: Stamp, schedule: &str, by: &str) -> Result<(), Refusal> {
        let changed = self
            .connection
            .prepare_cached(PAUSED)?
            .execute(params![schedule, stamp.seq, stamp.at, by])?;
        moved(changed, || {
            format!("schedule {schedule} is not declared, or paused already")
        })
    }

    pub(super) fn schedule_resumed(&mut self, stamp: Stamp, schedule: &str) -> Result<(), Refusal> {
        let changed = self
            .connection
            .prepare_cached(RESUMED)?
            .execute(params![schedule, stamp.seq, stamp.at])?;
        moved(changed, || format!("schedule {schedule} is not paused"))
    }

    pub(super) fn ticked(&mut self, stamp: Stamp, tick: &Tick) -> Result<(), Refusal> {
        let (known, declared): (bool, bool) = self
            .connection
            .prepare_cached(IS_TICK)?
            .query_row(params![tick.schedule, tick.instant], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if known || !declared {
            let why = if known {
                "ticked at that instant before"
            } else {
                "is not declared"
            };
            return illegal(format!("schedule {} {why}", tick.schedule));
        }
        if !tick.by_hand {
            let changed =
                self.connection
                    .prepare_cached(ACCOUNTED)?
                    .execute(params![tick.schedule, tick.instant, tick.last])?;
            moved(changed, || {
                format!("an instant of schedule {} is accounted for already", tick.schedule)
            })?;
        }
        self.connection.prepare_cached(TICK)?.execute(params![
            tick.schedule,
            tick.instant,
            tick.last,
            integer(tick.count),
            tick.status.as_str(),
            tick.reason,
            tick.run.as_ref().map(RunId::as_str),
            tick.by_hand,
            stamp.seq,
            stamp.at,
        ])?;
        Ok(())
    }
}
