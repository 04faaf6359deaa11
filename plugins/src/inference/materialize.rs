//! The rows of one step of an `inference` asset.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use assets::outcome::{Failure, FailureClass};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::ident;
use futures::TryStreamExt;
use serde_json::json;

use super::{InferenceConfig, MODEL_VERSION, PREDICTION};
use crate::checks::missing_column;
use crate::kind::{Extras, Output, Product};
use crate::models::Artifact;
use crate::step_run::StepContext;

pub(super) async fn materialize(context: &StepContext<'_>) -> Result<Output, Failure> {
    let config: InferenceConfig = context.config()?;
    let refuse = |error: DataFusionError| context.read_error(error).failure;
    let ordered = context.model(&config.model)?;
    let version = i64::try_from(ordered.version).map_err(|_| {
        let message = format!(
            "{} is at version {}, more than a table can hold",
            config.model, ordered.version
        );
        Failure::new(FailureClass::Internal, message)
    })?;
    let artifact = load(PathBuf::from(&ordered.artifact)).await?;
    let frame = context.input_frame(&config.from).await?;
    let keep = judge(&config, version, &artifact, frame.schema().as_arrow())?;

    let mut columns = keep.clone();
    for feature in &artifact.features {
        if !columns.contains(&feature.name) {
            columns.push(feature.name.clone());
        }
    }
    let frame = frame.select(columns.iter().map(ident)).map_err(refuse)?;
    let plan = frame.create_physical_plan().await.map_err(refuse)?;
    let rows = execute_stream(plan, context.session()?.context().task_ctx()).map_err(refuse)?;
    let kept = keep.len();
    let read = rows.schema();
    let own = [
        Field::new(PREDICTION, DataType::Float64, false),
        Field::new(MODEL_VERSION, DataType::Int64, false),
    ];
    let fields: Vec<FieldRef> = read.fields()[..kept].iter().cloned().chain(own.map(Arc::new)).collect();
    let schema = Arc::new(Schema::new(fields));
    let with = Arc::clone(&schema);
    let scored = rows.and_then(move |batch| {
        futures::future::ready(score(&artifact, version, &batch, kept, &with).map_err(DataFusionError::from))
    });
    let product = Product::Rows(Box::pin(RecordBatchStreamAdapter::new(schema, scored)));
    let metadata = [(MODEL_VERSION.to_owned(), json!(version))].into_iter().collect();
    let extras = Extras {
        metadata,
        ..Extras::default()
    };
    Ok(Output::new(product, extras))
}

async fn load(path: PathBuf) -> Result<Artifact, Failure> {
    match tokio::task::spawn_blocking(move || Artifact::load(&path)).await {
        Ok(loaded) => loaded.map_err(|error| error.failure()),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => {
            let message = format!("failed to wait for the model artifact: {error}");
            Err(Failure::new(FailureClass::Internal, message))
        }
    }
}

/// Every column that the model and the declaration need is there. Gives the columns to keep.
fn judge(config: &InferenceConfig, version: i64, artifact: &Artifact, schema: &Schema) -> Result<Vec<String>, Failure> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let refuse = |message: String| Failure::new(FailureClass::Declaration, message);
    let is_feature = |name: &str| artifact.features.iter().any(|feature| feature.name == name);
    for feature in &artifact.features {
        if !names.contains(&feature.name.as_str()) {
            let what = missing_column(&feature.name, &names);
            let message = format!(
                "{} version {version} predicts from `{}`: {what} in {}",
                config.model, feature.name, config.from
            );
            return Err(refuse(message).with_help(format!(
                "give {} the features that the model was trained on, or train it again on these",
                config.from
            )));
        }
    }
    let keep = match &config.keep {
        Some(keep) => keep.clone(),
        None => {
            let partition = config.partition_column.as_deref();
            let keeps = |name: &&str| !is_feature(name) || partition == Some(*name);
            let mut keep: Vec<String> = names.iter().copied().filter(keeps).map(str::to_owned).collect();
            keep.extend(partition.filter(|column| !names.contains(column)).map(str::to_owned));
            keep
        }
    };
    for column in &keep {
        if !names.contains(&column.as_str()) {
            let key = if config.partition_column.as_ref() == Some(column) {
                "partitions"
            } else {
                "keep"
            };
            let what = missing_column(column, &names);
            return Err(refuse(format!("`{key}` of the asset: {what} in {}", config.from)));
        }
        if [PREDICTION, MODEL_VERSION].contains(&column.as_str()) {
            let message = format!("{} has a column `{column}`, which inference adds itself", config.from);
            return Err(refuse(message).with_help("say which columns to `keep`"));
        }
    }
    Ok(keep)
}

/// The first `kept` columns of the batch, the predictions, and the version.
fn score(
    artifact: &Artifact,
    version: i64,
    batch: &RecordBatch,
    kept: usize,
    schema: &SchemaRef,
) -> Result<RecordBatch, DataFusionError> {
    let predictions = artifact
        .predict(batch)
        .map_err(|error| DataFusionError::External(Box::new(error.failure())))?;
    let versions = Int64Array::from_value(version, batch.num_rows());
    let own: [ArrayRef; 2] = [Arc::new(predictions), Arc::new(versions)];
    let columns = batch.columns()[..kept].iter().cloned().chain(own).collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
