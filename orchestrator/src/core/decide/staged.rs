//! A worker staged a step: a blocking check that did not pass ends it, otherwise it waits for the committer.

use assets::AssetPartition;
use assets::outcome::{Failure, FailureClass, Staged};
use state::event::{Event, Micros};
use state::ids::AttemptId;
use state::status::{RunStatus, StepStatus};

use super::super::effect::{Decision, Effect, KeptStaged, Member};
use super::super::input::PreparedMember;
use super::super::world::World;
use super::ended::known;
use super::publish;

pub(super) fn staged(world: &World, at: Micros, attempt: &AttemptId, staged: &Staged) -> Decision {
    let mut decision = Decision::default();
    let Some((attempt, run)) = known(world, attempt) else {
        return decision;
    };
    let step = AssetPartition::new(attempt.asset.clone(), staged.partition.clone());
    let current = run.step(&step);
    if !current.is_some_and(|s| s.status == StepStatus::Running && s.attempt.as_ref() == Some(&attempt.id)) {
        return decision;
    }
    if run.status == RunStatus::Canceling {
        decision.events.push(Event::StepCanceled {
            run: run.id.clone(),
            step,
        });
    } else if let Some(check) = staged.blocked_by() {
        let found = match (&check.error, check.failing_rows) {
            (Some(error), _) => format!("the check {} gave no result: {error}", check.name),
            (None, Some(rows)) => format!(
                "the check {} failed for {rows} row{}: expected {}",
                check.name,
                if rows == 1 { "" } else { "s" },
                check.expected
            ),
            (None, None) => format!("the check {} failed: expected {}", check.name, check.expected),
        };
        decision.effects.push(Effect::KeepStaged(Box::new(KeptStaged {
            run: run.id.clone(),
            attempt: attempt.id.clone(),
            at,
            staged: staged.clone(),
            made: publish::materialization(world, attempt, run, &step, staged, None),
            inputs: attempt.inputs.clone(),
        })));
        decision.events.push(Event::StepFailed {
            run: run.id.clone(),
            attempt: Some(attempt.id.clone()),
            step,
            failure: Failure::new(FailureClass::Check, found).with_help(format!(
                "its rows are kept: `millpond query --staged {} \"SELECT * FROM {}\"`; `millpond staged --help` says what can be done with them",
                run.id, attempt.asset
            )),
            checks: staged.checks.clone(),
        });
    } else if let Some(mate) = run.position(&step).and_then(|position| run.mate_in_vain(position)) {
        decision.events.push(Event::StepSkipped {
            run: run.id.clone(),
            step,
            because: run.name(mate),
        });
    } else if !run.definitions.published_with(&attempt.asset).is_empty() {
        // The turn calls the committer when nothing of the atomic group is to come any more.
        decision.events.push(Event::StepStaged {
            attempt: attempt.id.clone(),
            step,
            rows: staged.rows(),
        });
    } else if staged.tables.is_empty() {
        // Nothing to write beforehand: published at once.
        let member = PreparedMember {
            attempt: attempt.id.clone(),
            step,
            staged: Box::new(staged.clone()),
        };
        decision = publish::prepared(world, &attempt.asset, &[], std::slice::from_ref(&member));
    } else {
        // While an asset has a step that is being published, the committer is at work on it and its answer leads to the
        // next publication; so only the first one calls it.
        if publish::publishable(world, &attempt.asset).is_empty() {
            let members = vec![Member {
                attempt: attempt.id.clone(),
                step: step.clone(),
            }];
            decision.effects.push(Effect::Prepare {
                asset: attempt.asset.clone(),
                members,
            });
        }
        decision.events.push(Event::StepStaged {
            attempt: attempt.id.clone(),
            step,
            rows: staged.rows(),
        });
    }
    decision
}
