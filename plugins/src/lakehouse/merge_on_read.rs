//! Reading a snapshot that has delete files: the Iceberg library plans and applies them, slower than the plain path but right.
//!
//! We never write delete files; other engines do.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef as ArrowSchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt, TryStreamExt, stream};
use iceberg::scan::FileScanTask;
use iceberg::spec::{ManifestEntryRef, SnapshotRef};
use iceberg::table::Table;
use iceberg::{Runtime, TableIdent};

use super::LakeError;
use super::lake::schema_of;
use super::table::LakeTable;

/// Plans the chosen files with their deletes, spread over at most `partitions` streams.
pub(crate) async fn scan(
    table: &LakeTable,
    snapshot: &SnapshotRef,
    entries: &[ManifestEntryRef],
    output: ArrowSchemaRef,
    ids: &[i32],
    partitions: usize,
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let refuse = |error| LakeError::iceberg("plan the scan of", table.key(), error);
    let schema = schema_of(table.metadata(), Some(snapshot))?;
    let iceberg_table = open(table).map_err(refuse)?;
    let scan = iceberg_table
        .scan()
        .snapshot_id(snapshot.snapshot_id())
        .select_all()
        .build()
        .map_err(refuse)?;
    let chosen: HashSet<&str> = entries.iter().map(|entry| entry.file_path()).collect();
    let tasks: Vec<FileScanTask> = scan
        .plan_files()
        .await
        .map_err(refuse)?
        .try_collect()
        .await
        .map_err(refuse)?;

    let mut projected: Vec<i32> = ids
        .iter()
        .copied()
        .filter(|id| schema.as_struct().field_by_id(*id).is_some())
        .collect();
    if projected.is_empty() {
        // Without a column the reader would decode all of them.
        projected.extend(schema.as_struct().fields().first().map(|field| field.id));
    }
    let pick: Vec<Option<usize>> = ids
        .iter()
        .map(|id| projected.iter().position(|known| known == id))
        .collect();
    let mut groups: Vec<(u64, Vec<FileScanTask>)> = vec![(0, Vec::new()); partitions.clamp(1, entries.len().max(1))];
    for mut task in tasks.into_iter().filter(|task| chosen.contains(task.data_file_path())) {
        task.project_field_ids.clone_from(&projected);
        let lightest = groups
            .iter_mut()
            .min_by_key(|(bytes, _)| *bytes)
            .expect("there is at least one group");
        lightest.0 += task.length;
        lightest.1.push(task);
    }
    let streams = groups
        .into_iter()
        .map(|(_, tasks)| {
            Arc::new(TaskStream {
                table: iceberg_table.clone(),
                key: table.key().to_string(),
                tasks,
                schema: Arc::clone(&output),
                pick: pick.clone(),
            }) as Arc<dyn PartitionStream>
        })
        .collect();
    Ok(Arc::new(StreamingTableExec::try_new(
        output,
        streams,
        None,
        vec![],
        false,
        limit,
    )?))
}

fn open(table: &LakeTable) -> iceberg::Result<Table> {
    Table::builder()
        .file_io(table.lake().io().clone())
        .identifier(TableIdent::from_strs([table.key().layer(), table.key().name()])?)
        .metadata_location(table.pointer().metadata_location.clone())
        .metadata(Arc::clone(table.metadata()))
        .runtime(Runtime::try_current()?)
        .readonly(true)
        .build()
}

#[derive(Debug)]
struct TaskStream {
    table: Table,
    key: String,
    tasks: Vec<FileScanTask>,
    schema: ArrowSchemaRef,
    /// For each output column its place in what the reader yields; `None` for a column newer than the snapshot.
    pick: Vec<Option<usize>>,
}

impl PartitionStream for TaskStream {
    fn schema(&self) -> &ArrowSchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let tasks = stream::iter(self.tasks.clone().into_iter().map(Ok)).boxed();
        let reader = self
            .table
            .reader_builder()
            .with_data_file_concurrency_limit(1)
            .with_batch_size(8192)
            .build();
        let batches = match reader.read(tasks) {
            Ok(result) => result.stream(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        };
        let (schema, pick, key) = (Arc::clone(&self.schema), self.pick.clone(), self.key.clone());
        let output = Arc::clone(&schema);
        let adapted = batches.map(move |batch| {
            let batch = batch.map_err(|error| DataFusionError::from(LakeError::iceberg("read", &key, error)))?;
            let columns = pick
                .iter()
                .zip(output.fields())
                .map(|(place, field)| match place {
                    Some(place) => Ok(cast(batch.column(*place), field.data_type())?),
                    None => Ok(new_null_array(field.data_type(), batch.num_rows())),
                })
                .collect::<Result<Vec<ArrayRef>>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            Ok(RecordBatch::try_new_with_options(
                Arc::clone(&output),
                columns,
                &options,
            )?)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, adapted))
    }
}
