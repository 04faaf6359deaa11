//! The first half of a partition's step: the kind's rows go to the writer and past the checks.

use std::collections::BTreeMap;

use ahash::HashMap;
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use assets::asset::PartitionedBy;
use assets::check::Check;
use assets::outcome::{Failure, FailureClass, StagedModel, TablePointer};
use assets::{AssetKey, PartitionKey, WriteMode};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};

use super::execute::Shell;
use super::{StepContext, failure, merge};
use crate::checks::Checking;
use crate::kind::{Extras, Product, QUARANTINE_SUFFIX, quarantined_by};
use crate::lakehouse::{
    Merge, RowKey, StagingOptions, StagingPartitions, StagingWriter, check_contract, partition_column,
    row_partition_keys,
};
use crate::step::OrderedPartition;

/// How often a step tells how far it is.
const PROGRESS_EVERY: SignedDuration = SignedDuration::from_millis(300);
/// Part of the step's memory that rows on their way to a file may take.
const WRITER_SHARE: u64 = 4;
/// Part of it that checks may take to remember rows.
const CHECKS_SHARE: u64 = 4;

/// What came out, with files that are not synced yet.
pub(super) enum Computed {
    /// Rows for the asset's table.
    Rows {
        /// The files, and what was found on the way.
        streamed: Streamed,
        /// The files of the quarantine table, if the kind has one.
        quarantine: Option<StagingWriter>,
        /// What else the kind tells.
        extras: Extras,
    },
    /// A model.
    Model(StagedModel, Extras),
    /// Nothing that is stored here.
    Nothing(Extras),
}

/// The rows of a unit on their way to readers.
pub(super) struct Streamed {
    /// The files.
    pub(super) writer: StagingWriter,
    /// The checks of each partition.
    pub(super) checking: Vec<(Option<PartitionKey>, Checking)>,
    /// What they were merged into, if they were.
    pub(super) merges: BTreeMap<Option<PartitionKey>, Merge>,
}

/// Materializes one unit: a partition, or all partitions of a batch together.
pub(super) async fn compute(shell: &Shell, unit: &[OrderedPartition]) -> Result<Computed, Failure> {
    shell.session.show(&shell.order.inputs, unit);
    let context = StepContext::new(shell, unit);
    let cancel = &shell.environment.cancel;
    let output = if shell.kind.stops_itself() {
        shell.kind.materialize(&context).await?
    } else {
        cancel.or(shell.kind.materialize(&context)).await?
    };
    match output.product {
        Product::Model(model) => Ok(Computed::Model(model, output.extras.await?)),
        Product::Nothing => Ok(Computed::Nothing(output.extras.await?)),
        Product::Rows(rows) => {
            let streamed = cancel.or(stream(shell, unit, rows)).await?;
            let mut extras = cancel.or(output.extras).await?;
            let quarantine = match extras.quarantine.take() {
                Some(rows) => cancel.or(quarantine(shell, unit, rows)).await?,
                None => None,
            };
            Ok(Computed::Rows {
                streamed,
                quarantine,
                extras,
            })
        }
    }
}

async fn stream(
    shell: &Shell,
    unit: &[OrderedPartition],
    mut rows: SendableRecordBatchStream,
) -> Result<Streamed, Failure> {
    let schema = rows.schema();
    let asset = &shell.order.asset;
    let table = Table {
        key: &asset.key,
        newest: shell.order.table.as_ref(),
        by: asset.partitions.as_ref(),
    };
    let mut writer = table.writer(shell, unit, &schema).await?;
    if asset.write == WriteMode::Merge {
        return merge::merge(shell, unit, rows, writer).await;
    }
    let mut checks = Router::of(shell, unit, &schema);
    let mut progress = Progress::new(shell, unit);
    while let Some(batch) = rows
        .try_next()
        .await
        .map_err(|error| failure::of_rows(&shell.session, error))?
    {
        checks.observe(&batch)?;
        writer.write(&batch).await.map_err(|error| error.failure())?;
        progress.rows(batch.num_rows());
    }
    Ok(Streamed {
        writer,
        checking: checks.checking,
        merges: BTreeMap::new(),
    })
}

/// Rows that could not be taken. None, and none before: there is no table to make.
async fn quarantine(
    shell: &Shell,
    unit: &[OrderedPartition],
    mut rows: SendableRecordBatchStream,
) -> Result<Option<StagingWriter>, Failure> {
    let asset = &shell.order.asset;
    let key =
        AssetKey::new(asset.key.layer(), &format!("{}{QUARANTINE_SUFFIX}", asset.key.name())).map_err(|error| {
            Failure::new(FailureClass::Declaration, error.to_string()).with_help("give the asset a shorter name")
        })?;
    let by = asset.partitions.as_ref().map(quarantined_by);
    let table = Table {
        key: &key,
        newest: shell.order.quarantine.as_ref(),
        by: by.as_ref(),
    };
    let mut writer = table.writer(shell, unit, &rows.schema()).await?;
    while let Some(batch) = rows
        .try_next()
        .await
        .map_err(|error| failure::of_rows(&shell.session, error))?
    {
        writer.write(&batch).await.map_err(|error| error.failure())?;
    }
    let count = writer.rows();
    if count > 0 {
        shell
            .log_of(unit)
            .warn(format!("{count} rows could not be taken and go to {key}"));
    }
    Ok((count > 0 || shell.order.quarantine.is_some()).then_some(writer))
}

