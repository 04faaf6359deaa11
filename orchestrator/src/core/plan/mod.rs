//! What a request would run: for every wanted partition of every selected asset, fresh, stale and why, or not possible and
//! why. Pure: the same world and moment give the same plan, whether it is only shown or submitted.
//!
//! `choice` says which partitions are meant, `verdict` judges one of them, `together` knows what comes along, `problem` tells what is
//! not possible.

mod choice;
mod problem;
mod together;
mod verdict;

pub(super) use problem::Blocked;
pub use problem::PlanProblem;
pub use verdict::reference_text;
pub(super) use verdict::{Planned, verdict};

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use assets::partition::Partitioning;
use assets::{Asset, AssetKey, AssetPartition, PartitionKey};
use state::event::{Micros, Only, PartitionChoice};

use super::staleness::{Sight, StaleReason};
use super::world::{PartitionRecord, World};
use choice::{Choice, Chosen, by_asset, keys_of, stretches};
use together::Together;

/// What to plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanRequest {
    /// The selected assets.
    pub assets: BTreeSet<AssetKey>,
    /// Which of their partitions; all that exist if absent.
    pub partitions: Option<PartitionChoice>,
    /// Run also what is fresh.
    pub force: bool,
    /// Of the partitions chosen, only these.
    pub only: Option<Only>,
    /// Judge each asset by itself: what is published together with it comes along in a run, and keeps it from one.
    pub alone: bool,
}

/// What would run, and what would not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The steps, grouped by asset, upstream first, partitions in their order.
    pub steps: Vec<Step>,
    /// How many wanted partitions are fresh, by asset.
    pub fresh: BTreeMap<AssetKey, usize>,
    /// What was asked for and cannot be run.
    pub problems: Vec<PlanProblem>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it materializes.
    pub step: AssetPartition,
    /// Why.
    pub reason: StaleReason,
}

/// Plans a request with the definitions in force.
pub fn plan(world: &World, at: Micros, request: &PlanRequest) -> Plan {
    let definitions = world.definitions();
    let sight = Sight::new(world, definitions, at);
    let mut problems = Vec::new();
    let choice = match &request.partitions {
        None => None,
        Some(PartitionChoice::Steps(steps)) => Some(Choice::Steps(by_asset(steps))),
        Some(choice) => {
            let mut chosen = Vec::new();
            for stretch in stretches(choice) {
                match Chosen::new(stretch, definitions, request, sight.scopes().now()) {
                    Ok(one) => chosen.push(one),
                    Err(problem) => problems.push(problem),
                }
            }
            if chosen.is_empty() {
                return Plan {
                    problems,
                    ..Plan::default()
                };
            }
            Some(Choice::Stretches(chosen))
        }
    };
    let mut together = Together::default();
    loop {
        let mut plan = pass(&sight, request, choice.as_ref(), &mut together);
        if request.alone || !definitions.has_atomic_groups() || !together.grows(definitions, &plan) {
            problems.append(&mut plan.problems);
            return Plan { problems, ..plan };
        }
    }
}

/// Plans what is asked for and what is known to come along.
fn pass(sight: &Sight<'_>, request: &PlanRequest, choice: Option<&Choice>, together: &mut Together) -> Plan {
    let world = sight.world();
    let definitions = world.definitions();
    let mut plan = Plan::default();
    let mut planned: HashMap<&AssetKey, Planned> = HashMap::new();
    let mut existing: Vec<(&Partitioning, Vec<Option<PartitionKey>>)> = Vec::new();
    for asset in definitions
        .ordered()
        .iter()
        .filter(|asset| request.assets.contains(&asset.key) || together.along.contains_key(&asset.key))
    {
        let asked = request.assets.contains(&asset.key);
        let mut wanted: Vec<Option<PartitionKey>> = match (choice, &asset.partitions) {
            _ if !asked => Vec::new(),
            (Some(Choice::Steps(steps)), _) => {
                let mine = steps.get(&asset.key).into_iter().flatten();
                let exists = |key: &&Option<PartitionKey>| sight.scopes().exists(asset, key.as_ref());
                mine.filter(exists).cloned().collect()
            }
            (_, None) => vec![None],
            (Some(Choice::Stretches(chosen)), Some(by)) => keys_of(chosen, &by.partitioning, sight.scopes().now()),
            (None, Some(by)) => match existing.iter().find(|(known, _)| **known == by.partitioning) {
                Some((_, keys)) => keys.clone(),
                None => {
                    let keys = sight.scopes().existing(asset);
                    existing.push((&by.partitioning, keys.clone()));
                    keys
                }
            },
        };
        if asked {
            wanted.retain(|partition| admits(request.only, world.partition(&asset.key, partition.as_ref())));
        }
        let mut along = HashSet::new();
        if let Some(partitions) = together.along.get(&asset.key) {
            let known: HashSet<&Option<PartitionKey>> = wanted.iter().collect();
            along = partitions.iter().filter(|key| !known.contains(key)).cloned().collect();
            wanted.extend(along.iter().cloned());
            wanted.sort_by_cached_key(|key| place_of(asset, key.as_ref()));
        }
        let mut own = Planned::default();
        let mut blocked: BTreeMap<Blocked, (usize, Option<PartitionKey>)> = BTreeMap::new();
        for partition in wanted {
            let comes_along = along.contains(&partition);
            let step = AssetPartition::new(asset.key.clone(), partition.clone());
            let found = match together.without.get(&step) {
                Some(other) => Err(Blocked::Together(other.clone())),
                None => verdict(
                    sight,
                    asset,
                    partition.as_ref(),
                    &planned,
                    request.force && !comes_along,
                ),
            };
            match found {
                Ok(None) if comes_along => {}
                Ok(None) => *plan.fresh.entry(asset.key.clone()).or_default() += 1,
                Ok(Some(reason)) => {
                    own.steps.insert(partition);
                    plan.steps.push(Step { step, reason });
                }
                Err(cause) => {
                    if matches!(cause, Blocked::NoSource | Blocked::WaitsFor(_)) {
                        own.without_source.insert(partition.clone());
                    }
                    if !definitions.published_with(&asset.key).is_empty() {
                        together.blocked.push(step);
                    }
                    blocked.entry(cause).or_insert((0, partition)).0 += 1;
                }
            }
        }
        planned.insert(&asset.key, own);
        plan.problems.extend(
            blocked
                .into_iter()
                .map(|(cause, (partitions, example))| cause.problem(asset.key.clone(), partitions, example)),
        );
    }
    plan
}

/// Where a partition stands among those of its asset.
fn place_of(asset: &Asset, partition: Option<&PartitionKey>) -> usize {
    let by = asset.partitions.as_ref().zip(partition);
    by.and_then(|(by, key)| by.partitioning.index_of(key)).unwrap_or(0)
}

/// Whether a partition is among those that are asked for.
fn admits(only: Option<Only>, record: Option<&PartitionRecord>) -> bool {
    match only {
        None => true,
        Some(Only::Missing) => record.is_none_or(|record| record.materialization.is_none()),
        Some(Only::Failed) => record.is_some_and(|record| record.failure.is_some()),
    }
}
