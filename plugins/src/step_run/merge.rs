//! `write = "merge"`: the rows of a step meet those of the table, and what has to be written goes to the writer.
//!
//! Checks see each partition as readers would: what is written and what stays.

use std::collections::BTreeMap;

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
use crate::lakehouse::{LakeError, Merge, RowKey, StagingWriter, row_partition_keys};
use crate::step::OrderedPartition;

/// Part of the step's memory that the rows to merge may take.
const ROWS_SHARE: u64 = 2;

pub(super) async fn merge(
    shell: &Shell,
    unit: &[OrderedPartition],
    rows: SendableRecordBatchStream,
    mut writer: StagingWriter,
) -> Result<Streamed, Failure> {
    let asset = &shell.order.asset;
    let lake = &shell.environment.lake;
    let refuse = |error: LakeError| error.failure();
    let mut source = gather(shell, unit, rows, &mut writer).await?;
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
        let merge = Merge::plan(
            lake,
            &asset.key,
            existing.as_ref(),
            &schema,
            partition.key.as_ref(),
            &asset.key_columns,
            &own,
            context,
        )
        .await
        .map_err(refuse)?;
        let merged = merge.merged().map_err(refuse)?;
        let checks = checks.get_or_insert_with(|| Router::of(shell, unit, &merged.schema()));
        {
            let mut kept = merge.kept(context);
            while let Some(batch) = kept.try_next().await.map_err(refuse)? {
                checks.observe(&batch)?;
                writer.write(&batch).await.map_err(refuse)?;
            }
        }
        checks.observe(&merged)?;
        writer.write(&merged).await.map_err(refuse)?;
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
        merges.insert(partition.key.clone(), merge);
    }
    let checking = checks.map_or_else(Vec::new, |checks| checks.checking);
    Ok(Streamed {
        writer,
        checking,
        merges,
    })
}

/// All rows of the step by partition. Those that belong to none of the step's go to the writer, which tells of them.
async fn gather(
    shell: &Shell,
    unit: &[OrderedPartition],
    mut rows: SendableRecordBatchStream,
    writer: &mut StagingWriter,
) -> Result<BTreeMap<Option<PartitionKey>, Vec<RecordBatch>>, Failure> {
    let asset = &shell.order.asset;
    let most = shell.order.memory_bytes / ROWS_SHARE;
    let own: HashSet<&PartitionKey> = unit.iter().filter_map(|one| one.key.as_ref()).collect();
    let mut found: BTreeMap<Option<PartitionKey>, Vec<RecordBatch>> = BTreeMap::new();
    let mut held = 0_u64;
    let mut progress = Progress::new(shell, unit);
    while let Some(batch) = rows
        .try_next()
        .await
        .map_err(|error| failure::of_rows(&shell.session, error))?
    {
        progress.rows(batch.num_rows());
        held += batch.get_array_memory_size() as u64;
        if held > most {
            let message = format!("merge into {}: its rows take more than {} MB", asset.key, most >> 20);
            return Err(Failure::new(FailureClass::Memory, message)
                .with_help("give the asset more `memory`, or merge fewer rows at a time"));
        }
        let Some(by) = &asset.partitions else {
            found.entry(None).or_default().push(batch);
            continue;
        };
        let (parts, outside) = split(by, &batch, &own)?;
        for (key, part) in parts {
            found.entry(Some(key)).or_default().push(part);
        }
        if let Some(outside) = outside {
            writer.write(&outside).await.map_err(|error| error.failure())?;
        }
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
