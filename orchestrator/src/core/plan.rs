//! What a request would run: for every wanted partition of every selected asset, fresh, stale and why, or not possible and
//! why. Pure: the same world and moment give the same plan, whether it is only shown or submitted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::ops::Range;

use assets::partition::{Mapped, PartitionMapping, Partitioning, RangeError};
use assets::{Asset, AssetKey, AssetPartition, InputRole, ModelReference, PartitionKey};
use jiff::Timestamp;
use state::event::{Micros, Only, PartitionChoice};

use super::definitions::Definitions;
use super::effect::StepScope;
use super::staleness::{Sight, StaleReason};
use super::world::{PartitionRecord, World};

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

/// Why partitions that were asked for are not part of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanProblem {
    /// The choice of partitions means nothing to any selected asset.
    UnknownPartition {
        /// What is wrong with it.
        message: String,
    },
    /// An input was never materialized and is not part of the plan.
    MissingInput {
        /// The asset that needs it.
        asset: AssetKey,
        /// The input.
        input: AssetKey,
        /// How many partitions of `asset` cannot run for it.
        partitions: usize,
        /// The first of them.
        example: Option<PartitionKey>,
    },
    /// A model has no version by that alias or number, and is not part of the plan.
    MissingModel {
        /// The asset that needs it.
        asset: AssetKey,
        /// The model.
        model: AssetKey,
        /// Its alias or version.
        reference: String,
    },
    /// No raw file holds rows of these partitions.
    NoSource {
        /// The ingest asset.
        asset: AssetKey,
        /// How many partitions.
        partitions: usize,
        /// The first of them.
        example: Option<PartitionKey>,
    },
    /// An input waits for raw files.
    WaitsForSource {
        /// The asset that needs it.
        asset: AssetKey,
        /// The input.
        input: AssetKey,
        /// How many partitions of `asset` cannot run for it.
        partitions: usize,
        /// The first of them.
        example: Option<PartitionKey>,
    },
    /// An input was taken back to before it was there.
    RolledBack {
        /// The asset that needs it.
        asset: AssetKey,
        /// The input.
        input: AssetKey,
        /// How many partitions of `asset` cannot run for it.
        partitions: usize,
        /// The first of them.
        example: Option<PartitionKey>,
    },
}

impl PlanProblem {
    /// Whether it calls for someone to do something (data that has not arrived yet does not).
    pub fn is_mistake(&self) -> bool {
        match self {
            Self::UnknownPartition { .. } | Self::MissingInput { .. } | Self::MissingModel { .. } => true,
            Self::NoSource { .. } | Self::WaitsForSource { .. } | Self::RolledBack { .. } => false,
        }
    }
}

/// `x`, `x@2013-01-01`, or `31 partitions of x, such as 2013-01-01,`.
struct SomeOf<'a>(&'a AssetKey, usize, Option<&'a PartitionKey>);

impl fmt::Display for PlanProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPartition { message } => write!(f, "{message}"),
            Self::MissingInput {
                asset,
                input,
                partitions,
                example,
            } => write!(
                f,
                "{} {} {input}, which was never materialized there: select `+{asset}` to materialize it too",
                SomeOf(asset, *partitions, example.as_ref()),
                if *partitions > 1 { "need" } else { "needs" },
            ),
            Self::MissingModel {
                asset,
                model,
                reference,
            } => write!(
                f,
                "{asset} needs {model}@{reference}, which does not exist: select `+{asset}` to train it, or promote a version"
            ),
            Self::NoSource {
                asset,
                partitions,
                example,
            } => {
                write!(
                    f,
                    "no source file holds rows of {}",
                    SomeOf(asset, *partitions, example.as_ref())
                )
            }
            Self::WaitsForSource {
                asset,
                input,
                partitions,
                example,
            } => write!(
                f,
                "{} {} for source files of {input}",
                SomeOf(asset, *partitions, example.as_ref()),
                if *partitions > 1 { "wait" } else { "waits" },
            ),
            Self::RolledBack {
                asset,
                input,
                partitions,
                example,
            } => write!(
                f,
                "{} {} {input}, which was rolled back to before it was there",
                SomeOf(asset, *partitions, example.as_ref()),
                if *partitions > 1 { "need" } else { "needs" },
            ),
        }
    }
}

