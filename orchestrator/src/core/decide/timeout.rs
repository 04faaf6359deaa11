//! An attempt takes longer over a step than it may: its worker is stopped. The step fails once the worker has ended, which is
//! soon, because one that does not answer is killed; its other steps wait again, without blame.

use assets::PartitionKey;
use assets::outcome::{Failure, FailureClass};
use state::event::Event;
use state::ids::AttemptId;

use super::super::effect::{Decision, Effect};
use super::super::world::{Attempt, Run, World};
use super::ended::{known, running};

pub(super) fn timed_out(world: &World, id: &AttemptId, working_on: Option<&Option<PartitionKey>>) -> Decision {
    let mut decision = Decision::default();
    let Some((attempt, run)) = known(world, id).filter(|(attempt, _)| !attempt.ended && attempt.timed_out.is_none())
    else {
        return decision;
    };
    let asset = run.definitions.get(&attempt.asset);
    let together = asset.is_some_and(|asset| run.definitions.makes_together(asset));
    // One pass makes them all, or it has not begun any: then none is more to blame than another.
    let one = working_on.filter(|_| !together);
    let blamed = running(attempt, run)
        .map(|position| run.steps[position as usize].partition.clone())
        .filter(|partition| one.is_none_or(|one| one == partition));
    decision.events.push(Event::AttemptTimedOut {
        attempt: id.clone(),
        partitions: blamed.collect(),
    });
    decision.effects.push(Effect::CancelAttempt { attempt: id.clone() });
    decision
}

/// What a worker that is stopped for taking too long means by a failure of one of its steps: that the step took too long, or
/// that it was none of its business and waits again (`None`).
pub(super) fn verdict(attempt: &Attempt, run: &Run, position: u32, failure: &Failure) -> Option<Failure> {
    match &attempt.timed_out {
        None => Some(failure.clone()),
        Some(blamed) if blamed.contains(&position) => Some(too_long(attempt, run)),
        Some(_) if is_stop(failure.class) => None,
        // It was being finished while the worker worked on another, and failed by itself.
        Some(_) => Some(failure.clone()),
    }
}

/// Whether a failure says no more than that the worker was stopped.
fn is_stop(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::Canceled | FailureClass::Killed | FailureClass::Crash | FailureClass::Timeout
    )
}

fn too_long(attempt: &Attempt, run: &Run) -> Failure {
    let seconds = run
        .definitions
        .get(&attempt.asset)
        .and_then(|asset| asset.rules.timeout_seconds);
    let limit = seconds.map_or_else(String::new, |seconds| {
        format!(" than {}", assets::quantity::length(seconds))
    });
    Failure::new(
        FailureClass::Timeout,
        format!("it took longer{limit}, its `timeout`, and was stopped"),
    )
    .with_help("see in its log what it waited for, or give it a longer `timeout`")
}
