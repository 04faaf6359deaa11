//! The rows of a table, cut into other partitions: what a changed `partitions` of an asset asks for.
//!
//! ```text
//! plan_repartition ─► repartition ─► a staged table ─► prepare_repartition ─► new TablePointer ─(the owner moves it)
//! ```
//! All rows are written anew and the table gets another Iceberg partition spec, in one snapshot with the same rows; older snapshots stay as
//! they were cut. It counts only where the table has the very files that were read. Every row has to belong to a partition of the new
//! set: one that did not could never be replaced by a step. Row-level deletes of other writers are refused, not applied.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use assets::outcome::{ColumnChanges, Replace, StagedTable, TablePointer};
use assets::{AssetKey, Contract, Fingerprint, PartitionKey, PartitionedBy};
use datafusion::common::Column;
use datafusion::prelude::{Expr, SessionConfig, SessionContext};
use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{ManifestEntryRef, Schema, SnapshotRef};
use serde_json::Value;

use super::commit::{CommitMember, CommitOutcome, PreparedCommit, Purpose, prepare};
use super::cut::Cut;
use super::merge::{RowStream, seen};
use super::partition_column::{APPENDED, PartitionColumn, RowKey, partition_column, row_partition_keys};
use super::scan::{LakeScan, ScanFiles};
use super::schema::{Before, Evolution, to_iceberg};
use super::staging::{StagingOptions, StagingPartitions, StagingWriter};
use super::{Lake, LakeError, LakeTable};
use crate::step::Scope;

/// What has to be written to cut a table in another way.
pub struct Repartition {
    /// By what it is cut, in words.
    pub was: String,
    /// By what it is to be.
    pub is: String,
    /// Rows that are written anew.
    pub rows: u64,
    /// Bytes of the files that hold them.
    pub bytes: u64,
    entries: Vec<ManifestEntryRef>,
    /// All files of the table, as a fingerprint.
    seen: Fingerprint,
    wanted: Wanted,
}

impl Repartition {
    /// How many files hold the rows now.
    pub fn files(&self) -> usize {
        self.entries.len()
    }
}

/// A table that is cut in another way than its asset says, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherCut {
    /// By what it is cut.
    pub was: String,
    /// By what it is to be.
    pub is: String,
}

/// How the rows of a table lie once they are cut as an asset says.
struct Wanted {
    column: Option<PartitionColumn>,
    /// The columns of the rows, with the one that the writer appends.
    rows_schema: ArrowSchema,
    /// The columns of the table.
    schema: Schema,
}

impl Wanted {
    fn of(table: &LakeTable, rows_schema: &ArrowSchema, by: Option<&PartitionedBy>) -> Result<Self, LakeError> {
        let metadata = table.metadata();
        let column = by.map(|by| partition_column(by, rows_schema)).transpose()?;
        let mut fields: Vec<Arc<Field>> = rows_schema.fields().iter().cloned().collect();
        if column.as_ref().is_some_and(PartitionColumn::is_appended) {
            fields.push(Arc::new(Field::new(APPENDED, DataType::Utf8, true)));
        }
        let rows_schema = ArrowSchema::new(fields);
        let before = Before {
            schema: metadata.current_schema(),
            last_id: metadata.last_column_id(),
            evolution: Evolution::Anything,
            contract: &Contract::default(),
        };
        let (schema, _) = to_iceberg(table.key(), &rows_schema, Some(before))?;
        Ok(Self {
            column,
            rows_schema,
            schema,
        })
    }

    fn cut(&self) -> Cut {
        Cut::of(self.column.as_ref(), &self.schema)
    }

    /// How a snapshot differs from it, if it does.
    async fn differs(&self, table: &LakeTable, snapshot: &SnapshotRef) -> Result<Option<OtherCut>, LakeError> {
        let metadata = table.metadata();
        let current = metadata.current_schema();
        let (was, wanted) = (Cut::of_table(metadata, Some(snapshot), current), self.cut());
        let list = table.lake().manifest_list(snapshot, metadata.format_version()).await?;
        let otherwise = list.entries().iter().any(|file| {
            let alive = file.has_added_files() || file.has_existing_files();
            alive && file.partition_spec_id != metadata.default_partition_spec_id()
        });
        let same = !otherwise && was.as_ref().is_some_and(|was| was.fits(&wanted));
        Ok((!same).then(|| OtherCut {
            was: was.map_or_else(|| "another rule".to_owned(), |was| was.in_words(current)),
            is: wanted.in_words(&self.schema),
        }))
    }

