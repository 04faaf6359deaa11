//! A table cut into other partitions, as `millpond repartition` does: all of its rows written anew, and offered on the newest version as
//! long as that has the rows that were read.

use std::collections::BTreeMap;

use assets::outcome::TablePointer;
use assets::{Asset, AssetKey, Fingerprint, PartitionKey};
use orchestrator::core::{Broken, InvariantId, PreparedRepartition, about_to_write};

use super::super::lake::{NotBuilt, Part, Parts, fingerprint};
use super::super::workers::cut_of;
use super::tables::Wanted;
use super::{Happening, Simulation};

/// The rows of a table as they are to lie.
#[derive(Debug, Clone)]
pub(super) struct Recut {
    parts: Parts,
    /// The files that were read.
    seen: Fingerprint,
    was: Option<String>,
    is: Option<String>,
    /// The asset's that asks for it.
    fingerprint: Fingerprint,
    files: u64,
}

impl Recut {
    /// What the core is told of it.
    pub(super) fn prepared(&self) -> PreparedRepartition {
        let word = |cut: &Option<String>| cut.clone().unwrap_or_else(|| "nothing".to_owned());
        PreparedRepartition {
            was: word(&self.was),
            is: word(&self.is),
            fingerprint: self.fingerprint.clone(),
            rows: self.files,
            files: self.files,
            into: self.files,
            emptied: None,
            by: "someone".to_owned(),
        }
    }

    fn written(&self) -> impl Iterator<Item = &String> {
        self.parts.values().flat_map(|part| &part.files)
    }
}

impl Simulation {
    /// An asset gets other partitions, and some time later its table is cut so.
    pub(super) fn recut_an_asset(&mut self) -> Result<(), Broken> {
        let mut dice = self.environment_dice.clone();
        let recut = self.project.recut(&mut dice);
        self.environment_dice = dice;
        let Some(asset) = recut else { return Ok(()) };
        self.note(format!("{asset} has other partitions"));
        self.edited()?;
        let seconds = self.environment_dice.between(0, 7200);
        self.at(self.now + seconds * super::SECOND, Happening::Repartition(asset));
        Ok(())
    }

    /// Someone wants a table to be cut as its asset is declared.
    pub(super) fn repartition(&mut self, key: &AssetKey) -> Result<(), Broken> {
        let asset = self.project.declared().find(|asset| asset.key == *key).cloned();
        let (Some(asset), Some(pointer)) = (asset, self.world.pointer(key).cloned()) else {
            return Ok(());
        };
        if about_to_write(&self.world, key).is_some() {
            return Ok(());
        }
        let Some(recut) = self.plan_recut(&asset, &pointer)? else {
            return Ok(());
        };
        let boot = self.boot;
        let (table, wanted, tries) = (key.clone(), Wanted::Repartition(Box::new(recut)), 3);
        // Writing takes a while, in which others change the table.
        self.later(
            600,
            Happening::Want {
                boot,
                table,
                wanted,
                tries,
            },
        );
        Ok(())
    }

    /// Writes the rows anew; `None` where they lie so already, or where some would belong to no partition.
    fn plan_recut(&mut self, asset: &Asset, pointer: &TablePointer) -> Result<Option<Recut>, Broken> {
        let metadata = Self::there(self.lake.metadata(pointer), "a table")?;
        let (was, is) = (metadata.cut().cloned(), cut_of(asset));
        if was == is {
            return Ok(None);
        }
        let there = Self::there(self.lake.parts(metadata, metadata.current), "a table")?.clone();
        let seen = fingerprint(there.values().flat_map(|part| &part.files));
        let now = jiff::Timestamp::from_microsecond(self.clock()).expect("the simulation is near the present");
        let keys: Option<Vec<PartitionKey>> = asset.partitions.as_ref().map(|by| by.partitioning.keys(now).collect());
        let files: Vec<&String> = there.values().flat_map(|part| &part.files).collect();
        if keys.as_ref().is_some_and(Vec::is_empty) && !files.is_empty() {
            return Ok(None);
        }
        let mut parts: BTreeMap<Option<PartitionKey>, Part> = BTreeMap::new();
        let many = files.len() as u64;
        for (place, file) in files.into_iter().enumerate() {
            let rows = Self::there(self.lake.rows(file), "a table")?.clone();
            let written = self.lake.stage(&asset.key, "repartition", rows);
            self.changing.insert(written.clone(), self.clock());
            // Which row belongs where is nothing that the simulation knows; any partition is as good as another.
            let key = keys.as_ref().map(|keys| keys[place % keys.len()].clone());
            parts.entry(key).or_default().files.insert(written);
        }
        Ok(Some(Recut {
            parts,
            seen,
            was,
            is,
            fingerprint: asset.fingerprint.clone(),
            files: many,
        }))
    }

    /// Writes the version of a table that is cut so; `None` if it is given up.
    pub(super) fn offer_recut(
        &mut self,
        table: &AssetKey,
        base: &TablePointer,
        recut: &Recut,
    ) -> Result<Option<TablePointer>, Broken> {
        let built = self
            .lake
            .repartition(table, base, &recut.seen, recut.parts.clone(), recut.is.clone());
        match built {
            Ok(to) => Ok(Some(to)),
            Err(NotBuilt::MergedMeanwhile | NotBuilt::OtherCut) => {
                self.give_up_recut(recut);
                Ok(None)
            }
            Err(NotBuilt::Missing(missing)) => {
                let found = format!("a repartition of {table} refers to {}, which is not there", missing.0);
                Err(Broken::new(InvariantId::NeededIsKept, found))
            }
        }
    }

    /// What was written for nothing goes.
    pub(super) fn give_up_recut(&mut self, recut: &Recut) {
        self.recut_is_over(recut);
        let files: Vec<String> = recut.written().cloned().collect();
        self.lake.remove(&files);
    }

    pub(super) fn recut_is_over(&mut self, recut: &Recut) {
        for file in recut.written() {
            self.changing.remove(file);
        }
    }

    /// All tables are cut as their assets are declared.
    pub(super) fn all_are_cut_as_declared(&mut self) -> Result<(), Broken> {
        let assets: Vec<AssetKey> = self.project.declared().map(|asset| asset.key.clone()).collect();
        for asset in assets {
            self.repartition(&asset)?;
        }
        self.until_quiet()
    }
}
