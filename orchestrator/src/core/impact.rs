//! What was built on a partition: every published partition below it, and every model and prediction made of those.
//!
//! A partition was built on another if the mappings say that it reads it and its newest result was made with that input. Pure:
//! answered from what is committed, without a look at source files.
//!
//! Deliberately not here: rows. Whether a change of the partition would change what is below it, only making it again tells.

use std::collections::{BTreeMap, BTreeSet};

use assets::{Asset, AssetInput, AssetKey, InputRole, ModelReference, PartitionKey};
use state::event::Micros;

use super::effect::StepScope;
use super::scope::Scopes;
use super::world::{AssetRecord, World};

/// What was built on a partition, upstream first.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Impact {
    /// Everything below, by asset.
    pub assets: Vec<ImpactedAsset>,
}

/// An asset of which something was built on it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ImpactedAsset {
    /// The asset.
    pub asset: AssetKey,
    /// Its kind.
    pub kind: String,
    /// Which of its inputs carried it here.
    pub through: BTreeSet<AssetKey>,
    /// Its published partitions that were built on it; one without a key for an asset without partitions.
    pub partitions: Vec<Option<PartitionKey>>,
    /// How many partitions of it are published.
    pub published: usize,
    /// For a model: its versions, each with the aliases that point to it.
    pub versions: BTreeMap<u64, Vec<String>>,
}

/// Which partitions of an asset are concerned.
enum Concerned {
    All,
    Keys(BTreeSet<Option<PartitionKey>>),
}

impl Concerned {
    fn touches(&self, scope: &StepScope) -> bool {
        match (self, scope) {
            (Self::All, StepScope::All) => true,
            (Self::All, StepScope::Keys(keys)) => !keys.is_empty(),
            (Self::Keys(concerned), StepScope::All) => !concerned.is_empty(),
            (Self::Keys(concerned), StepScope::Keys(keys)) => {
                concerned.contains(&None) || keys.iter().any(|key| concerned.contains(&Some(key.clone())))
            }
        }
    }
}

/// What was built on `asset`, or on one partition of it.
pub fn impact(world: &World, at: Micros, asset: &AssetKey, partition: Option<&PartitionKey>) -> Impact {
    let definitions = world.definitions();
    let scopes = Scopes::new(definitions, at);
    let start = match partition {
        Some(key) => Concerned::Keys(BTreeSet::from([Some(key.clone())])),
        None => Concerned::All,
    };
    let mut concerned = BTreeMap::from([(asset.clone(), start)]);
    let mut found = Impact::default();
    for below in definitions.ordered() {
        let inputs: Vec<&AssetInput> = below
            .inputs
            .iter()
            .filter(|input| concerned.contains_key(&input.asset))
            .collect();
        let (false, Some(record)) = (inputs.is_empty(), world.asset(&below.key)) else {
            continue;
        };
        let reached = Reached::of(&scopes, &concerned, below, &inputs, record);
        if reached.partitions.is_empty() {
            continue;
        }
        found.assets.push(ImpactedAsset {
            asset: below.key.clone(),
            kind: below.kind.clone(),
            through: reached.through,
            partitions: reached.partitions.iter().cloned().collect(),
            published: record
                .partitions
                .values()
                .filter(|partition| partition.materialization.is_some())
                .count(),
            versions: versions(world, &below.key),
        });
        concerned.insert(below.key.clone(), Concerned::Keys(reached.partitions));
    }
    found
}

struct Reached {
    partitions: BTreeSet<Option<PartitionKey>>,
    through: BTreeSet<AssetKey>,
}

impl Reached {
    fn of(
        scopes: &Scopes<'_>,
        concerned: &BTreeMap<AssetKey, Concerned>,
        below: &Asset,
        inputs: &[&AssetInput],
        record: &AssetRecord,
    ) -> Self {
        let mut reached = Self {
            partitions: BTreeSet::new(),
            through: BTreeSet::new(),
        };
        for (key, partition) in &record.partitions {
            let Some(made) = &partition.materialization else {
                continue;
            };
            for input in inputs {
                let scope = match &input.role {
                    InputRole::Rows => scopes.of(below, input, key.as_ref()),
                    // A model is one thing: whoever used a version of it used all that it was trained on.
                    InputRole::Model(ModelReference::Alias(_) | ModelReference::Version(_)) => StepScope::All,
                };
                if made.inputs.contains_key(&input.asset) && concerned[&input.asset].touches(&scope) {
                    reached.partitions.insert(key.clone());
                    reached.through.insert(input.asset.clone());
                }
            }
        }
        reached
    }
}

fn versions(world: &World, model: &AssetKey) -> BTreeMap<u64, Vec<String>> {
    let Some(record) = world.model(model) else {
        return BTreeMap::new();
    };
    let aliases = |version: u64| {
        let pointing = record.aliases.iter().filter(|(_, to)| **to == version);
        pointing.map(|(alias, _)| alias.clone()).collect()
    };
    record
        .versions
        .keys()
        .map(|version| (*version, aliases(*version)))
        .collect()
}
