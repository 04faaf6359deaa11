//! What is too old is removed: runs that ended, with their events, ticks, and what alerts told of. In slices, each a transaction of its own, so
//! that nothing waits for it.
//!
//! What is never removed: what is open; the newest materialization of a partition, its checks and its newest failure; models;
//! the newest version of every table; rollbacks, of which there are few; the newest tick of a schedule and its run; what [`told`] lists of sensors and alerts; a run
//! that a table names which this file does not know. Of a run that is removed, the events of such facts stay behind as *remnants*: they say what they said, without
//! a run around them. [`crate::sqlite::fsck`] computes the tables again from what is left, so a state of which a part was removed is
//! checked as strictly as before: see `docs/adr`.
//!
//! Invariant: nothing that the core loads changes by it.

mod told;

use std::collections::BTreeMap;

use assets::PartitionKey;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::event::Micros;
use crate::ids::RunId;
use crate::sqlite::commit::CommitError;
use crate::sqlite::open::{OpenMode, Store};
use crate::sqlite::value;

/// The key in `meta`: up to this event some may be gone.
pub(in crate::sqlite) const RETAINED: &str = "retention_to";

/// Events that are looked at in one slice.
const SLICE: usize = 2_000;

/// What is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Runs that ended before this go, and ticks before this.
    pub before: Micros,
    /// So many of the newest runs stay however old they are.
    pub keep_runs: u32,
}

/// One way through what is too old, slice by slice.
#[derive(Debug)]
pub struct RetentionPass {
    policy: RetentionPolicy,
    /// Runs were looked for up to this one's number.
    runs_after: i64,
    /// No run is left to remove.
    runs_done: bool,
    /// Events without a run were looked at up to here.
    swept: i64,
    /// The newest `pointer_moved` of each table so far.
    pointers: BTreeMap<String, i64>,
    /// Everything was looked at.
    over: bool,
}

/// What one slice removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Runs: their log files are of no use any more.
    pub runs: Vec<RunId>,
    /// Events.
    pub events: u64,
}

/// Tables with a column `run` whose rows go with the run.
const GO_WITH_THE_RUN: &[&str] = &["run_asset", "step", "attempt", "tick", "automation_request"];
/// Tables with a column `run` that name runs which may be gone.
const NAME_RUNS_THAT_MAY_BE_GONE: &[&str] = &[
    "event",
    "materialization",
    "check_result",
    "asset_partition",
    "model_version",
    "sensor_tick",
    "alert",
];

const OLDEST: &str = "
    SELECT id, seq FROM run
    WHERE seq > ?1 AND status IN ('succeeded', 'failed', 'canceled') AND ended_at < ?2
      AND seq < coalesce((SELECT seq FROM run ORDER BY seq DESC LIMIT 1 OFFSET ?3), 0)
      AND NOT EXISTS (SELECT 1 FROM tick t WHERE t.run = run.id AND t.instant =
                      (SELECT max(instant) FROM tick WHERE schedule = t.schedule AND by_hand = t.by_hand))
    ORDER BY seq LIMIT 1";

const FORGOTTEN: &str = "
    INSERT INTO forgotten_materialization (asset, partition, seq) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)";

const EVENTS_FROM: &str = "
    SELECT seq, type, run FROM event WHERE seq >= ?1 ORDER BY seq";

const EVENTS_AFTER: &str = "
    SELECT seq, type, run, at FROM event WHERE seq > ?1 AND seq < (SELECT max(seq) FROM event) ORDER BY seq LIMIT ?2";

/// Whether a `step_succeeded` is the current materialization of its partition, or the newest of its asset (which is no longer
/// current where a rollback took it away).
const IS_CURRENT: &str = "
    SELECT EXISTS (SELECT 1 FROM materialization m JOIN asset_partition p
                   ON p.asset = m.asset AND p.partition = m.partition AND p.seq = m.seq WHERE m.seq = ?1)
        OR EXISTS (SELECT 1 FROM materialization m JOIN asset_summary s
                   ON s.asset = m.asset AND s.last_seq = m.seq WHERE m.seq = ?1)";

