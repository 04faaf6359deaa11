//! The one way in which the world changes. Every transition that is not listed here is a bug and is refused.

use std::collections::BTreeMap;
use std::fmt;

use ::assets::outcome::FailureClass;
use ::assets::{AssetKey, AssetPartition, Fingerprint};
use state::automation::HoldReason;
use state::event::{Event, Materialization, Micros, OwnerMode, PinnedVersion, Recorded};
use state::ids::{AttemptId, RunId};
use state::status::{RunStatus, StepStatus};

use super::super::definitions::Definitions;
use super::super::invariants::InvariantId;
use super::super::staleness::Sight;
use super::assets::{LastFailure, LastMaterialization, ModelVersion};
use super::pending::is_verdict;
use super::runs::Attempt;
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

/// How a step ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Succeeded,
    Failed,
    Skipped,
    Canceled,
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
            Event::AutomationRequested { .. }
            | Event::SnapshotsExpired { .. }
            | Event::FilesCompacted { .. }
            | Event::TableRepartitioned { .. } => {}
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

    fn attempt_started(
        &mut self,
        at: Micros,
        attempt: &AttemptId,
        run_id: &RunId,
        asset: &AssetKey,
        names: Vec<AssetPartition>,
        number: u32,
        inputs: &[PinnedVersion],
    ) -> Result<(), Broken> {
        let run = self
            .runs
            .get(run_id)
            .ok_or_else(|| illegal(format!("{run_id} is not open")))?;
        let definitions = run.definitions.clone();
        let versions = match run.definitions.get(asset) {
            // What the steps see is what the catalog points to now.
            Some(definition) => {
                let sight = Sight::new(self, &definitions, at);
                names
                    .iter()
                    .map(|name| sight.input_versions(definition, name.partition.as_ref()))
                    .collect()
            }
            None => vec![BTreeMap::new(); names.len()],
        };
        let tried = self.to_be_tried(&definitions, at, &names, &versions);
        self.minted += 1;
        let run = self.run_mut(run_id)?;
        if names.len() > run.room() {
            let found = format!(
                "{} steps of {run_id} started, it had room for {}",
                names.len(),
                run.room()
            );
            return Err(Broken::new(InvariantId::PaceIsKept, found));
        }
        run.in_flight += names.len();
        let mut steps = Vec::with_capacity(names.len());
        for name in &names {
            let position = run
                .position(name)
                .ok_or_else(|| illegal(format!("{name} is not part of {run_id}")))?;
            let group = &mut run.groups[run.steps[position as usize].group as usize];
            if group.blocked_by > 0 || !group.ready.remove(&position) {
                let found = format!("{name} of {run_id} was given to a worker before its turn");
                return Err(Broken::new(InvariantId::UpstreamFirst, found));
            }
            let step = &mut run.steps[position as usize];
            step.status = StepStatus::Running;
            step.attempt = Some(attempt.clone());
            step.tries = number;
            steps.push(position);
        }
        run.attempts += 1;
        run.last_start = run.last_start.max(at);
        if run.status == RunStatus::Queued {
            run.status = RunStatus::Running;
        }
        let attempt = Attempt {
            id: attempt.clone(),
            run: run_id.clone(),
            asset: asset.clone(),
            open: steps.len(),
            steps,
            number,
            inputs: inputs.to_vec(),
            versions,
            tried,
            started_at: at,
            timed_out: None,
            ended: false,
        };
        if self.attempts.insert(attempt.id.clone(), attempt).is_some() {
            return Err(illegal("two attempts have the same id"));
        }
        Ok(())
    }

    fn run_mut(&mut self, id: &RunId) -> Result<&mut Run, Broken> {
        self.runs.get_mut(id).ok_or_else(|| {
            Broken::new(
                InvariantId::TerminalIsFinal,
                format!("something happened to {id}, which is not open"),
            )
        })
    }

    fn run_of(&self, attempt: &AttemptId) -> Result<RunId, Broken> {
        let known = self.attempts.get(attempt);
        known
            .map(|attempt| attempt.run.clone())
            .ok_or_else(|| illegal(format!("{attempt} is not known")))
    }

    /// The open step of that name, if `attempt` is the one whose word counts (or none claims to speak).
    pub(super) fn current(
        &mut self,
        run: &RunId,
        name: &AssetPartition,
        attempt: Option<&AttemptId>,
    ) -> Result<(&mut Run, u32), Broken> {
        let run = self.run_mut(run)?;
        let position = run
            .position(name)
            .ok_or_else(|| illegal(format!("{name} is not part of {}", run.id)))?;
        let step = &run.steps[position as usize];
        if step.status.is_terminal() {
            let found = format!("{name} of {} is {:?} and something happened to it", run.id, step.status);
            return Err(Broken::new(InvariantId::TerminalIsFinal, found));
        }
        if attempt.is_some() && step.attempt.as_ref() != attempt {
            let found = format!("{name} of {} took the word of an attempt that is not its own", run.id);
            return Err(Broken::new(InvariantId::OneCurrentAttempt, found));
        }
        Ok((run, position))
    }

    fn end_step(
        &mut self,
        run: &RunId,
        name: &AssetPartition,
        attempt: Option<&AttemptId>,
        end: End,
    ) -> Result<(), Broken> {
        let (run, position) = self.current(run, name, attempt)?;
        let counted = run.counts_in_flight(position);
        let has_mates = run.mates(position).next().is_some();
        let step = &mut run.steps[position as usize];
        if end == End::Succeeded && attempt.is_none() && step.status != StepStatus::Waiting {
            return Err(illegal(format!("{name} was found fresh while {:?}", step.status)));
        }
        if end == End::Skipped && step.status != StepStatus::Waiting && !has_mates {
            return Err(illegal(format!("{name} was skipped while {:?}", step.status)));
        }
        step.status = match end {
            End::Succeeded => StepStatus::Succeeded,
            End::Failed => StepStatus::Failed,
            End::Skipped => StepStatus::Skipped,
            End::Canceled => StepStatus::Canceled,
        };
        let released = step.attempt.take();
        run.in_flight -= usize::from(counted);
        run.open -= 1;
        run.failed |= end == End::Failed;
        run.step_ended(position, end == End::Succeeded);
        // Of a run that is paused nobody waits for what has not begun.
        let over = run.paused || run.groups[run.steps[position as usize].group as usize].open == 0;
        let id = run.id.clone();
        self.forget_retry(&id, position);
        self.release(released);
        self.partition_changed(name);
        if over {
            self.asset_released(&name.asset);
        }
        Ok(())
    }

    /// What an attempt of a step was made from, if that is kept.
    fn tried(&self, attempt: &AttemptId, step: &AssetPartition) -> Option<Fingerprint> {
        let attempt = self.attempts.get(attempt).filter(|attempt| !attempt.tried.is_empty())?;
        let position = self.runs.get(&attempt.run)?.position(step)?;
        let index = attempt.steps.iter().position(|&own| own == position)?;
        attempt.tried.get(index).cloned()
    }

    /// What steps of automated assets are about to be made from; nothing for those of others.
    pub(super) fn to_be_tried(
        &self,
        definitions: &Definitions,
        at: Micros,
        names: &[AssetPartition],
        versions: &[BTreeMap<AssetKey, Fingerprint>],
    ) -> Vec<Fingerprint> {
        let automated = |name: &AssetPartition| self.definitions.is_made_by_automation(&name.asset);
        let Some(first) = names.first().filter(|first| automated(first)) else {
            return Vec::new();
        };
        let Some(asset) = definitions.get(&first.asset) else {
            return Vec::new();
        };
        let sight = Sight::new(self, definitions, at);
        let steps = names.iter().zip(versions);
        steps
            .map(|(name, inputs)| sight.made_from_inputs(asset, name.partition.as_ref(), inputs))
            .collect()
    }

    /// A run was paused, resumed or canceled: who waits for it looks again.
    fn run_released(&mut self, id: &RunId) {
        let Some(run) = self.runs.get(id) else { return };
        let open = run.groups.iter().filter(|group| group.open > 0);
        let assets: Vec<AssetKey> = open.map(|group| group.asset.clone()).collect();
        for asset in assets {
            self.asset_released(&asset);
        }
    }

    fn requeue_step(&mut self, run: &RunId, name: &AssetPartition) -> Result<(), Broken> {
        let (run, position) = self.current(run, name, None)?;
        let counted = run.counts_in_flight(position);
        let step = &mut run.steps[position as usize];
        if step.status == StepStatus::Waiting {
            return Err(illegal(format!("{name} was requeued while it waited")));
        }
        step.status = StepStatus::Waiting;
        let released = step.attempt.take();
        let group = step.group as usize;
        run.in_flight -= usize::from(counted);
        run.groups[group].ready.insert(position);
        let paused = run.paused;
        self.release(released);
        if paused {
            self.asset_released(&name.asset);
        }
        Ok(())
    }

    /// One step of the attempt is no longer its business.
    pub(super) fn release(&mut self, attempt: Option<AttemptId>) {
        let Some(id) = attempt else { return };
        let attempt = self
            .attempts
            .get_mut(&id)
            .expect("a step's current attempt is known until its steps are over");
        attempt.open -= 1;
        if attempt.open == 0 && attempt.ended {
            self.attempts.remove(&id);
        }
    }

    pub(super) fn materialized(&mut self, at: Micros, run: &RunId, materialization: &Materialization) {
        let step = &materialization.step;
        let record = self.assets.entry(step.asset.clone()).or_default();
        let partition = record.partitions.entry(step.partition.clone()).or_default();
        partition.materialization = Some(LastMaterialization::new(run.clone(), at, materialization));
        partition.failure = None;
        partition.rolled_back = None;
        // Where the clock was set back, what was the newest may have given way to something older.
        let made = record
            .partitions
            .values()
            .filter_map(|known| known.materialization.as_ref());
        record.newest = match record.newest.filter(|newest| *newest > at) {
            Some(_) => made.map(|made| made.at).max(),
            None => Some(at),
        };
        self.automation.release(step);
        self.asset_made(&step.asset);
    }
}
