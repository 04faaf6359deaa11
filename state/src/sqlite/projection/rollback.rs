//! `rollback` and `partition_rollback`: tables that were taken back, and the partitions that show what they showed before. `partition_cut`:
//! partitions of before a table was cut in another way.

use assets::{AssetKey, AssetPartition, Fingerprint};
use rusqlite::{OptionalExtension, params};

use super::{Projection, Refusal, Stamp, illegal};
use crate::event::{RestoredMaterialization, Rollback};
use crate::sqlite::value::{integer, partition_text};

const INSERT: &str = "
    INSERT INTO rollback (asset, seq, at, snapshot_id, to_snapshot, from_snapshot, partitions, by, note)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const NEWEST: &str = "
    SELECT seq FROM rollback WHERE asset = ?1 ORDER BY seq DESC LIMIT 1";

const SET: &str = "
    INSERT INTO partition_rollback (asset, partition, seq, at, rollback, version, removed)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (asset, partition) DO UPDATE SET seq = ?3, at = ?4, rollback = ?5, version = ?6, removed = ?7,
           tried = NULL";

const CUT: &str = "
    INSERT INTO partition_cut (asset, partition, seq) VALUES (?1, ?2, ?3)";

const TRIED: &str = "
    UPDATE partition_rollback SET tried = ?3 WHERE asset = ?1 AND partition = ?2 AND tried IS NULL";

const RELEASE: &str = "
    DELETE FROM partition_rollback WHERE asset = ?1 AND partition = ?2";

impl Projection<'_> {
    pub(super) fn rolled_back(&mut self, stamp: Stamp, asset: &AssetKey, rollback: &Rollback) -> Result<(), Refusal> {
        self.connection.prepare_cached(INSERT)?.execute(params![
            asset.as_str(),
            stamp.seq,
            stamp.at,
            rollback.snapshot_id,
            rollback.to_snapshot,
            rollback.from_snapshot,
            integer(rollback.partitions),
            rollback.by,
            rollback.note,
        ])?;
        Ok(())
    }

    pub(super) fn partition_rolled_back(
        &mut self,
        stamp: Stamp,
        step: &AssetPartition,
        restored: Option<&RestoredMaterialization>,
        version: &Fingerprint,
    ) -> Result<(), Refusal> {
        let (asset, partition) = (step.asset.as_str(), partition_text(step.partition.as_ref()));
        let rollback: Option<i64> = self
            .connection
            .prepare_cached(NEWEST)?
            .query_row([asset], |row| row.get(0))
            .optional()?;
        let Some(rollback) = rollback else {
            return illegal(format!("{step} was rolled back, and {asset} was not"));
        };
        match restored {
            Some(restored) => {
                self.materialized(stamp, &restored.run, &restored.attempt, &restored.materialization)?;
            }
            None => self.removed(step)?,
        }
        self.automation_released(step)?;
        self.connection.prepare_cached(SET)?.execute(params![
            asset,
            partition,
            stamp.seq,
            stamp.at,
            rollback,
            version.as_str(),
            restored.is_none(),
        ])?;
        Ok(())
    }

    /// A partition is one of those before the table was cut in another way.
    pub(super) fn partition_cut_away(&mut self, stamp: Stamp, step: &AssetPartition) -> Result<(), Refusal> {
        self.removed(step)?;
        let partition = partition_text(step.partition.as_ref());
        self.connection
            .prepare_cached(CUT)?
            .execute(params![step.asset.as_str(), partition, stamp.seq])?;
        self.rollback_released(step)?;
        self.automation_released(step)
    }

    /// Somebody tried to make a partition anew, in vain: it is no longer left as it is.
    pub(super) fn rollback_tried(&mut self, stamp: Stamp, step: &AssetPartition) -> Result<(), Refusal> {
        let partition = partition_text(step.partition.as_ref());
        self.connection
            .prepare_cached(TRIED)?
            .execute(params![step.asset.as_str(), partition, stamp.seq])?;
        Ok(())
    }

    /// A partition was made anew: it no longer stands by a rollback.
    pub(super) fn rollback_released(&mut self, step: &AssetPartition) -> Result<(), Refusal> {
        self.connection
            .prepare_cached(RELEASE)?
            .execute([step.asset.as_str(), partition_text(step.partition.as_ref())])?;
        Ok(())
    }
}
