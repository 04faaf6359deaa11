//! A table whose rows are cut into the partitions that its asset declares now.
//!
//! The rows are written anew first and count once the core has moved the pointer. It refuses while a run is to make the asset, and where
//! the asset is declared otherwise by then; where the table has other rows by then nothing is changed, and what was written is removed.

use assets::outcome::StagedTable;
use assets::{Asset, AssetKey, WriteMode};
use plugins::kind::quarantined_by;
use plugins::lakehouse::{
    LakeError, PreparedCommit, Repartition, discard_staged, plan_repartition, prepare_emptied, prepare_repartition,
    repartition,
};

use super::super::driver::quarantine_table;
use super::super::environment;
use super::super::queried::{Reads, Scratch};
use super::EngineHandle;
use super::handle::RequestError;
use super::moving::{Newest, NextVersion};
use super::tables::TableError;
use crate::core::{PreparedRepartition, PreparedTable, TableChangeKind, about_to_write};
use crate::wire::RepartitionAnswer;

impl EngineHandle {
    /// Cuts the rows of a table into the partitions of its asset: all of them in one change, with the same rows.
    pub async fn repartition(&self, key: &AssetKey, dry_run: bool, by: &str) -> Result<RepartitionAnswer, TableError> {
        let project = self.project();
        let Some(asset) = project.definitions.get(key) else {
            return Err(TableError::NotThere {
                message: format!("{key} is not declared"),
                help: Some("`millpond check` lists the assets".to_owned()),
            });
        };
        // What is read must stay until it was read.
        let reading = Scratch::reading(self.folder(), Reads::Newest);
        let Some(_reading) = reading.map_err(|error| TableError::Refused(format!("no folder can be made: {error}")))?
        else {
            return Err(TableError::Refused("the disk is full".to_owned()));
        };
        let table = self.newest(key).await?.table;
        let Some(plan) = plan_repartition(&table, asset.partitions.as_ref()).await? else {
            return Ok(answer(key, None, dry_run));
        };
        if let Some(why) = never_cut_anew(asset) {
            return Err(TableError::Refused(why));
        }
        if dry_run {
            return Ok(answer(key, Some(&plan), dry_run));
        }
        let of = key.clone();
        let busy = self.driver.ask(move |world, _| about_to_write(world, &of)).await;
        if let Some(why) = busy.ok_or(RequestError::Stopping)? {
            return Err(TableError::Refused(why));
        }
        let token = format!("repartition-{:016x}", environment::seed());
        let staged = repartition(&table, &plan, &token).await.map_err(|error| match error {
            LakeError::RowsOutside { message } => TableError::Refused(format!(
                "{message}: a row that belongs to no partition could never be replaced; let the partitions begin earlier or end later, or \
                 take such rows out first"
            )),
            error => error.into(),
        })?;
        match self.publish_cut(asset, &plan, &staged, by).await {
            Ok(snapshot) => Ok(RepartitionAnswer {
                snapshot: Some(snapshot.to_string()),
                into: files_of(&staged),
                ..answer(key, Some(&plan), dry_run)
            }),
            // Whether it counts is not known.
            Err(error) if error.is_of_a_stop() => Err(error),
            Err(error) => {
                discard_staged(self.lake(), &[staged]).await?;
                Err(error)
            }
        }
    }

    /// Moves the pointer to the rows as they are cut now; the snapshot that shows them. Where a tag was set or old versions went
    /// meanwhile, the rows are the same, and it is built again.
    async fn publish_cut(
        &self,
        asset: &Asset,
        plan: &Repartition,
        staged: &StagedTable,
        by: &str,
    ) -> Result<i64, TableError> {
        let moved = self.move_pointer(&asset.key, |newest| async move {
            let Newest { pointer, now_ms, .. } = newest;
            let seed = environment::seed();
            let prepared = prepare_repartition(self.lake(), &asset.key, &pointer, staged, now_ms, seed).await?;
            let mut written_files = prepared.written_files;
            let emptied = self.without_quarantined(asset, now_ms).await?.map(|(table, commit)| {
                written_files.extend(commit.written_files);
                table
            });
            let what = TableChangeKind::Repartition(PreparedRepartition {
                was: plan.was.clone(),
                is: plan.is.clone(),
                fingerprint: asset.fingerprint.clone(),
                rows: plan.rows,
                files: plan.files() as u64,
                into: files_of(staged),
                emptied,
                by: by.to_owned(),
            });
            let next = NextVersion {
                what,
                to: prepared.pointer,
                written_files,
            };
            Ok((Some(next), prepared.snapshot_id))
        });
        moved.await.map_err(|error| match error {
            TableError::Lake(LakeError::MergedMeanwhile { .. }) => {
                TableError::Refused(format!("{} was written meanwhile: ask again", asset.key))
            }
            error => error,
        })
    }

    /// The quarantined rows are those of partitions that are none any more: no step would ever replace them, and the steps of the new
    /// partitions set such rows aside again. `None` where there are none.
    async fn without_quarantined(
        &self,
        asset: &Asset,
        now_ms: i64,
    ) -> Result<Option<(PreparedTable, PreparedCommit)>, TableError> {
        let key = quarantine_table(&asset.key);
        let wanted = key.clone();
        let pointer = self.driver.ask(move |world, _| world.pointer(&wanted).cloned()).await;
        let Some(from) = pointer.ok_or(RequestError::Stopping)?.filter(|_| key != asset.key) else {
            return Ok(None);
        };
        let by = asset.partitions.as_ref().map(quarantined_by);
        let commit = prepare_emptied(self.lake(), &key, &from, by.as_ref(), now_ms, environment::seed()).await?;
        Ok(commit.map(|commit| {
            let table = PreparedTable {
                table: key,
                from: Some(from),
                to: commit.pointer.clone(),
            };
            (table, commit)
        }))
    }
}

/// Why the rows of an asset are not to be cut in another way, whatever its table: which files a new partition has the rows of is not known,
/// and its next step would add them once more.
pub fn never_cut_anew(asset: &Asset) -> Option<String> {
    (asset.write == WriteMode::Append).then(|| {
        format!(
            "{} adds the rows of each file once, by partition, and which files are in the new ones is not known: declare \
             `write = \"replace\"` or `\"merge\"` with the new partitions, or give the asset a new name and make it from its files",
            asset.key
        )
    })
}

fn files_of(staged: &StagedTable) -> u64 {
    staged.data_files.as_array().map_or(0, |files| files.len() as u64)
}

fn answer(key: &AssetKey, plan: Option<&Repartition>, dry_run: bool) -> RepartitionAnswer {
    RepartitionAnswer {
        asset: key.clone(),
        already: plan.is_none(),
        dry_run,
        was: plan.map_or_else(String::new, |plan| plan.was.clone()),
        is: plan.map_or_else(String::new, |plan| plan.is.clone()),
        snapshot: None,
        rows: plan.map_or(0, |plan| plan.rows),
        files: plan.map_or(0, |plan| plan.files() as u64),
        bytes: plan.map_or(0, |plan| plan.bytes),
        into: 0,
    }
}
