//! Steps on a real disk: a project in TOML is loaded, its orders are executed over tables in a temporary warehouse, and what was
//! staged is published and read back with queries.

#![allow(clippy::disallowed_methods)]

mod checks;
mod failures;
mod ingest;
mod learning;
mod overhead;
mod rows;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::util::pretty::pretty_format_batches;
use assets::files::MemoryFiles;
use assets::outcome::{Failure, Staged, TablePointer};
use assets::partition::Mapped;
use assets::project::{Project, load};
use assets::{Asset, AssetKey, PartitionKey, Warehouse};
use futures::TryStreamExt;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{Cancellation, Clock, StepEnvironment, execute};
use crate::command::{ProcessDoor, ProcessOrder, RunningProcess};
use crate::kind::KindSet;
use crate::lakehouse::{CommitMember, CommitOutcome, Lake, prepare_commit};
use crate::query::{QueryOptions, QuerySession, QueryTable};
use crate::step::{OrderedInput, OrderedPartition, ProjectSettings, Scope, StepOrder, StepReport};

/// A project on disk, with the pointers that the state store would keep.
struct World {
    folder: TempDir,
    project: Project,
    lake: Lake,
    pointers: BTreeMap<AssetKey, TablePointer>,
    kinds: KindSet,
    attempts: u64,
    memory_bytes: u64,
}

const PROJECT: &str = r#"
[project]
name = "test"
timezone = "America/New_York"

[params]
late_minutes = 15
since = "2013-03-02"

[partitions.daily]
every = "day"
start = 2013-03-01
end = 2013-03-31
"#;

/// No program is started in these tests.
struct NoProcesses;

impl ProcessDoor for NoProcesses {
    fn start(&self, _: &ProcessOrder) -> io::Result<Box<dyn RunningProcess>> {
        Err(io::Error::other("no programs here"))
    }
}

/// What came of one order, by partition.
#[derive(Debug, Default)]
struct Outcome {
    staged: Vec<Staged>,
    failed: Vec<(Option<PartitionKey>, Failure)>,
    reports: Vec<StepReport>,
}

impl Outcome {
    /// The only failure.
    fn failure(&self) -> &Failure {
        let [(_, failure)] = self.failed.as_slice() else {
            panic!("{self:?}")
        };
        failure
    }
}

fn key(text: &str) -> AssetKey {
    text.parse().unwrap()
}

fn partition(text: &str) -> PartitionKey {
    PartitionKey::new(text).unwrap()
}

impl World {
    /// A project with these assets.
    fn new(assets: &str) -> Self {
        Self::with_kinds(assets, KindSet::all())
    }

    fn with_kinds(assets: &str, kinds: KindSet) -> Self {
        let files = MemoryFiles::new()
            .with("millpond.toml", PROJECT)
            .with("assets/all.toml", assets);
        let loaded = load(&files, &kinds);
        let Some(project) = loaded.project else {
            let told: Vec<_> = loaded
                .diagnostics
                .iter()
                .map(|diagnostic| format!("{diagnostic:?}"))
                .collect();
            panic!("{}", told.join("\n"));
        };
        let folder = TempDir::new().unwrap();
        let lake = Lake::open(folder.path().join("lake").to_str().unwrap()).unwrap();
        Self {
            folder,
            project,
            lake,
            pointers: BTreeMap::new(),
            kinds,
            attempts: 0,
            memory_bytes: 64 << 20,
        }
    }

    fn asset(&self, asset: &str) -> Arc<Asset> {
        Arc::clone(self.project.graph.get(&key(asset)).unwrap())
    }

    fn scratch(&self) -> PathBuf {
        let scratch = self.folder.path().join("scratch");
        std::fs::create_dir_all(&scratch).unwrap();
        scratch
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("logs/attempt.jsonl")
    }

