//! `write = "merge"`: the rows of a step meet those of the table, and what has to be written goes to the writer.
//!
//! Checks see each partition as readers would: what is written and what stays.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ahash::HashSet;
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use assets::PartitionKey;
use assets::asset::PartitionedBy;
use assets::outcome::{Failure, FailureClass};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;

use super::compute::{Progress, Router, Streamed};
use super::execute::Shell;
use super::failure;
use crate::lakehouse::{LakeError, Merge, MergeScratch, RowKey, RowsToMerge, StagingWriter, row_partition_keys};
use crate::step::OrderedPartition;

/// Part of the step's memory that the rows to merge may take before they are put aside: their keys and values are in it once more.
const HELD_SHARE: u64 = 4;
/// Where they cannot be put aside.
const MOST_SHARE: u64 = 2;

pub(super) async fn merge(
    shell: &Shell,
    unit: &[OrderedPartition],
    rows: SendableRecordBatchStream,
    mut writer: StagingWriter,
) -> Result<Streamed, Failure> {
    let asset = &shell.order.asset;
    let lake = &shell.environment.lake;
    let refuse = |error: LakeError| error.failure();
    let folder = (!shell.order.scratch.is_empty()).then(|| PathBuf::from(&shell.order.scratch));
    let scratch = folder.map(|folder| MergeScratch::new(folder, shell.order.memory_bytes / HELD_SHARE));
    let mut source = gather(shell, unit, rows, &mut writer, scratch.as_ref()).await?;
    let existing = match &shell.order.table {
        Some(pointer) => Some(lake.table(&asset.key, pointer).await.map_err(refuse)?),
        None => None,
    };
    let context = shell.session.session()?.context();
    let schema = std::sync::Arc::clone(writer.table_schema());
    let mut merges = BTreeMap::new();
    let mut checks: Option<Router> = None;
    for partition in unit {
        let own = source.remove(&partition.key).unwrap_or_default();
        let mut merge = Merge::plan(
            lake,
            &asset.key,
            existing.as_ref(),
            &schema,
            partition.key.as_ref(),
            &asset.key_columns,
            own,
            scratch.as_ref(),
            context,
        )
        .await
        .map_err(refuse)?;
        for part in merge.parts() {
            let part = part.map_err(refuse)?;
            let merged = part.merged().map_err(refuse)?;
            let checks = checks.get_or_insert_with(|| Router::of(shell, unit, &merged.schema()));
            let mut kept = part.kept(context);
            while let Some(batch) = kept.try_next().await.map_err(refuse)? {
                checks.observe(&batch)?;
                writer.write(&batch).await.map_err(refuse)?;
            }
            checks.observe(&merged)?;
            writer.write(&merged).await.map_err(refuse)?;
        }
        let checks = checks.as_mut().expect("every merge has a part");
        if !shell.checks.is_empty() {
            let mut untouched = merge.untouched(context);
            while let Some(batch) = untouched.try_next().await.map_err(refuse)? {
                checks.observe(&batch)?;
            }
        }
        let (anew, stay) = merge.files();
        shell.log.of_partition(partition.key.as_ref()).info(format!(
            "merged: {anew} files are written anew, {stay} stay as they are"
        ));
        merge.release();
        merges.insert(partition.key.clone(), merge);
    }
    let checking = checks.map_or_else(Vec::new, |checks| checks.checking);
    Ok(Streamed {
        writer,
        checking,
        merges,
    })
}

/// All rows of the step by partition, in memory or put aside. Those that belong to none of the step's go to the writer, which tells of
/// them.
async fn gather(
    shell: &Shell,
    unit: &[OrderedPartition],
    mut rows: SendableRecordBatchStream,
    writer: &mut StagingWriter,
    scratch: Option<&MergeScratch>,
) -> Result<BTreeMap<Option<PartitionKey>, RowsToMerge>, Failure> {
    let asset = &shell.order.asset;
    let most = shell.order.memory_bytes / MOST_SHARE;
    let own: HashSet<&PartitionKey> = unit.iter().filter_map(|one| one.key.as_ref()).collect();
    let mut found: BTreeMap<Option<PartitionKey>, RowsToMerge> = BTreeMap::new();
    let (mut held, mut is_aside) = (0_u64, false);
    let mut progress = Progress::new(shell, unit);
    let put_aside = |found: &mut BTreeMap<Option<PartitionKey>, RowsToMerge>, scratch: &MergeScratch| {
        let mut rows = found.values_mut();
        rows.try_for_each(|rows| rows.put_aside(scratch))
            .map_err(|error| error.failure())
    };
    while let Some(batch) = rows
        .try_next()
        .await
        .map_err(|error| failure::of_rows(&shell.session, error))?
    {
        progress.rows(batch.num_rows());
        match scratch {
            Some(scratch) if !scratch.holds(held) => {
                put_aside(&mut found, scratch)?;
                (held, is_aside) = (0, true);
            }
            None if held > most => {
                let message = format!("merge into {}: its rows take more than {} MB", asset.key, most >> 20);
                return Err(Failure::new(FailureClass::Memory, message)
                    .with_help("give the asset more `memory`, or merge fewer rows at a time"));
            }
            _ => {}
        }
        let Some(by) = &asset.partitions else {
            held += found.entry(None).or_default().push(batch);
            continue;
        };
        let (parts, outside) = split(by, &batch, &own)?;
        for (key, part) in parts {
            held += found.entry(Some(key)).or_default().push(part);
        }
        if let Some(outside) = outside {
            writer.write(&outside).await.map_err(|error| error.failure())?;
        }
    }
    // What comes next needs the memory for one partition at a time.
    if let Some(scratch) = scratch.filter(|_| is_aside) {
        put_aside(&mut found, scratch)?;
    }
    Ok(found)
}

/// Rows by partition, and those that belong to none of the step's.
type Split = (Vec<(PartitionKey, RecordBatch)>, Option<RecordBatch>);

/// The rows of each of the step's partitions, and those of none.
fn split(by: &PartitionedBy, batch: &RecordBatch, own: &HashSet<&PartitionKey>) -> Result<Split, Failure> {
    let Some(column) = batch.column_by_name(&by.column) else {
        // The writer says so.
        return Ok((Vec::new(), Some(batch.clone())));
    };
    let keys = row_partition_keys(&by.partitioning, column).map_err(|error| error.failure())?;
    let mut rows: BTreeMap<Option<PartitionKey>, Vec<u32>> = BTreeMap::new();
    for (row, key) in keys.rows.iter().enumerate() {
        let place = match &keys.keys[*key as usize] {
            RowKey::Key(key) if own.contains(key) => Some(key.clone()),
            _ => None,
        };
        rows.entry(place).or_default().push(row as u32);
    }
    let take = |rows: Vec<u32>| {
        take_record_batch(batch, &UInt32Array::from(rows))
            .map_err(|error| Failure::new(FailureClass::Internal, format!("failed to split rows: {error}")))
    };
    let outside = rows.remove(&None).map(take).transpose()?;
    let parts = rows
        .into_iter()
        .filter_map(|(key, rows)| Some((key?, rows)))
        .map(|(key, rows)| Ok::<_, Failure>((key, take(rows)?)))
        .collect::<Result<_, _>>()?;
    Ok((parts, outside))
}