/// Whether a `step_failed` is the newest failure of its partition, or of its asset (whose partition may be no more, where a
/// rollback took it away), or the one after which its partition is no longer left as a rollback brought it back.
const IS_NEWEST_FAILURE: &str = "
    SELECT EXISTS (SELECT 1 FROM event e JOIN asset_partition p
                   ON p.asset = json_extract(e.json, '$.step.asset')
                  AND p.partition = coalesce(json_extract(e.json, '$.step.partition'), '')
                  AND p.failed_seq = e.seq WHERE e.seq = ?1)
        OR EXISTS (SELECT 1 FROM event e JOIN asset_summary s
                   ON s.asset = json_extract(e.json, '$.step.asset') AND s.failed_at = e.at WHERE e.seq = ?1)
        OR EXISTS (SELECT 1 FROM event e JOIN partition_rollback b
                   ON b.asset = json_extract(e.json, '$.step.asset')
                  AND b.partition = coalesce(json_extract(e.json, '$.step.partition'), '')
                  AND b.tried = e.seq WHERE e.seq = ?1)";

const IS_TICK_THAT_STAYS: &str = "
    SELECT EXISTS (SELECT 1 FROM tick t WHERE t.seq = ?1 AND (t.run IS NOT NULL OR t.instant =
                   (SELECT max(instant) FROM tick WHERE schedule = t.schedule AND by_hand = t.by_hand)))";

impl RetentionPass {
    /// Begins at the oldest.
    pub fn new(policy: RetentionPolicy) -> Self {
        Self {
            policy,
            runs_after: 0,
            runs_done: false,
            swept: 0,
            pointers: BTreeMap::new(),
            over: false,
        }
    }
}

impl Store {
    /// Removes one slice of what is too old; `None` when the pass is over.
    ///
    /// # Errors
    /// Nothing of the slice was removed; the pass can go on with the next try, unless the error is fatal.
    pub fn retire(&mut self, pass: &mut RetentionPass) -> Result<Option<Removed>, CommitError> {
        if self.mode != OpenMode::Writer {
            return Err(CommitError::ReadOnly);
        }
        if let Some(reason) = &self.poisoned {
            return Err(CommitError::Fatal(reason.clone()));
        }
        let result = slice(&mut self.connection, pass);
        if let Err(CommitError::Fatal(reason)) = &result {
            self.poisoned = Some(reason.clone());
        }
        result
    }
}

fn slice(connection: &mut Connection, pass: &mut RetentionPass) -> Result<Option<Removed>, CommitError> {
    if pass.over {
        return Ok(None);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut removal = Removal {
        connection: &transaction,
        removed: Removed::default(),
        highest: 0,
    };
    // What the pass knows changes only with what is committed.
    let mut next = RetentionPass {
        policy: pass.policy,
        runs_after: pass.runs_after,
        runs_done: pass.runs_done,
        swept: pass.swept,
        pointers: BTreeMap::new(),
        over: false,
    };
    let mut pointers = None;
    if next.runs_done {
        let mut known = pass.pointers.clone();
        next.over = !removal.sweep(&mut next, &mut known)?;
        pointers = Some(known);
    } else {
        match removal.oldest(&next)? {
            Some((run, seq)) => {
                removal.run(&run, seq)?;
                next.runs_after = seq;
            }
            None => next.runs_done = true,
        }
    }
    let (removed, highest) = (removal.removed, removal.highest);
    if highest > 0 {
        transaction
            .prepare_cached(
                "INSERT INTO meta (key, value) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(?2 AS INTEGER))",
            )?
            .execute(params![RETAINED, highest.to_string()])?;
    }
    transaction.commit()?;
    next.pointers = pointers.unwrap_or_else(|| std::mem::take(&mut pass.pointers));
    *pass = next;
    Ok(Some(removed))
}

struct Removal<'c> {
    connection: &'c Connection,
    removed: Removed,
    /// The highest number of an event that was removed.
    highest: i64,
}

