//! Someone asks to stop a run: what waits or is being published ends at once, what runs ends when its worker has stopped.

use state::event::Event;
use state::ids::RunId;
use state::status::{RunStatus, StepStatus};

use super::super::effect::{Answer, Decision, Effect, RequestId};
use super::super::world::{Run, World};

pub(super) fn cancel_run(world: &World, request: RequestId, id: &RunId) -> Decision {
    let mut decision = Decision::default();
    let answer = match world.run(id) {
        None => Answer::Refused {
            reasons: vec![format!("{id} is not running: it is over, or never was")],
        },
        Some(run) => {
            cancel(world, run, &mut decision);
            Answer::Canceling { run: id.clone() }
        }
    };
    decision.effects.push(Effect::Reply { request, answer });
    decision
}

/// Stops a run, unless it is being stopped already.
pub(super) fn cancel(world: &World, run: &Run, decision: &mut Decision) {
    if run.status == RunStatus::Canceling {
        return;
    }
    let id = &run.id;
    decision.events.push(Event::RunCancelRequested { run: id.clone() });
    for (position, step) in run.steps.iter().enumerate() {
        if matches!(step.status, StepStatus::Waiting | StepStatus::Publishing) {
            let step = run.name(position as u32);
            decision.events.push(Event::StepCanceled { run: id.clone(), step });
        }
    }
    let attempts = world.attempts().filter(|attempt| attempt.run == *id && !attempt.ended);
    decision
        .effects
        .extend(attempts.map(|a| Effect::CancelAttempt { attempt: a.id.clone() }));
}
