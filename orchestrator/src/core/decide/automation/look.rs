//! One look at the partitions of automated assets: for which the condition holds, and which of those are requested.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use assets::automation::Condition;
use assets::partition::PartitionSet;
use assets::{Asset, AssetInput, AssetKey, AssetPartition, InputRole, PartitionKey};
use state::automation::{AutomationRequest, EvaluatedPart, HoldReason, LeftOut, MOST_STRETCHES, Stretches};
use state::event::{Micros, PlannedStep};

use super::super::super::definitions::Definitions;
use super::super::super::effect::StepScope;
use super::super::super::plan::{Blocked, Planned, verdict};
use super::super::super::staleness::{Sight, StaleReason};
use super::super::super::upkeep::UpkeepRule;
use super::super::super::world::{Group, Run, World};

/// Looks at assets one after the other, upstream first, and knows what it requested so far.
pub(super) struct Looker<'a> {
    pub(super) world: &'a World,
    pub(super) at: Micros,
    pub(super) sight: Sight<'a>,
    pub(super) definitions: &'a Definitions,
    /// Open runs with something in progress of an asset.
    busy: HashMap<&'a AssetKey, Vec<(&'a Run, &'a Group)>>,
    planned: HashMap<&'a AssetKey, Planned>,
    /// The newest tick of each cron, by its address: the same for every partition.
    pub(super) ticks: RefCell<HashMap<usize, Option<Micros>>>,
    /// Whether and why partitions of the asset under way are stale.
    verdicts: RefCell<HashMap<Option<PartitionKey>, Verdict>>,
    under_way: Option<&'a AssetKey>,
}

type Verdict = Result<Option<StaleReason>, Blocked>;

/// What a look at one asset came to.
pub(super) struct Outcome {
    pub(super) requested: PartitionSet,
    pub(super) steps: Vec<PlannedStep>,
    pub(super) request: Option<AutomationRequest>,
    /// What is to be looked at again when something is no longer in progress.
    pub(super) waiting: PartitionSet,
    pub(super) evaluation: EvaluatedPart,
    pub(super) left_out: Vec<LeftOut>,
}

/// The partitions under way, by index.
type Keys = BTreeMap<usize, Option<PartitionKey>>;

impl<'a> Looker<'a> {
    pub(super) fn new(world: &'a World, at: Micros) -> Self {
        let definitions = world.definitions();
        let mut busy: HashMap<&AssetKey, Vec<(&Run, &Group)>> = HashMap::new();
        for run in world.open_runs() {
            for group in run.groups.iter().filter(|group| group.open > 0) {
                busy.entry(&group.asset).or_default().push((run, group));
            }
        }
        Self {
            world,
            at,
            sight: Sight::new(world, definitions, at),
            definitions,
            busy,
            planned: HashMap::new(),
            ticks: RefCell::default(),
            verdicts: RefCell::default(),
            under_way: None,
        }
    }

