//! What must hold of the events, told from the events alone: a second opinion that shares no bookkeeping with the core.

mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assets::outcome::TablePointer;
use assets::{AssetKey, AssetPartition, InputRole};
use orchestrator::core::{Broken, Definitions, InvariantId, Sight, StepScope, World};
use state::event::{Event, Micros, Recorded};
use state::ids::{AttemptId, RunId};
use state::status::StepStatus;

use super::alerts::Alerts;
use super::instants::Instants;
use super::sensors::Told as SensorsTold;
use super::tables::Tables;
use super::upkeep::Upkeep;

/// A run as its events tell it.
#[derive(Clone)]
struct Told {
    submitted_at: Micros,
    /// Made in an environment, and over when it was told: nothing of it waits, or is worked on.
    adopted: bool,
    definitions: Arc<Definitions>,
    steps: BTreeMap<AssetPartition, StepStatus>,
    published: BTreeSet<AssetPartition>,
    over: bool,
    paused: bool,
    max_in_flight: usize,
    /// How often each step was tried again, and until when it waits for that now.
    retries: BTreeMap<AssetPartition, (u32, Option<Micros>)>,
}

/// What the machine and the project allow.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) slots: usize,
    pub(super) pools: BTreeMap<String, u32>,
    pub(super) memory: u64,
    pub(super) step_memory: u64,
}

/// All that happened.
#[derive(Clone, Default)]
pub(super) struct History {
    runs: BTreeMap<RunId, Told>,
    in_flight: BTreeMap<AttemptId, (RunId, AssetKey)>,
    worked_on: BTreeMap<AssetPartition, (RunId, AttemptId)>,
    pointers: BTreeMap<AssetKey, TablePointer>,
    newest: BTreeMap<AssetPartition, RunId>,
    pub(super) instants: Instants,
    pub(super) upkeep: Upkeep,
    pub(super) alerts: Alerts,
    pub(super) sensors: SensorsTold,
    pub(super) tables: Tables,
}

fn broken(id: InvariantId, found: String) -> Result<(), Broken> {
    Err(Broken::new(id, found))
}

impl History {
    /// How many runs there were.
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// The runs that there were.
    pub(super) fn run_ids(&self) -> BTreeSet<RunId> {
        self.runs.keys().cloned().collect()
    }

    /// How many steps were published.
    pub(super) fn published(&self) -> usize {
        self.runs.values().map(|told| told.published.len()).sum()
    }

    /// Takes the events of one commit in, which may be of several turns. `world` lends its mappings and its definitions.
    pub(super) fn tell(&mut self, world: &World, limits: &Limits, turns: &[&[Recorded]]) -> Result<(), Broken> {
        let events = &turns.concat();
        self.sensors.tell(events)?;
        // Each turn moves a table at most once.
        for turn in turns {
            self.tables.tell(world, turn)?;
        }
        for recorded in events {
            self.one(world, limits, recorded)?;
        }
        for recorded in events {
            self.published_together(recorded)?;
        }
        self.alerts.agrees_with(world, events)
    }

    /// What one commit publishes of an atomic group is all of it that its run makes of the partition.
    fn published_together(&self, recorded: &Recorded) -> Result<(), Broken> {
        let Event::StepSucceeded {
            run, materialization, ..
        } = &recorded.event
        else {
            return Ok(());
        };
        let (told, step) = (&self.runs[run], &materialization.step);
        for other in told.definitions.published_with(&step.asset) {
            let other = AssetPartition::new(other.clone(), step.partition.clone());
            if let Some(status) = told
                .steps
                .get(&other)
                .filter(|status| **status != StepStatus::Succeeded)
            {
                let found = format!("{step} of {run} is published, and {other} is {status:?}");
                return broken(InvariantId::PublishedTogether, found);
            }
        }
        Ok(())
    }

