//! One transaction: the events, every table that pages read, and the catalog's pointers. All of it or none of it.
//!
//! The caller passes everything that waited in one call (group commit): the cost is one sync of the write-ahead log, however
//! many events there are. What a failure means for the caller:
//!
//! | error | stored | what next |
//! |---|---|---|
//! | [`CommitError::PointerConflict`] | nothing | build the snapshot on the newest base, decide again |
//! | [`CommitError::DiskFull`], [`CommitError::Busy`] | nothing | keep the inputs, try again later |
//! | [`CommitError::Illegal`] | nothing | a bug in what was decided |
//! | [`CommitError::Fatal`] | unknown | acknowledge nothing, exit; the next start reads what is there |

use assets::AssetKey;
use rusqlite::{Connection, TransactionBehavior, params};

use super::error::{Trouble, trouble};
use super::open::{OpenMode, Store};
use super::projection::Projection;
use super::value;
use crate::event::{Event, Recorded};
use crate::ids::RunId;

/// The numbers that the events of one commit got. Without events, `last_seq` is `first_seq - 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The first event's number.
    pub first_seq: i64,
    /// The last event's number.
    pub last_seq: i64,
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The table's pointer is not what the event says it was: someone else moved it.
    #[error(
        "`{table}` was moved by another writer: expected {}, found {}; publish again on the newest version",
        expected.as_deref().unwrap_or("no table"), found.as_deref().unwrap_or("no table")
    )]
    PointerConflict {
        /// The table.
        table: AssetKey,
        /// The metadata file that the event named; `None` for a table to be created.
        expected: Option<String>,
        /// The metadata file that is there; `None` if there is no table.
        found: Option<String>,
    },
    /// An event that cannot follow from what is stored: a bug in what was decided.
    #[error("event {index} of the commit (`{event}`) cannot happen: {reason}; this is a bug in millpond")]
    Illegal {
        /// Its place in the list.
        index: usize,
        /// Its type.
        event: &'static str,
        /// Why not.
        reason: String,
    },
    /// No space left for the database.
    #[error("no space left to store what happened: free some on the disk of the state folder")]
    DiskFull,
    /// Another program holds the database's write lock.
    #[error("another program keeps the state database locked: close it")]
    Busy,
    /// The store was opened for reading.
    #[error("the state was opened for reading only")]
    ReadOnly,
    /// Reading, writing or syncing failed. What is on disk is unknown until the state is opened again.
    #[error("the state database failed ({0}): stop, look at the disk, and start again")]
    Fatal(String),
    /// SQLite refused a statement or a value: a bug.
    #[error("SQLite refused what was to be stored ({0}); this is a bug in millpond")]
    Refused(rusqlite::Error),
}

impl From<rusqlite::Error> for CommitError {
    fn from(error: rusqlite::Error) -> Self {
        match trouble(&error) {
            Trouble::DiskFull => Self::DiskFull,
            Trouble::Busy => Self::Busy,
            Trouble::Fatal => Self::Fatal(error.to_string()),
            Trouble::Statement => Self::Refused(error),
        }
    }
}

const INSERT_EVENT: &str = "INSERT INTO event (seq, at, type, run, json) VALUES (?1, ?2, ?3, ?4, ?5)";

impl Store {
    /// Commits `events` in one synced transaction and returns their numbers.
    ///
    /// After [`CommitError::Fatal`] every later call fails the same way: a failed sync must not be tried again, since the
    /// kernel may have dropped the pages that it could not write.
    pub fn commit(&mut self, events: &[Recorded]) -> Result<Committed, CommitError> {
        if self.mode != OpenMode::Writer {
            return Err(CommitError::ReadOnly);
        }
        if let Some(reason) = &self.poisoned {
            return Err(CommitError::Fatal(reason.clone()));
        }
        let first_seq = self.last_seq + 1;
        if events.is_empty() {
            return Ok(Committed {
                first_seq,
                last_seq: self.last_seq,
            });
        }
        let numbered: Vec<(i64, &Recorded)> = (first_seq..).zip(events).collect();
        match write(&mut self.connection, &numbered, 0) {
            Ok(()) => {
                self.last_seq += events.len() as i64;
                Ok(Committed {
                    first_seq,
                    last_seq: self.last_seq,
                })
            }
            Err(error) => {
                if let CommitError::Fatal(reason) = &error {
                    self.poisoned = Some(reason.clone());
                }
                Err(error)
            }
        }
    }
}

impl Store {
    /// Commits events that have their numbers already, into a state that has none after the first of them. Up to
    /// `remnants_to` some that led to them may be gone: what they say counts without.
    pub(super) fn commit_numbered(&mut self, events: &[(i64, Recorded)], remnants_to: i64) -> Result<(), CommitError> {
        let numbered: Vec<(i64, &Recorded)> = events.iter().map(|(seq, recorded)| (*seq, recorded)).collect();
        write(&mut self.connection, &numbered, remnants_to)?;
        self.last_seq = events.last().map_or(self.last_seq, |(seq, _)| *seq);
        Ok(())
    }
}