    /// Files of these rows that are to take the place of what a replacement names; how much they hold is the caller's to say.
    fn staged(&self, table: &AssetKey, replace: Replace, files: Vec<Value>) -> Result<StagedTable, LakeError> {
        let schema = serde_json::to_value(&self.schema)
            .map_err(|error| LakeError::Internal(format!("a schema has no JSON form: {error}")))?;
        let cut = self.cut();
        Ok(StagedTable {
            table: table.clone(),
            replace,
            rows: 0,
            bytes: 0,
            data_files: Value::Array(files),
            schema,
            partition_column: cut.column,
            partitioned_by: cut.rule,
            changes: ColumnChanges::default(),
        })
    }
}

/// Looks whether a table is cut as an asset says, by its metadata alone; `None` if it is, or if it has no rows yet.
///
/// # Errors
/// The rows have no column that tells their partition, or the list of manifests cannot be read.
pub async fn cut_otherwise(table: &LakeTable, by: Option<&PartitionedBy>) -> Result<Option<OtherCut>, LakeError> {
    let Some(snapshot) = table.snapshot(None)? else {
        return Ok(None);
    };
    Wanted::of(table, table.file_schema()?.as_ref(), by)?
        .differs(table, &snapshot)
        .await
}

/// What has to be written to cut a table as an asset says; `None` if it is, or if it has no rows yet. Changes nothing.
///
/// # Errors
/// The rows have no column that tells their partition, a manifest cannot be read, or another program deleted rows without writing their
/// files anew.
pub async fn plan_repartition(table: &LakeTable, by: Option<&PartitionedBy>) -> Result<Option<Repartition>, LakeError> {
    let Some(snapshot) = table.snapshot(None)? else {
        return Ok(None);
    };
    let current = table.metadata().current_schema();
    let wanted = Wanted::of(table, table.file_schema()?.as_ref(), by)?;
    let Some(OtherCut { was, is }) = wanted.differs(table, &snapshot).await? else {
        return Ok(None);
    };
    let files = ScanFiles::Snapshot {
        table: table.clone(),
        snapshot: Some(snapshot),
        scope: Scope::All,
    };
    let scan = LakeScan::new(table.lake().clone(), Arc::clone(current), files)?;
    let mut entries = scan.entries(table.key()).await?;
    let seen = seen(&entries);
    // In the order of their partitions, so that few of the new ones are written to at a time.
    entries.sort_by(|a, b| a.file_path().cmp(b.file_path()));
    Ok(Some(Repartition {
        was,
        is,
        rows: entries.iter().map(|entry| entry.record_count()).sum(),
        bytes: entries.iter().map(|entry| entry.file_size_in_bytes()).sum(),
        entries,
        seen,
        wanted,
    }))
}

/// Writes all rows anew. Nobody sees them yet. `token` is part of the names of the files.
///
/// # Errors
/// A file cannot be read or written; a row belongs to no partition; or there are not as many rows as the manifests say.
pub async fn repartition(table: &LakeTable, plan: &Repartition, token: &str) -> Result<StagedTable, LakeError> {
    let partitions = match &plan.wanted.column {
        None => None,
        Some(column) => Some(StagingPartitions {
            column: column.clone(),
            allowed: keys(table, plan, column).await?.into_iter().collect(),
        }),
    };
    let mut writer = StagingWriter::with_schema(
        table.lake(),
        table.key(),
        plan.wanted.schema.clone(),
        ColumnChanges::default(),
        &plan.wanted.rows_schema,
        partitions,
        StagingOptions::new(token),
    )?;
    let mut rows = rows_of(table, plan);
    while let Some(batch) = rows.try_next().await? {
        writer.write(&batch).await?;
    }
    drop(rows);
    let (mut rows, mut bytes, mut files) = (0, 0, Vec::new());
    for (_, part) in writer.finish().await? {
        rows += part.rows;
        bytes += part.bytes;
        if let Value::Array(more) = part.data_files {
            files.extend(more);
        }
    }
    if rows != plan.rows {
        return Err(LakeError::Internal(format!(
            "{} has {} rows by its manifests, and {} were read",
            table.key(),
            plan.rows,
            rows
        )));
    }
    // All files go, whichever they are: the fingerprint says that they are those which were read.
    let replace = Replace::Files {
        partition: None,
        removed: Vec::new(),
        seen: plan.seen.clone(),
    };
    Ok(StagedTable {
        rows,
        bytes,
        ..plan.wanted.staged(table.key(), replace, files)?
    })
}

