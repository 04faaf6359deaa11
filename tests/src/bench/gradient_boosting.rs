//! A hundred trees of depth six on 300,000 rows of fifteen features, against xgboost's histogram method; and the ranking of
//! rows that neither saw must be as good. Needs the Python packages `xgboost`, `numpy` and `duckdb` (to read Parquet).

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use datafusion::parquet::arrow::ArrowWriter;
use plugins::models::{GradientBoosting, Metric, Trainer, TrainingSpec, default_features, train};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::{BenchError, Measured, Settings, median, peer};

const TRAINING_ROWS: usize = 300_000;
const TEST_ROWS: usize = 100_000;
const FEATURES: usize = 15;
const ROUNDS: usize = 3;
/// How far our auc may lie below the peer's.
const AUC_SLACK: f64 = 0.005;

pub(super) fn run(settings: &Settings) -> Result<Measured, BenchError> {
    let folder = tempfile::tempdir()?;
    let training = rows(TRAINING_ROWS / settings.divide, 1)?;
    let test = rows(TEST_ROWS / settings.divide, 2)?;
    let (training_path, test_path) = (folder.path().join("train.parquet"), folder.path().join("test.parquet"));
    write(&training_path, &training)?;
    write(&test_path, &test)?;

    let parameters = GradientBoosting {
        trees: 100,
        learning_rate: 0.1,
        max_depth: 6,
        ..GradientBoosting::default()
    };
    let request = json!({
        "train": training_path, "test": test_path, "threads": settings.threads,
        "trees": parameters.trees, "learning_rate": parameters.learning_rate, "max_depth": parameters.max_depth,
    });
    let spec = TrainingSpec {
        target: "y".to_owned(),
        features: default_features(&training.schema(), &["y"]),
        trainer: Trainer::GradientBoosting(parameters),
    };
    let threads = NonZeroUsize::new(settings.threads).ok_or("there must be a thread")?;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    let (mut our_auc, mut peer_auc) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        #[allow(clippy::disallowed_methods)]
        let start = Instant::now();
        let trained = train(&spec, std::slice::from_ref(&training), threads)?;
        ours.push(start.elapsed().as_secs_f64());
        let predictions = trained.artifact.predict(&test)?;
        let targets: Vec<f64> = integers(&test, "y")?.values().iter().map(|&y| y as f64).collect();
        our_auc = Metric::named("auc")?.compute(&targets, predictions.values())?;
        let reply = peer::ask(settings, include_str!("gradient_boosting.py"), &request)?;
        peers.push(peer::number(&reply, "seconds")?);
        peer_auc = peer::number(&reply, "auc")?;
    }
    if our_auc < peer_auc - AUC_SLACK {
        return Err(format!("our auc {our_auc:.4} is below the peer's {peer_auc:.4}").into());
    }
    let remark = format!("auc {our_auc:.4} and {peer_auc:.4}");
    Ok(Measured {
        ours: median(ours),
        peer: median(peers),
        remark,
    })
}

fn integers<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Int64Array, BenchError> {
    let column = batch.column_by_name(name).ok_or("the column was made above")?;
    Ok(column.as_any().downcast_ref().ok_or("it was made of integers")?)
}

/// Twelve numbers with some gaps and three small integers; the target depends on products, steps and gaps of them.
fn rows(count: usize, seed: u64) -> Result<RecordBatch, BenchError> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut columns: Vec<Vec<Option<f64>>> = vec![Vec::new(); FEATURES];
    let mut target = Vec::with_capacity(count);
    for _ in 0..count {
        let x: Vec<f64> = (0..FEATURES)
            .map(|feature| {
                let uniform = random.random::<f64>();
                if feature < 12 {
                    uniform * 2.0 - 1.0
                } else {
                    (uniform * 8.0).floor()
                }
            })
            .collect();
        let gap = random.random::<f64>() < 0.08;
        let score = 2.0 * x[0] * x[1] + (3.0 * x[2]).sin() + if x[3] > 0.3 { 1.0 } else { -0.4 } + x[4] * x[4]
            - 0.8 * x[5]
            + 0.3 * (x[12] - 3.5) * x[6]
            + if x[13] >= 5.0 { 0.7 } else { 0.0 }
            + if gap { 1.2 } else { 0.0 };
        target.push(i64::from(random.random::<f64>() < 1.0 / (1.0 + (-score).exp())));
        for (feature, (column, value)) in columns.iter_mut().zip(x).enumerate() {
            column.push((!gap || feature != 7).then_some(value));
        }
    }
    let mut arrays: Vec<(String, ArrayRef)> = Vec::new();
    for (feature, column) in columns.into_iter().enumerate() {
        arrays.push((
            format!("x{feature}"),
            Arc::new(column.into_iter().collect::<Float64Array>()),
        ));
    }
    arrays.push(("y".to_owned(), Arc::new(Int64Array::from(target))));
    Ok(RecordBatch::try_from_iter(arrays)?)
}

fn write(path: &Path, batch: &RecordBatch) -> Result<(), BenchError> {
    let mut writer = ArrowWriter::try_new(File::create(path)?, batch.schema(), None)?;
    writer.write(batch)?;
    writer.close()?;
    Ok(())
}
