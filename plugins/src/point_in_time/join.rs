//! The join itself: checks the columns, indexes the labels, streams each source past them, and puts the rows together.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::runtime::JoinSet;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, future, stream};

use super::entity::common_key_type;
use super::labels::{LabelIndex, LabelKeys};
use super::settle::Settled;
use super::tie::plain_type;
use super::time::{TimeKind, TimeScale};
use super::winners::{SourcePlan, Winners};
use super::{FeatureSource, LabelInput, PointInTimeError, RowInput};

/// Joins every feature source to the labels by the rules of the [module](super).
///
/// The result has the label columns, then the selected columns of each source in the order given (nullable, dictionaries
/// decoded), and one row per label row in label order. Labels and features are read before this returns; the output is
/// put together batch by batch as the stream is polled. Dropping the future stops the reading.
///
/// # Errors
/// When a column is missing, is of an unfit type or has a name that is taken; when an input fails; when labels and
/// winners do not fit in the memory pool of `context`.
pub async fn point_in_time_join(
    labels: LabelInput,
    features: Vec<FeatureSource>,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream, PointInTimeError> {
    let label_schema = labels.input.schema();
    let plans = features
        .iter()
        .map(|source| plan_source(&label_schema, &labels.timestamp, source))
        .collect::<Result<Vec<_>, _>>()?;
    let schema = output_schema(&label_schema, &features, &plans)?;

    let reservation = MemoryConsumer::new("point-in-time join: labels").register(context.memory_pool());
    let batches = collect_in_order(labels.input, &context).await?;
    reservation.try_grow(batches.iter().map(RecordBatch::get_array_memory_size).sum())?;

    let mut indexes: Vec<(LabelKeys, Arc<LabelIndex>)> = Vec::new();
    let mut settled = Vec::with_capacity(features.len());
    for (source, (keys, plan)) in features.into_iter().zip(plans) {
        let index = match indexes.iter().find(|(known, _)| *known == keys) {
            Some((_, index)) => index.clone(),
            None => {
                let index = Arc::new(LabelIndex::build(&batches, &keys)?);
                reservation.try_grow(index.size())?;
                indexes.push((keys, index.clone()));
                index
            }
        };
        let plan = Arc::new(plan);
        let workers = stream_past(source.input, &index, &plan, &context).await?;
        let of_source = Settled::new(index, &plan, workers)?;
        reservation.try_grow(of_source.size())?;
        settled.push(of_source);
    }
    let batch_size = context.session_config().batch_size().max(1);
    Ok(output(schema, batches, settled, batch_size, reservation))
}

/// Finds the columns of a source and of the labels that it is joined on, and how they compare.
fn plan_source(
    labels: &SchemaRef,
    label_timestamp: &str,
    source: &FeatureSource,
) -> Result<(LabelKeys, SourcePlan), PointInTimeError> {
    let schema = source.input.schema();
    let side = format!("features {}", source.name);
    let (label_position, label_field) = find(labels, "the labels", label_timestamp)?;
    let label_kind = time_kind(label_field, "the labels")?;
    let mut time_types = vec![label_field.data_type()];
    let mut time_column = |name: &String| -> Result<(usize, String), PointInTimeError> {
        let (position, field) = find(&schema, &side, name)?;
        let kind = time_kind(field, &side)?;
        if kind != label_kind {
            return Err(PointInTimeError::UnlikeTimes {
                label_column: label_timestamp.to_owned(),
                label_kind: label_kind.describe(),
                source_name: source.name.clone(),
                feature_column: name.clone(),
                feature_kind: kind.describe(),
            });
        }
        time_types.push(field.data_type());
        Ok((position, name.clone()))
    };
    let timestamp = time_column(&source.timestamp)?;
    let created = source.created.as_ref().map(&mut time_column).transpose()?;
    let scale = TimeScale::of(time_types);

    let mut label_entity = Vec::with_capacity(source.entity.len());
    let mut entity = Vec::with_capacity(source.entity.len());
    for (label_column, feature_column) in &source.entity {
        let (in_labels, label_field) = find(labels, "the labels", label_column)?;
        let (in_features, feature_field) = find(&schema, &side, feature_column)?;
        let common = common_key_type(label_field.data_type(), feature_field.data_type()).ok_or_else(|| {
            PointInTimeError::UnlikeEntities {
                label_column: label_column.clone(),
                label_type: label_field.data_type().clone(),
                source_name: source.name.clone(),
                feature_column: feature_column.clone(),
                feature_type: feature_field.data_type().clone(),
            }
        })?;
        label_entity.push((in_labels, common));
        entity.push(in_features);
    }

    let mut columns = Vec::with_capacity(source.columns.len());
    let mut fields: Vec<FieldRef> = Vec::with_capacity(source.columns.len());
    for column in &source.columns {
        let (position, field) = find(&schema, &side, &column.source)?;
        let data_type = plain_type(field.data_type());
        if !RowConverter::supports_fields(&[SortField::new(data_type.clone())]) {
            return Err(PointInTimeError::Unordered {
                source_name: source.name.clone(),
                column: column.source.clone(),
                data_type,
            });
        }
        columns.push(position);
        let field = Field::new(&column.output, data_type, true).with_metadata(field.metadata().clone());
        fields.push(Arc::new(field));
    }
    let keys = LabelKeys {
        entity: label_entity,
        timestamp: (label_position, label_timestamp.to_owned()),
        scale,
    };
    let ttl = source.ttl.map(|ttl| scale.time_to_live(ttl));
    let schema = Arc::new(Schema::new(fields));
    Ok((
        keys,
        SourcePlan {
            side,
            entity,
            timestamp,
            created,
            columns,
            schema,
            scale,
            ttl,
        },
    ))
}

fn find<'a>(schema: &'a SchemaRef, side: &str, name: &str) -> Result<(usize, &'a FieldRef), PointInTimeError> {
    schema
        .fields()
        .find(name)
        .ok_or_else(|| PointInTimeError::MissingColumn {
            side: side.to_owned(),
            column: name.to_owned(),
            available: schema.fields().iter().map(|field| field.name().clone()).collect(),
        })
}

