//! A worker's bad news and its last words. Whatever comes from an attempt whose word no longer counts changes nothing.

use assets::PartitionKey;
use assets::outcome::{Failure, FailureClass};
use state::event::{Event, Micros};
use state::ids::AttemptId;
use state::status::{RunStatus, StepStatus};

use super::super::effect::Decision;
use super::super::world::{Attempt, Run, Step, World};
use super::{retry, timeout};

/// How often a step may lose its worker before any step was begun until it fails for it.
const MOST_TRIES: u32 = 3;

pub(super) fn step_failed(
    world: &World,
    at: Micros,
    attempt: &AttemptId,
    partition: &Option<PartitionKey>,
    failure: &Failure,
) -> Decision {
    let mut decision = Decision::default();
    if let Some((attempt, run)) = known(world, attempt) {
        for position in running(attempt, run).filter(|&p| run.steps[p as usize].partition == *partition) {
            decision.events.push(fail(at, attempt, run, position, failure));
        }
    }
    decision
}

pub(super) fn attempt_ended(world: &World, at: Micros, attempt: &AttemptId) -> Decision {
    let mut decision = Decision::default();
    if let Some((attempt, run)) = known(world, attempt).filter(|(attempt, _)| !attempt.ended) {
        for position in running(attempt, run) {
            let failure = Failure::new(
                FailureClass::Crash,
                "the worker ended its work without a word about this step",
            );
            decision.events.push(fail(at, attempt, run, position, &failure));
        }
        decision.events.push(Event::AttemptEnded {
            attempt: attempt.id.clone(),
            failure: None,
        });
    }
    decision
}

pub(super) fn worker_lost(
    world: &World,
    at: Micros,
    attempt: &AttemptId,
    failure: &Failure,
    working_on: Option<&Option<PartitionKey>>,
) -> Decision {
    let mut decision = Decision::default();
    let Some((attempt, run)) = known(world, attempt).filter(|(attempt, _)| !attempt.ended) else {
        return decision;
    };
    let unfinished: Vec<u32> = running(attempt, run).collect();
    let is_blamed = |position: u32| working_on == Some(&run.steps[position as usize].partition);
    let someone_is = unfinished.iter().any(|&position| is_blamed(position));
    // One pass made them all, so the one it had turned to last is no more to blame than the others.
    let asset = run.definitions.get(&attempt.asset);
    let all_are = asset.is_some_and(|asset| run.definitions.makes_together(asset));
    for position in unfinished {
        let event = if run.status == RunStatus::Canceling || attempt.timed_out.is_some() {
            fail(at, attempt, run, position, failure)
        } else if is_blamed(position)
            || all_are
            || (!someone_is && unbegun(&run.steps[position as usize]) >= MOST_TRIES)
        {
            fail(at, attempt, run, position, failure)
        } else {
            let reason = format!("its worker was lost while it worked on another partition: {failure}");
            requeued(run, position, reason)
        };
        decision.events.push(event);
    }
    decision.events.push(Event::AttemptEnded {
        attempt: attempt.id.clone(),
        failure: Some(failure.clone()),
    });
    decision
}

/// How many attempts a step had that did not come to a failure of its own.
fn unbegun(step: &Step) -> u32 {
    step.tries.saturating_sub(step.retries)
}

/// The attempt and its run, if the attempt still has a say in anything.
pub(super) fn known<'w>(world: &'w World, attempt: &AttemptId) -> Option<(&'w Attempt, &'w Run)> {
    let attempt = world.attempt(attempt)?;
    Some((attempt, world.run(&attempt.run)?))
}

/// The steps that the attempt is still working on.
pub(super) fn running<'w>(attempt: &'w Attempt, run: &'w Run) -> impl Iterator<Item = u32> + 'w {
    attempt.steps.iter().copied().filter(|&position| {
        let step = &run.steps[position as usize];
        step.status == StepStatus::Running && step.attempt.as_ref() == Some(&attempt.id)
    })
}

/// What a failure of a running step comes to: its end, another try, or no more than that its worker was stopped.
fn fail(at: Micros, attempt: &Attempt, run: &Run, position: u32, failure: &Failure) -> Event {
    if run.status == RunStatus::Canceling {
        return canceled(run, position);
    }
    match timeout::verdict(attempt, run, position, failure) {
        Some(failure) => retry::failed(at, attempt, run, position, failure, Vec::new()),
        None => {
            let reason = "its worker was stopped because it took too long over another partition".to_owned();
            requeued(run, position, reason)
        }
    }
}

fn requeued(run: &Run, position: u32, reason: String) -> Event {
    Event::StepRequeued {
        run: run.id.clone(),
        step: run.name(position),
        reason,
    }
}

fn canceled(run: &Run, position: u32) -> Event {
    Event::StepCanceled {
        run: run.id.clone(),
        step: run.name(position),
    }
}
