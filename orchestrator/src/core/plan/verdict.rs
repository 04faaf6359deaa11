//! Whether one partition has to be made.

use std::collections::{HashMap, HashSet};

use assets::{Asset, AssetKey, InputRole, ModelReference, PartitionKey};

use super::super::effect::StepScope;
use super::super::staleness::{Sight, StaleReason};
use super::problem::Blocked;

/// What became of one asset's wanted partitions so far.
#[derive(Default)]
pub(in super::super) struct Planned {
    pub(in super::super) steps: HashSet<Option<PartitionKey>>,
    pub(in super::super) without_source: HashSet<Option<PartitionKey>>,
}

/// Whether a partition has to be made and why, or why it cannot be, given what else is planned.
pub(in super::super) fn verdict(
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
