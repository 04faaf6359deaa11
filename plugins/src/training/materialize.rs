//! One step of a `training` asset: read, split, learn, judge, save.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch, is_not_null};
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use assets::AssetKey;
use assets::outcome::{Failure, FailureClass, StagedModel};
use serde_json::{Map, Value, json};

use super::part::{Parts, parts};
use super::{TrainingConfig, rows, store};
use crate::kind::{Extras, Output, Product};
use crate::models::{METRICS, Metric, Trained, Trainer, TrainingSpec, calibration, train_unless};
use crate::step_run::{Cancellation, StepContext};

/// Threads that one training may take.
const MOST_THREADS: usize = 8;
/// The largest seed that a trainer's parameters hold exactly.
const LARGEST_SEED: u64 = (1 << 53) - 1;

pub(super) async fn materialize(context: &StepContext<'_>) -> Result<Output, Failure> {
    let mut config: TrainingConfig = context.config()?;
    if !config.seeded
        && let Trainer::GradientBoosting(parameters) = &mut config.trainer
    {
        parameters.seed = context.seed() & LARGEST_SEED;
    }
    let rows = context.cancel().or(rows::read(&config, context)).await?;
    let parts = parts(rows.batches, config.split.as_ref())?;
    judge_parts(&config, &parts)?;
    if parts.left_out > 0 {
        let by = config.split.as_ref().map_or("", |split| &split.by);
        context.log().warn(format!(
            "{} rows are in neither part: their `{by}` is null",
            parts.left_out
        ));
    }
    let count = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    context.log().info(format!(
        "learns from {} rows and is judged by {}",
        count(&parts.train),
        count(&parts.test)
    ));
    let work = Work {
        config,
        features: rows.features,
        parts,
        asset: context.asset().key.clone(),
        state_folder: PathBuf::from(&context.order().project.state_folder),
        cancel: context.cancel().clone(),
    };
    let learned = tokio::task::spawn_blocking(move || work.run()).await;
    drop(rows.reservation);
    let model = match learned {
        Ok(model) => model?,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => {
            let message = format!("failed to wait for the training: {error}");
            return Err(Failure::new(FailureClass::Internal, message));
        }
    };
    let mut metadata: BTreeMap<String, Value> = model
        .metrics
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    for name in ["rows_train", "rows_test"] {
        metadata.insert(name.to_owned(), model.details[name].clone());
    }
    let extras = Extras {
        metadata,
        ..Extras::default()
    };
    Ok(Output::new(Product::Model(model), extras))
}

/// Both parts have rows.
fn judge_parts(config: &TrainingConfig, parts: &Parts) -> Result<(), Failure> {
    let empty = |batches: &[RecordBatch]| batches.iter().all(|batch| batch.num_rows() == 0);
    let Some(split) = &config.split else { return Ok(()) };
    let which = match (empty(&parts.train), empty(&parts.test)) {
        (true, true) => "there are no rows to learn from or to judge by",
        (true, false) => "all rows are in the test part and none is left to learn from",
        (false, true) => "no row is in the test part",
        (false, false) => return Ok(()),
    };
    let message = format!("failed to split {} by `{}`: {which}", config.from, split.by);
    Err(Failure::new(FailureClass::Data, message).with_help("move `test_from`, or materialize more of the rows"))
}

/// What is done on a thread of its own.
struct Work {
    config: TrainingConfig,
    features: Vec<String>,
    parts: Parts,
    asset: AssetKey,
    state_folder: PathBuf,
    cancel: Cancellation,
}

impl Work {
    fn run(self) -> Result<StagedModel, Failure> {
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = NonZeroUsize::new(threads.clamp(1, MOST_THREADS)).expect("it is at least one");
        let spec = TrainingSpec {
            target: self.config.target.clone(),
            features: self.features,
            trainer: self.config.trainer.clone(),
        };
        let stop = || self.cancel.is_canceled();
        let trained = train_unless(&spec, &self.parts.train, threads, &stop).map_err(|error| error.failure())?;
        let (targets, predictions) = judged(&trained, &spec.target, &self.parts.test)?;
        let metrics = match &self.config.split {
            Some(_) => metrics(&self.config, &trained, &targets, &predictions)?,
            None => BTreeMap::new(),
        };
        let (artifact, sha256) = store::save(&trained.artifact, &self.state_folder, &self.asset)?;
        Ok(StagedModel {
            artifact,
            sha256,
            algorithm: spec.trainer.algorithm().to_owned(),
            metrics,
            parameters: parameters(&spec.trainer),
            details: details(
                &self.config,
                &trained,
                &spec.features,
                (&targets, &predictions),
                self.parts.left_out,
            ),
        })
    }
}

