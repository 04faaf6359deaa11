//! The one way in which the world changes. Every transition that is not listed here is a bug and is refused.

use std::fmt;

use ::assets::AssetPartition;
use ::assets::outcome::FailureClass;
use state::automation::HoldReason;
use state::event::{Event, OwnerMode, Recorded};
use state::status::{RunStatus, StepStatus};

use super::super::invariants::InvariantId;
use super::assets::{LastFailure, ModelVersion};
use super::pending::is_verdict;
use super::steps::End;
use super::{Run, World};

/// A promise of the core's was broken: a bug. The process stops and starts again from what is committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Broken {
    /// Which promise.
    pub invariant: InvariantId,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} does not hold ({}): {}",
            self.invariant,
            self.invariant.sentence(),
            self.found
        )
    }
}

impl Broken {
    /// A broken promise and what shows it.
    pub fn new(invariant: InvariantId, found: impl Into<String>) -> Self {
        Self {
            invariant,
            found: found.into(),
        }
    }
}

pub(super) fn illegal(found: impl Into<String>) -> Broken {
    Broken::new(InvariantId::OnlyListedTransitions, found)
}

impl World {
    /// Takes one committed fact in.
    ///
    /// # Errors
    /// The event does not fit this world; the world is then not to be used any more.
    pub fn apply(&mut self, recorded: &Recorded) -> Result<(), Broken> {
        let at = recorded.at;
        match &recorded.event {
            Event::RunSubmitted {
                run, request, steps, ..
            } => {
                if self.runs.contains_key(run) {
                    return Err(illegal(format!("{run} was submitted twice")));
                }
                self.minted += 1;
                self.submitted += 1;
                let steps = steps.iter().map(|planned| planned.step.clone());
                let opened = Run::open(
                    run.clone(),
                    self.submitted,
                    request.clone(),
                    at,
                    self.definitions.clone(),
                    steps,
                );
                self.order.insert(opened.number, run.clone());
                self.runs.insert(run.clone(), opened);
            }
            Event::AttemptStarted {
                attempt,
                run,
                asset,
                partitions,
                number,
                inputs,
                table: _,
            } => {
                let steps = partitions
                    .iter()
                    .map(|p| AssetPartition::new(asset.clone(), p.clone()))
                    .collect();
                self.attempt_started(at, attempt, run, asset, steps, *number, inputs)?;
            }
            Event::StepStaged { attempt, step, .. } => {
                let run = self.run_of(attempt)?;
                let (run, position) = self.current(&run, step, Some(attempt))?;
                let step = &mut run.steps[position as usize];
                if step.status != StepStatus::Running {
                    return Err(illegal(format!("a step was staged while {:?}", step.status)));
                }
                step.status = StepStatus::Publishing;
                run.in_flight -= usize::from(!run.counts_in_flight(position));
            }
            Event::StepSucceeded {
                run,
                attempt,
                materialization,
            } => {
                let tried = self.tried(attempt, &materialization.step);
                self.end_step(run, &materialization.step, Some(attempt), End::Succeeded)?;
                self.materialized(at, run, materialization);
                self.step_came_to_an_end(&materialization.step, tried, HoldReason::StillStale);
            }
            Event::StepFresh { run, step } => self.end_step(run, step, None, End::Succeeded)?,
            Event::StepFailed {
                run,
                attempt,
                step,
                failure,
                ..
            } => {
                let tried = attempt.as_ref().and_then(|attempt| self.tried(attempt, step));
                self.end_step(run, step, attempt.as_ref(), End::Failed)?;
                let record = self.assets.entry(step.asset.clone()).or_default();
                let by_check = failure.class == FailureClass::Check;
                let partition = record.partitions.entry(step.partition.clone()).or_default();
                partition.failure = Some(LastFailure { at, by_check });
                // What its owner left unfinished, or nobody was given, says nothing of what was taken back.
                if let Some(rollback) = partition.rolled_back.as_mut().filter(|_| attempt.is_some()) {
                    rollback.tried = true;
                }
                if is_verdict(failure) {
                    self.step_came_to_an_end(step, tried, HoldReason::Failed);
                }
            }
            Event::StepSkipped { run, step, .. } => {
                let (current, position) = self.current(run, step, None)?;
                let for_a_mate = current.mate_in_vain(position).is_some();
                let attempt = current.steps[position as usize].attempt.clone();
                let tried = attempt.and_then(|attempt| self.tried(&attempt, step));
                self.end_step(run, step, None, End::Skipped)?;
                if for_a_mate {
                    self.step_came_to_an_end(step, tried, HoldReason::Together);
                }
            }
            Event::StepCanceled { run, step } => {
                self.end_step(run, step, None, End::Canceled)?;
                self.step_came_to_an_end(step, None, HoldReason::Canceled);
            }
            Event::StepRequeued { run, step, .. } => self.requeue_step(run, step)?,
            Event::StepUpForRetry {
                run,
                attempt,
                step,
                retry,
                due,
                ..
            } => self.step_up_for_retry(run, step, attempt, *retry, *due)?,
            Event::StepRetryDue { run, step } => self.step_retry_due(run, step)?,
            Event::AttemptTimedOut { attempt, partitions } => self.attempt_timed_out(attempt, partitions)?,
            Event::AttemptEnded { attempt, .. } => {
                let ended = self
                    .attempts
                    .get_mut(attempt)
                    .ok_or_else(|| illegal(format!("{attempt} is not known")))?;
                if ended.ended {
                    return Err(illegal(format!("{attempt} ended twice")));
                }
                ended.ended = true;
                let (run, open) = (ended.run.clone(), ended.open);
                if open == 0 {
                    self.attempts.remove(attempt);
                }
                self.run_mut(&run)?.attempts -= 1;
            }
            Event::RunCancelRequested { run } => {
                let run = self.run_mut(run)?;
                if run.status == RunStatus::Canceling {
                    return Err(illegal(format!("{} is already being canceled", run.id)));
                }
                run.status = RunStatus::Canceling;
                run.paused = false;
                let id = run.id.clone();
                self.run_released(&id);
            }
            Event::RunPaused { run: id } | Event::RunResumed { run: id } => {
                let pause = matches!(recorded.event, Event::RunPaused { .. });
                let run = self.run_mut(id)?;
                if run.paused == pause || run.status == RunStatus::Canceling {
                    return Err(illegal(format!("{id} was paused or resumed where it could not be")));
                }
                run.paused = pause;
                self.run_released(id);
            }
            Event::RunEnded { run: id, .. } => {
                let run = self.run_mut(id)?;
                if run.open > 0 || run.attempts > 0 {
                    let found = format!(
                        "{id} ended with {} open steps, {} attempts in flight",
                        run.open, run.attempts
                    );
                    return Err(illegal(found));
                }
                let number = run.number;
                self.order.remove(&number);
                self.runs.remove(id);
            }
            Event::PointerMoved { table, from, to } => {
                if self.pointers.get(table) != from.as_ref() {
                    let found = format!("{table} moved from a version that is not its current one");
                    return Err(Broken::new(InvariantId::PointersFormChains, found));
                }
                self.pointers.insert(table.clone(), to.clone());
            }
            Event::RolledBack { asset, rollback } => self.rolled_back(asset, rollback),
            Event::PartitionRolledBack {
                step,
                restored,
                version,
            } => self.partition_rolled_back(at, step, restored.as_ref(), version)?,
            Event::PartitionCutAway { step } => self.partition_cut_away(step),
            Event::SourceObserved { asset, observation } => {
                self.assets.entry(asset.clone()).or_default().observe(observation);
                self.asset_changed(asset);
            }
            Event::ModelRegistered {
                model, version, staged, ..
            } => {
                let record = self.models.entry(model.clone()).or_default();
                let next = record.versions.last_key_value().map_or(1, |(newest, _)| newest + 1);
                if *version != next {
                    return Err(illegal(format!(
                        "version {version} of {model} was registered where {next} is next"
                    )));
                }
                record.versions.insert(*version, ModelVersion::from(staged));
                self.asset_changed(model);
            }
            Event::AliasMoved {
                model, alias, from, to, ..
            } => {
                let record = self.models.entry(model.clone()).or_default();
                if record.aliases.get(alias) != from.as_ref() || !record.versions.contains_key(to) {
                    return Err(illegal(format!(
                        "alias {alias} of {model} moved to {to} from where it was not"
                    )));
                }
                record.aliases.insert(alias.clone(), *to);
                self.asset_changed(model);
            }
            Event::ScheduleDeclared {
                schedule,
                times,
                paused,
            } => self.schedule_declared(at, schedule, times, *paused),
            Event::ScheduleRemoved { schedule } => {
                self.schedule_mut(schedule)?.declared = false;
                self.look_at_schedule(schedule);
            }
            Event::SchedulePaused { schedule, by } => {
                let record = self.schedule_mut(schedule)?;
                if record.paused.is_some() {
                    return Err(illegal(format!("schedule {schedule} was paused twice")));
                }
                record.paused = Some((at, by.clone()));
                self.look_at_schedule(schedule);
            }
            Event::ScheduleResumed { schedule, .. } => {
                let record = self.schedule_mut(schedule)?;
                if record.paused.take().is_none() {
                    return Err(illegal(format!("schedule {schedule} was resumed and not paused")));
                }
                record.accounted = record.accounted.max(at);
                self.look_at_schedule(schedule);
            }
            Event::Ticked { tick } => self.ticked(tick)?,
            Event::AlertRaised { raised } => self.alert_raised(at, raised)?,
            Event::AlertEnded { alert, line, tell, .. } => self.alert_ended(alert, line, *tell)?,
            Event::AlertGrouped { message } => self.alert_grouped(at, message)?,
            Event::AlertDelivered { alert, message, tries } => self.alert_tried(alert, message, *tries, None)?,
            Event::AlertFailed {
                alert,
                message,
                tries,
                next_at,
                ..
            } => self.alert_tried(alert, message, *tries, *next_at)?,
            Event::SensorDeclared {
                sensor,
                declared,
                paused,
            } => self.sensor_declared(at, sensor, declared, *paused),
            Event::SensorRemoved { sensor } => self.sensor_mut(sensor)?.declared = false,
            Event::SensorPaused { sensor, by } => self.sensor_paused(at, sensor, by)?,
            Event::SensorResumed { sensor, .. } => self.sensor_resumed(sensor)?,
            Event::SensorTicked { tick } => self.sensor_ticked(at, tick)?,
            Event::SensorForgot { sensor, ticks } => self.sensor_forgot(sensor, ticks)?,
            Event::FreshnessChanged { change } => {
                self.freshness_changed(at, change)?;
                self.freshness_was_heard();
            }
            Event::FreshnessRemoved { asset } => self.freshness_removed(asset)?,
            // Why a run was requested is for people.
            Event::AutomationRequested { .. } | Event::SnapshotsExpired { .. } | Event::FilesCompacted { .. } => {}
            Event::TableRepartitioned { table, .. } => {
                self.automation.held.remove(table);
                self.asset_changed(table);
            }
            Event::AutomationHeld { asset, held } => self.automation.hold(at, asset, held),
            Event::AutomationPaused { asset, by } => self.automation_paused(at, asset.as_ref(), by)?,
            Event::AutomationResumed { asset, .. } => self.automation_resumed(asset.as_ref())?,
            Event::Started { mode, .. } => {
                self.daemon = *mode == OwnerMode::Daemon;
                self.unrecovered = false;
                self.look_at_everything();
            }
        }
        Ok(())
    }
}
