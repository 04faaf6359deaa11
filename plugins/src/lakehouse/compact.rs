//! Making few large files of many small ones, partition by partition: the same rows, in the order in which they were written, or sorted.
//!
//! ```text
//! plan_compaction ─► groups ─► compact (each) ─► staged files ─► prepare_compaction ─► new TablePointer ─(the owner moves it)
//! ```
//! Small files come from appends and merges; a partition that is replaced as a whole has few. A compaction counts only where the
//! partition still has the files that it had when it was planned; the old files stay for older snapshots until those expire. Tables with
//! row-level deletes of other writers, and partitions that are not told by one column's value, are left alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef as ArrowSchemaRef;
use assets::outcome::{ColumnChanges, Replace, StagedTable, TablePointer};
use assets::{AssetKey, Fingerprint, PartitionKey};
use datafusion::common::{Column, DataFusionError};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{Expr, SessionConfig, SessionContext};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{ManifestEntryRef, PrimitiveType, SchemaRef};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use super::commit::{CommitMember, CommitOutcome, PreparedCommit, Purpose, prepare};
use super::encode::{Encoder, EncoderSettings};
use super::merge::seen;
use super::partition_column::key_of_literal;
use super::scan::{LakeScan, ScanFiles};
use super::schema::{conform, file_schema};
use super::staging::{StagingOptions, partition_folder, partition_json};
use super::table::identity_column;
use super::{Lake, LakeError, LakeTable};
use crate::step::Scope;

/// Partitions that one snapshot compacts at most.
pub const MOST_GROUPS: usize = 500;

/// Most pieces that are read at once.
const MOST_READ: usize = 4;
/// Bytes of files that are read as one piece: its rows are held until it is their turn.
const PIECE_BYTES: u64 = 2 << 20;

/// What is worth compacting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionRule {
    /// Files smaller than this are small, in bytes.
    pub small_bytes: u64,
    /// A partition with at least so many small files is compacted.
    pub least_files: usize,
}

/// How the rows of files that are made few are to be sorted: smallest first, nulls last.
#[derive(Debug, Clone)]
pub struct CompactionOrder {
    /// By these columns.
    pub columns: Vec<String>,
    /// In so many bytes of memory; what goes beyond them spills.
    pub memory_bytes: usize,
    /// There.
    pub spill_folder: PathBuf,
}

/// The small files of one partition.
#[derive(Debug, Clone)]
pub struct CompactionGroup {
    /// The partition; `None` for a table without partitions.
    pub partition: Option<PartitionKey>,
    /// Their bytes.
    pub bytes: u64,
    entries: Vec<ManifestEntryRef>,
    /// All files of the partition, as a fingerprint.
    seen: Fingerprint,
}

impl CompactionGroup {
    /// How many files are made one, or few.
    pub fn files(&self) -> usize {
        self.entries.len()
    }
}

