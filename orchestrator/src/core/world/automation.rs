//! What automation leaves alone, and whether it is paused.

use std::collections::BTreeMap;

use ::assets::{AssetKey, AssetPartition, Fingerprint, PartitionKey};
use state::automation::{Held, HoldReason};
use state::event::Micros;

use super::World;
use super::apply::{Broken, illegal};

/// A partition that automation leaves alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// What it would have been made from: once this is another, it is no longer left alone.
    pub version: Fingerprint,
    /// Since when.
    pub at: Micros,
    /// Why.
    pub because: HoldReason,
}

/// What is remembered of automation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AutomationRecord {
    /// When and by whom it was paused: of an asset, or all of it (`None`).
    pub paused: BTreeMap<Option<AssetKey>, (Micros, String)>,
    /// What is left alone.
    pub held: BTreeMap<AssetKey, BTreeMap<Option<PartitionKey>, Hold>>,
}

impl AutomationRecord {
    /// Why and since when automation does nothing for an asset, if it does nothing.
    pub fn pause_of(&self, asset: &AssetKey) -> Option<&(Micros, String)> {
        self.paused.get(&None).or_else(|| self.paused.get(&Some(asset.clone())))
    }

    pub(super) fn release(&mut self, step: &AssetPartition) {
        if let Some(held) = self.held.get_mut(&step.asset) {
            held.remove(&step.partition);
            if held.is_empty() {
                self.held.remove(&step.asset);
            }
        }
    }

    pub(super) fn hold(&mut self, at: Micros, asset: &AssetKey, held: &[Held]) {
        let known = self.held.entry(asset.clone()).or_default();
        for one in held {
            let hold = Hold {
                version: one.version.clone(),
                at,
                because: one.because,
            };
            known.insert(one.partition.clone(), hold);
        }
    }
}

impl World {
    /// What is remembered of automation.
    pub fn automation(&self) -> &AutomationRecord {
        &self.automation
    }

    pub(super) fn automation_paused(&mut self, at: Micros, asset: Option<&AssetKey>, by: &str) -> Result<(), Broken> {
        match self.automation.paused.insert(asset.cloned(), (at, by.to_owned())) {
            None => Ok(()),
            Some(_) => Err(illegal("automation was paused twice")),
        }
    }

    pub(super) fn automation_resumed(&mut self, asset: Option<&AssetKey>) -> Result<(), Broken> {
        match self.automation.paused.remove(&asset.cloned()) {
            Some(_) => {
                let upkeep = self.definitions.upkeep();
                let resumed: Vec<AssetKey> = match asset {
                    Some(asset) => vec![asset.clone()],
                    None => upkeep.rules().map(|(asset, _)| asset.clone()).collect(),
                };
                // What happened meanwhile was not looked at.
                self.pending.whole.extend(resumed.into_iter().filter(|_| self.daemon));
                Ok(())
            }
            None => Err(illegal("automation was resumed and not paused")),
        }
    }
}
