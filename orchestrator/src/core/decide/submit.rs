//! Someone asks for a run: the selection is resolved, the plan made, and the run with all its steps exists from here on.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use assets::AssetKey;
use assets::selection::{AssetState, Selection, SelectionError};
use state::event::{Event, Micros, PartitionChoice, PlannedStep, RunRequest};

use super::super::effect::{Answer, Decision, Effect, RequestId};
use super::super::plan::{Plan, PlanProblem, PlanRequest, plan};
use super::super::world::World;

pub(super) fn submit(world: &World, at: Micros, request: RequestId, run: &RunRequest) -> Decision {
    let mut decision = Decision::default();
    let answer = match wanted(world, at, run) {
        Err(error) => Answer::Refused {
            reasons: vec![error.render()],
        },
        Ok(assets) => {
            let plan = plan(
                world,
                at,
                &PlanRequest {
                    assets,
                    partitions: run.partitions.clone(),
                    force: run.runs_fresh(),
                    only: run.only,
                    alone: false,
                },
            );
            accept(world, at, run, plan, &mut decision.events)
        }
    };
    decision.effects.push(Effect::Reply { request, answer });
    decision
}

/// The assets that a request is about.
fn wanted(world: &World, at: Micros, run: &RunRequest) -> Result<BTreeSet<AssetKey>, SelectionError> {
    match &run.partitions {
        // They were selected once; what was stale or missing then need not be so now.
        Some(PartitionChoice::Steps(steps)) => Ok(steps.iter().map(|step| step.asset.clone()).collect()),
        _ => selected(world, at, &run.selection),
    }
}

pub(super) fn accept(world: &World, at: Micros, request: &RunRequest, plan: Plan, events: &mut Vec<Event>) -> Answer {
    if plan.steps.is_empty() {
        let mistakes = plan.problems.iter().filter(|problem| problem.is_mistake());
        let reasons: Vec<String> = mistakes.map(PlanProblem::to_string).collect();
        return match reasons.is_empty() {
            true => Answer::NothingToDo {
                fresh: plan.fresh,
                problems: plan.problems,
            },
            false => Answer::Refused { reasons },
        };
    }
    let run = world.next_run_id(at);
    let steps: Vec<PlannedStep> = plan
        .steps
        .into_iter()
        .map(|step| PlannedStep {
            step: step.step,
            reason: step.reason.to_string(),
        })
        .collect();
    let answer = Answer::Accepted {
        run: run.clone(),
        steps: steps.len(),
        problems: plan.problems,
    };
    events.push(Event::RunSubmitted {
        run,
        request: request.clone(),
        steps,
        definitions: world.definitions().version().cloned(),
    });
    answer
}

/// The assets that a selection means in this world.
///
/// # Errors
/// The selection cannot be read, or names what is not there.
pub fn selected(world: &World, at: Micros, text: &str) -> Result<BTreeSet<AssetKey>, SelectionError> {
    // Made only if the selection speaks of states.
    let states = OnceCell::new();
    let has = |key: &AssetKey, state: AssetState| {
        let states: &BTreeMap<AssetKey, (bool, bool)> = states.get_or_init(|| states_of(world, at));
        let (stale, missing) = states.get(key).copied().unwrap_or_default();
        match state {
            AssetState::Stale => stale,
            AssetState::Missing => missing,
        }
    };
    let found = Selection::parse(text)?.resolve(world.definitions().graph(), &has)?;
    Ok(found.into_iter().collect())
}

/// For each asset with work to do: whether some partition is stale, and whether some was never materialized.
fn states_of(world: &World, at: Micros) -> BTreeMap<AssetKey, (bool, bool)> {
    let assets = world
        .definitions()
        .ordered()
        .iter()
        .map(|asset| asset.key.clone())
        .collect();
    let everything = plan(
        world,
        at,
        &PlanRequest {
            assets,
            partitions: None,
            force: false,
            only: None,
            alone: false,
        },
    );
    let mut states: BTreeMap<AssetKey, (bool, bool)> = BTreeMap::new();
    for step in &everything.steps {
        let (stale, missing) = states.entry(step.step.asset.clone()).or_default();
        *stale = true;
        let made = world.partition(&step.step.asset, step.step.partition.as_ref());
        *missing |= made.is_none_or(|made| made.materialization.is_none());
    }
    states
}