/// Finds the partitions that are worth compacting, those with the most small files first. Changes nothing.
///
/// # Errors
/// A manifest cannot be read.
pub async fn plan_compaction(table: &LakeTable, rule: &CompactionRule) -> Result<Vec<CompactionGroup>, LakeError> {
    let (metadata, snapshot) = (table.metadata(), table.snapshot(None)?);
    let Some(snapshot) = snapshot else {
        return Ok(Vec::new());
    };
    let spec = metadata.default_partition_spec();
    let list = table.lake().manifest_list(&snapshot, metadata.format_version()).await?;
    let cut_otherwise = |spec_id: i32| spec_id != spec.spec_id();
    let column_type = match identity_column(spec, metadata.current_schema()) {
        Some((_, column_type)) => Some(column_type),
        None if spec.is_unpartitioned() => None,
        None => return Ok(Vec::new()),
    };
    if list
        .entries()
        .iter()
        .any(|file| cut_otherwise(file.partition_spec_id) && (file.has_added_files() || file.has_existing_files()))
    {
        return Ok(Vec::new());
    }
    let files = ScanFiles::Snapshot {
        table: table.clone(),
        snapshot: Some(snapshot),
        scope: Scope::All,
    };
    let scan = LakeScan::new(table.lake().clone(), Arc::clone(metadata.current_schema()), files)?;
    let entries = match scan.entries(table.key()).await {
        // Delete files of another writer.
        Err(LakeError::Location { .. }) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut groups = groups(entries, column_type, rule);
    groups.sort_by(|a, b| b.files().cmp(&a.files()).then_with(|| a.partition.cmp(&b.partition)));
    Ok(groups)
}

fn groups(
    entries: Vec<ManifestEntryRef>,
    column_type: Option<&PrimitiveType>,
    rule: &CompactionRule,
) -> Vec<CompactionGroup> {
    let mut by_partition: BTreeMap<Option<PartitionKey>, Vec<ManifestEntryRef>> = BTreeMap::new();
    for entry in entries {
        let value = entry.data_file().partition().fields().first().and_then(Option::as_ref);
        let key = match column_type {
            None => None,
            Some(column_type) => match key_of_literal(value, column_type) {
                Some(key) => Some(key),
                // No partition of ours.
                None => continue,
            },
        };
        by_partition.entry(key).or_default().push(entry);
    }
    let mut groups = Vec::new();
    for (partition, all) in by_partition {
        let seen = seen(&all);
        let mut entries = all;
        entries.retain(|entry| entry.file_size_in_bytes() < rule.small_bytes);
        if entries.len() < rule.least_files.max(2) {
            continue;
        }
        entries.sort_by(|a, b| {
            let order = |entry: &ManifestEntryRef| entry.sequence_number().unwrap_or_default();
            order(a).cmp(&order(b)).then_with(|| a.file_path().cmp(b.file_path()))
        });
        groups.push(CompactionGroup {
            partition,
            bytes: entries.iter().map(|entry| entry.file_size_in_bytes()).sum(),
            entries,
            seen,
        });
    }
    groups
}

/// Writes the rows of a group's files into few. Nobody sees them yet. `token` is part of their names. Without an order the rows keep theirs.
///
/// # Errors
/// A file cannot be read or written; the rows that were read are not as many as the manifests say; or the table has no column by which
/// they are to be sorted.
pub async fn compact(
    table: &LakeTable,
    group: &CompactionGroup,
    order: Option<&CompactionOrder>,
    token: &str,
) -> Result<StagedTable, LakeError> {
    let lake = table.lake();
    let schema = Arc::clone(table.metadata().current_schema());
    let written = file_schema(&schema)?;
    let options = StagingOptions::new(token);
    let memory_bytes = options.memory_bytes / 4;
    let column = table.partition_column();
    let base = format!("{}/data", lake.table_location(table.key()));
    let stem = match (&column, &group.partition) {
        (Some(column), Some(key)) => format!("{base}/{}/{token}", partition_folder(column, key)),
        _ => format!("{base}/{token}"),
    };
    let settings = EncoderSettings::new(
        lake.storage().clone(),
        Arc::clone(&written),
        Arc::clone(&schema),
        options.target_file_bytes,
        options.zstd_level,
    )?;
    let mut encoder = Encoder::new(Arc::new(settings), stem);
    let mut rows = match order {
        None => in_their_order(lake, &schema, &written, &group.entries),
        Some(order) => sorted(table, &written, &group.entries, order).await?,
    };
    while let Some(batch) = rows.try_next().await? {
        encoder.push(batch).await?;
        if encoder.held_bytes() > memory_bytes {
            encoder.end_row_group().await?;
        }
    }
    drop(rows);
    let (files, mut records): (Vec<_>, Vec<_>) = encoder.close().await?.into_iter().unzip();
    lake.storage().seal(files).await?;
    let rows: u64 = records.iter().map(|record| record.rows).sum();
    let wanted: u64 = group.entries.iter().map(|entry| entry.record_count()).sum();
    if rows != wanted {
        return Err(LakeError::Internal(format!(
            "{} small files of {} have {wanted} rows by their manifests, and {rows} were read",
            group.files(),
            table.key()
        )));
    }
    if let (Some(key), Some(field)) = (
        &group.partition,
        column.as_ref().and_then(|column| schema.field_by_name(column)),
    ) {
        let value = partition_json(key, &field.field_type)?;
        records
            .iter_mut()
            .for_each(|record| record.partition = Some(value.clone()));
    }
    let json = |error: serde_json::Error| LakeError::Internal(format!("what was compacted has no JSON form: {error}"));
    Ok(StagedTable {
        table: table.key().clone(),
        replace: Replace::Files {
            partition: group.partition.clone(),
            removed: group.entries.iter().map(|entry| entry.file_path().to_owned()).collect(),
            seen: group.seen.clone(),
        },
        rows,
        bytes: records.iter().map(|record| record.bytes).sum(),
        data_files: serde_json::to_value(&records).map_err(json)?,
        schema: serde_json::to_value::<&SchemaRef>(&schema).map_err(json)?,
        partition_column: column,
        partitioned_by: table.rule()?,
        changes: ColumnChanges::default(),
    })
}

/// The rows of files as they come: several are read at once, and given away in their order.
fn in_their_order(
    lake: &Lake,
    schema: &SchemaRef,
    written: &ArrowSchemaRef,
    entries: &[ManifestEntryRef],
) -> BoxStream<'static, Result<RecordBatch, LakeError>> {
    let read: Vec<_> = pieces(entries)
        .into_iter()
        .map(|entries| read_whole(lake.clone(), Arc::clone(schema), Arc::clone(written), entries))
        .collect();
    let at_once = tokio::runtime::Handle::current().metrics().num_workers();
    let read = stream::iter(read)
        .map(tokio::spawn)
        .buffered(at_once.clamp(1, MOST_READ));
    read.map(|piece| match piece {
        Ok(piece) => piece.map(|batches| stream::iter(batches.into_iter().map(Ok))),
        Err(error) => Err(LakeError::Internal(format!("reading small files broke off: {error}"))),
    })
    .try_flatten()
    .boxed()
}