    fn order(&mut self, asset: &str, partitions: &[&str]) -> StepOrder {
        self.attempts += 1;
        let asset = self.asset(asset);
        let upstream = |key: &AssetKey| self.project.graph.get(key).map(Arc::clone);
        let now: Timestamp = "2014-01-01T00:00:00Z".parse().unwrap();
        let ordered = |text: Option<&str>| {
            let key = text.map(partition);
            let own = asset.partitions.as_ref().map(|by| &by.partitioning);
            let scopes = asset.inputs.iter().map(|input| {
                let upstream = upstream(&input.asset).unwrap();
                let up = upstream.partitions.as_ref().map(|by| &by.partitioning);
                let mapped = input.mapping.upstream(own, key.as_ref(), up, now).unwrap();
                let scope = match (&mapped, up) {
                    (Mapped::Whole, _) | (_, None) => Scope::All,
                    (mapped, Some(up)) => Scope::Keys(mapped.iter().flatten().filter_map(|at| up.key_at(at)).collect()),
                };
                (input.asset.clone(), scope)
            });
            let bounds = own.and_then(|own| own.bounds(key.as_ref()?));
            OrderedPartition {
                bounds: bounds.map(|(start, end)| (start.as_microsecond(), end.as_microsecond())),
                scopes: scopes.collect(),
                has: Vec::new(),
                key,
            }
        };
        let ordered_partitions = if asset.partitions.is_none() {
            vec![ordered(None)]
        } else {
            partitions.iter().map(|text| ordered(Some(text))).collect()
        };
        let inputs = self.project.graph.topological().filter(|other| other.key != asset.key);
        StepOrder {
            attempt: format!("attempt_{}", self.attempts),
            run: "run_1".to_owned(),
            number: 1,
            partitions: ordered_partitions,
            table: self.pointers.get(&asset.key).cloned(),
            quarantine: None,
            inputs: inputs
                .map(|other| OrderedInput {
                    asset: other.key.clone(),
                    table: self.pointers.get(&other.key).cloned(),
                    partition_column: None,
                })
                .collect(),
            models: Vec::new(),
            project: ProjectSettings {
                root: self.folder.path().to_str().unwrap().to_owned(),
                state_folder: self.folder.path().join("state").to_str().unwrap().to_owned(),
                s3: assets::warehouse::S3Store::default(),
                writes_below: None,
                warehouse: Warehouse {
                    url: self.lake.warehouse().to_owned(),
                    s3: None,
                },
                timezone: self.project.timezone.clone(),
                params: self.project.params.clone(),
            },
            observation: None,
            seed: 7,
            memory_bytes: self.memory_bytes,
            log_file: self.log_file().to_str().unwrap().to_owned(),
            scratch: self.scratch().to_str().unwrap().to_owned(),
            asset: asset.as_ref().clone(),
        }
    }

    fn environment(&self) -> (StepEnvironment, mpsc::UnboundedReceiver<StepReport>) {
        let (reports, receiver) = mpsc::unbounded_channel();
        let clock: Clock = Arc::new(Timestamp::now);
        let environment = StepEnvironment {
            objects: crate::formats::Objects::default(),
            kinds: self.kinds,
            lake: self.lake.clone(),
            clock,
            cancel: Cancellation::new(),
            reports,
            processes: Arc::new(NoProcesses),
        };
        (environment, receiver)
    }

    /// Executes an order; nothing is published.
    async fn execute(&mut self, asset: &str, partitions: &[&str]) -> Outcome {
        let order = self.order(asset, partitions);
        let (environment, receiver) = self.environment();
        execute(order, environment).await;
        collect(receiver).await
    }

    /// Executes an order that must succeed, and publishes what it staged.
    async fn materialize(&mut self, asset: &str, partitions: &[&str]) -> Vec<Staged> {
        let outcome = self.execute(asset, partitions).await;
        assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
        for staged in &outcome.staged {
            assert_eq!(staged.blocked_by(), None);
            self.publish(staged).await;
        }
        outcome.staged
    }

    async fn publish(&mut self, staged: &Staged) {
        for table in &staged.tables {
            self.attempts += 1;
            let member = CommitMember {
                token: format!("token_{}", self.attempts),
                run: "run_1".to_owned(),
                staged: table.clone(),
            };
            let base = self.pointers.get(&table.table);
            let members = [member];
            let commit = prepare_commit(
                &self.lake,
                &table.table,
                base,
                &members,
                1_400_000_000_000,
                self.attempts,
            );
            let CommitOutcome::Prepared(commit) = commit.await.unwrap() else {
                panic!("committed before")
            };
            self.pointers.insert(table.table.clone(), commit.pointer);
        }
    }

    /// The rows of a query over what is published, as a drawn table.
    async fn read(&self, sql: &str) -> String {
        let tables: BTreeMap<AssetKey, QueryTable> = self
            .pointers
            .iter()
            .map(|(key, pointer)| (key.clone(), QueryTable::whole(pointer.clone())))
            .collect();
        let session = QuerySession::new(&self.lake, Arc::new(tables), &QueryOptions::default()).unwrap();
        let rows = session.execute(sql, &[]).await.unwrap();
        let batches: Vec<_> = rows.try_collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    fn log(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.log_file()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

async fn collect(mut receiver: mpsc::UnboundedReceiver<StepReport>) -> Outcome {
    let mut outcome = Outcome::default();
    while let Some(report) = receiver.recv().await {
        match &report {
            StepReport::Staged { staged } => outcome.staged.push(staged.as_ref().clone()),
            StepReport::Failed { partition, failure } => outcome.failed.push((partition.clone(), failure.clone())),
            StepReport::Ended { staged } => outcome.staged.extend(staged.iter().cloned()),
            StepReport::Started { .. } | StepReport::Progress { .. } => {}
        }
        outcome.reports.push(report);
    }
    // Partitions that are finished side by side are reported as they end.
    outcome.staged.sort_by(|a, b| a.partition.cmp(&b.partition));
    assert!(matches!(outcome.reports.last(), Some(StepReport::Ended { .. })));
    outcome
}
