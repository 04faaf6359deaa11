//! Making few files of a table's many small ones, as one change of the table for up to [`MOST_GROUPS`] partitions.
//!
//! The files are written first and count once the driver has moved the pointer. It refuses while a run is to make the asset, whose merges
//! look at the small files; where the table moved on meanwhile, the same files are offered on the newer version. What is given up is
//! removed; what a crash leaves is found as orphans.

use assets::AssetKey;
use assets::outcome::StagedTable;
use plugins::lakehouse::{
    CompactionGroup, CompactionOrder, CompactionRule, LakeError, LakeTable, MOST_GROUPS, compact, discard_staged,
    plan_compaction, prepare_compaction,
};

use super::engine::{EngineHandle, NextVersion, TableError};
use super::environment;
use super::maintenance::{Untended, pointer};
use super::queried::{Reads, Scratch};
use crate::core::{PreparedCompaction, TableChangeKind, about_to_write};
use crate::wire::TendedTable;

/// Bytes in which rows are sorted before they spill.
const SORT_MEMORY_BYTES: usize = 256 << 20;

/// Compacts a table as far as it is worth it, or says what would be done.
pub(super) async fn compact_table(
    engine: &EngineHandle,
    key: &AssetKey,
    rule: &CompactionRule,
    dry_run: bool,
    by: &str,
    told: &mut TendedTable,
) -> Result<(), Untended> {
    let Some(first) = pointer(engine, key).await? else {
        return Ok(());
    };
    let table = engine.lake().table(key, &first).await?;
    let groups = plan_compaction(&table, rule).await?;
    if groups.is_empty() {
        return Ok(());
    }
    if dry_run {
        told.compacted = groups.iter().map(|group| group.files() as u64).sum();
        told.compacted_bytes = groups.iter().map(|group| group.bytes).sum();
        return Ok(());
    }
    let columns = match engine.project().definitions.get(key) {
        Some(asset) => asset.sort_columns.clone(),
        None => Vec::new(),
    };
    // Goes when it is over, with what spilled; that of a process that was killed goes when somebody looks who reads.
    let mut scratch = None;
    if !columns.is_empty() {
        match Scratch::reading(engine.folder(), Reads::Newest) {
            Ok(Some(folder)) => scratch = Some(folder),
            Ok(None) => {
                told.not_compacted = Some("the disk is full".to_owned());
                return Ok(());
            }
            Err(error) => {
                told.not_compacted = Some(format!("failed to make a folder for what spills: {error}"));
                return Ok(());
            }
        }
    }
    let order = scratch.as_ref().map(|scratch| CompactionOrder {
        columns,
        memory_bytes: SORT_MEMORY_BYTES,
        spill_folder: scratch.path().to_owned(),
    });
    for groups in groups.chunks(MOST_GROUPS) {
        let of = key.clone();
        let busy = engine.driver().ask(move |world, _| about_to_write(world, &of)).await;
        if let Some(why) = busy.ok_or(Untended::Stopping)? {
            told.not_compacted = Some(why);
            return Ok(());
        }
        let staged = write(&table, groups, order.as_ref()).await?;
        match publish(engine, key, &staged, groups, by).await {
            Ok(into) => {
                told.compacted += groups.iter().map(|group| group.files() as u64).sum::<u64>();
                told.compacted_bytes += groups.iter().map(|group| group.bytes).sum::<u64>();
                told.compacted_into += into;
            }
            // Whether it counts is not known.
            Err(error) if error.is_of_a_stop() => return Err(Untended::Stopping),
            Err(error) => {
                discard_staged(engine.lake(), &staged).await?;
                told.not_compacted = Some(match error {
                    TableError::Refused(why) => why,
                    TableError::NotThere { message, .. } => message,
                    TableError::Lake(LakeError::MergedMeanwhile { .. }) => "the table was written meanwhile".to_owned(),
                    error => return Err(error.into()),
                });
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Writes what the groups become; nothing is left of it when one of them fails.
async fn write(
    table: &LakeTable,
    groups: &[CompactionGroup],
    order: Option<&CompactionOrder>,
) -> Result<Vec<StagedTable>, LakeError> {
    let token = format!("compaction-{:016x}", environment::seed());
    let mut staged = Vec::with_capacity(groups.len());
    for (place, group) in groups.iter().enumerate() {
        match compact(table, group, order, &format!("{token}-{place}")).await {
            Ok(written) => staged.push(written),
            Err(error) => {
                discard_staged(table.lake(), &staged).await?;
                return Err(error);
            }
        }
    }
    Ok(staged)
}

/// Moves the pointer; how many files there are now in place of the small ones.
async fn publish(
    engine: &EngineHandle,
    key: &AssetKey,
    staged: &[StagedTable],
    groups: &[CompactionGroup],
    by: &str,
) -> Result<u64, TableError> {
    let into = staged
        .iter()
        .map(|staged| staged.data_files.as_array().map_or(0, Vec::len) as u64)
        .sum();
    let moved = engine.move_pointer(key, |newest| async move {
        let seed = environment::seed();
        let prepared = prepare_compaction(engine.lake(), key, &newest.pointer, staged, newest.now_ms, seed).await?;
        let what = TableChangeKind::Compaction(PreparedCompaction {
            files: groups.iter().map(|group| group.files() as u64).sum(),
            into,
            bytes: staged.iter().map(|staged| staged.bytes).sum(),
            by: by.to_owned(),
        });
        Ok((Some(NextVersion::of(&prepared, what)), into))
    });
    moved.await
}