    fn one(&mut self, world: &World, limits: &Limits, recorded: &Recorded) -> Result<(), Broken> {
        let runs = &self.runs;
        let is_open = |step: &AssetPartition| {
            let mut open = runs.values().filter(|told| !told.over);
            open.any(|told| told.steps.get(step).is_some_and(|status| !status.is_terminal()))
        };
        self.upkeep.tell(world, recorded, &is_open)?;
        match &recorded.event {
            Event::RunSubmitted {
                run, steps, request, ..
            } => {
                let told = Told {
                    submitted_at: recorded.at,
                    adopted: request.trigger.starts_with("environment "),
                    definitions: world.definitions().clone(),
                    steps: steps
                        .iter()
                        .map(|planned| (planned.step.clone(), StepStatus::Waiting))
                        .collect(),
                    published: BTreeSet::new(),
                    over: false,
                    paused: false,
                    retries: BTreeMap::new(),
                    max_in_flight: request.pace.max_in_flight.map_or(usize::MAX, |most| most as usize),
                };
                self.runs.insert(run.clone(), told);
            }
            Event::AttemptStarted {
                attempt,
                run,
                asset,
                partitions,
                ..
            } => {
                self.in_flight.insert(attempt.clone(), (run.clone(), asset.clone()));
                if self.told(run)?.adopted {
                    for partition in partitions {
                        let step = AssetPartition::new(asset.clone(), partition.clone());
                        self.worked_on.insert(step, (run.clone(), attempt.clone()));
                    }
                    return Ok(());
                }
                self.places_are_kept(limits, run, asset)?;
                if self.in_flight.len() > limits.slots {
                    return broken(
                        InvariantId::SlotsAreBounded,
                        format!("{} attempts", self.in_flight.len()),
                    );
                }
                for partition in partitions {
                    let step = AssetPartition::new(asset.clone(), partition.clone());
                    if let Some((other, _)) = self.worked_on.insert(step.clone(), (run.clone(), attempt.clone())) {
                        return broken(
                            InvariantId::OnePartitionOneWorker,
                            format!("{step} in {other} and {run}"),
                        );
                    }
                    self.upstream_first(world, run, &step)?;
                    if let Some((_, Some(due))) = self.told(run)?.retries.get(&step) {
                        let found = format!("{step} of {run} was to wait until {due}");
                        return broken(InvariantId::RetriesAreBounded, found);
                    }
                    self.moves(run, &step, StepStatus::Running)?;
                }
                self.keeps_its_pace(run)?;
            }
            Event::StepStaged { attempt, step, .. } => {
                let Some((run, current)) = self.worked_on.get(step) else {
                    return broken(InvariantId::OneCurrentAttempt, format!("{step} was staged by nobody"));
                };
                if current != attempt {
                    return broken(
                        InvariantId::OneCurrentAttempt,
                        format!("{step} was staged by a stale attempt"),
                    );
                }
                let run = run.clone();
                self.moves(&run, step, StepStatus::Publishing)?;
            }
            Event::StepSucceeded {
                run,
                attempt,
                materialization,
            } => {
                let step = &materialization.step;
                if self.worked_on.remove(step) != Some((run.clone(), attempt.clone())) {
                    return broken(
                        InvariantId::OneCurrentAttempt,
                        format!("{step} was published by a stale attempt"),
                    );
                }
                if materialization.checks.iter().any(assets::outcome::CheckResult::blocks) {
                    return broken(
                        InvariantId::PublishedOnPass,
                        format!("{step} was published with a failed check"),
                    );
                }
                self.moves(run, step, StepStatus::Succeeded)?;
                if !self.told(run)?.published.insert(step.clone()) {
                    return broken(
                        InvariantId::PublishedOncePerRun,
                        format!("{step} was published twice in {run}"),
                    );
                }
                self.newest.insert(step.clone(), run.clone());
            }
            Event::StepFresh { run, step } => self.moves(run, step, StepStatus::Succeeded)?,
            Event::StepFailed { run, step, .. } => {
                self.worked_on.retain(|worked, (by, _)| worked != step || by != run);
                self.moves(run, step, StepStatus::Failed)?;
            }
            Event::StepSkipped { run, step, .. } => {
                self.worked_on.retain(|worked, (by, _)| worked != step || by != run);
                self.moves(run, step, StepStatus::Skipped)?;
            }
            Event::StepCanceled { run, step } => {
                self.worked_on.retain(|worked, (by, _)| worked != step || by != run);
                self.moves(run, step, StepStatus::Canceled)?;
            }
            Event::StepRequeued { run, step, .. } => {
                self.worked_on.remove(step);
                self.moves(run, step, StepStatus::Waiting)?;
            }
            Event::StepUpForRetry {
                run,
                attempt,
                step,
                failure,
                retry,
                due,
            } => {
                if self.worked_on.remove(step) != Some((run.clone(), attempt.clone())) {
                    let found = format!("{step} is tried again for a stale attempt");
                    return broken(InvariantId::OneCurrentAttempt, found);
                }
                self.moves(run, step, StepStatus::Waiting)?;
                self.may_be_tried_again(run, step, failure.class, *retry)?;
                self.told(run)?.retries.insert(step.clone(), (*retry, Some(*due)));
            }
            Event::StepRetryDue { run, step } => match self.told(run)?.retries.get_mut(step) {
                Some((_, due @ Some(_))) => *due = None,
                _ => {
                    return broken(
                        InvariantId::RetriesAreBounded,
                        format!("{step} of {run} waits for no retry"),
                    );
                }
            },
            Event::AttemptTimedOut { attempt, .. } => {
                if !self.in_flight.contains_key(attempt) {
                    let found = format!("{attempt} took too long and was not in flight");
                    return broken(InvariantId::TerminalIsFinal, found);
                }
            }
            Event::AttemptEnded { attempt, .. } => {
                if self.in_flight.remove(attempt).is_none() {
                    return broken(
                        InvariantId::TerminalIsFinal,
                        format!("{attempt} ended and was not in flight"),
                    );
                }
            }
            Event::RunCancelRequested { run } | Event::RunResumed { run } => self.told(run)?.paused = false,
            Event::RunPaused { run } => self.told(run)?.paused = true,
            Event::RunEnded { run, .. } => {
                let told = self.told(run)?;
                told.over = true;
                if told.steps.values().any(|status| !status.is_terminal()) {
                    return broken(InvariantId::TerminalIsFinal, format!("{run} ended with open steps"));
                }
                if self.in_flight.values().any(|(of, _)| of == run) {
                    return broken(InvariantId::SlotsAreBounded, format!("{run} ended and holds a worker"));
                }
            }
            Event::PointerMoved { table, from, to } => {
                if self.pointers.insert(table.clone(), to.clone()) != *from {
                    return broken(InvariantId::PointersFormChains, format!("{table} moved from elsewhere"));
                }
            }
            Event::ScheduleDeclared { .. }
            | Event::ScheduleRemoved { .. }
            | Event::SchedulePaused { .. }
            | Event::ScheduleResumed { .. }
            | Event::Ticked { .. } => self.instants.tell(recorded)?,
            Event::AlertRaised { .. }
            | Event::AlertEnded { .. }
            | Event::AlertGrouped { .. }
            | Event::AlertDelivered { .. }
            | Event::AlertFailed { .. } => self.alerts.tell(recorded)?,
            Event::PartitionRolledBack { step, restored, .. } => match restored {
                Some(restored) => {
                    self.newest.insert(step.clone(), restored.run.clone());
                }
                None => {
                    self.newest.remove(step);
                }
            },
            Event::PartitionCutAway { step } => {
                self.newest.remove(step);
            }
            Event::RolledBack { .. }
            | Event::SourceObserved { .. }
            | Event::ModelRegistered { .. }
            | Event::AliasMoved { .. }
            | Event::SnapshotsExpired { .. }
            | Event::FilesCompacted { .. }
            | Event::TableRepartitioned { .. }
            | Event::FreshnessChanged { .. }
            | Event::FreshnessRemoved { .. }
            | Event::AutomationRequested { .. }
            | Event::AutomationHeld { .. }
            | Event::AutomationPaused { .. }
            | Event::AutomationResumed { .. }
            | Event::SensorDeclared { .. }
            | Event::SensorRemoved { .. }
            | Event::SensorPaused { .. }
            | Event::SensorResumed { .. }
            | Event::SensorTicked { .. }
            | Event::SensorForgot { .. }
            | Event::Started { .. } => {}
        }
        Ok(())
    }

