//! A table whose rows are cut into the partitions that its asset declares now.
//!
//! The rows are written anew first and count once the core has moved the pointer. It refuses while a run is to make the asset, and where
//! the asset is declared otherwise by then; where the table has other rows by then nothing is changed, and what was written is removed.

use assets::outcome::{StagedTable, TablePointer};
use assets::{Asset, AssetKey, WriteMode};
use plugins::lakehouse::{
    LakeError, PreparedCommit, Repartition, abandon, discard_staged, plan_repartition, prepare_repartition, repartition,
};

use super::super::environment;
use super::super::queried::{Reads, Scratch};
use super::EngineHandle;
use super::handle::RequestError;
use super::tables::{MOST_TRIES, TableError};
use crate::core::{PreparedRepartition, PreparedTable, TableChange, TableChangeKind, about_to_write};
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
        let (_, table, at) = self.newest(key).await?;
        let Some(plan) = plan_repartition(&table, asset.partitions.as_ref()).await? else {
            return Ok(answer(key, None, dry_run));
        };
        refuse_appended(asset)?;
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
        match self.publish_cut(asset, &plan, &staged, at / 1000, by).await {
            Ok(snapshot) => Ok(RepartitionAnswer {
                snapshot: Some(snapshot.to_string()),
                into: files_of(&staged),
                ..answer(key, Some(&plan), dry_run)
            }),
            Err(error) => {
                discard_staged(self.lake(), &[staged]).await?;
                Err(error)
            }
        }
    }

    /// Moves the pointer to the rows as they are cut now; the snapshot that shows them.
    async fn publish_cut(
        &self,
        asset: &Asset,
        plan: &Repartition,
        staged: &StagedTable,
        now_ms: i64,
        by: &str,
    ) -> Result<i64, TableError> {
        for _ in 0..MOST_TRIES {
            let (from, _, _) = self.newest(&asset.key).await?;
            let seed = environment::seed();
            let prepared = prepare_repartition(self.lake(), &asset.key, &from, staged, now_ms, seed).await;
            let prepared = prepared.map_err(|error| match error {
                LakeError::MergedMeanwhile { .. } => {
                    TableError::Refused(format!("{} was written meanwhile: ask again", asset.key))
                }
                error => error.into(),
            })?;
            match self.change(change(asset, plan, staged, from, &prepared, by)).await {
                Ok(true) => return Ok(prepared.snapshot_id),
                // A tag, or an expiry: the rows are the same.
                Ok(false) => abandon(self.lake(), &prepared).await?,
                Err(error) => {
                    abandon(self.lake(), &prepared).await?;
                    return Err(error);
                }
            }
        }
        Err(TableError::Refused(format!(
            "{} is written all the time: pause what makes it, and ask again",
            asset.key
        )))
    }
}

/// Which files a new partition has the rows of is not known, and its next step would add them once more.
fn refuse_appended(asset: &Asset) -> Result<(), TableError> {
    if asset.write != WriteMode::Append {
        return Ok(());
    }
    Err(TableError::Refused(format!(
        "{} adds the rows of each file once, by partition, and which files are in the new ones is not known: declare \
         `write = \"replace\"` or `\"merge\"` with the new partitions, or give the asset a new name and make it from its files",
        asset.key
    )))
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

fn change(
    asset: &Asset,
    plan: &Repartition,
    staged: &StagedTable,
    from: TablePointer,
    prepared: &PreparedCommit,
    by: &str,
) -> TableChange {
    TableChange {
        table: PreparedTable {
            table: asset.key.clone(),
            from: Some(from),
            to: prepared.pointer.clone(),
        },
        what: TableChangeKind::Repartition(PreparedRepartition {
            was: plan.was.clone(),
            is: plan.is.clone(),
            fingerprint: asset.fingerprint.clone(),
            rows: plan.rows,
            files: plan.files() as u64,
            into: files_of(staged),
            by: by.to_owned(),
        }),
    }
}
