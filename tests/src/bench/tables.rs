//! Large tables: what publishing one partition costs beside ten thousand others, and how fast ten thousand small files become few.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use assets::outcome::{StagedTable, TablePointer};
use assets::partition::Partitioning;
use assets::{AssetKey, PartitionKey, PartitionedBy, WriteMode};
use plugins::lakehouse::{
    CommitMember, CommitOutcome, CompactionRule, Lake, StagingOptions, StagingPartitions, StagingWriter, compact,
    partition_column, plan_compaction, prepare_commit, prepare_compaction,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{BenchError, Measured, Settings, median};

const PARTITIONS: usize = 10_000;
const FILES: usize = 10_000;
/// What one snapshot takes.
const AT_ONCE: usize = 1000;
/// Some 30 kB of a file that hardly compress.
const ROWS_OF_A_FILE: usize = 2000;
const ROUNDS: usize = 21;
const SNAPSHOTS: usize = 10_000;
const FILES_OF_A_SNAPSHOT: usize = 10;
const NOW: i64 = 1_700_000_000_000;

struct Table {
    lake: Lake,
    key: AssetKey,
    pointer: Option<TablePointer>,
    commits: u64,
    random: SmallRng,
}

impl Table {
    fn new(folder: &Path) -> Result<Self, BenchError> {
        Ok(Self {
            lake: Lake::open(&format!("file://{}", folder.display()))?,
            key: "silver.numbers".parse()?,
            pointer: None,
            commits: 0,
            random: SmallRng::seed_from_u64(5),
        })
    }

    fn rows(&mut self, of: &str, rows: usize) -> Result<RecordBatch, BenchError> {
        let random = &mut self.random;
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("part", Arc::new(StringArray::from(vec![of; rows]))),
            (
                "id",
                Arc::new(Int64Array::from_iter_values(
                    (0..rows).map(|_| random.random_range(0..1_i64 << 60)),
                )),
            ),
            (
                "value",
                Arc::new(Float64Array::from_iter_values(
                    (0..rows).map(|_| random.random::<f64>()),
                )),
            ),
        ];
        Ok(RecordBatch::try_from_iter(columns)?)
    }

    async fn stage(
        &mut self,
        by: Option<(&PartitionedBy, &[PartitionKey])>,
        write: WriteMode,
        batches: &[RecordBatch],
    ) -> Result<Vec<StagedTable>, BenchError> {
        self.commits += 1;
        let existing = match &self.pointer {
            Some(pointer) => Some(self.lake.table(&self.key, pointer).await?),
            None => None,
        };
        let schema = batches[0].schema();
        let partitions = match by {
            Some((by, allowed)) => Some(StagingPartitions {
                column: partition_column(by, &schema)?,
                allowed: allowed.to_vec(),
            }),
            None => None,
        };
        let options = StagingOptions {
            write,
            ..StagingOptions::new(format!("attempt-{}", self.commits))
        };
        let mut writer = StagingWriter::new(&self.lake, &self.key, existing.as_ref(), &schema, partitions, options)?;
        for batch in batches {
            writer.write(batch).await?;
        }
        Ok(writer.finish().await?.into_iter().map(|(_, staged)| staged).collect())
    }

    /// Publishes; how long the commit alone took, in seconds.
    async fn commit(&mut self, staged: Vec<StagedTable>) -> Result<f64, BenchError> {
        let members: Vec<CommitMember> = staged
            .into_iter()
            .enumerate()
            .map(|(place, staged)| CommitMember {
                token: format!("token-{}-{place}", self.commits),
                run: "run-1".to_owned(),
                staged,
            })
            .collect();
        let started = Instant::now();
        let prepared = prepare_commit(
            &self.lake,
            &self.key,
            self.pointer.as_ref(),
            &members,
            NOW,
            self.commits,
        )
        .await?;
        let seconds = started.elapsed().as_secs_f64();
        match prepared {
            CommitOutcome::Prepared(prepared) => self.pointer = Some(prepared.pointer),
            CommitOutcome::AlreadyCommitted { .. } => return Err("it was committed before".into()),
        }
        Ok(seconds)
    }
}

fn runtime(settings: &Settings) -> Result<tokio::runtime::Runtime, BenchError> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.threads)
        .enable_all()
        .build()?)
}