    fn told(&mut self, run: &RunId) -> Result<&mut Told, Broken> {
        match self.runs.get_mut(run) {
            Some(told) if !told.over => Ok(told),
            Some(_) => Err(Broken::new(
                InvariantId::TerminalIsFinal,
                format!("something happened to {run}, which is over"),
            )),
            None => Err(Broken::new(
                InvariantId::OnlyListedTransitions,
                format!("{run} was never submitted"),
            )),
        }
    }

    fn moves(&mut self, run: &RunId, step: &AssetPartition, to: StepStatus) -> Result<(), Broken> {
        let told = self.told(run)?;
        match told.steps.get_mut(step) {
            Some(status) if !status.is_terminal() => {
                *status = to;
                Ok(())
            }
            Some(status) => broken(
                InvariantId::TerminalIsFinal,
                format!("{step} of {run} was {status:?} and became {to:?}"),
            ),
            None => broken(InvariantId::OnlyListedTransitions, format!("{run} has no step {step}")),
        }
    }

    fn upstream_first(&self, world: &World, run: &RunId, step: &AssetPartition) -> Result<(), Broken> {
        let told = &self.runs[run];
        let Some(asset) = told.definitions.get(&step.asset) else {
            return Ok(());
        };
        let sight = Sight::new(world, &told.definitions, told.submitted_at);
        for input in &asset.inputs {
            let scope = match input.role {
                InputRole::Rows => sight.scopes().of(asset, input, step.partition.as_ref()),
                InputRole::Model(_) => StepScope::All,
            };
            let needed = told.steps.iter().filter(|(other, _)| {
                other.asset == input.asset
                    && match (&scope, &other.partition) {
                        (StepScope::All, _) => true,
                        (StepScope::Keys(keys), Some(key)) => keys.contains(key),
                        (StepScope::Keys(_), None) => false,
                    }
            });
            for (other, status) in needed {
                if *status != StepStatus::Succeeded {
                    return broken(
                        InvariantId::UpstreamFirst,
                        format!("{step} of {run} runs, {other} is {status:?}"),
                    );
                }
            }
        }
        Ok(())
    }