    /// Looks at some partitions of an asset.
    pub(super) fn look(&mut self, asset: &'a Asset, rule: &UpkeepRule, candidates: &PartitionSet) -> Outcome {
        self.verdicts.borrow_mut().clear();
        self.under_way = Some(&asset.key);
        let keys: Keys = match &asset.partitions {
            None => BTreeMap::from([(0, None)]),
            Some(by) => candidates
                .iter()
                .filter_map(|index| Some((index, Some(by.partitioning.key_at(index)?))))
                .collect(),
        };
        let (held, evaluation) = self.evaluate(&rule.condition, asset, candidates, &keys);
        let (mut requested, mut waiting) = (PartitionSet::new(), PartitionSet::new());
        let mut steps = Vec::new();
        let mut planned = Planned::default();
        let mut left: Vec<(String, PartitionSet)> = Vec::new();
        let mut leave = |index: usize, why: String| match left.iter_mut().find(|(known, _)| *known == why) {
            Some((_, set)) => set.insert(index),
            None => left.push((why, PartitionSet::from_range(index..index + 1))),
        };
        for index in held.iter() {
            let partition = keys[&index].as_ref();
            let reason = match self.verdict(asset, partition) {
                Ok(Some(reason)) => reason,
                Ok(None) => {
                    let why = match self.sight.stands_by_rollback(asset, partition) {
                        Some(rollback) => format!(
                            "it was {}, and nothing that it is made from changed since",
                            rollback.asked
                        ),
                        None => "it is fresh".to_owned(),
                    };
                    leave(index, why);
                    continue;
                }
                Err(blocked) => {
                    if matches!(blocked, Blocked::NoSource | Blocked::WaitsFor(_)) {
                        planned.without_source.insert(partition.cloned());
                    }
                    if matches!(blocked, Blocked::Input(_)) && self.sees_nothing(asset, partition) {
                        waiting.insert(index);
                    }
                    leave(index, blocked_text(&blocked));
                    continue;
                }
            };
            if let Some((why, waits)) = self.mate_in_the_way(asset, partition) {
                leave(index, why);
                if waits {
                    waiting.insert(index);
                }
            } else if let Some(run) = self.in_progress(&asset.key, partition) {
                leave(index, format!("{} is to make it", run.id));
                waiting.insert(index);
            } else if let Some(why) = self.upstream_in_progress(asset, partition) {
                leave(index, why);
                waiting.insert(index);
            } else if let Some(hold) = self.hold_of(asset, partition, Some(&rule.condition)) {
                leave(index, hold.words().to_owned());
            } else {
                requested.insert(index);
                planned.steps.insert(partition.cloned());
                steps.push(PlannedStep {
                    step: AssetPartition::new(asset.key.clone(), partition.cloned()),
                    reason: reason.to_string(),
                });
            }
        }
        let left_out = left.into_iter().map(|(why, set)| LeftOut {
            why,
            partitions: stretches(asset, &set),
        });
        let left_out: Vec<LeftOut> = left_out.collect();
        let request = (!requested.is_empty()).then(|| AutomationRequest {
            asset: asset.key.clone(),
            rule: rule.described.clone(),
            partitions: stretches(asset, &requested),
            evaluation: evaluation.clone(),
            left_out: left_out
                .iter()
                .filter(|left| left.why != "it is fresh")
                .cloned()
                .collect(),
        });
        self.planned.insert(&asset.key, planned);
        Outcome {
            requested,
            steps,
            request,
            waiting,
            evaluation,
            left_out,
        }
    }

    /// For which of the candidates a condition holds, part by part.
    fn evaluate(
        &self,
        condition: &Condition,
        asset: &Asset,
        candidates: &PartitionSet,
        keys: &Keys,
    ) -> (PartitionSet, EvaluatedPart) {
        let mut parts = Vec::new();
        let (text, held) = match condition {
            Condition::And(all) => {
                let mut held = candidates.clone();
                for part in all {
                    let (holds, told) = self.evaluate(part, asset, &held, keys);
                    parts.push(told);
                    held = holds;
                }
                ("all of".to_owned(), held)
            }
            Condition::Or(any) => {
                let (mut held, mut rest) = (PartitionSet::new(), candidates.clone());
                for part in any {
                    let (holds, told) = self.evaluate(part, asset, &rest, keys);
                    parts.push(told);
                    rest = rest.difference(&holds);
                    held.union(&holds);
                }
                ("any of".to_owned(), held)
            }
            Condition::Not(inner) => {
                let (holds, told) = self.evaluate(inner, asset, candidates, keys);
                parts.push(told);
                ("not".to_owned(), candidates.difference(&holds))
            }
            leaf => {
                let holds = |index: &usize| {
                    keys.get(index)
                        .is_some_and(|partition| self.holds(leaf, asset, partition.as_ref()))
                };
                (leaf.to_string(), candidates.iter().filter(holds).collect())
            }
        };
        let told = EvaluatedPart {
            text,
            of: candidates.len() as u64,
            held: stretches(asset, &held),
            parts,
        };
        (held, told)
    }

