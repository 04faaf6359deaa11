//! This process took over the state folder: what an earlier owner left unfinished is carried on or ended. Nothing that was
//! staged outlives its owner, so steps that were being published run again.

use assets::outcome::{Failure, FailureClass};
use state::event::{Event, Micros, OwnerMode};
use state::status::{RunStatus, StepStatus};

use super::super::effect::Decision;
use super::super::world::{Run, World};
use super::{alert, schedule, sensor};

pub(super) fn recover(world: &World, at: Micros, boot: &str, mode: OwnerMode) -> Decision {
    let mut decision = Decision::default();
    decision.events.push(Event::Started {
        boot: boot.to_owned(),
        mode,
    });
    for run in world.open_runs() {
        for (position, step) in run.steps.iter().enumerate() {
            decision
                .events
                .extend(unfinished(run, position as u32, step.status, mode));
        }
    }
    for attempt in world.attempts().filter(|attempt| !attempt.ended) {
        let failure = Some(interrupted());
        decision.events.push(Event::AttemptEnded {
            attempt: attempt.id.clone(),
            failure,
        });
    }
    if mode == OwnerMode::Daemon {
        decision
            .events
            .extend(schedule::declared(world, at, world.definitions()));
        decision.events.extend(alert::declared(world, at, world.definitions()));
        decision.events.extend(sensor::declared(world, at, world.definitions()));
    }
    decision
}

fn unfinished(run: &Run, position: u32, status: StepStatus, mode: OwnerMode) -> Option<Event> {
    if status.is_terminal() {
        return None;
    }
    let (id, step) = (run.id.clone(), run.name(position));
    if run.status == RunStatus::Canceling {
        return Some(Event::StepCanceled { run: id, step });
    }
    match (mode, run.request.owner) {
        (OwnerMode::Daemon, OwnerMode::Daemon) if status == StepStatus::Waiting => None,
        (OwnerMode::Daemon, OwnerMode::Daemon) => Some(Event::StepRequeued {
            run: id,
            step,
            reason: "the daemon started again".to_owned(),
        }),
        // A command line that is gone waits for nothing, and one that comes must not do a daemon's work.
        (OwnerMode::Foreground, _) | (OwnerMode::Daemon, OwnerMode::Foreground) => Some(Event::StepFailed {
            run: id,
            attempt: None,
            step,
            failure: interrupted(),
            checks: Vec::new(),
        }),
    }
}

fn interrupted() -> Failure {
    Failure::new(
        FailureClass::Interrupted,
        "the process that owned the run ended before the step did",
    )
    .with_help("submit the request again: what was published stays fresh")
}
