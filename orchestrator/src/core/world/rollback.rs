//! What a rollback changes: partitions show what they showed before, and say who wanted it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::assets::{AssetKey, AssetPartition, Fingerprint};
use state::event::{Micros, RestoredMaterialization, Rollback};
use state::sqlite::load::LoadedRollback;

use super::World;
use super::apply::{Broken, illegal};
use super::assets::{PartitionRollback, RollbackAsked};

impl World {
    pub(super) fn rolled_back(&mut self, asset: &AssetKey, rollback: &Rollback) {
        let asked = RollbackAsked {
            by: rollback.by.clone(),
            note: rollback.note.clone(),
            snapshot_id: rollback.snapshot_id,
        };
        self.rolling_back = Some((asset.clone(), Arc::new(asked)));
    }

    pub(super) fn partition_rolled_back(
        &mut self,
        at: Micros,
        step: &AssetPartition,
        restored: Option<&RestoredMaterialization>,
        version: &Fingerprint,
    ) -> Result<(), Broken> {
        let Some((_, asked)) = self.rolling_back.clone().filter(|(asset, _)| *asset == step.asset) else {
            return Err(illegal(format!("{step} was rolled back, and its asset was not")));
        };
        match restored {
            Some(restored) => self.materialized(at, &restored.run, &restored.materialization),
            None => self.partition_gone(step),
        }
        let record = self.assets.entry(step.asset.clone()).or_default();
        let partition = record.partitions.entry(step.partition.clone()).or_default();
        partition.rolled_back = Some(Box::new(PartitionRollback {
            at,
            version: version.clone(),
            asked,
            tried: false,
        }));
        self.partition_changed(step);
        Ok(())
    }

    /// A partition is one of those before the table was cut in another way.
    pub(super) fn partition_cut_away(&mut self, step: &AssetPartition) {
        self.partition_gone(step);
        self.partition_changed(step);
    }

    fn partition_gone(&mut self, step: &AssetPartition) {
        let record = self.assets.entry(step.asset.clone()).or_default();
        record.partitions.remove(&step.partition);
        let made = record
            .partitions
            .values()
            .filter_map(|known| known.materialization.as_ref());
        record.newest = made.map(|made| made.at).max();
        // Of which nothing is stored, nothing is known.
        if record.partitions.is_empty() && record.observation.is_none() && record.fed.is_empty() {
            self.assets.remove(&step.asset);
        }
        self.automation.release(step);
        self.asset_made(&step.asset);
    }

    pub(super) fn load_rollbacks(&mut self, loaded: Vec<LoadedRollback>) {
        let mut known: BTreeMap<i64, Arc<RollbackAsked>> = BTreeMap::new();
        for rollback in loaded {
            let asked = known.entry(rollback.rollback).or_insert_with(|| {
                Arc::new(RollbackAsked {
                    by: rollback.by.clone(),
                    note: rollback.note.clone(),
                    snapshot_id: rollback.snapshot_id,
                })
            });
            let record = self.assets.entry(rollback.step.asset).or_default();
            let partition = record.partitions.entry(rollback.step.partition).or_default();
            partition.rolled_back = Some(Box::new(PartitionRollback {
                at: rollback.at,
                version: rollback.version,
                asked: Arc::clone(asked),
                tried: rollback.tried,
            }));
        }
    }
}
