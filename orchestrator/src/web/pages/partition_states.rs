//! Which state each partition of an asset is in, kept as a few ranges however many there are.

use std::collections::BTreeMap;

use assets::partition::{PartitionSet, Partitioning};
use assets::{Asset, PartitionKey};
use jiff::Timestamp;
use serde::Serialize;
use state::event::Micros;
use state::status::StepStatus;

use super::tone::Tone;
use crate::core::{PlanRequest, StaleReason, World, plan};

/// Where one partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartitionState {
    /// Up to date.
    Fresh,
    /// Never materialized, and it cannot be yet.
    Waiting,
    /// Never materialized.
    Missing,
    /// Materialized, and not up to date.
    Stale,
    /// A worker has it.
    Running,
    /// Its last try failed.
    Failed,
}

impl PartitionState {
    /// Every state, in the order of legends.
    pub const ALL: [Self; 6] = [
        Self::Fresh,
        Self::Stale,
        Self::Failed,
        Self::Running,
        Self::Waiting,
        Self::Missing,
    ];

    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Waiting => "waiting",
            Self::Missing => "never made",
            Self::Stale => "stale",
            Self::Running => "running",
            Self::Failed => "failed",
        }
    }
}

impl From<PartitionState> for Tone {
    fn from(state: PartitionState) -> Self {
        match state {
            PartitionState::Fresh => Self::Good,
            PartitionState::Waiting => Self::Idle,
            PartitionState::Missing => Self::Missing,
            PartitionState::Stale => Self::Warn,
            PartitionState::Running => Self::Busy,
            PartitionState::Failed => Self::Bad,
        }
    }
}

/// The partitions of one asset: consecutive ones in the same state are one range.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionStates {
    partitioning: Partitioning,
    /// First index of each range and its state, in order.
    ranges: Vec<(usize, PartitionState)>,
    count: usize,
}

/// One range, as shown.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct RangeRow {
    /// First partition.
    pub from: PartitionKey,
    /// Last partition.
    pub to: PartitionKey,
    /// How many.
    pub partitions: usize,
    /// All of them in this state.
    pub state: PartitionState,
}

impl PartitionStates {
    /// From the state of every partition in order.
    pub fn new(partitioning: Partitioning, states: impl IntoIterator<Item = PartitionState>) -> Self {
        let mut ranges: Vec<(usize, PartitionState)> = Vec::new();
        let mut count = 0;
        for state in states {
            if ranges.last().is_none_or(|(_, last)| *last != state) {
                ranges.push((count, state));
            }
            count += 1;
        }
        Self {
            partitioning,
            ranges,
            count,
        }
    }

    /// The set.
    pub fn partitioning(&self) -> &Partitioning {
        &self.partitioning
    }

    /// How many partitions exist.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The state of one.
    pub fn at(&self, index: usize) -> Option<PartitionState> {
        if index >= self.count {
            return None;
        }
        let after = self.ranges.partition_point(|(first, _)| *first <= index);
        self.ranges.get(after.checked_sub(1)?).map(|(_, state)| *state)
    }

    /// First index, index after the last, and state of every range.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = (usize, usize, PartitionState)> + '_ {
        self.ranges.iter().enumerate().map(|(i, (first, state))| {
            let end = self.ranges.get(i + 1).map_or(self.count, |(next, _)| *next);
            (*first, end, *state)
        })
    }

    /// How many ranges.
    pub fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// How many partitions are in each state that occurs.
    pub fn totals(&self) -> BTreeMap<PartitionState, usize> {
        let mut totals = BTreeMap::new();
        for (first, end, state) in self.ranges() {
            *totals.entry(state).or_default() += end - first;
        }
        totals
    }

    /// At most `limit` ranges as rows: what needs attention first, then by key.
    pub fn rows(&self, limit: usize) -> Vec<RangeRow> {
        let mut ranges: Vec<(usize, usize, PartitionState)> = self.ranges().collect();
        if ranges.len() > limit {
            ranges.sort_by_key(|(first, _, state)| (std::cmp::Reverse(*state), *first));
            ranges.truncate(limit);
        }
        ranges
            .into_iter()
            .filter_map(|(first, end, state)| {
                let (from, to) = (self.partitioning.key_at(first)?, self.partitioning.key_at(end - 1)?);
                Some(RangeRow {
                    from,
                    to,
                    partitions: end - first,
                    state,
                })
            })
            .collect()
    }
}

