//! Rows of the oracle as Arrow batches, in a choice of types, and the join's output back as rows.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_empty_array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use datafusion::execution::TaskContext;
use datafusion::prelude::SessionConfig;
use futures::TryStreamExt;

use super::super::{FeatureSource, LabelInput, PointInTimeError, point_in_time_join};
use super::oracle::{Feature, Label, Values};

/// One tick of the oracle's time is a second.
pub(super) const TICK: i64 = 1_000_000;

/// The types in which a side's columns are written.
#[derive(Debug, Clone)]
pub(super) struct Types {
    pub(super) number: DataType,
    pub(super) name: DataType,
    pub(super) time: DataType,
}

impl Types {
    /// 64-bit integers, strings and microseconds.
    pub(super) fn plain() -> Self {
        Self {
            number: DataType::Int64,
            name: DataType::Utf8,
            time: DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }
}

fn column(array: impl Array + 'static, to: &DataType) -> ArrayRef {
    let array: ArrayRef = Arc::new(array);
    cast(&array, to).expect("the tests cast between types that hold their values")
}

fn time(values: impl Iterator<Item = Option<i64>>, to: &DataType) -> ArrayRef {
    column(
        values
            .map(|tick| tick.map(|tick| tick * TICK))
            .collect::<TimestampMicrosecondArray>(),
        to,
    )
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("columns of one length")
}

/// Labels with the columns `row`, `number`, `name`, `at`.
pub(super) fn label_batch(labels: &[Label], types: &Types) -> RecordBatch {
    batch(vec![
        ("row", Arc::new((0..labels.len() as i64).collect::<Int64Array>())),
        (
            "number",
            column(labels.iter().map(|l| l.number).collect::<Int64Array>(), &types.number),
        ),
        (
            "name",
            column(
                labels.iter().map(|l| l.name.clone()).collect::<StringArray>(),
                &types.name,
            ),
        ),
        ("at", time(labels.iter().map(|l| l.time), &types.time)),
    ])
}

/// Features with the columns `number`, `name`, `ts`, `known`, `value`, `text`.
pub(super) fn feature_batch(features: &[Feature], types: &Types) -> RecordBatch {
    batch(vec![
        (
            "number",
            column(features.iter().map(|f| f.number).collect::<Int64Array>(), &types.number),
        ),
        (
            "name",
            column(
                features.iter().map(|f| f.name.clone()).collect::<StringArray>(),
                &types.name,
            ),
        ),
        ("ts", time(features.iter().map(|f| f.time), &types.time)),
        ("known", time(features.iter().map(|f| f.created), &types.time)),
        (
            "value",
            Arc::new(features.iter().map(|f| f.values.0).collect::<Int64Array>()),
        ),
        (
            "text",
            column(
                features.iter().map(|f| f.values.1.clone()).collect::<StringArray>(),
                &types.name,
            ),
        ),
    ])
}

/// Runs the join on two workers; returns all of its output as one batch.
pub(super) fn run(labels: LabelInput, features: Vec<FeatureSource>) -> Result<RecordBatch, PointInTimeError> {
    let config = SessionConfig::new().with_target_partitions(2).with_batch_size(7);
    let context = Arc::new(TaskContext::default().with_session_config(config));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without IO");
    runtime.block_on(async {
        let stream = point_in_time_join(labels, features, context).await?;
        let schema = stream.schema();
        let batches: Vec<RecordBatch> = stream.try_collect().await?;
        Ok(concat_batches(&schema, &batches)?)
    })
}

/// The selected columns `value` and `text` of one source's output, by label row. `None` where both are null.
pub(super) fn values(output: &RecordBatch, value: &str, text: &str) -> Vec<Option<Values>> {
    let value = output
        .column_by_name(value)
        .expect("the source selects it")
        .as_primitive::<Int64Type>()
        .clone();
    let text = cast(
        output.column_by_name(text).expect("the source selects it"),
        &DataType::Utf8,
    )
    .expect("a string");
    let text = text.as_string::<i32>();
    (0..output.num_rows())
        .map(|row| {
            let value = value.is_valid(row).then(|| value.value(row));
            let text = text.is_valid(row).then(|| text.value(row).to_owned());
            (value.is_some() || text.is_some()).then_some((value, text))
        })
        .collect()
}

/// An empty batch of a schema.
pub(super) fn empty(schema: &SchemaRef) -> RecordBatch {
    let columns = schema
        .fields()
        .iter()
        .map(|field| new_empty_array(field.data_type()))
        .collect();
    RecordBatch::try_new(schema.clone(), columns).expect("empty columns fit any schema")
}

/// A schema of nullable columns.
pub(super) fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(
        columns
            .iter()
            .map(|(name, t)| Field::new(*name, t.clone(), true))
            .collect::<Vec<_>>(),
    ))
}
