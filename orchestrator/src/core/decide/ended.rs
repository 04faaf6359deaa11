//! A worker's bad news and its last words. Whatever comes from an attempt whose word no longer counts changes nothing.

use assets::PartitionKey;
use assets::outcome::{Failure, FailureClass};
use state::event::Event;
use state::ids::AttemptId;
use state::status::{RunStatus, StepStatus};

use super::super::effect::Decision;
use super::super::world::{Attempt, Run, World};

/// How often a step may lose its worker before any step was begun until it fails for it.
const MOST_TRIES: u32 = 3;

pub(super) fn step_failed(
    world: &World,
    attempt: &AttemptId,
    partition: &Option<PartitionKey>,
    failure: &Failure,
) -> Decision {
    let mut decision = Decision::default();
    if let Some((attempt, run)) = known(world, attempt) {
        for position in running(attempt, run).filter(|&p| run.steps[p as usize].partition == *partition) {
            decision.events.push(fail(attempt, run, position, failure.clone()));
        }
    }
    decision
}

pub(super) fn attempt_ended(world: &World, attempt: &AttemptId) -> Decision {
    let mut decision = Decision::default();
    if let Some((attempt, run)) = known(world, attempt).filter(|(attempt, _)| !attempt.ended) {
        for position in running(attempt, run) {
            let failure = Failure::new(
                FailureClass::Crash,
                "the worker ended its work without a word about this step",
            );
            decision.events.push(fail(attempt, run, position, failure));
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
    let all_are = asset.is_some_and(|asset| run.definitions.settings.together.contains(&asset.kind));
    for position in unfinished {
        let event = if run.status == RunStatus::Canceling {
            canceled(run, position)
        } else if is_blamed(position) || all_are || (!someone_is && run.steps[position as usize].tries >= MOST_TRIES) {
            fail(attempt, run, position, failure.clone())
        } else {
            let reason = format!("its worker was lost while it worked on another partition: {failure}");
            Event::StepRequeued {
                run: run.id.clone(),
                step: run.name(position),
                reason,
            }
        };
        decision.events.push(event);
    }
    decision.events.push(Event::AttemptEnded {
        attempt: attempt.id.clone(),
        failure: Some(failure.clone()),
    });
    decision
}

/// The attempt and its run, if the attempt still has a say in anything.
pub(super) fn known<'w>(world: &'w World, attempt: &AttemptId) -> Option<(&'w Attempt, &'w Run)> {
    let attempt = world.attempt(attempt)?;
    Some((attempt, world.run(&attempt.run)?))
}

/// The steps that the attempt is still working on.
fn running<'w>(attempt: &'w Attempt, run: &'w Run) -> impl Iterator<Item = u32> + 'w {
    attempt.steps.iter().copied().filter(|&position| {
        let step = &run.steps[position as usize];
        step.status == StepStatus::Running && step.attempt.as_ref() == Some(&attempt.id)
    })
}

fn fail(attempt: &Attempt, run: &Run, position: u32, failure: Failure) -> Event {
    if run.status == RunStatus::Canceling {
        return canceled(run, position);
    }
    Event::StepFailed {
        run: run.id.clone(),
        attempt: Some(attempt.id.clone()),
        step: run.name(position),
        failure,
        checks: Vec::new(),
    }
}

fn canceled(run: &Run, position: u32) -> Event {
    Event::StepCanceled {
        run: run.id.clone(),
        step: run.name(position),
    }
}
