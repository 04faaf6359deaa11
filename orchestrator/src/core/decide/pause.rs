//! Someone asks that a run start nothing more for now, or go on. What runs is not stopped: its rows are as good as any.

use state::event::Event;
use state::ids::RunId;
use state::status::RunStatus;

use super::super::effect::{Answer, Decision, Effect, RequestId};
use super::super::world::World;

pub(super) fn pause_run(world: &World, request: RequestId, id: &RunId, pause: bool) -> Decision {
    let mut decision = Decision::default();
    let refused = |reason: String| Answer::Refused { reasons: vec![reason] };
    let answer = match world.run(id) {
        None => refused(format!("{id} is not running: it is over, or never was")),
        Some(run) if run.status == RunStatus::Canceling => refused(format!("{id} is being canceled")),
        Some(run) => {
            // Asking twice is no mistake, and changes nothing.
            if run.paused != pause {
                let run = id.clone();
                decision.events.push(if pause {
                    Event::RunPaused { run }
                } else {
                    Event::RunResumed { run }
                });
            }
            Answer::Paused {
                run: id.clone(),
                paused: pause,
            }
        }
    };
    decision.effects.push(Effect::Reply { request, answer });
    decision
}
