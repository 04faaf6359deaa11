//! What sensors and alerts leave behind: ticks whose keys are forgotten, what was wrong and is over, messages that arrived or
//! were given up.
//!
//! Of a sensor stay its newest tick, and those with keys that it remembers. Of an alert stay what is open, what is not told
//! yet, and its newest messages: the newest one shows that all before it was told.

use rusqlite::{OptionalExtension, params};

use super::Removal;
use crate::event::Micros;
use crate::sqlite::loaded_alerts::MESSAGES;

/// The number of the next tick's event, for a tick that goes: nothing of it is remembered, its run is gone, and it is not the
/// newest. Where the newest is a failure that does not say how many came before it, all stay.
const TICK: &str = "
    SELECT t.sensor, t.number,
           (SELECT n.seq FROM sensor_tick n WHERE n.sensor = t.sensor AND n.number > t.number ORDER BY n.number LIMIT 1)
    FROM sensor_tick t JOIN sensor s ON s.name = t.sensor
    WHERE t.seq = ?1 AND t.number < s.ticks AND (t.events = 0 OR t.forgotten IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM run r WHERE r.id = t.run)
      AND NOT EXISTS (SELECT 1 FROM sensor_tick l JOIN event e ON e.seq = l.seq
                      WHERE l.sensor = s.name AND l.number = s.ticks AND l.status = 'failed' AND l.events = 0
                        AND json_extract(e.json, '$.tick.failures') IS NULL)";

/// Whether a tick is left of those that a `sensor_forgot` is about.
const SOME_ARE_LEFT: &str = "
    SELECT EXISTS (SELECT 1 FROM event e, json_each(e.json, '$.ticks') range JOIN sensor_tick t
                   ON t.sensor = json_extract(e.json, '$.sensor')
                  AND t.number BETWEEN json_extract(range.value, '$[0]') AND json_extract(range.value, '$[1]')
                   WHERE e.seq = ?1)";

/// For what was wrong and is over: the number of the first message that was made after its end.
const OVER: &str = "
    SELECT (SELECT m.seq FROM alert_message m
            WHERE m.alert = a.alert AND m.seq > a.ended_seq ORDER BY m.seq LIMIT 1)
    FROM alert a WHERE a.seq = ?1 AND a.ended_at < ?2";

/// Whether what an `alert_ended` says is over is kept.
const END_IS_KEPT: &str = "
    SELECT EXISTS (SELECT 1 FROM alert WHERE ended_seq = ?1)";

/// For a message that ended: the number of the next one, if there are enough after it.
const MESSAGE: &str = "
    SELECT (SELECT n.seq FROM alert_message n WHERE n.alert = m.alert AND n.seq > m.seq ORDER BY n.seq LIMIT 1)
    FROM alert_message m WHERE m.seq = ?1 AND m.ended_at < ?2
      AND (SELECT count(*) FROM (SELECT 1 FROM alert_message n WHERE n.alert = m.alert AND n.seq > m.seq LIMIT ?3)) = ?3";

/// Whether the message that an event is about is kept.
const MESSAGE_IS_KEPT: &str = "
    SELECT EXISTS (SELECT 1 FROM event e JOIN alert_message m ON m.id = json_extract(e.json, '$.message') WHERE e.seq = ?1)";

impl Removal<'_> {
    /// Removes an event of a sensor or an alert, if nothing needs it. Up to the event that now stands without it some are gone.
    pub(super) fn told(&mut self, seq: i64, kind: &str, before: Micros) -> rusqlite::Result<()> {
        match kind {
            "sensor_ticked" => self.sensor_tick(seq),
            "sensor_forgot" => self.unless(SOME_ARE_LEFT, seq),
            "alert_raised" => self.over(seq, before),
            "alert_ended" => self.unless(END_IS_KEPT, seq),
            "alert_grouped" => self.message(seq, before),
            "alert_delivered" | "alert_failed" => self.unless(MESSAGE_IS_KEPT, seq),
            _ => Ok(()),
        }
    }

    fn unless(&mut self, kept: &str, seq: i64) -> rusqlite::Result<()> {
        let kept: bool = self
            .connection
            .prepare_cached(kept)?
            .query_row([seq], |row| row.get(0))?;
        match kept {
            true => Ok(()),
            false => self.event(seq),
        }
    }

    fn sensor_tick(&mut self, seq: i64) -> rusqlite::Result<()> {
        let goes: Option<(String, i64, i64)> = self
            .connection
            .prepare_cached(TICK)?
            .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((sensor, number, next)) = goes else {
            return Ok(());
        };
        self.connection
            .prepare_cached("DELETE FROM sensor_tick WHERE sensor = ?1 AND number = ?2")?
            .execute(params![sensor, number])?;
        self.without(seq, next)
    }

    fn over(&mut self, seq: i64, before: Micros) -> rusqlite::Result<()> {
        let told: Option<Option<i64>> = self
            .connection
            .prepare_cached(OVER)?
            .query_row(params![seq, before], |row| row.get(0))
            .optional()?;
        let Some(told) = told.flatten() else { return Ok(()) };
        self.connection
            .prepare_cached("DELETE FROM alert WHERE seq = ?1")?
            .execute([seq])?;
        self.without(seq, told)
    }

    fn message(&mut self, seq: i64, before: Micros) -> rusqlite::Result<()> {
        let next: Option<i64> = self
            .connection
            .prepare_cached(MESSAGE)?
            .query_row(params![seq, before, MESSAGES as i64], |row| row.get(0))
            .optional()?;
        let Some(next) = next else { return Ok(()) };
        self.connection
            .prepare_cached("DELETE FROM alert_message WHERE seq = ?1")?
            .execute([seq])?;
        self.without(seq, next)
    }

    /// Removes an event without which a later one now stands.
    fn without(&mut self, seq: i64, later: i64) -> rusqlite::Result<()> {
        self.event(seq)?;
        self.highest = self.highest.max(later);
        Ok(())
    }
}
