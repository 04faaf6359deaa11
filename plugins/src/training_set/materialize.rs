//! The rows of one step of a `training_set` asset.

use std::sync::Arc;

use assets::AssetKey;
use assets::outcome::{Failure, FailureClass};
use datafusion::dataframe::DataFrame;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::ident;

use super::{JoinedBy, TrainingSetConfig, output};
use crate::checks::missing_column;
use crate::kind::Output;
use crate::point_in_time::{FeatureSource, LabelInput, PointInTimeError, RowInput, TimeToLive, point_in_time_join};
use crate::step_run::StepContext;

pub(super) async fn materialize(context: &StepContext<'_>) -> Result<Output, Failure> {
    let config: TrainingSetConfig = context.config()?;
    let joins = joins(&config, context)?;
    let label_columns = config.label_columns(joins.iter().flat_map(|join| &join.entity));
    let labels = context.input_frame(&config.labels.from).await?;
    judge_labels(&config, &joins, &labels, &label_columns)?;

    let mut frames = Vec::with_capacity(joins.len());
    let mut taken = Vec::with_capacity(joins.len());
    for (features, join) in config.features.iter().zip(&joins) {
        let frame = context.input_frame(&features.asset).await?;
        let columns = output::taken(features, join, frame.schema().as_arrow())?;
        frames.push(frame);
        taken.push((features.asset.name(), columns));
    }
    let named = output::named(&label_columns, &taken);

    let label_plan = plan(context, &config.labels.from, labels, &label_columns).await?;
    let mut sources = Vec::with_capacity(frames.len());
    for (((features, join), frame), columns) in config.features.iter().zip(joins).zip(frames).zip(named) {
        let mut read: Vec<String> = join.entity.clone();
        let times = [&join.timestamp].into_iter().chain(&join.created);
        for column in times.chain(columns.iter().map(|column| &column.source)) {
            if !read.contains(column) {
                read.push(column.clone());
            }
        }
        let input = plan(context, &features.asset, frame, &read).await?;
        sources.push(FeatureSource {
            name: features.asset.to_string(),
            entity: join.entity.into_iter().map(|column| (column.clone(), column)).collect(),
            timestamp: join.timestamp,
            created: join.created,
            ttl: join
                .ttl_seconds
                .and_then(|seconds| TimeToLive::from_micros(seconds.saturating_mul(1_000_000))),
            columns,
            input: RowInput::Plan(input),
        });
    }
    let labels = LabelInput {
        input: RowInput::Plan(label_plan),
        timestamp: config.labels.timestamp,
    };
    let rows = point_in_time_join(labels, sources, context.session()?.context().task_ctx()).await;
    rows.map(Output::rows).map_err(|error| of_join(context, error))
}

/// How each feature asset is joined. A configuration that was not linked is a slip of ours.
fn joins(config: &TrainingSetConfig, context: &StepContext<'_>) -> Result<Vec<JoinedBy>, Failure> {
    let join = |features: &super::FeatureColumns| {
        features.joined_by.clone().ok_or_else(|| {
            let message = format!("{} was not linked with {}", context.asset().key, features.asset);
            Failure::new(FailureClass::Internal, message)
        })
    };
    config.features.iter().map(join).collect()
}

/// The labels have every column that is taken from them.
fn judge_labels(
    config: &TrainingSetConfig,
    joins: &[JoinedBy],
    labels: &DataFrame,
    columns: &[String],
) -> Result<(), Failure> {
    let names: Vec<&str> = labels
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let Some(missing) = columns.iter().find(|column| !names.contains(&column.as_str())) else {
        return Ok(());
    };
    let from = &config.labels.from;
    let what = missing_column(missing, &names);
    let of_entity = joins.iter().position(|join| join.entity.contains(missing));
    Err(match of_entity {
        Some(place) => {
            let features = &config.features[place].asset;
            Failure::new(
                FailureClass::Declaration,
                format!("{features} is about `{missing}`, and in the labels {from} {what}"),
            )
            .with_help(format!("add `{missing}` to {from}, or leave {features} out"))
        }
        None => Failure::new(
            FailureClass::Declaration,
            format!("`labels` of the asset: {what} in {from}"),
        ),
    })
}

/// A plan that reads these columns alone.
async fn plan(
    context: &StepContext<'_>,
    asset: &AssetKey,
    frame: DataFrame,
    columns: &[String],
) -> Result<Arc<dyn ExecutionPlan>, Failure> {
    let refuse = |error| {
        let failure = context.read_error(error).failure;
        Failure {
            message: format!("failed to read {asset}: {}", failure.message),
            ..failure
        }
    };
    let frame = frame.select(columns.iter().map(ident)).map_err(refuse)?;
    frame.create_physical_plan().await.map_err(refuse)
}

fn of_join(context: &StepContext<'_>, error: PointInTimeError) -> Failure {
    let class = match error {
        PointInTimeError::Input(error) => return context.read_error(error).failure,
        PointInTimeError::TooManyLabels => FailureClass::Data,
        PointInTimeError::Arrow(_) => FailureClass::Internal,
        PointInTimeError::MissingColumn { .. }
        | PointInTimeError::NotATime { .. }
        | PointInTimeError::UnlikeTimes { .. }
        | PointInTimeError::UnlikeEntities { .. }
        | PointInTimeError::NameTaken { .. }
        | PointInTimeError::Unordered { .. } => FailureClass::Declaration,
    };
    Failure::new(class, format!("failed to {error}"))
}