/// The rows of files, sorted.
async fn sorted(
    table: &LakeTable,
    written: &ArrowSchemaRef,
    entries: &[ManifestEntryRef],
    order: &CompactionOrder,
) -> Result<BoxStream<'static, Result<RecordBatch, LakeError>>, LakeError> {
    let schema = table.metadata().current_schema();
    if let Some(unknown) = order.columns.iter().find(|name| schema.field_by_name(name).is_none()) {
        return Err(LakeError::NoSortColumn {
            table: table.key().clone(),
            column: unknown.clone(),
        });
    }
    let scan = ScanFiles::Listed(entries.to_vec());
    let scan = LakeScan::of_all_columns(table.lake().clone(), Arc::clone(schema), scan)?;
    let spill = DiskManagerMode::Directories(vec![order.spill_folder.clone()]);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(order.memory_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(spill))
        .build_arc()
        .map_err(LakeError::engine)?;
    let config = SessionConfig::new().with_target_partitions(1);
    let context = SessionContext::new_with_config_rt(config, runtime);
    let by = order.columns.iter().map(|name| {
        let column = Expr::Column(Column::from_name(name));
        column.sort(true, false)
    });
    let frame = context.read_table(Arc::new(scan)).map_err(LakeError::engine)?;
    let frame = frame.sort(by.collect()).map_err(LakeError::engine)?;
    let rows = frame.execute_stream().await.map_err(LakeError::engine)?;
    let written = Arc::clone(written);
    let rows = rows.map_err(LakeError::engine);
    Ok(rows
        .and_then(move |batch| std::future::ready(conform(&batch, &written)))
        .boxed())
}

/// Files of a few megabytes together, in their order.
fn pieces(entries: &[ManifestEntryRef]) -> Vec<Vec<ManifestEntryRef>> {
    let mut pieces: Vec<Vec<ManifestEntryRef>> = Vec::new();
    let mut bytes = PIECE_BYTES;
    for entry in entries {
        if bytes >= PIECE_BYTES {
            pieces.push(Vec::new());
            bytes = 0;
        }
        bytes += entry.file_size_in_bytes();
        pieces
            .last_mut()
            .expect("the first entry begins a piece")
            .push(Arc::clone(entry));
    }
    pieces
}

/// All rows of some files.
async fn read_whole(
    lake: Lake,
    schema: SchemaRef,
    written: ArrowSchemaRef,
    entries: Vec<ManifestEntryRef>,
) -> Result<Vec<RecordBatch>, LakeError> {
    // One after the other.
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    // A reader of Parquet asks a file for its footer and then for columns, each time by way of another thread: most of what a
    // small file costs.
    let locations: Vec<&str> = entries.iter().map(|entry| entry.file_path()).collect();
    if let Some(files) = lake.storage().read_at_once(&locations).await? {
        let held = InMemory::new();
        for (location, bytes) in locations.iter().zip(files) {
            let path = lake.storage().path_in_store(location)?;
            let kept = held.put(&path, bytes.into()).await;
            kept.map_err(|error| LakeError::engine(DataFusionError::ObjectStore(Box::new(error))))?;
        }
        let url = ObjectStoreUrl::local_filesystem();
        context
            .runtime_env()
            .register_object_store(url.as_ref(), Arc::new(held));
    }
    let scan = LakeScan::of_all_columns(lake, schema, ScanFiles::Listed(entries))?;
    let frame = context.read_table(Arc::new(scan)).map_err(LakeError::engine)?;
    let rows = frame.execute_stream().await.map_err(LakeError::engine)?;
    rows.map_err(LakeError::engine)
        .and_then(|batch| std::future::ready(conform(&batch, &written)))
        .try_collect()
        .await
}

/// One snapshot of all that was compacted, on `base`: written, and visible to nobody until the pointer moves.
///
/// # Errors
/// [`LakeError::MergedMeanwhile`] if a partition has other files by now: plan again.
pub async fn prepare_compaction(
    lake: &Lake,
    table: &AssetKey,
    base: &TablePointer,
    compacted: &[StagedTable],
    now_ms: i64,
    seed: u64,
) -> Result<PreparedCommit, LakeError> {
    let members: Vec<CommitMember> = compacted
        .iter()
        .enumerate()
        .map(|(place, staged)| CommitMember {
            token: format!("compaction-{seed:016x}-{place}"),
            run: String::new(),
            staged: staged.clone(),
        })
        .collect();
    match prepare(lake, table, Some(base), &members, Purpose::Compact, now_ms, seed).await? {
        CommitOutcome::Prepared(prepared) => Ok(prepared),
        CommitOutcome::AlreadyCommitted { .. } => Err(LakeError::Internal(format!(
            "a compaction of {table} has a token that is taken"
        ))),
    }
}
