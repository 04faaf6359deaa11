//! What automation makes of partitions now, and why: for `millpond why` and for pages. Changes nothing.

use assets::partition::PartitionSet;
use assets::{AssetKey, PartitionKey};
use serde::Serialize;
use state::automation::{EvaluatedPart, LeftOut, Stretches};
use state::event::Micros;

use super::super::super::world::{Alarm, World};
use super::affected::{everything_of, index};
use super::look::{Looker, stretches};

/// Most partitions that are explained at once: the newest.
const MOST_EXPLAINED: usize = 5_000;

/// What automation makes of partitions of an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Explanation {
    /// The rule as declared.
    pub rule: String,
    /// When and by whom it was paused, if it is.
    pub paused: Option<(Micros, String)>,
    /// The condition, part by part.
    pub evaluation: EvaluatedPart,
    /// What would be requested now. A daemon has requested it already, or does so when it starts.
    pub requested: Stretches,
    /// For what else the condition holds, and why that is not requested.
    pub left_out: Vec<LeftOut>,
    /// When time alone may change this next, as far as the daemon knows.
    pub next: Option<Micros>,
}

impl Explanation {
    /// Why one partition is not requested, or that it would be; for people.
    pub fn verdict(&self) -> String {
        if let Some((_, by)) = &self.paused {
            return format!("automation is paused by {by}");
        }
        if self.requested.count > 0 {
            return "it is to be made: the condition holds".to_owned();
        }
        match self.left_out.first() {
            Some(left) => left.why.clone(),
            None => "the condition does not hold".to_owned(),
        }
    }
}

/// What automation makes of one partition, or of all (the newest 5000) of an asset; `None` without automation.
pub fn explain(world: &World, at: Micros, key: &AssetKey, partition: Option<&PartitionKey>) -> Option<Explanation> {
    let definitions = world.definitions();
    let asset = definitions.get(key)?;
    let rule = definitions.upkeep().rule(key)?;
    let which = match partition {
        Some(partition) => PartitionSet::from_range({
            let index = index(asset, Some(partition))?;
            index..index + 1
        }),
        None => {
            let count = everything_of(asset, at).len();
            PartitionSet::from_range(count.saturating_sub(MOST_EXPLAINED)..count)
        }
    };
    let outcome = Looker::new(world, at).look(asset, rule, &which);
    Some(Explanation {
        rule: rule.described.clone(),
        paused: world.automation().pause_of(key).cloned(),
        evaluation: outcome.evaluation,
        requested: stretches(asset, &outcome.requested),
        left_out: outcome.left_out,
        next: world.pending().alarm(&Alarm::Automation(key.clone())),
    })
}
