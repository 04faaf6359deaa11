//! Writing rows to data files that nobody sees yet.
//!
//! Rows are cast to the table's columns, sent to the file of their partition, and encoded on background threads while the next
//! rows come. Memory is bounded: when all partitions together hold too much, the fullest ones write a row group. `finish`
//! closes the files and syncs files and folders together. What belongs to no partition of the step is counted and refused at
//! the end, with the partitions it would belong to.
//!
//! Publishing is not done here: the result names what it replaces and how it is written, see [`super::prepare_commit`].

mod outside;
mod place;
mod staged;

use std::sync::Arc;

use ahash::HashMap;
use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef as ArrowSchemaRef};
use assets::outcome::{ColumnChanges, Replace, StagedTable};
use assets::{AssetKey, Contract, PartitionKey, WriteMode};
use futures::StreamExt;
use iceberg::spec::{Schema, SchemaRef};

use super::cut::{Cut, check_cut};
use super::data_file::FileRecord;
use super::encode::{Encoder, EncoderSettings};
use super::partition_column::{APPENDED, PartitionColumn, RowKey, row_partition_keys};
use super::schema::{Before, Evolution, conform, file_schema, to_iceberg};
use super::storage::UnsealedFile;
use super::{Lake, LakeError, LakeTable};
use outside::Outside;
use place::path_part;

pub(super) use place::{partition_folder, partition_json};
pub use staged::{discard_staged, staged_locations, staged_provider};
pub(super) use staged::{staged_files, staged_provider_with, staged_schema};

/// Files that are open at the same time: systems bound them per process, and a thousand is usual.
const MOST_OPEN: usize = 256;
/// How many files are closed at the same time.
const CLOSE_TOGETHER: usize = 4;

/// How a step writes.
#[derive(Debug, Clone)]
pub struct StagingOptions {
    /// Whether the rows replace those of their partition (or of the whole table), are added, or are what a merge wrote.
    pub write: WriteMode,
    /// Begins the name of every file; unique to the attempt.
    pub token: String,
    /// A file that reaches this many bytes is closed and another one begun.
    pub target_file_bytes: u64,
    /// Bytes of rows that may wait in memory.
    pub memory_bytes: usize,
    /// zstd level, 1 to 22; 1 to 3 are sensible here.
    pub zstd_level: i32,
    /// Which columns of the table were renamed or dropped.
    pub contract: Contract,
}

impl StagingOptions {
    /// Replacing, files of up to 256 MiB, 128 MiB of memory, zstd level 3.
    pub fn new(token: impl Into<String>) -> Self {
        Self {
            write: WriteMode::Replace,
            token: token.into(),
            target_file_bytes: 256 << 20,
            memory_bytes: 128 << 20,
            zstd_level: 3,
            contract: Contract::default(),
        }
    }
}

/// The partitions that a step may write.
#[derive(Debug, Clone)]
pub struct StagingPartitions {
    /// How rows tell their partition, see [`super::partition_column()`].
    pub column: PartitionColumn,
    /// The partitions of the step.
    pub allowed: Vec<PartitionKey>,
}

/// Writes the rows of one step, or of a batch of steps of one asset, to staged files.
#[derive(Debug)]
pub struct StagingWriter {
    lake: Lake,
    table: AssetKey,
    schema: SchemaRef,
    changes: ColumnChanges,
    /// What files are written with: the rows' columns and [`APPENDED`], with ids.
    file_schema: ArrowSchemaRef,
    partitions: Option<StagingPartitions>,
    options: StagingOptions,
    settings: Arc<EncoderSettings>,
    /// One per allowed partition, in that order; one for an unpartitioned table.
    encoders: Vec<Encoder>,
    by_key: HashMap<PartitionKey, usize>,
    /// The round in which each of them had its last rows, and the round that it is.
    fed: Vec<u64>,
    rounds: u64,
    outside: Outside,
    rows: u64,
}

impl StagingWriter {
    /// Prepares to write rows of `schema` for `table`. Must be used within a tokio runtime.
    ///
    /// `existing` is the table as it is, if it is; without `partitions` the rows are one whole.
    pub fn new(
        lake: &Lake,
        table: &AssetKey,
        existing: Option<&LakeTable>,
        schema: &ArrowSchema,
        partitions: Option<StagingPartitions>,
        options: StagingOptions,
    ) -> Result<Self, LakeError> {
        let appended = partitions
            .as_ref()
            .is_some_and(|partitions| partitions.column.is_appended());
        let mut fields: Vec<Arc<Field>> = schema
            .fields()
            .iter()
            .filter(|field| !appended || field.name() != APPENDED)
            .cloned()
            .collect();
        if appended {
            fields.push(Arc::new(Field::new(APPENDED, arrow::datatypes::DataType::Utf8, true)));
        }
        let rows = ArrowSchema::new(fields);
        let whole = partitions.is_none() && options.write == WriteMode::Replace;
        let evolution = if whole { Evolution::Anything } else { Evolution::Widen };
        let (schema, changes) = match existing {
            Some(existing) => {
                let metadata = existing.metadata();
                let before = Before {
                    schema: metadata.current_schema(),
                    last_id: metadata.last_column_id(),
                    evolution,
                    contract: &options.contract,
                };
                to_iceberg(table, &rows, Some(before))?
            }
            None => to_iceberg(table, &rows, None)?,
        };
        if let Some(existing) = existing.filter(|_| !whole) {
            let wanted = Cut::of(partitions.as_ref().map(|partitions| &partitions.column), &schema);
            let snapshot = existing.snapshot(None)?;
            check_cut(table, existing.metadata(), snapshot.as_ref(), &schema, &wanted)?;
        }
        Self::with_schema(lake, table, schema, changes, &rows, partitions, options)
    }

