//! Which partitions a request means.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use assets::partition::{Mapped, PartitionMapping, Partitioning, RangeError};
use assets::{AssetKey, AssetPartition, PartitionKey};
use jiff::Timestamp;
use state::event::PartitionChoice;

use super::super::definitions::Definitions;
use super::{PlanProblem, PlanRequest};

/// The stretches of a choice, each from one key to another.
pub(super) fn stretches(choice: &PartitionChoice) -> Vec<(&PartitionKey, &PartitionKey)> {
    match choice {
        PartitionChoice::One(key) => vec![(key, key)],
        PartitionChoice::Range(from, to) => vec![(from, to)],
        PartitionChoice::These(keys) => keys.iter().map(|key| (key, key)).collect(),
        PartitionChoice::Steps(_) => Vec::new(),
    }
}

/// A choice of partitions, as it is understood.
pub(super) enum Choice {
    /// Stretches of keys, which mean something to each asset.
    Stretches(Vec<Chosen>),
    /// Named one by one.
    Steps(BTreeMap<AssetKey, BTreeSet<Option<PartitionKey>>>),
}

/// The partitions of each asset, in the order of their keys.
pub(super) fn by_asset(steps: &[AssetPartition]) -> BTreeMap<AssetKey, BTreeSet<Option<PartitionKey>>> {
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
pub(super) fn keys_of(chosen: &[Chosen], by: &Partitioning, now: Timestamp) -> Vec<Option<PartitionKey>> {
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
pub(super) struct Chosen {
    from: PartitionKey,
    to: PartitionKey,
    by: Partitioning,
}

impl Chosen {
    pub(super) fn new(
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
