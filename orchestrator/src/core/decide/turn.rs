//! One turn: an input and all that follows from it: what became late, what automation requests, down to the work given to
//! free workers.

use std::collections::BTreeSet;

use state::event::{Event, Micros, Recorded};
use state::ids::RunId;
use state::status::{RunStatus, StepStatus};

use super::super::effect::{Decision, Effect};
use super::super::input::Input;
use super::super::invariants;
use super::super::world::{Alarm, Broken, Run, World};
use super::publish::publishing;
use super::{admit, alert, automation, decide, freshness, publish};

/// What one turn decided. The events are applied to the world already and have to be committed, all in one transaction,
/// before the first effect is performed; if they cannot be, the world is to be loaded again from the store.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// Facts in order.
    pub events: Vec<Recorded>,
    /// What to do after the commit, answers included.
    pub effects: Vec<Effect>,
}

/// Takes one input in and decides until nothing more follows.
///
/// # Errors
/// A promise of the core's was broken, which is a bug: commit nothing of this turn, and load the world again.
pub fn turn(world: &mut World, at: Micros, input: Input) -> Result<Turn, Broken> {
    let mut turn = Turn::default();
    let decision = decide(world, at, &input);
    match input {
        Input::DefinitionsLoaded(definitions) => world.set_definitions(definitions),
        Input::Drain => world.drain(),
        _ => {}
    }
    let mut touched = BTreeSet::new();
    turn.take(world, at, decision, &mut touched)?;
    loop {
        let ends = std::mem::take(&mut touched)
            .iter()
            .filter_map(|id| ended(world.run(id)?))
            .collect();
        turn.take(
            world,
            at,
            Decision {
                events: ends,
                effects: Vec::new(),
            },
            &mut touched,
        )?;
        turn.look_after(world, at, &mut touched)?;
        let admitted = admit::next(world, at);
        if admitted.events.is_empty() {
            break;
        }
        turn.take(world, at, admitted, &mut touched)?;
    }
    turn.tell_of_alerts(world, at)?;
    if cfg!(debug_assertions) {
        invariants::check_settled(world, at)?;
    }
    Ok(turn)
}

impl Turn {
    /// Takes in the turn that came right after, where nothing of either was committed in between. Whatever both have the
    /// committer prepare of an asset, or the first alone had, becomes all that waits for it by now: what was staged at once shares
    /// a snapshot.
    pub fn join(&mut self, world: &World, later: Self) {
        self.events.extend(later.events);
        self.effects.extend(later.effects);
        let mut known = BTreeSet::new();
        self.effects.retain_mut(|effect| match effect {
            Effect::Prepare { asset, members } => {
                *members = publishing(world, asset);
                known.insert(asset.clone()) && !members.is_empty()
            }
            _ => true,
        });
    }

    /// Decides what follows for freshness and automation.
    fn look_after(&mut self, world: &mut World, at: Micros, touched: &mut BTreeSet<RunId>) -> Result<(), Broken> {
        let decision = |events| Decision {
            events,
            effects: Vec::new(),
        };
        // What was tried in vain by a command in the foreground is as much in vain.
        let holds = automation::holds(world, at);
        world.pending_mut().ended.clear();
        self.take(world, at, decision(holds), touched)?;
        if !world.keeps_schedules() {
            return Ok(());
        }
        world.pending_mut().see(at);
        let (changes, looked) = freshness::next(world, at);
        let pending = world.pending_mut();
        pending.made.clear();
        for (asset, until) in looked {
            pending.set(Alarm::Freshness(asset), until);
        }
        self.take(world, at, decision(changes), touched)?;
        let look = automation::next(world, at);
        let pending = world.pending_mut();
        pending.everything = false;
        pending.whole.clear();
        pending.changed.clear();
        pending.released.clear();
        automation::remember(world, look.looked);
        self.take(world, at, decision(look.events), touched)
    }

