//! What each event changes in the tables: one file per family of tables, and the sums that are written once per commit.
//!
//! A status moves only from the states it may come from; the row count of every guarded update is checked, and anything
//! else refuses the whole commit. The result is a function of the events, their times and their numbers alone, so `fsck`
//! can compute it again and compare.

mod alert;
mod attempt;
mod automation;
mod catalog;
mod freshness;
mod materialization;
mod model;
mod rollback;
mod run;
mod schedule;
mod sensor;
mod source;
mod step;
mod sums;

use rusqlite::Connection;

use super::commit::{CommitError, event_type};
use crate::event::{Event, Micros};
use crate::ids::{MessageId, RunId};

/// Why an event was not applied.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It cannot happen; the text says why.
    Illegal(String),
    /// Anything else.
    Commit(CommitError),
}

impl Refusal {
    /// Adds which event it was.
    pub(super) fn at(self, index: usize, event: &Event) -> CommitError {
        match self {
            Self::Illegal(reason) => CommitError::Illegal {
                index,
                event: event_type(event),
                reason,
            },
            Self::Commit(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Commit(error.into())
    }
}

fn illegal<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Illegal(reason.into()))
}

/// Number and time of the event being applied.
#[derive(Debug, Clone, Copy)]
struct Stamp {
    seq: i64,
    at: Micros,
}

/// Applies the events of one commit.
pub(super) struct Projection<'c> {
    connection: &'c Connection,
    sums: sums::Sums,
}