/// Targets and predictions of the test rows whose target is known.
fn judged(trained: &Trained, target: &str, test: &[RecordBatch]) -> Result<(Vec<f64>, Vec<f64>), Failure> {
    let refuse =
        |error: ArrowError| Failure::new(FailureClass::Internal, format!("failed to read the test part: {error}"));
    let (mut targets, mut predictions) = (Vec::new(), Vec::new());
    for batch in test {
        let Some(column) = batch.column_by_name(target) else {
            continue;
        };
        let known = filter_record_batch(batch, &is_not_null(column).map_err(refuse)?).map_err(refuse)?;
        let column = known.column_by_name(target).expect("filtering keeps the columns");
        let values = cast(column, &DataType::Float64).map_err(refuse)?;
        targets.extend_from_slice(values.as_primitive::<Float64Type>().values());
        let of_batch = trained.artifact.predict(&known).map_err(|error| error.failure())?;
        predictions.extend_from_slice(of_batch.values());
    }
    Ok((targets, predictions))
}

/// The declared metrics, or all that judge such a target.
fn metrics(
    config: &TrainingConfig,
    trained: &Trained,
    targets: &[f64],
    predictions: &[f64],
) -> Result<BTreeMap<String, f64>, Failure> {
    let chosen: Vec<&Metric> = match &config.metrics {
        Some(names) => METRICS
            .iter()
            .filter(|metric| names.iter().any(|name| name == metric.name))
            .collect(),
        None => METRICS
            .iter()
            .filter(|metric| metric.task == trained.artifact.task)
            .collect(),
    };
    chosen
        .into_iter()
        .map(|metric| {
            let value = metric.compute(targets, predictions).map_err(|error| {
                let message = format!("failed to judge the model on the test part: failed to {error}");
                Failure::new(FailureClass::Data, message)
            })?;
            Ok((metric.name.to_owned(), value))
        })
        .collect()
}

/// The parameters by name, defaults included.
fn parameters(trainer: &Trainer) -> BTreeMap<String, Value> {
    let value = serde_json::to_value(trainer).expect("parameters are finite numbers");
    // An algorithm around its parameters.
    let parameters = value.get(trainer.algorithm()).and_then(Value::as_object);
    parameters
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What is worth showing beside the metrics.
fn details(
    config: &TrainingConfig,
    trained: &Trained,
    features: &[String],
    (targets, predictions): (&[f64], &[f64]),
    left_out: usize,
) -> Value {
    let summary = &trained.artifact.summary;
    let importance: Vec<Value> = summary
        .importance
        .iter()
        .map(|one| json!({ "feature": one.feature, "share": one.share }))
        .collect();
    let mut details = Map::new();
    details.insert("target".to_owned(), json!(config.target));
    details.insert("features".to_owned(), json!(features));
    details.insert("importance".to_owned(), Value::Array(importance));
    details.insert("rows_train".to_owned(), json!(summary.rows));
    details.insert("rows_test".to_owned(), json!(targets.len()));
    details.insert("rows_without_target".to_owned(), json!(summary.dropped_rows));
    details.insert("rows_without_part".to_owned(), json!(left_out));
    details.insert("split".to_owned(), json!(config.split));
    if let Some(bins) = calibration(trained.artifact.task, targets, predictions) {
        details.insert("calibration".to_owned(), json!(bins));
    }
    if let Some(trees) = summary.trees {
        details.insert("trees".to_owned(), json!(trees));
    }
    for (name, value) in &trained.training_metrics {
        details.insert(format!("train_{name}"), json!(value));
    }
    Value::Object(details)
}