    /// Applies a decision, and the skips that follow from it.
    fn take(
        &mut self,
        world: &mut World,
        at: Micros,
        decision: Decision,
        touched: &mut BTreeSet<RunId>,
    ) -> Result<(), Broken> {
        self.effects.extend(decision.effects);
        let mut failed = Vec::new();
        for event in decision.events {
            let come = match &event {
                Event::StepStaged { attempt, step, .. } => world
                    .attempt(attempt)
                    .map(|attempt| (attempt.run.clone(), step.clone())),
                Event::StepFresh { run, step } => Some((run.clone(), step.clone())),
                Event::StepFailed { run, step, .. } => {
                    failed.push((run.clone(), step.clone()));
                    None
                }
                _ => None,
            };
            self.apply(world, at, event, touched)?;
            if let Some((run, step)) = come
                && let Some(run) = world.run(&run)
                && !run.definitions.published_with(&step.asset).is_empty()
            {
                self.effects.extend(publish::completed(world, run, &step));
            }
        }
        // A skip that was decided leads to none: what waits for that step was skipped when the one failed for whose sake it is.
        for (id, cause) in failed {
            let Some(run) = world.run(&id) else { continue };
            let Some(position) = run.position(&cause) else { continue };
            let below = run.in_vain(position);
            let skips: Vec<Event> = below
                .into_iter()
                .map(|position| Event::StepSkipped {
                    run: id.clone(),
                    step: run.name(position),
                    because: cause.clone(),
                })
                .collect();
            for skip in skips {
                self.apply(world, at, skip, touched)?;
            }
        }
        Ok(())
    }

    /// Adds what follows for alerts from all that was decided.
    fn tell_of_alerts(&mut self, world: &mut World, at: Micros) -> Result<(), Broken> {
        if world.definitions().alerts().is_empty() {
            return Ok(());
        }
        for decided in 0..self.events.len() {
            for event in alert::follows(world, &self.events[decided]) {
                self.apply(world, at, event, &mut BTreeSet::new())?;
            }
        }
        Ok(())
    }

    fn apply(
        &mut self,
        world: &mut World,
        at: Micros,
        event: Event,
        touched: &mut BTreeSet<RunId>,
    ) -> Result<(), Broken> {
        let attempt = match &event {
            Event::AttemptEnded { attempt, .. } => world.attempt(attempt).map(|attempt| attempt.run.clone()),
            _ => None,
        };
        touched.extend(attempt.or_else(|| run_of(&event).cloned()));
        let recorded = Recorded { at, event };
        world.apply(&recorded)?;
        self.events.push(recorded);
        Ok(())
    }
}

/// The run whose end an event may bring about.
fn run_of(event: &Event) -> Option<&RunId> {
    match event {
        Event::RunSubmitted { run, .. }
        | Event::StepSucceeded { run, .. }
        | Event::StepFresh { run, .. }
        | Event::StepFailed { run, .. }
        | Event::StepSkipped { run, .. }
        | Event::StepCanceled { run, .. }
        | Event::RunPaused { run }
        | Event::RunResumed { run }
        | Event::RunCancelRequested { run } => Some(run),
        Event::AttemptStarted { .. }
        | Event::StepStaged { .. }
        | Event::StepRequeued { .. }
        | Event::StepUpForRetry { .. }
        | Event::StepRetryDue { .. }
        | Event::AttemptTimedOut { .. }
        | Event::AttemptEnded { .. }
        | Event::RunEnded { .. }
        | Event::PointerMoved { .. }
        | Event::RolledBack { .. }
        | Event::PartitionRolledBack { .. }
        | Event::SourceObserved { .. }
        | Event::ModelRegistered { .. }
        | Event::AliasMoved { .. }
        | Event::SnapshotsExpired { .. }
        | Event::FilesCompacted { .. }
        | Event::TableRepartitioned { .. }
        | Event::PartitionCutAway { .. }
        | Event::ScheduleDeclared { .. }
        | Event::ScheduleRemoved { .. }
        | Event::SchedulePaused { .. }
        | Event::ScheduleResumed { .. }
        | Event::Ticked { .. }
        | Event::FreshnessChanged { .. }
        | Event::FreshnessRemoved { .. }
        | Event::AutomationRequested { .. }
        | Event::AutomationHeld { .. }
        | Event::AutomationPaused { .. }
        | Event::AutomationResumed { .. }
        | Event::AlertRaised { .. }
        | Event::AlertEnded { .. }
        | Event::AlertGrouped { .. }
        | Event::AlertDelivered { .. }
        | Event::AlertFailed { .. }
        | Event::SensorDeclared { .. }
        | Event::SensorRemoved { .. }
        | Event::SensorPaused { .. }
        | Event::SensorResumed { .. }
        | Event::SensorTicked { .. }
        | Event::SensorForgot { .. }
        | Event::Started { .. } => None,
    }
}

/// The end of a run of which nothing is open any more.
fn ended(run: &Run) -> Option<Event> {
    if run.open > 0 || run.attempts > 0 {
        return None;
    }
    let status = if run.status == RunStatus::Canceling {
        RunStatus::Canceled
    } else if run.steps.iter().all(|step| step.status == StepStatus::Succeeded) {
        RunStatus::Succeeded
    } else {
        RunStatus::Failed
    };
    Some(Event::RunEnded {
        run: run.id.clone(),
        status,
    })
}
