//! How assets with a freshness policy stand by it, as last decided.

use ::assets::AssetKey;
use state::event::Micros;
use state::freshness::{FreshnessChange, FreshnessState};

use super::World;
use super::apply::{Broken, illegal};

/// How an asset stands by its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreshnessRecord {
    /// Where it stands.
    pub state: FreshnessState,
    /// Since when.
    pub since: Micros,
    /// From when on it is watched.
    pub watched: Micros,
    /// From when on it is, or was, late, as of the change into this state.
    pub late_at: Option<Micros>,
}

impl World {
    /// How an asset stands by its freshness policy; `None` without one.
    pub fn freshness(&self, asset: &AssetKey) -> Option<&FreshnessRecord> {
        self.freshness.get(asset)
    }

    /// Every asset that is watched.
    pub fn watched(&self) -> impl Iterator<Item = (&AssetKey, &FreshnessRecord)> {
        self.freshness.iter()
    }

    pub(super) fn freshness_changed(&mut self, at: Micros, change: &FreshnessChange) -> Result<(), Broken> {
        let known = self.freshness.get(&change.asset);
        let from = known.map(|known| known.state);
        if from != change.from || from == Some(change.to) {
            return Err(illegal(format!("{} changed from a state it was not in", change.asset)));
        }
        let record = FreshnessRecord {
            state: change.to,
            since: at,
            watched: known.map_or(at, |known| known.watched),
            late_at: change.late_at,
        };
        self.freshness.insert(change.asset.clone(), record);
        Ok(())
    }

    pub(super) fn freshness_removed(&mut self, asset: &AssetKey) -> Result<(), Broken> {
        let known = self.freshness.remove(asset);
        known
            .map(|_| ())
            .ok_or_else(|| illegal(format!("{asset} is not watched")))
    }
}