/// The commit that replaces one partition of ten thousand: manifests, metadata and their syncs.
pub(super) fn replace_one_of_many(settings: &Settings) -> Result<Measured, BenchError> {
    let folder = tempfile::tempdir()?;
    runtime(settings)?.block_on(async {
        let mut table = Table::new(folder.path())?;
        let keys: Vec<PartitionKey> = (0..PARTITIONS / settings.divide)
            .map(|at| PartitionKey::new(&format!("p{at:05}")))
            .collect::<Result<_, _>>()?;
        let by = PartitionedBy {
            name: "parts".to_owned(),
            column: "part".to_owned(),
            partitioning: Partitioning::Fixed(keys.clone()),
        };
        for keys in keys.chunks(AT_ONCE) {
            let batches: Vec<RecordBatch> = keys
                .iter()
                .map(|key| table.rows(key.as_str(), 10))
                .collect::<Result<_, _>>()?;
            let staged = table.stage(Some((&by, keys)), WriteMode::Replace, &batches).await?;
            table.commit(staged).await?;
        }
        let mut seconds = Vec::new();
        for round in 0..ROUNDS {
            let key = &keys[(round * 7919) % keys.len()];
            let rows = table.rows(key.as_str(), 10)?;
            let staged = table
                .stage(Some((&by, std::slice::from_ref(key))), WriteMode::Replace, &[rows])
                .await?;
            seconds.push(table.commit(staged).await?);
        }
        let most = seconds.iter().copied().fold(0.0, f64::max);
        let remark = format!("the slowest of {ROUNDS} took {:.1} ms", most * 1e3);
        Ok(Measured::against_limit(median(seconds) * 1e3, 30.0, remark))
    })
}

/// A commit to a table that has ten thousand snapshots and a hundred thousand files already: every commit writes its metadata whole.
///
/// The files of the past are told and not written: no commit opens one.
pub(super) fn commit_after_many(settings: &Settings) -> Result<Measured, BenchError> {
    let folder = tempfile::tempdir()?;
    runtime(settings)?.block_on(async {
        let mut table = Table::new(folder.path())?;
        let rows = table.rows("all", 10)?;
        let staged = table.stage(None, WriteMode::Append, &[rows]).await?.remove(0);
        let file = staged.data_files.get(0).cloned().ok_or("one file was staged")?;
        let told = |snapshot: usize| {
            let files = (0..FILES_OF_A_SNAPSHOT).map(|place| {
                let mut file = file.clone();
                file["path"] = format!("{}/data/of-{snapshot}-{place}.parquet", folder.path().display()).into();
                file
            });
            StagedTable {
                data_files: files.collect(),
                ..staged.clone()
            }
        };
        for snapshot in 0..SNAPSHOTS / settings.divide {
            table.commits += 1;
            let before = table.pointer.clone();
            table.commit(vec![told(snapshot)]).await?;
            if let Some(before) = before {
                // Ten thousand of them would fill a disk; maintenance removes them too.
                std::fs::remove_file(before.metadata_location.trim_start_matches("file://"))?;
            }
        }
        let mut seconds = Vec::new();
        for round in 0..ROUNDS {
            table.commits += 1;
            seconds.push(table.commit(vec![told(SNAPSHOTS + round)]).await?);
        }
        let most = seconds.iter().copied().fold(0.0, f64::max);
        let remark = format!("the slowest of {ROUNDS} took {:.1} ms", most * 1e3);
        Ok(Measured::against_limit(median(seconds) * 1e3, 20.0, remark))
    })
}

/// Ten thousand small files become few: seconds for each 100 MB of them.
pub(super) fn compaction(settings: &Settings) -> Result<Measured, BenchError> {
    let folder = tempfile::tempdir()?;
    runtime(settings)?.block_on(async {
        let mut table = Table::new(folder.path())?;
        let files = FILES / settings.divide;
        let mut written = 0;
        while written < files {
            let mut members = Vec::new();
            for _ in 0..AT_ONCE.min(files - written) {
                let rows = table.rows("all", ROWS_OF_A_FILE)?;
                members.extend(table.stage(None, WriteMode::Append, &[rows]).await?);
            }
            written += members.len();
            table.commit(members).await?;
        }
        let pointer = table.pointer.clone().ok_or("the table was written")?;
        let opened = table.lake.table(&table.key, &pointer).await?;
        let rule = CompactionRule {
            small_bytes: 8_000_000,
            least_files: 8,
        };
        let started = Instant::now();
        let groups = plan_compaction(&opened, &rule).await?;
        let mut staged = Vec::new();
        for (place, group) in groups.iter().enumerate() {
            staged.push(compact(&opened, group, None, &format!("compaction-{place}")).await?);
        }
        prepare_compaction(&table.lake, &table.key, &pointer, &staged, NOW, 77).await?;
        let seconds = started.elapsed().as_secs_f64();
        let megabytes = groups.iter().map(|group| group.bytes).sum::<u64>() as f64 / 1e6;
        let made: usize = groups.iter().map(plugins::lakehouse::CompactionGroup::files).sum();
        if made != files {
            return Err(format!("{made} of {files} files were compacted").into());
        }
        let remark = format!(
            "{made} files of {megabytes:.0} MB in {seconds:.1} s, {:.0} MB/s",
            megabytes / seconds
        );
        Ok(Measured::against_limit(seconds / megabytes * 100.0, 1.0, remark))
    })
}