fn time_kind(field: &Field, side: &str) -> Result<TimeKind, PointInTimeError> {
    TimeKind::of(field.data_type()).ok_or_else(|| PointInTimeError::NotATime {
        side: side.to_owned(),
        column: field.name().clone(),
        data_type: field.data_type().clone(),
    })
}

/// The label columns, then those of each source; every name once.
fn output_schema(
    labels: &SchemaRef,
    features: &[FeatureSource],
    plans: &[(LabelKeys, SourcePlan)],
) -> Result<SchemaRef, PointInTimeError> {
    let mut fields: Vec<FieldRef> = labels.fields().iter().cloned().collect();
    let mut owners: Vec<String> = vec!["the labels".to_owned(); fields.len()];
    for (source, (_, plan)) in features.iter().zip(plans) {
        for field in plan.schema.fields() {
            if let Some(taken) = fields.iter().position(|other| other.name() == field.name()) {
                return Err(PointInTimeError::NameTaken {
                    column: field.name().clone(),
                    source_name: source.name.clone(),
                    taken_by: owners[taken].clone(),
                });
            }
            fields.push(field.clone());
            owners.push(plan.side.clone());
        }
    }
    Ok(Arc::new(Schema::new_with_metadata(fields, labels.metadata().clone())))
}

/// All label batches: partitions are read at once, and put one after the other.
async fn collect_in_order(input: RowInput, context: &Arc<TaskContext>) -> Result<Vec<RecordBatch>, PointInTimeError> {
    let mut tasks = JoinSet::new();
    for (partition, stream) in input.start(context.clone())?.into_iter().enumerate() {
        tasks.spawn(async move { (partition, stream.try_collect::<Vec<_>>().await) });
    }
    let mut partitions = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let (partition, batches) = ended.map_err(task_failed)?;
        partitions.push((partition, batches?));
    }
    partitions.sort_unstable_by_key(|(partition, _)| *partition);
    Ok(partitions
        .into_iter()
        .flat_map(|(_, batches)| batches)
        .filter(|batch| batch.num_rows() > 0)
        .collect())
}

/// Streams all partitions of a source past the labels, with one worker per target partition of the session.
async fn stream_past(
    input: RowInput,
    index: &Arc<LabelIndex>,
    plan: &Arc<SourcePlan>,
    context: &Arc<TaskContext>,
) -> Result<Vec<Winners>, PointInTimeError> {
    let streams = input.start(context.clone())?;
    let count = context
        .session_config()
        .target_partitions()
        .clamp(1, streams.len().max(1));
    let mut shares: Vec<Vec<SendableRecordBatchStream>> = (0..count).map(|_| Vec::new()).collect();
    for (partition, stream) in streams.into_iter().enumerate() {
        shares[partition % count].push(stream);
    }
    let mut tasks: JoinSet<Result<Winners, PointInTimeError>> = JoinSet::new();
    for share in shares {
        let mut winners = Winners::new(index.clone(), plan.clone());
        let reservation =
            MemoryConsumer::new(format!("point-in-time join: {}", plan.side)).register(context.memory_pool());
        tasks.spawn(async move {
            // All streams of a share are polled: a repartitioned plan stalls when one of its outputs is not read.
            let mut batches = stream::select_all(share);
            while let Some(batch) = batches.next().await {
                winners.offer(&batch?)?;
                reservation.try_resize(winners.size())?;
            }
            Ok(winners)
        });
    }
    let mut workers = Vec::with_capacity(count);
    while let Some(ended) = tasks.join_next().await {
        workers.push(ended.map_err(task_failed)??);
    }
    Ok(workers)
}

/// A worker that panicked carries its panic on; one that was stopped is an error.
fn task_failed(error: tokio::task::JoinError) -> PointInTimeError {
    if error.is_panic() {
        std::panic::resume_unwind(error.into_panic());
    }
    PointInTimeError::Input(DataFusionError::ExecutionJoin(Box::new(error)))
}

/// Label batches, cut to the session's batch size, each with the winners of its rows.
fn output(
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    settled: Vec<Settled>,
    batch_size: usize,
    reservation: MemoryReservation,
) -> SendableRecordBatchStream {
    let mut cuts = Vec::new();
    let mut first = 0;
    for batch in batches {
        for offset in (0..batch.num_rows()).step_by(batch_size) {
            let rows = batch_size.min(batch.num_rows() - offset);
            cuts.push((first + offset, batch.slice(offset, rows)));
        }
        first += batch.num_rows();
    }
    let of_rows = schema.clone();
    let rows = stream::iter(cuts).then(move |(first, labels)| {
        // The reservation lives as long as what it accounts for.
        debug_assert!(reservation.size() > 0 || labels.num_columns() == 0);
        future::ready(put_together(&of_rows, first, &labels, &settled).map_err(DataFusionError::from))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

fn put_together(
    schema: &SchemaRef,
    first: usize,
    labels: &RecordBatch,
    settled: &[Settled],
) -> Result<RecordBatch, PointInTimeError> {
    let mut columns: Vec<ArrayRef> = labels.columns().to_vec();
    for source in settled {
        columns.extend(source.columns(first, labels.num_rows())?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(labels.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