impl fmt::Display for SomeOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.1, self.2) {
            (0 | 1, Some(key)) => write!(f, "{}@{key}", self.0),
            (count, Some(key)) => write!(f, "{count} partitions of {} (such as {key})", self.0),
            (_, None) => write!(f, "{}", self.0),
        }
    }
}

/// Why a partition is not planned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Blocked {
    /// An input was never materialized there.
    Input(AssetKey),
    /// A model has no such version.
    Model(AssetKey, String),
    /// No raw file holds its rows.
    NoSource,
    /// An input waits for raw files.
    WaitsFor(AssetKey),
    /// An input was taken back to before it was there.
    RolledBack(AssetKey),
}

/// What became of one asset's wanted partitions so far.
#[derive(Default)]
pub(super) struct Planned {
    pub(super) steps: HashSet<Option<PartitionKey>>,
    pub(super) without_source: HashSet<Option<PartitionKey>>,
}

/// Plans a request with the definitions in force.
pub fn plan(world: &World, at: Micros, request: &PlanRequest) -> Plan {
    let definitions = world.definitions();
    let sight = Sight::new(world, definitions, at);
    let mut plan = Plan::default();
    let choice = match &request.partitions {
        None => None,
        Some(PartitionChoice::Steps(steps)) => Some(Choice::Steps(by_asset(steps))),
        Some(choice) => {
            let mut chosen = Vec::new();
            for stretch in stretches(choice) {
                match Chosen::new(stretch, definitions, request, sight.scopes().now()) {
                    Ok(one) => chosen.push(one),
                    Err(problem) => plan.problems.push(problem),
                }
            }
            if chosen.is_empty() {
                return plan;
            }
            Some(Choice::Stretches(chosen))
        }
    };
    let mut planned: HashMap<&AssetKey, Planned> = HashMap::new();
    let mut existing: Vec<(&Partitioning, Vec<Option<PartitionKey>>)> = Vec::new();
    for asset in definitions
        .ordered()
        .iter()
        .filter(|asset| request.assets.contains(&asset.key))
    {
        let wanted = match (&choice, &asset.partitions) {
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
        let mut own = Planned::default();
        let mut blocked: BTreeMap<Blocked, (usize, Option<PartitionKey>)> = BTreeMap::new();
        for partition in wanted {
            if !admits(request.only, world.partition(&asset.key, partition.as_ref())) {
                continue;
            }
            match verdict(&sight, asset, partition.as_ref(), &planned, request.force) {
                Ok(None) => *plan.fresh.entry(asset.key.clone()).or_default() += 1,
                Ok(Some(reason)) => {
                    own.steps.insert(partition.clone());
                    plan.steps.push(Step {
                        step: AssetPartition::new(asset.key.clone(), partition),
                        reason,
                    });
                }
                Err(cause) => {
                    if matches!(cause, Blocked::NoSource | Blocked::WaitsFor(_)) {
                        own.without_source.insert(partition.clone());
                    }
                    blocked.entry(cause).or_insert((0, partition)).0 += 1;
                }
            }
        }
        planned.insert(&asset.key, own);
        plan.problems
            .extend(blocked.into_iter().map(|(cause, (partitions, example))| {
                let asset = asset.key.clone();
                match cause {
                    Blocked::Input(input) => PlanProblem::MissingInput {
                        asset,
                        input,
                        partitions,
                        example,
                    },
                    Blocked::Model(model, reference) => PlanProblem::MissingModel {
                        asset,
                        model,
                        reference,
                    },
                    Blocked::NoSource => PlanProblem::NoSource {
                        asset,
                        partitions,
                        example,
                    },
                    Blocked::WaitsFor(input) => PlanProblem::WaitsForSource {
                        asset,
                        input,
                        partitions,
                        example,
                    },
                    Blocked::RolledBack(input) => PlanProblem::RolledBack {
                        asset,
                        input,
                        partitions,
                        example,
                    },
                }
            }));
    }
    plan
}

/// Whether a partition is among those that are asked for.
fn admits(only: Option<Only>, record: Option<&PartitionRecord>) -> bool {
    match only {
        None => true,
        Some(Only::Missing) => record.is_none_or(|record| record.materialization.is_none()),
        Some(Only::Failed) => record.is_some_and(|record| record.failure.is_some()),
    }
}

/// Whether a partition has to be made and why, or why it cannot be, given what else is planned.
pub(super) fn verdict(
    sight: &Sight<'_>,
    asset: &Asset,
    partition: Option<&PartitionKey>,
    planned: &HashMap<&AssetKey, Planned>,
    force: bool,
) -> Result<Option<StaleReason>, Blocked> {
    let own = sight.world().asset(&asset.key);
    let unfed = own.is_some_and(|own| own.observation.is_some() && !own.fed.contains_key(&partition.cloned()));
    if unfed {
        return Err(Blocked::NoSource);
    }
    let mut will_change = None;
    for input in &asset.inputs {
        let above = planned.get(&input.asset);
        let changes = if let InputRole::Model(reference) = &input.role {
            let changes = above.is_some_and(|above| !above.steps.is_empty());
            if !changes && sight.model_version(&input.asset, reference).is_none() {
                return Err(Blocked::Model(input.asset.clone(), reference_text(reference)));
            }
            changes
        } else {
            let record = sight.world().asset(&input.asset);
            let made = |key: &Option<PartitionKey>| {
                record
                    .and_then(|record| record.partitions.get(key))
                    .is_some_and(|record| record.materialization.is_some())
            };
            let was_removed = |key: &Option<PartitionKey>| {
                let known = record.and_then(|record| record.partitions.get(key));
                known.is_some_and(|known| known.rolled_back.is_some() && known.materialization.is_none())
            };
            match sight.scopes().of(asset, input, partition) {
                StepScope::All => {
                    let changes = above.is_some_and(|above| !above.steps.is_empty());
                    let there = changes || record.is_some_and(|record| record.partitions.keys().any(made));
                    if !there {
                        let removed = record.is_some_and(|record| record.partitions.keys().any(was_removed));
                        return Err(not_there(
                            &input.asset,
                            above.is_some_and(|above| !above.without_source.is_empty()),
                            removed,
                        ));
                    }
                    changes
                }
                StepScope::Keys(keys) => {
                    let keys: Vec<Option<PartitionKey>> = keys.into_iter().map(Some).collect();
                    let changes = above.is_some_and(|above| keys.iter().any(|key| above.steps.contains(key)));
                    // A window may reach over partitions that have no data; it may not be without any. One that lies before
                    // the first partition sees nothing of the table, which has to be there all the same.
                    let there = match keys.as_slice() {
                        [] => {
                            above.is_some_and(|above| !above.steps.is_empty())
                                || record.is_some_and(|record| record.partitions.keys().any(made))
                        }
                        keys => changes || keys.iter().any(made),
                    };
                    if !there {
                        let without = |above: &Planned| match keys.as_slice() {
                            [] => !above.without_source.is_empty(),
                            keys => keys.iter().any(|key| above.without_source.contains(key)),
                        };
                        let removed = keys.iter().any(was_removed);
                        return Err(not_there(&input.asset, above.is_some_and(without), removed));
                    }
                    changes
                }
            }
        };
        if changes && will_change.is_none() {
            will_change = Some(input.asset.clone());
        }
    }
    let reason = sight.stale(asset, partition);
    Ok(match (reason, will_change) {
        (Some(reason), _) => Some(reason),
        (None, Some(upstream)) => Some(StaleReason::UpstreamWillChange(upstream)),
        (None, None) => force.then_some(StaleReason::Forced),
    })
}

fn not_there(input: &AssetKey, waits_for_source: bool, was_removed: bool) -> Blocked {
    if was_removed {
        Blocked::RolledBack(input.clone())
    } else if waits_for_source {
        Blocked::WaitsFor(input.clone())
    } else {
        Blocked::Input(input.clone())
    }
}

/// `champion` or `3`.
pub fn reference_text(reference: &ModelReference) -> String {
    match reference {
        ModelReference::Alias(alias) => alias.clone(),
        ModelReference::Version(version) => version.to_string(),
    }
}

/// The stretches of a choice, each from one key to another.
fn stretches(choice: &PartitionChoice) -> Vec<(&PartitionKey, &PartitionKey)> {
    match choice {
        PartitionChoice::One(key) => vec![(key, key)],
        PartitionChoice::Range(from, to) => vec![(from, to)],
        PartitionChoice::These(keys) => keys.iter().map(|key| (key, key)).collect(),
        PartitionChoice::Steps(_) => Vec::new(),
    }
}

/// A choice of partitions, as it is understood.
enum Choice {
    /// Stretches of keys, which mean something to each asset.
    Stretches(Vec<Chosen>),
    /// Named one by one.
    Steps(BTreeMap<AssetKey, BTreeSet<Option<PartitionKey>>>),
}

/// The partitions of each asset, in the order of their keys.
fn by_asset(steps: &[AssetPartition]) -> BTreeMap<AssetKey, BTreeSet<Option<PartitionKey>>> {
    let mut found: BTreeMap<AssetKey, BTreeSet<Option<PartitionKey>>> = BTreeMap::new();
    for step in steps {
        found
            .entry(step.asset.clone())
            .or_default()
            .insert(step.partition.clone());
    }
    found
}

/// The existing partitions of a set that the stretches mean, in their order, each once.
fn keys_of(chosen: &[Chosen], by: &Partitioning, now: Timestamp) -> Vec<Option<PartitionKey>> {
    let key = |index| by.key_at(index).map(Some);
    match chosen {
        [one] => one.of(by, now).filter_map(key).collect(),
        several => {
            let indexes: BTreeSet<usize> = several.iter().flat_map(|one| one.of(by, now)).collect();
            indexes.into_iter().filter_map(key).collect()
        }
    }
}

/// A stretch of partitions, understood by the first selected asset that knows its keys.
struct Chosen {
    from: PartitionKey,
    to: PartitionKey,
    by: Partitioning,
}

impl Chosen {
    fn new(
        (from, to): (&PartitionKey, &PartitionKey),
        definitions: &Definitions,
        request: &PlanRequest,
        now: Timestamp,
    ) -> Result<Self, PlanProblem> {
        let unknown = |message: String| Err(PlanProblem::UnknownPartition { message });
        let mut error: Option<RangeError> = None;
        for asset in definitions
            .ordered()
            .iter()
            .filter(|asset| request.assets.contains(&asset.key))
        {
            let Some(by) = &asset.partitions else { continue };
            match by.partitioning.range(from, to) {
                Ok(range) if range.start >= by.partitioning.count(now) => {
                    return unknown(format!(
                        "the partition `{from}` does not exist yet: it does once its time is over"
                    ));
                }
                Ok(_) => {
                    return Ok(Self {
                        from: from.clone(),
                        to: to.clone(),
                        by: by.partitioning.clone(),
                    });
                }
                Err(wrong) => error = error.or(Some(wrong)),
            }
        }
        let message = match error {
            Some(error) => error.to_string(),
            None => format!("no selected asset has partitions, so none of them is `{from}`: leave the partition out"),
        };
        unknown(message)
    }

    /// The existing partitions of another set that the stretch means, by their indexes: the same keys, those that cover the
    /// same time, or all where the two sets have nothing to do with each other.
    fn of(&self, partitioning: &Partitioning, now: Timestamp) -> Range<usize> {
        let exist = partitioning.count(now);
        let range = match partitioning.range(&self.from, &self.to) {
            Ok(range) => range,
            Err(_) => {
                let covering =
                    |key| match PartitionMapping::Covering.upstream(Some(&self.by), Some(key), Some(partitioning), now)
                    {
                        Ok(Mapped::Indexes(range)) => Some(range),
                        Ok(Mapped::Whole | Mapped::Listed(_)) | Err(_) => None,
                    };
                match (covering(&self.from), covering(&self.to)) {
                    (Some(first), Some(last)) => first.start..last.end,
                    _ => 0..exist,
                }
            }
        };
        range.start..range.end.min(exist)
    }
}
