//! Sums over steps and partitions, collected while the events of a commit are applied and written once at its end.

use std::collections::HashMap;

use assets::AssetKey;
use rusqlite::{Connection, params};

use crate::event::Micros;
use crate::ids::RunId;
use crate::status::StepStatus;

const ADD_STEPS: &str = "
    UPDATE run_asset SET waiting = waiting + ?3, running = running + ?4, publishing = publishing + ?5,
           succeeded = succeeded + ?6, failed = failed + ?7, skipped = skipped + ?8, canceled = canceled + ?9
    WHERE run = ?1 AND asset = ?2";

// Two statements: SQLite checks the constraints of the row to be inserted before it looks for a conflict, and a change
// may be negative.
const NEW_ASSET: &str = "
    INSERT INTO asset_summary (asset, materialized, failed, rows, bytes, materializations) VALUES (?1, 0, 0, 0, 0, 0)
    ON CONFLICT DO NOTHING";

const ADD_PARTITIONS: &str = "
    UPDATE asset_summary SET
           materialized = materialized + ?2, failed = failed + ?3, rows = rows + ?4, bytes = bytes + ?5,
           materializations = materializations + ?6,
           last_seq = coalesce(?7, last_seq), last_at = coalesce(?8, last_at), last_run = coalesce(?9, last_run),
           failed_at = coalesce(?10, failed_at)
    WHERE asset = ?1";

/// By how much the steps of one asset in one run changed, in the order of [`StepStatus::ALL`].
type StepChanges = [i64; StepStatus::ALL.len()];

/// By how much the partitions of one asset changed.
#[derive(Debug, Default)]
pub(super) struct PartitionChanges {
    pub(super) materialized: i64,
    pub(super) failed: i64,
    pub(super) rows: i64,
    pub(super) bytes: i64,
    pub(super) materializations: i64,
    pub(super) last: Option<(i64, Micros, RunId)>,
    pub(super) failed_at: Option<Micros>,
}

#[derive(Debug, Default)]
pub(super) struct Sums {
    steps: HashMap<RunId, HashMap<AssetKey, StepChanges>>,
    partitions: HashMap<AssetKey, PartitionChanges>,
}

impl Sums {
    /// Counts a step that moved, or one that is new (`from` is `None`).
    pub(super) fn step(&mut self, run: &RunId, asset: &AssetKey, from: Option<StepStatus>, to: StepStatus) {
        if !self.steps.contains_key(run) {
            self.steps.insert(run.clone(), HashMap::new());
        }
        let assets = self.steps.get_mut(run).expect("inserted above");
        if !assets.contains_key(asset) {
            assets.insert(asset.clone(), StepChanges::default());
        }
        let changes = assets.get_mut(asset).expect("inserted above");
        if let Some(from) = from {
            changes[from as usize] -= 1;
        }
        changes[to as usize] += 1;
    }

    pub(super) fn partitions(&mut self, asset: &AssetKey) -> &mut PartitionChanges {
        if !self.partitions.contains_key(asset) {
            self.partitions.insert(asset.clone(), PartitionChanges::default());
        }
        self.partitions.get_mut(asset).expect("inserted above")
    }

    pub(super) fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        let mut add_steps = connection.prepare_cached(ADD_STEPS)?;
        for (run, assets) in &self.steps {
            for (asset, [waiting, running, publishing, succeeded, failed, skipped, canceled]) in assets {
                add_steps.execute(params![
                    run.as_str(),
                    asset.as_str(),
                    waiting,
                    running,
                    publishing,
                    succeeded,
                    failed,
                    skipped,
                    canceled
                ])?;
            }
        }
        let mut new_asset = connection.prepare_cached(NEW_ASSET)?;
        let mut add_partitions = connection.prepare_cached(ADD_PARTITIONS)?;
        for (asset, changes) in &self.partitions {
            let last = changes.last.as_ref();
            new_asset.execute([asset.as_str()])?;
            add_partitions.execute(params![
                asset.as_str(),
                changes.materialized,
                changes.failed,
                changes.rows,
                changes.bytes,
                changes.materializations,
                last.map(|last| last.0),
                last.map(|last| last.1),
                last.map(|last| last.2.as_str()),
                changes.failed_at,
            ])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_are_in_the_order_of_the_statuses() {
        for (index, status) in StepStatus::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, index);
        }
        let (_, columns) = ADD_STEPS.split_once("SET").unwrap();
        let mut order: Vec<_> = columns
            .split([' ', ','])
            .filter(|word| StepStatus::ALL.iter().any(|s| s.as_str() == *word))
            .collect();
        order.dedup();
        assert_eq!(order, StepStatus::ALL.map(StepStatus::as_str));
    }
}