    /// The same for columns that have their ids already. `rows` are the columns that come.
    pub(super) fn with_schema(
        lake: &Lake,
        table: &AssetKey,
        schema: Schema,
        changes: ColumnChanges,
        rows: &ArrowSchema,
        partitions: Option<StagingPartitions>,
        options: StagingOptions,
    ) -> Result<Self, LakeError> {
        let written = written_schema(&schema, rows)?;
        let base = format!("{}/data", lake.table_location(table));
        let token = path_part(&options.token);
        let settings = Arc::new(EncoderSettings::new(
            lake.storage().clone(),
            Arc::clone(&written),
            Arc::new(schema.clone()),
            options.target_file_bytes,
            options.zstd_level,
        )?);
        let (mut encoders, mut by_key) = (Vec::new(), HashMap::default());
        match &partitions {
            None => encoders.push(Encoder::new(Arc::clone(&settings), format!("{base}/{token}"))),
            Some(partitions) => {
                for key in &partitions.allowed {
                    if by_key.insert(key.clone(), encoders.len()).is_some() {
                        continue;
                    }
                    let folder = partition_folder(&partitions.column.column, key);
                    encoders.push(Encoder::new(Arc::clone(&settings), format!("{base}/{folder}/{token}")));
                }
            }
        }
        Ok(Self {
            lake: lake.clone(),
            table: table.clone(),
            schema: Arc::new(schema),
            changes,
            file_schema: written,
            partitions,
            options,
            settings,
            fed: vec![0; encoders.len()],
            rounds: 0,
            encoders,
            by_key,
            outside: Outside::default(),
            rows: 0,
        })
    }

