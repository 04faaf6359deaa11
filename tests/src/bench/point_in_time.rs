//! One million labels, ten million features of a hundred thousand entities, from Parquet, against DuckDB's ASOF JOIN.
//! Needs the Python package `duckdb`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::sum;
use arrow::datatypes::Int64Type;
use datafusion::execution::TaskContext;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::StreamExt;
use plugins::point_in_time::{FeatureColumn, FeatureSource, LabelInput, RowInput, point_in_time_join};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::{BenchError, Measured, Settings, median, peer};

const LABELS: usize = 1_000_000;
const FEATURES: usize = 10_000_000;
const ENTITIES: usize = 100_000;
const YEAR: i64 = 365 * 86_400_000_000;
const ROUNDS: usize = 3;

/// What both sides must agree on: rows, rows with a feature, and the sums of two feature columns.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    rows: i64,
    found: i64,
    value: i64,
    other: i64,
}

pub(super) fn run(settings: &Settings) -> Result<Measured, BenchError> {
    let folder = tempfile::tempdir()?;
    let entities = ENTITIES / settings.divide;
    let labels = write(
        folder.path(),
        "labels",
        LABELS / settings.divide,
        entities,
        &["id", "at", "label"],
        1,
    )?;
    let features = write(
        folder.path(),
        "features",
        FEATURES / settings.divide,
        entities,
        &["id", "ts", "value", "other"],
        2,
    )?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.threads)
        .build()?;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (seconds, answer) = runtime.block_on(join(&labels, &features, settings.threads))?;
        ours.push(seconds);
        let request = json!({ "labels": labels, "features": features, "threads": settings.threads });
        let reply = peer::ask(settings, include_str!("point_in_time.py"), &request)?;
        peers.push(peer::number(&reply, "seconds")?);
        let integer = |key: &str| reply[key].as_i64().unwrap_or_default();
        let expected = Answer {
            rows: integer("rows"),
            found: integer("found"),
            value: integer("value"),
            other: integer("other"),
        };
        if answer != expected {
            return Err(format!("the answers differ: {answer:?} and {expected:?}").into());
        }
    }
    Ok(Measured {
        ours: median(ours),
        peer: median(peers),
        remark: String::new(),
    })
}

/// Writes rows of random entities and times in random order: an id, a time, and integers.
fn write(
    folder: &Path,
    name: &str,
    rows: usize,
    entities: usize,
    columns: &[&str],
    seed: u64,
) -> Result<PathBuf, BenchError> {
    const CHUNK: usize = 1 << 16;
    let path = folder.join(format!("{name}.parquet"));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(Some(1 << 20));
    let mut random = SmallRng::seed_from_u64(seed);
    let mut writer = None;
    for first in (0..rows).step_by(CHUNK) {
        let count = CHUNK.min(rows - first);
        let mut integers = |below: i64| -> ArrayRef {
            Arc::new(
                (0..count)
                    .map(|_| random.random_range(0..below))
                    .collect::<Int64Array>(),
            )
        };
        let id = integers(entities as i64);
        let time: TimestampMicrosecondArray = integers(YEAR).as_primitive::<Int64Type>().reinterpret_cast();
        let mut arrays: Vec<(&str, ArrayRef)> = vec![(columns[0], id), (columns[1], Arc::new(time))];
        arrays.extend(columns[2..].iter().map(|column| (*column, integers(1_000_000))));
        let batch = RecordBatch::try_from_iter(arrays)?;
        let writer = match &mut writer {
            Some(writer) => writer,
            None => writer.insert(ArrowWriter::try_new(
                File::create(&path)?,
                batch.schema(),
                Some(properties.clone().build()),
            )?),
        };
        writer.write(&batch)?;
    }
    if let Some(writer) = writer {
        writer.close()?;
    }
    Ok(path)
}

async fn join(labels: &Path, features: &Path, threads: usize) -> Result<(f64, Answer), BenchError> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(threads));
    let task = context.task_ctx();
    #[allow(clippy::disallowed_methods)]
    let start = Instant::now();
    let answer = joined(&context, labels, features, task).await?;
    Ok((start.elapsed().as_secs_f64(), answer))
}

async fn joined(
    context: &SessionContext,
    labels: &Path,
    features: &Path,
    task: Arc<TaskContext>,
) -> Result<Answer, BenchError> {
    let plan = async |path: &Path, columns: &[&str]| -> Result<Arc<dyn ExecutionPlan>, BenchError> {
        let path = path.to_str().ok_or("the folder's name is not UTF-8")?;
        let frame = context.read_parquet(path, ParquetReadOptions::default()).await?;
        Ok(frame.select_columns(columns)?.create_physical_plan().await?)
    };
    let label_input = LabelInput {
        input: RowInput::from(plan(labels, &["id", "at"]).await?),
        timestamp: "at".to_owned(),
    };
    let source = FeatureSource {
        name: "features".to_owned(),
        entity: vec![("id".to_owned(), "id".to_owned())],
        timestamp: "ts".to_owned(),
        created: None,
        ttl: None,
        columns: vec![FeatureColumn::same("value"), FeatureColumn::same("other")],
        input: RowInput::from(plan(features, &["id", "ts", "value", "other"]).await?),
    };
    let mut output = point_in_time_join(label_input, vec![source], task).await?;
    let mut answer = Answer {
        rows: 0,
        found: 0,
        value: 0,
        other: 0,
    };
    while let Some(batch) = output.next().await {
        let batch = batch?;
        let column = |name: &str| {
            batch
                .column_by_name(name)
                .map(AsArray::as_primitive::<Int64Type>)
                .ok_or("a column")
        };
        let (value, other) = (column("value")?, column("other")?);
        answer.rows += batch.num_rows() as i64;
        answer.found += value.iter().flatten().count() as i64;
        answer.value += sum(value).unwrap_or(0);
        answer.other += sum(other).unwrap_or(0);
    }
    Ok(answer)
}