    /// Compares what the world knows with what was told.
    pub(super) fn agrees_with(&self, world: &World) -> Result<(), Broken> {
        for (step, run) in &self.newest {
            let known = world.partition(&step.asset, step.partition.as_ref());
            let known = known
                .and_then(|known| known.materialization.as_ref())
                .map(|made| &made.run);
            if known != Some(run) {
                return broken(
                    InvariantId::MaterializedBySuccess,
                    format!("{step} was made by {run}, not {known:?}"),
                );
            }
        }
        for (table, pointer) in &self.pointers {
            if world.pointer(table) != Some(pointer) {
                return broken(
                    InvariantId::PointersFormChains,
                    format!("{table} is not where it was moved to"),
                );
            }
        }
        let open: BTreeSet<&RunId> = world.open_runs().map(|run| &run.id).collect();
        let told: BTreeSet<&RunId> = self
            .runs
            .iter()
            .filter(|(_, told)| !told.over)
            .map(|(id, _)| id)
            .collect();
        if open != told {
            return broken(
                InvariantId::TerminalIsFinal,
                "other runs are open than were told".to_owned(),
            );
        }
        Ok(())
    }

    /// After a recovery with other definitions, runs are seen through those.
    pub(super) fn recovered(&mut self, definitions: &Arc<Definitions>) {
        for told in self.runs.values_mut().filter(|told| !told.over) {
            told.definitions = definitions.clone();
        }
    }
}
