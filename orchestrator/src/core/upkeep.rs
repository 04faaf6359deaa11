//! What of a project looks after itself: the conditions of automated assets, who listens to whom, and which assets have a
//! freshness policy. Follows from the definitions alone, so that a turn finds at once whom an event concerns.

use std::collections::{BTreeMap, BTreeSet};

use assets::automation::{Condition, Happening, State};
use assets::{AssetGraph, AssetKey};

/// The automation of one asset.
#[derive(Debug, Clone)]
pub struct UpkeepRule {
    /// When a partition is to be made.
    pub condition: Condition,
    /// The rule as declared, for people.
    pub described: String,
}

/// Someone whose condition depends on another asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The automated asset.
    pub asset: AssetKey,
    /// Whether it reads the other itself, so that only the partitions that its mapping names are concerned.
    pub reads: bool,
}

/// What of a project looks after itself.
#[derive(Debug, Default)]
pub struct Upkeep {
    rules: BTreeMap<AssetKey, UpkeepRule>,
    listeners: BTreeMap<AssetKey, Vec<Listener>>,
    hear_of_freshness: BTreeSet<AssetKey>,
    watched: BTreeSet<AssetKey>,
}

impl Upkeep {
    /// What follows from a graph of assets.
    pub fn new(graph: &AssetGraph) -> Self {
        let mut upkeep = Self::default();
        for asset in graph.topological() {
            if asset.freshness.is_some() {
                upkeep.watched.insert(asset.key.clone());
            }
            let Some(automation) = &asset.automation else { continue };
            let condition = automation.condition();
            let mut level: BTreeSet<AssetKey> = asset.inputs.iter().map(|input| input.asset.clone()).collect();
            let direct = level.clone();
            // What is made is stale by what it reads, whatever the condition says.
            for distance in 1..=reach(&condition).max(1) {
                for key in &level {
                    let listeners = upkeep.listeners.entry(key.clone()).or_default();
                    let listener = Listener {
                        asset: asset.key.clone(),
                        reads: distance == 1,
                    };
                    if distance == 1 || !listeners.iter().any(|known| known.asset == asset.key && !known.reads) {
                        listeners.push(listener);
                    }
                }
                level = level
                    .iter()
                    .filter_map(|key| graph.get(key))
                    .flat_map(|above| above.inputs.iter().map(|input| input.asset.clone()))
                    .collect();
            }
            debug_assert!(direct.iter().all(|key| upkeep.listeners.contains_key(key)));
            if condition.speaks_of_freshness() {
                upkeep.hear_of_freshness.insert(asset.key.clone());
            }
            let rule = UpkeepRule {
                condition,
                described: automation.describe(),
            };
            upkeep.rules.insert(asset.key.clone(), rule);
        }
        upkeep
    }

    /// The automation of an asset.
    pub fn rule(&self, asset: &AssetKey) -> Option<&UpkeepRule> {
        self.rules.get(asset)
    }

    /// Every automated asset, by key.
    pub fn rules(&self) -> impl Iterator<Item = (&AssetKey, &UpkeepRule)> {
        self.rules.iter()
    }

    /// Who listens to an asset.
    pub fn listeners(&self, asset: &AssetKey) -> &[Listener] {
        self.listeners.get(asset).map_or(&[], Vec::as_slice)
    }

    /// Whether what happens to an asset concerns any automation.
    pub fn is_heard(&self, asset: &AssetKey) -> bool {
        self.rules.contains_key(asset) || self.listeners.contains_key(asset)
    }

    /// The automated assets whose condition speaks of freshness, their own or that of what they read.
    pub fn hear_of_freshness(&self) -> &BTreeSet<AssetKey> {
        &self.hear_of_freshness
    }

    /// The assets with a freshness policy.
    pub fn watched(&self) -> &BTreeSet<AssetKey> {
        &self.watched
    }
}

/// How many steps upstream a condition looks.
fn reach(condition: &Condition) -> usize {
    match condition {
        Condition::Is(State::Stale | State::UpstreamUpdated) | Condition::UpdatedBy(_) => 1,
        Condition::Is(_) | Condition::Latest(_) => 0,
        Condition::Since(first, second) => {
            let upstream = |happening: &Happening| matches!(happening, Happening::UpstreamMaterialized(_));
            usize::from(upstream(first) || upstream(second))
        }
        Condition::Any(inner, _) | Condition::All(inner, _) => 1 + reach(inner),
        Condition::Not(inner) => reach(inner),
        Condition::And(parts) | Condition::Or(parts) => parts.iter().map(reach).max().unwrap_or(0),
    }
}
