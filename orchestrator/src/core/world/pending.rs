//! What automation and freshness are yet to look at. No fact: it follows from what happened since the last look, and after a
//! start everything is looked at, so that a crash loses nothing.

use std::collections::{BTreeMap, BTreeSet};

use ::assets::outcome::{Failure, FailureClass};
use ::assets::partition::PartitionSet;
use ::assets::{AssetKey, AssetPartition, Fingerprint, PartitionKey};
use state::automation::HoldReason;
use state::event::Micros;

use super::World;

/// What happened to the partitions of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// To any of them: its sources, its models.
    Whole,
    /// To these.
    Partitions(BTreeSet<Option<PartitionKey>>),
}

/// A partition of an automated asset that came to an end in a run.
#[derive(Debug, Clone)]
pub struct EndedStep {
    /// Which.
    pub step: AssetPartition,
    /// What it was made from, if an attempt had begun.
    pub tried: Option<Fingerprint>,
    /// How it ended: the reason for which it may have to be left alone.
    pub how: HoldReason,
}

/// What is looked at when its time comes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// An asset becomes late, or late soon.
    Freshness(AssetKey),
    /// A partition comes to exist, or a cron ticks.
    Automation(AssetKey),
}

/// What is to be looked at.
#[derive(Debug, Clone, Default)]
pub struct Pending {
    /// Everything: a start, or other definitions.
    pub everything: bool,
    /// All partitions of these automated assets.
    pub whole: BTreeSet<AssetKey>,
    /// What happened to which assets.
    pub changed: BTreeMap<AssetKey, Changed>,
    /// Assets of which a run has nothing in progress any more.
    pub released: BTreeSet<AssetKey>,
    /// Partitions of automated assets that came to an end.
    pub ended: Vec<EndedStep>,
    /// Assets with a freshness policy that were materialized.
    pub made: BTreeSet<AssetKey>,
    /// Partitions, by index, that are looked at again when something is released.
    pub waiting: BTreeMap<AssetKey, PartitionSet>,
    /// How many partitions of an automated asset existed at the last look.
    pub counted: BTreeMap<AssetKey, usize>,
    /// The time of the last look.
    seen_at: Micros,
    order: BTreeSet<(Micros, Alarm)>,
    alarms: BTreeMap<Alarm, Micros>,
}

impl Pending {
    /// Whether nothing is to be looked at by automation before the next alarm.
    pub fn is_quiet(&self) -> bool {
        !self.everything && self.whole.is_empty() && self.changed.is_empty() && self.released.is_empty()
    }

    /// A look at a time. Where the clock was set back, what was looked at since may be otherwise: everything is looked at.
    pub fn see(&mut self, at: Micros) {
        self.everything |= at < self.seen_at;
        self.seen_at = at;
    }

    /// Sets an alarm anew; `None` takes it away.
    pub fn set(&mut self, alarm: Alarm, at: Option<Micros>) {
        if let Some(before) = self.alarms.remove(&alarm) {
            self.order.remove(&(before, alarm.clone()));
        }
        if let Some(at) = at {
            self.order.insert((at, alarm.clone()));
            self.alarms.insert(alarm, at);
        }
    }

    /// The alarms whose time has come.
    pub fn due(&self, at: Micros) -> impl Iterator<Item = &Alarm> {
        self.order
            .iter()
            .take_while(move |(due, _)| *due <= at)
            .map(|(_, alarm)| alarm)
    }

    /// The time of the next alarm.
    pub fn next(&self) -> Option<Micros> {
        self.order.first().map(|(at, _)| *at)
    }

    /// When an alarm is set for.
    pub fn alarm(&self, alarm: &Alarm) -> Option<Micros> {
        self.alarms.get(alarm).copied()
    }
}

impl World {
    /// What automation and freshness are yet to look at.
    pub(in super::super) fn pending(&self) -> &Pending {
        &self.pending
    }

    /// The same, for what was looked at.
    pub(in super::super) fn pending_mut(&mut self) -> &mut Pending {
        &mut self.pending
    }

    /// When time alone brings something about next (an asset becomes late, a partition comes to exist), if this process looks
    /// after that.
    pub fn next_alarm(&self) -> Option<Micros> {
        self.pending.next().filter(|_| self.daemon)
    }

    /// How many partitions of an automated asset are looked at again when something is no longer in progress.
    pub fn waiting_for_runs(&self, asset: &AssetKey) -> usize {
        self.pending.waiting.get(asset).map_or(0, PartitionSet::len)
    }

    /// Everything is to be looked at.
    pub(super) fn look_at_everything(&mut self) {
        self.pending = Pending {
            everything: true,
            seen_at: self.pending.seen_at,
            ..Pending::default()
        };
    }

    /// Something happened to an asset as a whole.
    pub(super) fn asset_changed(&mut self, asset: &AssetKey) {
        if self.daemon && self.definitions.upkeep().is_heard(asset) {
            self.pending.changed.insert(asset.clone(), Changed::Whole);
        }
    }

    pub(super) fn partition_changed(&mut self, step: &AssetPartition) {
        if !self.daemon || !self.definitions.upkeep().is_heard(&step.asset) {
            return;
        }
        let changed = self.pending.changed.entry(step.asset.clone());
        let changed = changed.or_insert_with(|| Changed::Partitions(BTreeSet::new()));
        if let Changed::Partitions(partitions) = changed {
            partitions.insert(step.partition.clone());
        }
    }

    /// A step came to an end otherwise than by a fault of its owner.
    pub(super) fn step_came_to_an_end(&mut self, step: &AssetPartition, tried: Option<Fingerprint>, how: HoldReason) {
        if self.definitions.is_made_by_automation(&step.asset) {
            self.pending.ended.push(EndedStep {
                step: step.clone(),
                tried,
                how,
            });
        }
    }

    /// A run has nothing in progress any more of an asset.
    pub(super) fn asset_released(&mut self, asset: &AssetKey) {
        // What is published together with it may wait for it.
        let is_heard = self.definitions.upkeep().is_heard(asset) || !self.definitions.published_with(asset).is_empty();
        if self.daemon && is_heard {
            self.pending.released.insert(asset.clone());
        }
    }

    pub(super) fn asset_made(&mut self, asset: &AssetKey) {
        if self.daemon && self.definitions.upkeep().watched().contains(asset) {
            self.pending.made.insert(asset.clone());
        }
    }

    pub(super) fn freshness_was_heard(&mut self) {
        if self.daemon {
            let listeners = self.definitions.upkeep().hear_of_freshness().iter().cloned();
            self.pending.whole.extend(listeners);
        }
    }
}

/// Whether a failure says something of what was tried: that of an owner that was interrupted does not.
pub(super) fn is_verdict(failure: &Failure) -> bool {
    failure.class != FailureClass::Interrupted
}