impl Removal<'_> {
    fn oldest(&self, pass: &RetentionPass) -> rusqlite::Result<Option<(String, i64)>> {
        self.connection
            .prepare_cached(OLDEST)?
            .query_row(
                // The newest run always stays, so that the highest number of an event never falls.
                params![pass.runs_after, pass.policy.before, pass.policy.keep_runs.max(1) - 1],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
    }

    /// Removes a run, unless something holds it.
    fn run(&mut self, run: &str, submitted: i64) -> Result<(), CommitError> {
        let newest: i64 = self
            .connection
            .query_row("SELECT max(seq) FROM event", [], |row| row.get(0))?;
        let events = self.events_of(run, submitted)?;
        let decisions: Vec<i64> = self
            .connection
            .prepare_cached("SELECT DISTINCT seq FROM automation_request WHERE run = ?1")?
            .query_map([run], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let is_newest = events.iter().any(|(seq, _)| *seq == newest) || decisions.contains(&newest);
        if self.is_named_elsewhere(run)? || is_newest {
            return Ok(());
        }
        for decision in decisions {
            self.event(decision)?;
        }
        for (seq, kind) in events {
            if !self.stays(seq, &kind)? {
                self.event(seq)?;
            }
        }
        let attempts: Vec<(i64, String, String)> = self
            .connection
            .prepare_cached("SELECT seq, asset, partitions FROM attempt WHERE run = ?1")?
            .query_map([run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        let mut forget = self
            .connection
            .prepare_cached("DELETE FROM attempt_step WHERE asset = ?1 AND partition = ?2 AND seq = ?3")?;
        for (seq, asset, partitions) in attempts {
            let partitions: Vec<Option<PartitionKey>> = serde_json::from_str(&partitions).unwrap_or_default();
            for partition in &partitions {
                forget.execute(params![asset, value::partition_text(partition.as_ref()), seq])?;
            }
        }
        let ticks: Vec<i64> = self
            .connection
            .prepare_cached("SELECT seq FROM tick WHERE run = ?1")?
            .query_map([run], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for tick in ticks {
            self.event(tick)?;
        }
        for table in GO_WITH_THE_RUN {
            self.connection
                .prepare_cached(&format!("DELETE FROM {table} WHERE run = ?1"))?
                .execute([run])?;
        }
        self.connection
            .prepare_cached("DELETE FROM run WHERE id = ?1")?
            .execute([run])?;
        self.removed.runs.extend(run.parse::<RunId>());
        Ok(())
    }

    /// The events of a run that ended: numbers and types.
    fn events_of(&self, run: &str, submitted: i64) -> rusqlite::Result<Vec<(i64, String)>> {
        let mut found = Vec::new();
        let mut statement = self.connection.prepare_cached(EVENTS_FROM)?;
        let mut rows = statement.query([submitted])?;
        while let Some(row) = rows.next()? {
            if row.get_ref(2)?.as_str_or_null().map_err(rusqlite::Error::from)? != Some(run) {
                continue;
            }
            let kind: String = row.get(1)?;
            let last = kind == "run_ended";
            found.push((row.get(0)?, kind));
            if last {
                break;
            }
        }
        Ok(found)
    }

    /// Whether a table that this file does not know names the run.
    fn is_named_elsewhere(&self, run: &str) -> rusqlite::Result<bool> {
        let tables: Vec<String> = self
            .connection
            .prepare_cached(
                "SELECT t.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c ON c.name = 'run' WHERE t.type = 'table'",
            )?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for table in tables {
            if GO_WITH_THE_RUN.contains(&table.as_str()) || NAME_RUNS_THAT_MAY_BE_GONE.contains(&table.as_str()) {
                continue;
            }
            let sql = format!("SELECT EXISTS (SELECT 1 FROM \"{table}\" WHERE run = ?1)");
            if self
                .connection
                .prepare_cached(&sql)?
                .query_row([run], |row| row.get(0))?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an event of a run that goes stays behind.
    fn stays(&self, seq: i64, kind: &str) -> rusqlite::Result<bool> {
        let question = match kind {
            "step_succeeded" => IS_CURRENT,
            "step_failed" => IS_NEWEST_FAILURE,
            "model_registered" => return Ok(true),
            // They are looked at once the run is gone.
            "sensor_ticked" | "alert_raised" | "alert_ended" => return Ok(true),
            _ => return Ok(false),
        };
        self.connection
            .prepare_cached(question)?
            .query_row([seq], |row| row.get(0))
    }

    /// Removes an event and the rows that it alone made.
    fn event(&mut self, seq: i64) -> rusqlite::Result<()> {
        let gone: Option<(String, String)> = self
            .connection
            .prepare_cached("DELETE FROM materialization WHERE seq = ?1 RETURNING asset, partition")?
            .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((asset, partition)) = gone {
            self.connection
                .prepare_cached(FORGOTTEN)?
                .execute(params![asset, partition, seq])?;
            self.connection
                .prepare_cached("UPDATE asset_summary SET materializations = materializations - 1 WHERE asset = ?1")?
                .execute([asset])?;
        }
        self.connection
            .prepare_cached("DELETE FROM check_result WHERE seq = ?1")?
            .execute([seq])?;
        self.removed.events += self
            .connection
            .prepare_cached("DELETE FROM event WHERE seq = ?1")?
            .execute([seq])? as u64;
        self.highest = self.highest.max(seq);
        Ok(())
    }

    /// Looks at the next events for such as are about no run, or about one that is gone. `false`: all were looked at.
    fn sweep(&mut self, pass: &mut RetentionPass, pointers: &mut BTreeMap<String, i64>) -> rusqlite::Result<bool> {
        let mut looked: Vec<(i64, String, Option<String>, Micros)> = Vec::new();
        {
            let mut statement = self.connection.prepare_cached(EVENTS_AFTER)?;
            let mut rows = statement.query(params![pass.swept, SLICE as i64])?;
            while let Some(row) = rows.next()? {
                looked.push((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            }
        }
        let mut more = looked.len() == SLICE;
        for (seq, kind, run, at) in looked {
            if at >= pass.policy.before {
                more = false;
                break;
            }
            pass.swept = seq;
            match (kind.as_str(), run) {
                ("pointer_moved", _) => {
                    let table: String = self
                        .connection
                        .prepare_cached("SELECT coalesce(json_extract(json, '$.table'), '') FROM event WHERE seq = ?1")?
                        .query_row([seq], |row| row.get(0))?;
                    if let Some(before) = pointers.insert(table, seq) {
                        self.event(before)?;
                        // This one now stands without the one that it names.
                        self.highest = self.highest.max(seq);
                    }
                }
                ("source_observed", _) => {
                    let newest: bool = self
                        .connection
                        .prepare_cached("SELECT EXISTS (SELECT 1 FROM source WHERE seq = ?1)")?
                        .query_row([seq], |row| row.get(0))?;
                    if !newest {
                        self.event(seq)?;
                    }
                }
                ("started", _) => self.event(seq)?,
                ("ticked", None) => {
                    let stays: bool = self
                        .connection
                        .prepare_cached(IS_TICK_THAT_STAYS)?
                        .query_row([seq], |row| row.get(0))?;
                    if !stays {
                        self.connection
                            .prepare_cached("DELETE FROM tick WHERE seq = ?1")?
                            .execute([seq])?;
                        self.event(seq)?;
                    }
                }
                ("step_succeeded" | "step_failed", Some(run)) => {
                    let gone: bool = self
                        .connection
                        .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM run WHERE id = ?1)")?
                        .query_row([run], |row| row.get(0))?;
                    if gone && !self.stays(seq, &kind)? {
                        self.event(seq)?;
                    }
                }
                (kind, _) => self.told(seq, kind, pass.policy.before)?,
            }
        }
        Ok(more)
    }
}

/// Up to which event some may be gone; 0 if none is.
pub(in crate::sqlite) fn retained_to(connection: &Connection) -> rusqlite::Result<i64> {
    let text: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [RETAINED], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}