/// What is behind the states of an asset.
pub struct Found {
    /// By partition; `None` for an asset without partitions.
    pub partitions: Option<PartitionStates>,
    /// Why partitions are not fresh: how many for each reason, and the first of them.
    pub reasons: Vec<Reason>,
    /// What keeps partitions from being made.
    pub problems: Vec<String>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Reason {
    /// In words.
    pub reason: String,
    /// How many partitions have it.
    pub partitions: usize,
    /// The first of them; `None` for an asset without partitions.
    pub first: Option<PartitionKey>,
}

/// Looks at all partitions of an asset at one moment.
pub fn find(world: &World, at: Micros, asset: &Asset) -> Found {
    let request = PlanRequest {
        assets: [asset.key.clone()].into(),
        partitions: None,
        force: false,
        only: None,
        alone: true,
    };
    let plan = plan(world, at, &request);
    let mut reasons: BTreeMap<String, Reason> = BTreeMap::new();
    for step in &plan.steps {
        let reason = step.reason.to_string();
        let first = || Reason {
            reason: reason.clone(),
            partitions: 0,
            first: step.step.partition.clone(),
        };
        reasons.entry(reason.clone()).or_insert_with(first).partitions += 1;
    }
    let mut reasons: Vec<Reason> = reasons.into_values().collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.partitions));
    let partitions = asset.partitions.as_ref().map(|by| {
        let set = &by.partitioning;
        let now = Timestamp::from_microsecond(at).unwrap_or(Timestamp::MAX);
        let wanted: BTreeMap<usize, PartitionState> = plan
            .steps
            .iter()
            .filter_map(|step| Some((set.index_of(step.step.partition.as_ref()?)?, state_of(&step.reason))))
            .collect();
        let record = world.asset(&asset.key);
        let running = running(world, asset, set);
        let states = (0..set.count(now)).map(|index| {
            if running.contains(index) {
                return PartitionState::Running;
            }
            wanted.get(&index).copied().unwrap_or_else(|| {
                // Neither wanted nor made: something it needs is not there.
                let made = record.zip(set.key_at(index)).is_some_and(|(record, key)| {
                    record
                        .partitions
                        .get(&Some(key))
                        .is_some_and(|partition| partition.materialization.is_some())
                });
                if made {
                    PartitionState::Fresh
                } else {
                    PartitionState::Waiting
                }
            })
        });
        PartitionStates::new(set.clone(), states)
    });
    Found {
        partitions,
        reasons,
        problems: plan.problems.iter().map(ToString::to_string).collect(),
    }
}

fn state_of(reason: &StaleReason) -> PartitionState {
    match reason {
        StaleReason::NeverMaterialized => PartitionState::Missing,
        StaleReason::LastFailed => PartitionState::Failed,
        _ => PartitionState::Stale,
    }
}

/// The partitions that a worker or the committer has now.
fn running(world: &World, asset: &Asset, set: &Partitioning) -> PartitionSet {
    let mut indexes = Vec::new();
    for attempt in world.attempts().filter(|attempt| attempt.asset == asset.key) {
        let Some(run) = world.run(&attempt.run) else { continue };
        for position in &attempt.steps {
            let step = &run.steps[*position as usize];
            if matches!(step.status, StepStatus::Running | StepStatus::Publishing) {
                indexes.extend(step.partition.as_ref().and_then(|key| set.index_of(key)));
            }
        }
    }
    indexes.into_iter().collect()
}

#[cfg(test)]
pub(super) mod tests {
    use assets::partition::{Grain, TimePartitions};
    use proptest::prelude::*;

    use super::*;

    /// Days of 2013 and on.
    pub(in super::super) fn days(states: impl IntoIterator<Item = PartitionState>) -> PartitionStates {
        let start = jiff::civil::date(2013, 1, 1).at(0, 0, 0, 0);
        let days = TimePartitions {
            grain: Grain::Day,
            start,
            end: None,
            zone: "America/New_York".into(),
        };
        PartitionStates::new(Partitioning::Time(days), states)
    }

    #[test]
    fn a_year_with_one_hole_is_three_ranges() {
        let states = days((0..365).map(|day| {
            if day == 40 {
                PartitionState::Failed
            } else {
                PartitionState::Fresh
            }
        }));
        let rows: Vec<(String, String, usize)> = states
            .rows(10)
            .into_iter()
            .map(|row| (row.from.to_string(), row.to.to_string(), row.partitions))
            .collect();
        let expected = [
            ("2013-01-01", "2013-02-09", 40),
            ("2013-02-10", "2013-02-10", 1),
            ("2013-02-11", "2013-12-31", 324),
        ];
        assert_eq!(
            rows,
            expected.map(|(from, to, count)| (from.to_owned(), to.to_owned(), count))
        );
        // With room for one row, it is the one to look at.
        assert_eq!(states.rows(1)[0].state, PartitionState::Failed);
    }

    proptest! {
        #[test]
        fn ranges_say_the_same_as_every_partition(kinds in prop::collection::vec(0..6_usize, 0..60)) {
            let all: Vec<PartitionState> = kinds.into_iter().map(|kind| PartitionState::ALL[kind]).collect();
            let states = days(all.iter().copied());
            for index in 0..all.len() + 2 {
                prop_assert_eq!(states.at(index), all.get(index).copied());
            }
            prop_assert_eq!(states.totals().values().sum::<usize>(), all.len());
            let unrolled: Vec<PartitionState> =
                states.ranges().flat_map(|(first, end, state)| std::iter::repeat_n(state, end - first)).collect();
            prop_assert_eq!(unrolled, all);
        }
    }
}
