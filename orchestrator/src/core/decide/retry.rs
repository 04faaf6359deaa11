//! A step failed in an attempt: it fails, or it is tried again after a while, as its asset says. The wait is drawn from the run,
//! the step and the number of the retry, so it comes out the same wherever it is decided; until when it lasts is committed,
//! so it outlives the daemon.

use assets::outcome::{CheckResult, Failure};
use state::event::{Event, Micros};

use super::super::effect::Decision;
use super::super::world::{Attempt, Run, World, split_mix};

/// What becomes of a step that failed in the attempt whose word counts for it.
pub(super) fn failed(
    at: Micros,
    attempt: &Attempt,
    run: &Run,
    position: u32,
    failure: Failure,
    checks: Vec<CheckResult>,
) -> Event {
    let step = run.name(position);
    let retries = run.steps[position as usize].retries;
    let definition = run.definitions.get(&attempt.asset);
    let rule = definition.and_then(|asset| asset.rules.retry.as_ref());
    match rule.filter(|rule| rule.applies(failure.class, retries)) {
        Some(rule) => {
            let retry = retries + 1;
            let text = format!("{}/{step}", run.id);
            let seed = text.bytes().fold(0, |seed, byte| split_mix(seed, u64::from(byte)));
            let wait = rule.wait_micros(retry, split_mix(seed, u64::from(retry)));
            Event::StepUpForRetry {
                run: run.id.clone(),
                attempt: attempt.id.clone(),
                step,
                failure,
                retry,
                due: at + wait,
            }
        }
        None => Event::StepFailed {
            run: run.id.clone(),
            attempt: Some(attempt.id.clone()),
            step,
            failure,
            checks,
        },
    }
}

/// The waits that are over at `until`.
pub(super) fn due(world: &World, until: Micros) -> Decision {
    let over = world.retries_due(until).filter_map(|(id, position)| {
        let run = world.run(id)?;
        Some(Event::StepRetryDue {
            run: id.clone(),
            step: run.name(position),
        })
    });
    Decision {
        events: over.collect(),
        effects: Vec::new(),
    }
}