    fn verdict(&self, asset: &Asset, partition: Option<&PartitionKey>) -> Verdict {
        if self.under_way != Some(&asset.key) {
            return verdict(&self.sight, asset, partition, &self.planned, false);
        }
        let key = partition.cloned();
        if let Some(known) = self.verdicts.borrow().get(&key) {
            return known.clone();
        }
        let found = verdict(&self.sight, asset, partition, &self.planned, false);
        self.verdicts.borrow_mut().insert(key, found.clone());
        found
    }

    /// Why a partition cannot be made because of what is published together with it, and whether that passes when a run is over.
    fn mate_in_the_way(&self, asset: &Asset, partition: Option<&PartitionKey>) -> Option<(String, bool)> {
        let others = self.definitions.published_with(&asset.key).iter();
        others.filter(|other| **other != asset.key).find_map(|other| {
            let definition = self.definitions.get(other)?;
            if let Some(run) = self.in_progress(other, partition) {
                return Some((
                    format!("{} is to make {other}, which is published together with it", run.id),
                    true,
                ));
            }
            match verdict(&self.sight, definition, partition, &self.planned, false) {
                Err(blocked) => Some((
                    format!(
                        "{other} is published together with it, and cannot be made: {}",
                        blocked_text(&blocked)
                    ),
                    false,
                )),
                Ok(None) => None,
                Ok(Some(_)) => {
                    let rule = self.definitions.upkeep().rule(other);
                    let hold = self.hold_of(definition, partition, rule.map(|rule| &rule.condition))?;
                    // One that waits for this very asset comes along. Any other is requested when what it is made from changes,
                    // and this comes along with it.
                    let why = (hold != HoldReason::Together).then(|| hold.words())?;
                    Some((
                        format!("{other} is published together with it, and is left alone: {why}"),
                        false,
                    ))
                }
            }
        })
    }

    /// What is made along with what was requested, because it is published together with it and stale too.
    pub(super) fn along(&self, steps: &[PlannedStep]) -> Vec<PlannedStep> {
        let mut along: BTreeMap<AssetPartition, PlannedStep> = BTreeMap::new();
        for requested in steps {
            let (asset, partition) = (&requested.step.asset, requested.step.partition.as_ref());
            for other in self.definitions.published_with(asset) {
                if self.is_requested(other, partition) {
                    continue;
                }
                let Some(definition) = self.definitions.get(other) else {
                    continue;
                };
                let Ok(Some(reason)) = verdict(&self.sight, definition, partition, &self.planned, false) else {
                    continue;
                };
                let step = AssetPartition::new(other.clone(), partition.cloned());
                let reason = reason.to_string();
                along.insert(step.clone(), PlannedStep { step, reason });
            }
        }
        along.into_values().collect()
    }

    /// Whether a partition reads an input of which it sees no partition, such as a window before the first day: no change of that
    /// input is one of what it sees, and yet it waits for the table to be there.
    fn sees_nothing(&self, asset: &Asset, partition: Option<&PartitionKey>) -> bool {
        asset.inputs.iter().any(|input| {
            let scope = self.sight.scopes().of(asset, input, partition);
            matches!(scope, StepScope::Keys(keys) if keys.is_empty())
        })
    }

    /// Whether a partition is not what would be made now, be it possible to make it or not.
    pub(super) fn is_stale(&self, asset: &Asset, partition: Option<&PartitionKey>) -> bool {
        match self.verdict(asset, partition) {
            Ok(reason) => reason.is_some(),
            Err(_) => self.sight.stale(asset, partition).is_some(),
        }
    }

    pub(super) fn requested(&self, asset: &AssetKey) -> Option<&HashSet<Option<PartitionKey>>> {
        let planned = self.planned.get(asset)?;
        (!planned.steps.is_empty()).then_some(&planned.steps)
    }

    pub(super) fn is_requested(&self, asset: &AssetKey, partition: Option<&PartitionKey>) -> bool {
        self.requested(asset)
            .is_some_and(|requested| requested.contains(&partition.cloned()))
    }