/// A table to write.
struct Table<'a> {
    key: &'a AssetKey,
    newest: Option<&'a TablePointer>,
    by: Option<&'a PartitionedBy>,
}

impl Table<'_> {
    async fn writer(
        &self,
        shell: &Shell,
        unit: &[OrderedPartition],
        schema: &SchemaRef,
    ) -> Result<StagingWriter, Failure> {
        let lake = &shell.environment.lake;
        let existing = match self.newest {
            Some(pointer) => Some(lake.table(self.key, pointer).await.map_err(|error| error.failure())?),
            None => None,
        };
        let partitions = match self.by {
            None => None,
            Some(by) => Some(StagingPartitions {
                column: partition_column(by, schema).map_err(|error| error.failure())?,
                allowed: unit.iter().filter_map(|partition| partition.key.clone()).collect(),
            }),
        };
        let mut options = StagingOptions::new(shell.order.attempt.clone());
        // Bad rows have no key by which they could be merged.
        let is_own = *self.key == shell.order.asset.key;
        options.write = match shell.order.asset.write {
            WriteMode::Merge if !is_own => WriteMode::Append,
            write => write,
        };
        if is_own {
            options.contract = shell.order.asset.contract.clone();
        }
        let share = usize::try_from(shell.order.memory_bytes / WRITER_SHARE).unwrap_or(usize::MAX);
        options.memory_bytes = options.memory_bytes.min(share);
        let writer = StagingWriter::new(lake, self.key, existing.as_ref(), schema, partitions, options)
            .map_err(|error| error.failure())?;
        if is_own {
            let contract = &shell.order.asset.contract;
            check_contract(self.key, contract, existing.as_ref(), writer.table_schema())
                .map_err(|error| error.failure())?;
        }
        Ok(writer)
    }
}

/// Sends each row past the checks of its partition.
pub(super) struct Router {
    pub(super) checking: Vec<(Option<PartitionKey>, Checking)>,
    /// How rows of several partitions are told apart: the column, its partitioning, and the place in `checking` of each key.
    by: Option<(PartitionedBy, HashMap<PartitionKey, usize>)>,
}

impl Router {
    /// For the checks of an order, asked of rows of this schema.
    pub(super) fn of(shell: &Shell, unit: &[OrderedPartition], schema: &SchemaRef) -> Self {
        let order = &shell.order;
        Self::new(
            &shell.checks,
            unit,
            schema,
            order.asset.partitions.as_ref(),
            order.memory_bytes,
        )
    }

    fn new(
        checks: &[Check],
        unit: &[OrderedPartition],
        schema: &SchemaRef,
        by: Option<&PartitionedBy>,
        memory_bytes: u64,
    ) -> Self {
        let share = memory_bytes / CHECKS_SHARE / unit.len().max(1) as u64;
        let checking = unit
            .iter()
            .map(|partition| (partition.key.clone(), Checking::new(checks, schema, share)))
            .collect::<Vec<_>>();
        let several = unit.len() > 1 && !checks.is_empty();
        let by = by.filter(|_| several).map(|by| {
            let places = unit
                .iter()
                .enumerate()
                .filter_map(|(place, partition)| Some((partition.key.clone()?, place)));
            (by.clone(), places.collect())
        });
        Self { checking, by }
    }

    pub(super) fn observe(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let Some((by, places)) = &self.by else {
            if let [(_, only)] = self.checking.as_mut_slice() {
                only.observe(batch);
            }
            return Ok(());
        };
        // Without the column the writer refuses the batch.
        let Some(column) = batch.column_by_name(&by.column) else {
            return Ok(());
        };
        let keys = row_partition_keys(&by.partitioning, column).map_err(|error| error.failure())?;
        let mut rows: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (row, key) in keys.rows.iter().enumerate() {
            // Rows outside the order's partitions fail the step; no check needs to see them.
            if let RowKey::Key(key) = &keys.keys[*key as usize]
                && let Some(place) = places.get(key)
            {
                rows.entry(*place).or_default().push(row as u32);
            }
        }
        for (place, rows) in rows {
            let part = if rows.len() == batch.num_rows() {
                batch.clone()
            } else {
                take_record_batch(batch, &UInt32Array::from(rows))
                    .map_err(|error| Failure::new(FailureClass::Internal, format!("failed to split rows: {error}")))?
            };
            self.checking[place].1.observe(&part);
        }
        Ok(())
    }
}

/// Tells now and then how many rows there are.
pub(super) struct Progress<'a> {
    shell: &'a Shell,
    partition: Option<&'a PartitionKey>,
    rows: u64,
    told: Timestamp,
}

impl<'a> Progress<'a> {
    pub(super) fn new(shell: &'a Shell, unit: &'a [OrderedPartition]) -> Self {
        let partition = unit.first().and_then(|partition| partition.key.as_ref());
        Self {
            shell,
            partition,
            rows: 0,
            told: (shell.environment.clock)(),
        }
    }

    pub(super) fn rows(&mut self, rows: usize) {
        self.rows += rows as u64;
        let now = (self.shell.environment.clock)();
        if now.duration_since(self.told) >= PROGRESS_EVERY {
            self.told = now;
            self.shell.reports.progress(self.partition, self.rows);
        }
    }
}
