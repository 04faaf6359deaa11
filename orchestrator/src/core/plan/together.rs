//! What comes along in a plan, and what is left out of it, because assets are published together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use assets::{AssetKey, AssetPartition, PartitionKey};

use super::super::definitions::Definitions;
use super::Plan;

/// What follows for a plan from assets that are published together.
#[derive(Default)]
pub(super) struct Together {
    /// Partitions that are made too if they are stale, because others that are to be made are published with them.
    pub(super) along: BTreeMap<AssetKey, BTreeSet<Option<PartitionKey>>>,
    /// Partitions that are not made, because others cannot be that are published with them: and whose those are.
    pub(super) without: HashMap<AssetPartition, AssetKey>,
    /// Partitions that cannot be made.
    pub(super) blocked: Vec<AssetPartition>,
}

impl Together {
    /// Whether a plan brings more along, or leaves more out.
    pub(super) fn grows(&mut self, definitions: &Definitions, plan: &Plan) -> bool {
        let steps: HashSet<&AssetPartition> = plan.steps.iter().map(|step| &step.step).collect();
        let mut grows = false;
        for step in &plan.steps {
            for other in definitions.published_with(&step.step.asset) {
                if *other != step.step.asset {
                    let along = self.along.entry(other.clone()).or_default();
                    grows |= along.insert(step.step.partition.clone());
                }
            }
        }
        for blocked in std::mem::take(&mut self.blocked) {
            for other in definitions.published_with(&blocked.asset) {
                let other = AssetPartition::new(other.clone(), blocked.partition.clone());
                if other != blocked && steps.contains(&other) {
                    self.without.insert(other, blocked.asset.clone());
                    grows = true;
                }
            }
        }
        grows
    }
}