fn write(connection: &mut Connection, events: &[(i64, &Recorded)], remnants_to: i64) -> Result<(), CommitError> {
    // Dropped on every early return, which rolls back; SQLite may have done so already (full disk), which is fine too.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut projection = Projection::new(&transaction);
        let mut insert_event = transaction.prepare_cached(INSERT_EVENT)?;
        for (index, (seq, recorded)) in events.iter().enumerate() {
            let event = storable(&recorded.event);
            let applied = if *seq <= remnants_to {
                projection.apply_remnant(*seq, recorded.at, &event)
            } else {
                projection.apply(*seq, recorded.at, &event)
            };
            applied.map_err(|error| error.at(index, &event))?;
            let run = projection.run_of(&event)?;
            insert_event.execute(params![
                seq,
                recorded.at,
                event_type(&event),
                run.as_ref().map(RunId::as_str),
                value::to_json(&*event)
            ])?;
        }
        projection.finish()?;
    }
    Ok(transaction.commit()?)
}

/// JSON has no NaN and no infinity: a metric that is not a number is left out, so that the event can be read again.
fn storable(event: &Event) -> std::borrow::Cow<'_, Event> {
    use std::borrow::Cow;
    match event {
        Event::ModelRegistered { staged, .. } if staged.metrics.values().any(|metric| !metric.is_finite()) => {
            let mut event = event.clone();
            if let Event::ModelRegistered { staged, .. } = &mut event {
                staged.metrics.retain(|_, metric| metric.is_finite());
            }
            Cow::Owned(event)
        }
        event => Cow::Borrowed(event),
    }
}

/// The persisted name of an event's type: the tag in its JSON.
pub fn event_type(event: &Event) -> &'static str {
    match event {
        Event::RunSubmitted { .. } => "run_submitted",
        Event::AttemptStarted { .. } => "attempt_started",
        Event::StepStaged { .. } => "step_staged",
        Event::StepSucceeded { .. } => "step_succeeded",
        Event::StepFailed { .. } => "step_failed",
        Event::StepFresh { .. } => "step_fresh",
        Event::StepSkipped { .. } => "step_skipped",
        Event::StepCanceled { .. } => "step_canceled",
        Event::StepRequeued { .. } => "step_requeued",
        Event::StepUpForRetry { .. } => "step_up_for_retry",
        Event::StepRetryDue { .. } => "step_retry_due",
        Event::AttemptTimedOut { .. } => "attempt_timed_out",
        Event::AttemptEnded { .. } => "attempt_ended",
        Event::RunCancelRequested { .. } => "run_cancel_requested",
        Event::RunPaused { .. } => "run_paused",
        Event::RunResumed { .. } => "run_resumed",
        Event::RunEnded { .. } => "run_ended",
        Event::PointerMoved { .. } => "pointer_moved",
        Event::RolledBack { .. } => "rolled_back",
        Event::PartitionRolledBack { .. } => "partition_rolled_back",
        Event::SourceObserved { .. } => "source_observed",
        Event::SnapshotsExpired { .. } => "snapshots_expired",
        Event::FilesCompacted { .. } => "files_compacted",
        Event::TableRepartitioned { .. } => "table_repartitioned",
        Event::PartitionCutAway { .. } => "partition_cut_away",
        Event::ModelRegistered { .. } => "model_registered",
        Event::AliasMoved { .. } => "alias_moved",
        Event::ScheduleDeclared { .. } => "schedule_declared",
        Event::ScheduleRemoved { .. } => "schedule_removed",
        Event::SchedulePaused { .. } => "schedule_paused",
        Event::ScheduleResumed { .. } => "schedule_resumed",
        Event::Ticked { .. } => "ticked",
        Event::FreshnessChanged { .. } => "freshness_changed",
        Event::FreshnessRemoved { .. } => "freshness_removed",
        Event::AutomationRequested { .. } => "automation_requested",
        Event::AutomationHeld { .. } => "automation_held",
        Event::AutomationPaused { .. } => "automation_paused",
        Event::AutomationResumed { .. } => "automation_resumed",
        Event::AlertRaised { .. } => "alert_raised",
        Event::AlertEnded { .. } => "alert_ended",
        Event::AlertGrouped { .. } => "alert_grouped",
        Event::AlertDelivered { .. } => "alert_delivered",
        Event::AlertFailed { .. } => "alert_failed",
        Event::SensorDeclared { .. } => "sensor_declared",
        Event::SensorRemoved { .. } => "sensor_removed",
        Event::SensorPaused { .. } => "sensor_paused",
        Event::SensorResumed { .. } => "sensor_resumed",
        Event::SensorForgot { .. } => "sensor_forgot",
        Event::SensorTicked { .. } => "sensor_ticked",
        Event::Started { .. } => "started",
    }
}