impl<'c> Projection<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            sums: sums::Sums::default(),
        }
    }

    /// Changes the tables by one event.
    pub(super) fn apply(&mut self, seq: i64, at: Micros, event: &Event) -> Result<(), Refusal> {
        let stamp = Stamp { seq, at };
        match event {
            Event::RunSubmitted {
                run,
                request,
                steps,
                definitions,
            } => self.run_submitted(stamp, run, request, steps, definitions.as_ref()),
            Event::AttemptStarted {
                attempt,
                run,
                asset,
                partitions,
                number,
                inputs,
                // Read from the event, while the attempt is open.
                table: _,
            } => self.attempt_started(
                stamp,
                &attempt::Start {
                    attempt,
                    run,
                    asset,
                    partitions,
                    number: *number,
                    inputs,
                },
            ),
            Event::StepStaged { attempt, step, rows } => self.step_staged(attempt, step, *rows),
            Event::StepSucceeded {
                run,
                attempt,
                materialization,
            } => {
                self.step_succeeded(stamp, run, attempt, materialization)?;
                self.materialized(stamp, run, attempt, materialization)?;
                self.rollback_released(&materialization.step)?;
                self.automation_released(&materialization.step)?;
                self.checked(stamp, run, &materialization.step, &materialization.checks, true)
            }
            Event::StepFailed {
                run,
                attempt,
                step,
                failure,
                checks,
            } => {
                self.step_failed(stamp, run, attempt.as_ref(), step, failure)?;
                self.partition_failed(stamp, run, step, failure)?;
                if attempt.is_some() {
                    self.rollback_tried(stamp, step)?;
                }
                self.checked(stamp, run, step, checks, false)
            }
            Event::StepFresh { run, step } => self.step_fresh(stamp, run, step),
            Event::StepSkipped { run, step, because } => self.step_skipped(stamp, run, step, because),
            Event::StepCanceled { run, step } => self.step_canceled(stamp, run, step),
            Event::StepRequeued { run, step, reason } => self.step_requeued(run, step, reason),
            Event::StepUpForRetry {
                run,
                attempt,
                step,
                failure,
                retry,
                due,
            } => self.step_up_for_retry(
                run,
                &step::UpForRetry {
                    attempt,
                    step,
                    failure,
                    retry: *retry,
                    due: *due,
                },
            ),
            Event::StepRetryDue { run, step } => self.step_retry_due(run, step),
            Event::AttemptTimedOut { attempt, partitions } => self.attempt_timed_out(attempt, partitions),
            Event::AttemptEnded { attempt, failure } => self.attempt_ended(stamp, attempt, failure.as_ref()),
            Event::RunCancelRequested { run } => self.run_cancel_requested(run),
            Event::RunPaused { run } => self.run_paused(run, true),
            Event::RunResumed { run } => self.run_paused(run, false),
            Event::RunEnded { run, status } => self.run_ended(stamp, run, *status),
            Event::PointerMoved { table, from, to } => self.pointer_moved(stamp, table, from.as_ref(), to),
            Event::RolledBack { asset, rollback } => self.rolled_back(stamp, asset, rollback),
            Event::PartitionRolledBack {
                step,
                restored,
                version,
            } => self.partition_rolled_back(stamp, step, restored.as_ref(), version),
            Event::PartitionCutAway { step } => self.partition_cut_away(stamp, step),
            Event::SourceObserved { asset, observation } => self.source_observed(stamp, asset, observation),
            Event::ModelRegistered {
                model,
                version,
                run,
                staged,
                fingerprint,
                inputs,
            } => self.model_registered(
                stamp,
                &model::Registration {
                    model,
                    version: *version,
                    run,
                    staged,
                    fingerprint,
                    inputs,
                },
            ),
            Event::SnapshotsExpired { .. } | Event::FilesCompacted { .. } => Ok(()),
            Event::TableRepartitioned { table, .. } => self.automation_let_go(table),
            Event::AliasMoved {
                model,
                alias,
                from,
                to,
                reason,
            } => self.alias_moved(
                stamp,
                &model::AliasMove {
                    model,
                    alias,
                    from: *from,
                    to: *to,
                    reason,
                },
            ),
            Event::ScheduleDeclared {
                schedule,
                times,
                paused,
            } => self.schedule_declared(stamp, schedule, times, *paused),
            Event::ScheduleRemoved { schedule } => self.schedule_removed(stamp, schedule),
            Event::SchedulePaused { schedule, by } => self.schedule_paused(stamp, schedule, by),
            Event::ScheduleResumed { schedule, by: _ } => self.schedule_resumed(stamp, schedule),
            Event::Ticked { tick } => self.ticked(stamp, tick),
            Event::FreshnessChanged { change } => self.freshness_changed(stamp, change),
            Event::FreshnessRemoved { asset } => self.freshness_removed(asset),
            Event::AutomationRequested { decision } => self.automation_requested(stamp, decision),
            Event::AutomationHeld { asset, held } => self.automation_held(stamp, asset, held),
            Event::AutomationPaused { asset, by } => self.automation_paused(stamp, asset.as_ref(), by),
            Event::AutomationResumed { asset, by: _ } => self.automation_resumed(asset.as_ref()),
            Event::AlertRaised { raised } => self.alert_raised(stamp, raised),
            Event::AlertEnded { alert, end, line, tell } => self.alert_ended(
                stamp,
                &alert::End {
                    alert,
                    how: *end,
                    line,
                    tell: *tell,
                },
            ),
            Event::AlertGrouped { message } => self.alert_grouped(stamp, message),
            Event::AlertDelivered { message, tries, .. } => self.alert_delivered(stamp, message, *tries),
            Event::AlertFailed {
                message,
                tries,
                error,
                next_at,
                ..
            } => self.alert_failed(stamp, message, *tries, error, *next_at),
            Event::SensorDeclared {
                sensor,
                declared,
                paused,
            } => self.sensor_declared(stamp, sensor, declared, *paused),
            Event::SensorRemoved { sensor } => self.sensor_removed(stamp, sensor),
            Event::SensorPaused { sensor, by } => self.sensor_paused(stamp, sensor, by),
            Event::SensorResumed { sensor, by: _ } => self.sensor_resumed(stamp, sensor),
            Event::SensorTicked { tick } => self.sensor_ticked(stamp, tick),
            Event::SensorForgot { sensor, ticks } => self.sensor_forgot(stamp, sensor, ticks),
            Event::Started { boot, mode: _ } => self.started(boot),
        }
    }

    /// Changes the tables by one event of which some that led to it may have been removed: what became of a partition counts
    /// without its run, a table's version and a sensor's tick without the one before, a message without what it told of.
    pub(super) fn apply_remnant(&mut self, seq: i64, at: Micros, event: &Event) -> Result<(), Refusal> {
        let stamp = Stamp { seq, at };
        match event {
            Event::StepSucceeded {
                run,
                attempt,
                materialization,
            } if !self.has_run(run)? => {
                self.materialized(stamp, run, attempt, materialization)?;
                self.rollback_released(&materialization.step)?;
                self.automation_released(&materialization.step)?;
                self.checked(stamp, run, &materialization.step, &materialization.checks, true)
            }
            Event::StepFailed {
                run,
                attempt,
                step,
                failure,
                checks,
            } if !self.has_run(run)? => {
                self.partition_failed(stamp, run, step, failure)?;
                if attempt.is_some() {
                    self.rollback_tried(stamp, step)?;
                }
                self.checked(stamp, run, step, checks, false)
            }
            Event::PointerMoved { table, to, .. } => self.pointer_found(stamp, table, to),
            Event::SensorTicked { tick } => self.sensor_tick_found(stamp, tick),
            Event::AlertEnded { alert, end, line, tell } => self.alert_end_found(
                stamp,
                &alert::End {
                    alert,
                    how: *end,
                    line,
                    tell: *tell,
                },
            ),
            Event::AlertGrouped { message } => self.alert_group_found(stamp, message),
            Event::AlertDelivered { message, .. } | Event::AlertFailed { message, .. }
                if !self.has_message(message)? =>
            {
                Ok(())
            }
            event => self.apply(seq, at, event),
        }
    }

    fn has_run(&self, run: &RunId) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM run WHERE id = ?1)")?
            .query_row([run.as_str()], |row| row.get(0))
    }

    fn has_message(&self, message: &MessageId) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM alert_message WHERE id = ?1)")?
            .query_row([message.as_str()], |row| row.get(0))
    }

    /// The run that an event belongs to; for events that name an attempt only, the attempt's.
    pub(super) fn run_of(&self, event: &Event) -> Result<Option<RunId>, CommitError> {
        match event {
            Event::RunSubmitted { run, .. }
            | Event::AttemptStarted { run, .. }
            | Event::StepSucceeded { run, .. }
            | Event::StepFailed { run, .. }
            | Event::StepFresh { run, .. }
            | Event::StepSkipped { run, .. }
            | Event::StepCanceled { run, .. }
            | Event::StepRequeued { run, .. }
            | Event::StepUpForRetry { run, .. }
            | Event::StepRetryDue { run, .. }
            | Event::RunCancelRequested { run }
            | Event::RunPaused { run }
            | Event::RunResumed { run }
            | Event::RunEnded { run, .. }
            | Event::ModelRegistered { run, .. } => Ok(Some(run.clone())),
            Event::StepStaged { attempt, .. }
            | Event::AttemptTimedOut { attempt, .. }
            | Event::AttemptEnded { attempt, .. } => Ok(self.run_of_attempt(attempt)?.and_then(|run| run.parse().ok())),
            Event::Ticked { tick } => Ok(tick.run.clone()),
            Event::AutomationRequested { decision } => Ok(Some(decision.run.clone())),
            Event::AlertRaised { raised } => Ok(raised.run.clone()),
            Event::AlertEnded { line, .. } => Ok(line.run.clone()),
            Event::SensorTicked { tick } => Ok(tick.run.clone()),
            Event::PointerMoved { .. }
            | Event::SnapshotsExpired { .. }
            | Event::FilesCompacted { .. }
            | Event::TableRepartitioned { .. }
            | Event::PartitionCutAway { .. }
            | Event::RolledBack { .. }
            | Event::PartitionRolledBack { .. }
            | Event::SourceObserved { .. }
            | Event::AliasMoved { .. }
            | Event::ScheduleDeclared { .. }
            | Event::ScheduleRemoved { .. }
            | Event::SchedulePaused { .. }
            | Event::ScheduleResumed { .. }
            | Event::FreshnessChanged { .. }
            | Event::FreshnessRemoved { .. }
            | Event::AutomationHeld { .. }
            | Event::AutomationPaused { .. }
            | Event::AutomationResumed { .. }
            | Event::AlertGrouped { .. }
            | Event::AlertDelivered { .. }
            | Event::AlertFailed { .. }
            | Event::SensorDeclared { .. }
            | Event::SensorRemoved { .. }
            | Event::SensorPaused { .. }
            | Event::SensorResumed { .. }
            | Event::SensorForgot { .. }
            | Event::Started { .. } => Ok(None),
        }
    }

    /// Writes the sums. Nothing is right before this.
    pub(super) fn finish(self) -> Result<(), CommitError> {
        self.sums.write(self.connection)?;
        Ok(())
    }

    fn started(&mut self, boot: &str) -> Result<(), Refusal> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('boot', ?1)")?
            .execute([boot])?;
        Ok(())
    }
}