    /// The columns of the table once the rows are in it.
    pub fn table_schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows taken so far, those outside the allowed partitions not counted.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes rows; columns are found by name.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let Some(partitions) = &self.partitions else {
            self.rows += batch.num_rows() as u64;
            let rows = conform(batch, &self.file_schema)?;
            self.encoders[0].push(rows).await?;
            return self.relieve().await;
        };
        let column = batch
            .column_by_name(&partitions.column.source)
            .ok_or_else(|| LakeError::PartitionSource {
                reason: format!("the rows have no column `{}`", partitions.column.source),
                help: "add it to the SELECT".to_owned(),
            })?;
        let keys = row_partition_keys(&partitions.column.partitioning, column)?;
        let mut rows_of: Vec<Vec<u32>> = vec![Vec::new(); keys.keys.len()];
        for (position, key) in keys.rows.iter().enumerate() {
            rows_of[*key as usize].push(position as u32);
        }
        let batch = match partitions.column.is_appended() {
            true => append_keys(batch, &keys.keys, &keys.rows)?,
            false => batch.clone(),
        };
        for (key, rows) in keys.keys.iter().zip(rows_of) {
            let count = rows.len() as u64;
            let encoder = match key {
                RowKey::Key(key) => match self.by_key.get(key) {
                    Some(encoder) => *encoder,
                    None => {
                        self.outside.add(key.as_str(), count);
                        continue;
                    }
                },
                RowKey::Outside(text) => {
                    self.outside.add(text, count);
                    continue;
                }
                RowKey::Null => {
                    self.outside.rows += count;
                    self.outside.nulls += count;
                    continue;
                }
            };
            let part = if keys.keys.len() == 1 {
                batch.clone()
            } else {
                take_record_batch(&batch, &UInt32Array::from(rows))
                    .map_err(|error| LakeError::Internal(format!("rows could not be split by partition: {error}")))?
            };
            self.rows += count;
            self.fed[encoder] = self.rounds;
            self.encoders[encoder].push(conform(&part, &self.file_schema)?).await?;
        }
        self.relieve().await
    }

    /// Writes row groups of the fullest partitions until what waits fits the memory again, and closes the files of those that had no
    /// rows for longest where too many are open.
    async fn relieve(&mut self) -> Result<(), LakeError> {
        self.rounds += 1;
        let mut held: usize = self.encoders.iter().map(Encoder::held_bytes).sum();
        let mut open = self.encoders.iter().filter(|encoder| encoder.is_open()).count();
        if held > self.options.memory_bytes {
            let mut order: Vec<usize> = (0..self.encoders.len()).collect();
            order.sort_by_key(|index| std::cmp::Reverse(self.encoders[*index].held_bytes()));
            for index in order {
                if held <= self.options.memory_bytes / 2 {
                    break;
                }
                let encoder = &mut self.encoders[index];
                held -= encoder.held_bytes();
                if encoder.is_open() || open < MOST_OPEN {
                    open += usize::from(!encoder.is_open());
                    encoder.end_row_group().await?;
                } else {
                    encoder.end_file().await?;
                }
            }
        }
        if open > MOST_OPEN {
            let mut order: Vec<usize> = (0..self.encoders.len())
                .filter(|index| self.encoders[*index].is_open())
                .collect();
            order.sort_by_key(|index| self.fed[*index]);
            for index in order.into_iter().take(open - MOST_OPEN / 2) {
                self.encoders[index].end_file().await?;
            }
        }
        Ok(())
    }

    /// Closes and syncs all files. One result per allowed partition (also for one without rows: publishing it removes the old
    /// rows), or one without key.
    ///
    /// Rows outside the allowed partitions are an error; no file is left then.
    pub async fn finish(self) -> Result<Vec<(Option<PartitionKey>, StagedTable)>, LakeError> {
        if self.outside.rows > 0 {
            return Err(LakeError::RowsOutside {
                message: self.outside.message(self.partitions.as_ref()),
            });
        }
        let keys: Vec<Option<PartitionKey>> = match &self.partitions {
            None => vec![None],
            Some(_) => {
                let mut keys: Vec<_> = self.by_key.into_iter().collect();
                keys.sort_by_key(|(_, index)| *index);
                keys.into_iter().map(|(key, _)| Some(key)).collect()
            }
        };
        // A few encoders work side by side: all at once would hold the buffers of every column of every partition.
        let mut closing = futures::stream::iter(self.encoders.into_iter().map(Encoder::close)).buffered(CLOSE_TOGETHER);
        let mut unsealed: Vec<UnsealedFile> = Vec::new();
        let mut records: Vec<Vec<FileRecord>> = Vec::new();
        while let Some(closed) = closing.next().await {
            let (files, own): (Vec<_>, Vec<_>) = closed?.into_iter().unzip();
            unsealed.extend(files);
            records.push(own);
        }
        drop(self.settings);
        self.lake.storage().seal(unsealed).await?;

        let schema = serde_json::to_value(self.schema.as_ref())
            .map_err(|error| LakeError::Internal(format!("a schema has no JSON form: {error}")))?;
        let partition_column = self
            .partitions
            .as_ref()
            .map(|partitions| partitions.column.column.clone());
        let cut = Cut::of(
            self.partitions.as_ref().map(|partitions| &partitions.column),
            &self.schema,
        );
        let partitioned_by = cut.rule;
        let column_type = partition_column
            .as_ref()
            .and_then(|name| self.schema.field_by_name(name));
        keys.into_iter()
            .zip(records)
            .map(|(key, mut files)| {
                if let (Some(key), Some(field)) = (&key, column_type) {
                    let value = partition_json(key, &field.field_type)?;
                    files.iter_mut().for_each(|file| file.partition = Some(value.clone()));
                }
                let replace = match (&key, self.options.write) {
                    // Which files a merge replaces, the merge itself says.
                    (_, WriteMode::Append | WriteMode::Merge) => Replace::Nothing,
                    (Some(key), WriteMode::Replace) => Replace::Partition(key.clone()),
                    (None, WriteMode::Replace) => Replace::Whole,
                };
                let staged = StagedTable {
                    table: self.table.clone(),
                    replace,
                    rows: files.iter().map(|file| file.rows).sum(),
                    bytes: files.iter().map(|file| file.bytes).sum(),
                    data_files: serde_json::to_value(&files)
                        .map_err(|error| LakeError::Internal(format!("a data file has no JSON form: {error}")))?,
                    schema: schema.clone(),
                    partition_column: partition_column.clone(),
                    partitioned_by: partitioned_by.clone(),
                    changes: self.changes.clone(),
                };
                Ok((key, staged))
            })
            .collect()
    }
}

/// The columns of `schema` that the rows have, with the rows' order.
fn written_schema(schema: &Schema, rows: &ArrowSchema) -> Result<ArrowSchemaRef, LakeError> {
    let all = file_schema(schema)?;
    let fields: Vec<Arc<Field>> = rows
        .fields()
        .iter()
        .filter_map(|row| all.fields().iter().find(|field| field.name() == row.name()).cloned())
        .collect();
    Ok(Arc::new(ArrowSchema::new(fields)))
}

fn append_keys(batch: &RecordBatch, keys: &[RowKey], rows: &[u32]) -> Result<RecordBatch, LakeError> {
    let texts: Vec<Option<&str>> = keys
        .iter()
        .map(|key| match key {
            RowKey::Key(key) => Some(key.as_str()),
            RowKey::Null | RowKey::Outside(_) => None,
        })
        .collect();
    let column: StringArray = rows.iter().map(|row| texts[*row as usize]).collect();
    let mut fields: Vec<Arc<Field>> = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if field.name() != APPENDED {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    fields.push(Arc::new(Field::new(APPENDED, arrow::datatypes::DataType::Utf8, true)));
    columns.push(Arc::new(column));
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns)
        .map_err(|error| LakeError::Internal(format!("the partition column could not be added: {error}")))
}
