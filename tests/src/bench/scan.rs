//! Queries on a table of twelve daily partitions, 12 million rows, through Millpond, against DataFusion's own listing of the same
//! Parquet files: a count, sums of columns, a grouped sum, and one day. Both plan and run each query anew, in one process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::util::pretty::pretty_format_batches;
use assets::partition::{Grain, Partitioning, TimePartitions};
use assets::{AssetKey, PartitionKey, PartitionedBy, WriteMode};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::TryStreamExt;
use plugins::lakehouse::{
    CommitMember, CommitOutcome, Lake, StagingOptions, StagingPartitions, StagingWriter, partition_column,
    prepare_commit,
};
use plugins::query::{QueryOptions, QuerySession, QueryTable};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{BenchError, Measured, Settings, median};

const DAYS: i32 = 12;
const ROWS_A_DAY: usize = 1_000_000;
const FIRST_DAY: i32 = 15_765; // 2013-03-01
const ROUNDS: usize = 9;

const QUERIES: [&str; 4] = [
    "SELECT count(*) AS n FROM silver.flights",
    "SELECT sum(delay) AS d, min(id) AS i, max(distance) AS m FROM silver.flights WHERE delay > 100",
    "SELECT carrier, count(*) AS n, sum(distance) AS m FROM silver.flights GROUP BY carrier ORDER BY carrier",
    "SELECT count(*) AS n, sum(distance) AS m FROM silver.flights WHERE day = DATE '2013-03-05'",
];

pub(super) fn run(settings: &Settings) -> Result<Measured, BenchError> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.threads)
        .enable_all()
        .build()?;
    runtime.block_on(compare(folder.path(), settings))
}

async fn compare(folder: &Path, settings: &Settings) -> Result<Measured, BenchError> {
    let key: AssetKey = "silver.flights".parse()?;
    let lake = Lake::open(&format!("file://{}", folder.display()))?;
    let pointer = write(&lake, &key, ROWS_A_DAY / settings.divide).await?;
    let tables = BTreeMap::from([(key, QueryTable::whole(pointer))]);
    let options = QueryOptions {
        target_partitions: settings.threads,
        ..QueryOptions::default()
    };
    let ours = QuerySession::new(&lake, Arc::new(tables), &options)?;
    let peer = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(settings.threads));
    let files = parquet_files(folder)?;
    let paths: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    let frame = peer.read_parquet(paths, ParquetReadOptions::default()).await?;
    peer.register_table("flights", frame.into_view())?;

    let (mut our_total, mut peer_total, mut remark) = (0.0, 0.0, Vec::new());
    for sql in QUERIES {
        let (mut our_seconds, mut peer_seconds) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let rows: Vec<RecordBatch> = ours.execute(sql, &[]).await?.try_collect().await?;
            our_seconds.push(started.elapsed().as_secs_f64());
            let started = Instant::now();
            let expected = peer
                .sql(&sql.replace("silver.flights", "flights"))
                .await?
                .collect()
                .await?;
            peer_seconds.push(started.elapsed().as_secs_f64());
            let (rows, expected) = (
                pretty_format_batches(&rows)?.to_string(),
                pretty_format_batches(&expected)?.to_string(),
            );
            if rows != expected {
                return Err(format!("the answers to {sql} differ:\n{rows}\n{expected}").into());
            }
        }
        let (one, other) = (median(our_seconds), median(peer_seconds));
        remark.push(format!("{:.1}/{:.1} ms", one * 1e3, other * 1e3));
        our_total += one;
        peer_total += other;
    }
    Ok(Measured {
        ours: our_total,
        peer: peer_total,
        remark: remark.join(", "),
    })
}

async fn write(lake: &Lake, key: &AssetKey, rows: usize) -> Result<assets::outcome::TablePointer, BenchError> {
    let by = PartitionedBy {
        name: "daily".to_owned(),
        column: "day".to_owned(),
        partitioning: Partitioning::Time(TimePartitions {
            grain: Grain::Day,
            start: jiff::civil::date(2013, 1, 1).at(0, 0, 0, 0),
            end: None,
            zone: "UTC".to_owned(),
        }),
    };
    let mut random = SmallRng::seed_from_u64(3);
    let first = batch(0, 1, &mut random)?;
    let allowed = (0..DAYS).map(|day| PartitionKey::new(&format!("2013-03-{:02}", day + 1)));
    let partitions = StagingPartitions {
        column: partition_column(&by, &first.schema())?,
        allowed: allowed.collect::<Result<_, _>>()?,
    };
    let options = StagingOptions {
        write: WriteMode::Replace,
        ..StagingOptions::new("attempt-1".to_owned())
    };
    let mut writer = StagingWriter::new(lake, key, None, &first.schema(), Some(partitions), options)?;
    for day in 0..DAYS {
        for _ in 0..rows.div_ceil(50_000) {
            writer.write(&batch(day, rows.min(50_000), &mut random)?).await?;
        }
    }
    let staged = writer.finish().await?;
    let members: Vec<CommitMember> = staged
        .into_iter()
        .enumerate()
        .map(|(index, (_, staged))| CommitMember {
            token: format!("token-{index}"),
            run: "run-1".to_owned(),
            staged,
        })
        .collect();
    match prepare_commit(lake, key, None, &members, 1_700_000_000_000, 1).await? {
        CommitOutcome::Prepared(prepared) => Ok(prepared.pointer),
        CommitOutcome::AlreadyCommitted { .. } => Err("a new table was committed already".into()),
    }
}

fn batch(day: i32, rows: usize, random: &mut SmallRng) -> Result<RecordBatch, BenchError> {
    let carriers = ["AA", "B6", "DL", "EV", "UA", "WN"];
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "day",
            Arc::new(Date32Array::from_iter_values((0..rows).map(|_| FIRST_DAY + day))),
        ),
        (
            "id",
            Arc::new(Int64Array::from_iter_values(
                (0..rows).map(|_| random.random_range(0..1_i64 << 40)),
            )),
        ),
        (
            "carrier",
            Arc::new(StringArray::from_iter_values(
                (0..rows).map(|_| carriers[random.random_range(0..6)]),
            )),
        ),
        // Quarters: their sums are the same in any order.
        (
            "delay",
            Arc::new(Float64Array::from_iter_values(
                (0..rows).map(|_| f64::from(random.random_range(-80..1200)) / 4.0),
            )),
        ),
        (
            "distance",
            Arc::new(Int64Array::from_iter_values(
                (0..rows).map(|_| random.random_range(80..5000)),
            )),
        ),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>, BenchError> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort();
    if found.is_empty() {
        Err("no Parquet file was written".into())
    } else {
        Ok(found)
    }
}
