//! Which partitions of an input belong to one partition of an asset, as of one moment.

use assets::partition::{Mapped, PartitionMapping};
use assets::{Asset, AssetInput, InputRole, PartitionKey};
use jiff::Timestamp;
use state::event::Micros;

use super::definitions::Definitions;
use super::effect::StepScope;

/// The moment of a count of microseconds; the ends of time for what lies beyond them.
pub(super) fn timestamp(at: Micros) -> Timestamp {
    Timestamp::from_microsecond(at).unwrap_or(if at < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// Mappings of one version of the definitions at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Scopes<'a> {
    definitions: &'a Definitions,
    now: Timestamp,
}

impl<'a> Scopes<'a> {
    /// The mappings of these definitions at `at`.
    pub fn new(definitions: &'a Definitions, at: Micros) -> Self {
        Self {
            definitions,
            now: timestamp(at),
        }
    }

    /// What `partition` of `asset` sees of `input`: existing partitions only. A partition that its asset no longer has (the
    /// project was edited) sees nothing.
    pub fn of(&self, asset: &Asset, input: &AssetInput, partition: Option<&PartitionKey>) -> StepScope {
        if input.role != InputRole::Rows || input.mapping == PartitionMapping::All {
            return StepScope::All;
        }
        let upstream = self
            .definitions
            .get(&input.asset)
            .and_then(|upstream| upstream.partitions.as_ref());
        let Some(upstream) = upstream.map(|by| &by.partitioning) else {
            return StepScope::All;
        };
        let own = asset.partitions.as_ref().map(|by| &by.partitioning);
        if input.mapping == PartitionMapping::Same && own == Some(upstream) {
            return StepScope::Keys(partition.cloned().into_iter().collect());
        }
        let Ok(mapped) = input.mapping.upstream(own, partition, Some(upstream), self.now) else {
            return StepScope::Keys(Vec::new());
        };
        let exist = upstream.count(self.now);
        let key = |index: usize| upstream.key_at(index).filter(|_| index < exist);
        match mapped {
            Mapped::Whole => StepScope::All,
            Mapped::Indexes(range) => StepScope::Keys(range.filter_map(key).collect()),
            Mapped::Listed(listed) => StepScope::Keys(listed.into_iter().filter_map(key).collect()),
        }
    }

    /// The partitions of an asset that exist now; one without a key for an unpartitioned asset.
    pub fn existing(&self, asset: &Asset) -> Vec<Option<PartitionKey>> {
        match &asset.partitions {
            Some(by) => by.partitioning.keys(self.now).map(Some).collect(),
            None => vec![None],
        }
    }

    /// Whether a partition of an asset exists now.
    pub fn exists(&self, asset: &Asset, partition: Option<&PartitionKey>) -> bool {
        match (&asset.partitions, partition) {
            (Some(by), Some(key)) => by
                .partitioning
                .index_of(key)
                .is_some_and(|index| index < by.partitioning.count(self.now)),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// The moment.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}