/// The partitions that have rows: their one column is read for it. Rows that belong to none are met again when all is read, and told then.
async fn keys(
    table: &LakeTable,
    plan: &Repartition,
    column: &PartitionColumn,
) -> Result<BTreeSet<PartitionKey>, LakeError> {
    let mut found = BTreeSet::new();
    let scan = LakeScan::of_all_columns(
        table.lake().clone(),
        Arc::clone(table.metadata().current_schema()),
        ScanFiles::Listed(plan.entries.clone()),
    )?;
    let context = SessionContext::new();
    let frame = context.read_table(Arc::new(scan)).map_err(LakeError::engine)?;
    let source = Expr::Column(Column::from_name(&column.source));
    let frame = frame.select(vec![source]).map_err(LakeError::engine)?;
    let mut rows = frame.execute_stream().await.map_err(LakeError::engine)?;
    while let Some(batch) = rows.try_next().await.map_err(LakeError::engine)? {
        let keys = row_partition_keys(&column.partitioning, batch.column(0))?.keys;
        found.extend(keys.into_iter().filter_map(|key| match key {
            RowKey::Key(key) => Some(key),
            RowKey::Null | RowKey::Outside(_) => None,
        }));
    }
    Ok(found)
}

/// All rows of the files, one file after the other.
fn rows_of(table: &LakeTable, plan: &Repartition) -> RowStream<'static> {
    let (lake, schema) = (table.lake().clone(), Arc::clone(table.metadata().current_schema()));
    let read = move |entry: ManifestEntryRef| {
        let (lake, schema) = (lake.clone(), Arc::clone(&schema));
        async move {
            let scan = LakeScan::of_all_columns(lake, schema, ScanFiles::Listed(vec![entry]))?;
            // One after the other.
            let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
            let frame = context.read_table(Arc::new(scan)).map_err(LakeError::engine)?;
            let rows = frame.execute_stream().await.map_err(LakeError::engine)?;
            Ok::<_, LakeError>(rows.map_err(LakeError::engine))
        }
    };
    stream::iter(plan.entries.clone()).then(read).try_flatten().boxed()
}

/// One snapshot of the rows as they are cut now, on `base`: written, and visible to nobody until the pointer moves.
///
/// # Errors
/// [`LakeError::MergedMeanwhile`] if the table has other files by now: plan again.
pub async fn prepare_repartition(
    lake: &Lake,
    table: &AssetKey,
    base: &TablePointer,
    staged: &StagedTable,
    now_ms: i64,
    seed: u64,
) -> Result<PreparedCommit, LakeError> {
    let member = CommitMember {
        token: format!("repartition-{seed:016x}"),
        run: String::new(),
        staged: staged.clone(),
    };
    match prepare(lake, table, Some(base), &[member], Purpose::Repartition, now_ms, seed).await? {
        CommitOutcome::Prepared(prepared) => Ok(prepared),
        CommitOutcome::AlreadyCommitted { .. } => Err(LakeError::Internal(format!(
            "a repartition of {table} has a token that is taken"
        ))),
    }
}

/// A snapshot of a table without rows, cut as an asset says: of rows that belong to partitions which are none any more. `None` if it has
/// none, and is cut so.
///
/// A column that is to tell the partition and that the table does not have is added as one of texts.
pub async fn prepare_emptied(
    lake: &Lake,
    table: &AssetKey,
    base: &TablePointer,
    by: Option<&PartitionedBy>,
    now_ms: i64,
    seed: u64,
) -> Result<Option<PreparedCommit>, LakeError> {
    let opened = lake.table(table, base).await?;
    let Some(snapshot) = opened.snapshot(None)? else {
        return Ok(None);
    };
    let rows_schema = opened.file_schema()?;
    let mut fields: Vec<Arc<Field>> = rows_schema.fields().iter().cloned().collect();
    if let Some(by) = by
        && rows_schema.column_with_name(&by.column).is_none()
    {
        fields.push(Arc::new(Field::new(&by.column, DataType::Utf8, true)));
    }
    let wanted = Wanted::of(&opened, &ArrowSchema::new(fields), by)?;
    let list = lake
        .manifest_list(&snapshot, opened.metadata().format_version())
        .await?;
    let is_empty = !list
        .entries()
        .iter()
        .any(|file| file.has_added_files() || file.has_existing_files());
    if is_empty && wanted.differs(&opened, &snapshot).await?.is_none() {
        return Ok(None);
    }
    let member = CommitMember {
        token: format!("emptied-{seed:016x}"),
        run: String::new(),
        staged: wanted.staged(table, Replace::Whole, Vec::new())?,
    };
    match prepare(lake, table, Some(base), &[member], Purpose::Publish, now_ms, seed).await? {
        CommitOutcome::Prepared(prepared) => Ok(Some(prepared)),
        CommitOutcome::AlreadyCommitted { .. } => Err(LakeError::Internal(format!(
            "{table} was emptied by a token that is taken"
        ))),
    }
}