    /// The run that is to make a partition and has not yet.
    pub(super) fn in_progress(&self, asset: &AssetKey, partition: Option<&PartitionKey>) -> Option<&'a Run> {
        let busy = self.busy.get(asset)?;
        let partition = partition.cloned();
        busy.iter().find_map(|(run, group)| {
            let position = group.positions.get(&partition)?;
            let open = !run.steps[*position as usize].status.is_terminal();
            open.then_some(*run)
        })
    }

    /// Why what a partition reads is about to change, if it is: a run is to make some of it, or made some of it and is to make
    /// more of the same asset. A run that someone paused keeps nobody waiting.
    fn upstream_in_progress(&self, asset: &Asset, partition: Option<&PartitionKey>) -> Option<String> {
        asset.inputs.iter().find_map(|input| {
            let busy = self.busy.get(&input.asset)?;
            let scope = match input.role {
                InputRole::Rows => self.sight.scopes().of(asset, input, partition),
                InputRole::Model(_) => StepScope::All,
            };
            busy.iter().find_map(|(run, group)| {
                let waits = match &scope {
                    StepScope::All => !run.paused || moves(run, group),
                    StepScope::Keys(keys) => keys.iter().any(|key| self.is_coming(run, group, input, key)),
                };
                waits.then(|| format!("{} is to make more of {}", run.id, input.asset))
            })
        })
    }

    fn is_coming(&self, run: &Run, group: &Group, input: &AssetInput, key: &PartitionKey) -> bool {
        let key = Some(key.clone());
        if let Some(position) = group.positions.get(&key) {
            let step = &run.steps[*position as usize];
            if !step.status.is_terminal() && (!run.paused || step.attempt.is_some()) {
                return true;
            }
        }
        if run.paused {
            return false;
        }
        let made = self
            .world
            .asset(&input.asset)
            .and_then(|record| record.partitions.get(&key));
        made.and_then(|record| record.materialization.as_ref())
            .is_some_and(|made| made.run == run.id)
    }

    /// Why a partition is left alone, if it is.
    fn hold_of(
        &self,
        asset: &Asset,
        partition: Option<&PartitionKey>,
        condition: Option<&Condition>,
    ) -> Option<HoldReason> {
        let held = self.world.automation().held.get(&asset.key)?;
        let hold = held.get(&partition.cloned())?;
        let timetables = condition.into_iter().flat_map(Condition::timetables);
        let ticked = timetables.filter_map(|timetable| self.ticked(timetable)).max();
        if ticked.is_some_and(|ticked| ticked > hold.at) || self.sight.made_from(asset, partition) != hold.version {
            return None;
        }
        Some(hold.because)
    }
}

/// Whether a paused run still has a step of a group with a worker, or in publication.
fn moves(run: &Run, group: &Group) -> bool {
    let mut positions = group.first..group.first + group.len;
    run.in_flight > 0 && positions.any(|position| run.counts_in_flight(position))
}

fn blocked_text(blocked: &Blocked) -> String {
    match blocked {
        Blocked::Input(input) => format!("{input} was never materialized there"),
        Blocked::Model(model, reference) => format!("{model}@{reference} does not exist"),
        Blocked::NoSource => "no source file holds rows of it".to_owned(),
        Blocked::WaitsFor(input) => format!("it waits for source files of {input}"),
        Blocked::RolledBack(input) => format!("{input} was rolled back to before it was there"),
        Blocked::Together(other) => format!("{other}, which is published together with it, cannot be made"),
    }
}

/// A set of partitions by their keys.
pub(super) fn stretches(asset: &Asset, set: &PartitionSet) -> Stretches {
    let key = |index: usize| asset.partitions.as_ref()?.partitioning.key_at(index);
    let ranges = set.ranges();
    Stretches {
        count: set.len() as u64,
        stretches: ranges
            .iter()
            .take(MOST_STRETCHES)
            .filter_map(|range| Some((key(range.start)?, key(range.end - 1)?)))
            .collect(),
        more: ranges.len() > MOST_STRETCHES,
    }
}
