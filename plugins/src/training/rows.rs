//! Reading the columns that training needs, in an order that does not depend on which thread is faster.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use assets::outcome::{Failure, FailureClass};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::execute_stream_partitioned;
use datafusion::prelude::ident;
use futures::TryStreamExt;

use super::TrainingConfig;
use crate::checks::missing_column;
use crate::models::default_features;
use crate::step_run::StepContext;

/// The rows in memory, and what they take of the step's.
pub(super) struct Rows {
    pub(super) batches: Vec<RecordBatch>,
    pub(super) features: Vec<String>,
    pub(super) reservation: MemoryReservation,
}

/// Reads target, features and the column of the split.
pub(super) async fn read(config: &TrainingConfig, context: &StepContext<'_>) -> Result<Rows, Failure> {
    let refuse = |error: DataFusionError| context.read_error(error).failure;
    let frame = context.input_frame(&config.from).await?;
    let features = features(config, frame.schema().as_arrow())?;
    let mut columns: Vec<&String> = features.iter().collect();
    let by = config.split.as_ref().map(|split| &split.by);
    for column in [&config.target].into_iter().chain(by) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let reservation =
        MemoryConsumer::new("training rows").register(&context.session()?.context().runtime_env().memory_pool);
    let frame = frame.select(columns.into_iter().map(ident)).map_err(refuse)?;
    let plan = frame.create_physical_plan().await.map_err(refuse)?;
    let streams = execute_stream_partitioned(plan, context.session()?.context().task_ctx()).map_err(refuse)?;
    let mut batches = Vec::new();
    // One after the other: the order of the rows decides bins and samples.
    for mut stream in streams {
        while let Some(batch) = stream.try_next().await.map_err(refuse)? {
            // The trainer's numbers (8 bytes a value) are beside the batch for as long as it learns.
            let numbers = batch.num_rows() * batch.num_columns() * size_of::<f64>();
            reservation
                .try_grow(batch.get_array_memory_size() + numbers)
                .map_err(refuse)?;
            batches.push(batch);
        }
    }
    Ok(Rows {
        batches,
        features,
        reservation,
    })
}

/// The feature columns, and that every column is there.
fn features(config: &TrainingConfig, schema: &Schema) -> Result<Vec<String>, Failure> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let by = config.split.as_ref().map(|split| &split.by);
    let named = config.features.iter().flatten().map(|column| ("features", column));
    let others = [("target", Some(&config.target)), ("split.by", by)];
    let others = others.into_iter().filter_map(|(key, column)| Some((key, column?)));
    for (key, column) in others.chain(named) {
        if !names.contains(&column.as_str()) {
            let message = format!(
                "`{key}` of the asset: {} in {}",
                missing_column(column, &names),
                config.from
            );
            return Err(Failure::new(FailureClass::Declaration, message));
        }
    }
    if let Some(features) = &config.features {
        return Ok(features.clone());
    }
    let without: Vec<&str> = config
        .label_columns
        .iter()
        .flatten()
        .chain([&config.target])
        .chain(by)
        .chain(&config.partition_column)
        .map(String::as_str)
        .collect();
    Ok(default_features(schema, &without))
}
