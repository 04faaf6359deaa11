//! A project on disk whose steps are executed as a worker does it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use assets::files::MemoryFiles;
use assets::outcome::{Failure, Staged, TablePointer};
use assets::project::{Project, load};
use assets::{AssetKey, PartitionKey, Warehouse};
use orchestrator::edge::processes::Processes;
use plugins::kind::KindSet;
use plugins::lakehouse::{CommitMember, CommitOutcome, Lake, prepare_commit, staged_provider};
use plugins::step::{OrderedInput, OrderedPartition, ProjectSettings, Scope, StepOrder, StepReport};
use plugins::step_run::{Cancellation, Clock, StepEnvironment, execute};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;

const PROJECT: &str = r#"
[project]
name = "test"
timezone = "America/New_York"

[params]
factor = 3

[partitions.daily]
every = "day"
start = 2013-03-01
end = 2013-03-31
"#;

static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) lake: Lake,
    project: Project,
    pointers: BTreeMap<AssetKey, TablePointer>,
    attempts: u64,
}

impl World {
    /// A project with these assets and these files of code beside them.
    pub(crate) fn new(assets: &str, code: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut files = MemoryFiles::new()
            .with("millpond.toml", PROJECT)
            .with("assets/all.toml", assets);
        for (path, text) in code {
            files.insert(*path, *text);
            std::fs::write(folder.path().join(path), text).unwrap();
        }
        let loaded = load(&files, &KindSet::all());
        let told: Vec<String> = loaded
            .diagnostics
            .iter()
            .map(|diagnostic| format!("{diagnostic:?}"))
            .collect();
        let project = loaded.project.unwrap_or_else(|| panic!("{}", told.join("\n")));
        let lake = Lake::open(folder.path().join("lake").to_str().unwrap()).unwrap();
        Self {
            folder,
            lake,
            project,
            pointers: BTreeMap::new(),
            attempts: 0,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn order(&mut self, asset: &str, partition: Option<&str>) -> StepOrder {
        self.attempts += 1;
        let asset = self.project.graph.get(&asset.parse().unwrap()).unwrap();
        let key = partition.map(|text| PartitionKey::new(text).unwrap());
        let bounds = asset
            .partitions
            .as_ref()
            .and_then(|by| by.partitioning.bounds(key.as_ref()?));
        let scopes = asset.inputs.iter().map(|input| {
            let upstream = self.project.graph.get(&input.asset).unwrap();
            let scope = match (&upstream.partitions, &key) {
                (Some(_), Some(key)) => Scope::Keys(vec![key.clone()]),
                _ => Scope::All,
            };
            (input.asset.clone(), scope)
        });
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let scratch = self.path("scratch");
        std::fs::create_dir_all(&scratch).unwrap();
        StepOrder {
            // Unlike that of any other test of this process: what a step leaves behind is found by it.
            attempt: format!(
                "attempt_{}_{}",
                std::process::id(),
                ATTEMPTS.fetch_add(1, Ordering::Relaxed)
            ),
            run: "run_1".to_owned(),
            number: 2,
            partitions: vec![OrderedPartition {
                bounds: bounds.map(|(start, end)| (start.as_microsecond(), end.as_microsecond())),
                scopes: scopes.collect(),
                has: Vec::new(),
                key,
            }],
            table: self.pointers.get(&asset.key).cloned(),
            quarantine: None,
            inputs: asset
                .inputs
                .iter()
                .map(|input| OrderedInput {
                    asset: input.asset.clone(),
                    table: self.pointers.get(&input.asset).cloned(),
                    partition_column: None,
                })
                .collect(),
            models: Vec::new(),
            project: ProjectSettings {
                root: text(self.folder.path().to_owned()),
                state_folder: text(self.path("state")),
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
            memory_bytes: 64 << 20,
            log_file: text(self.path("attempt.jsonl")),
            scratch: text(scratch),
            asset: asset.as_ref().clone(),
        }
    }

    /// The surroundings of one order, the handle that cancels it, and its reports.
    pub(crate) fn environment(&self) -> (StepEnvironment, Cancellation, mpsc::UnboundedReceiver<StepReport>) {
        let (reports, receiver) = mpsc::unbounded_channel();
        let clock: Clock = Arc::new(jiff::Timestamp::now);
        let cancel = Cancellation::new();
        let environment = StepEnvironment {
            objects: plugins::formats::Objects::default(),
            kinds: KindSet::all(),
            lake: self.lake.clone(),
            clock,
            cancel: cancel.clone(),
            reports,
            processes: Arc::new(Processes),
        };
        (environment, cancel, receiver)
    }

    pub(crate) async fn execute(&mut self, asset: &str, partition: Option<&str>) -> Result<Staged, Failure> {
        let order = self.order(asset, partition);
        let (environment, _, receiver) = self.environment();
        execute(order, environment).await;
        outcome(receiver).await
    }

    /// Executes a step that must succeed and publishes its rows.
    pub(crate) async fn materialize(&mut self, asset: &str, partition: Option<&str>) -> Staged {
        let staged = self.execute(asset, partition).await.unwrap();
        for table in &staged.tables {
            self.attempts += 1;
            let members = [CommitMember {
                token: format!("token_{}", self.attempts),
                run: "run_1".to_owned(),
                staged: table.clone(),
            }];
            let base = self.pointers.get(&table.table);
            let commit = prepare_commit(
                &self.lake,
                &table.table,
                base,
                &members,
                1_400_000_000_000,
                self.attempts,
            )
            .await
            .unwrap();
            let CommitOutcome::Prepared(commit) = commit else {
                panic!("committed before")
            };
            self.pointers.insert(table.table.clone(), commit.pointer);
        }
        staged
    }

    /// The staged rows, drawn.
    pub(crate) async fn rows(&self, staged: &Staged) -> String {
        let context = datafusion::prelude::SessionContext::new();
        context
            .register_table("this", staged_provider(&self.lake, &staged.tables).unwrap())
            .unwrap();
        let rows = context
            .sql("SELECT * FROM this ORDER BY 1")
            .await
            .unwrap()
            .collect()
            .await
            .unwrap();
        arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string()
    }

    /// The messages of one stream of the log.
    pub(crate) fn log(&self, stream: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("attempt.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(|line| line["stream"] == stream)
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// What came of an order of one step.
pub(crate) async fn outcome(mut receiver: mpsc::UnboundedReceiver<StepReport>) -> Result<Staged, Failure> {
    let mut result = None;
    while let Some(report) = receiver.recv().await {
        match report {
            StepReport::Staged { staged } => result = Some(Ok(*staged)),
            StepReport::Failed { failure, .. } => result = Some(Err(failure)),
            StepReport::Ended { staged } => result = result.or_else(|| staged.into_iter().next().map(Ok)),
            StepReport::Started { .. } | StepReport::Progress { .. } => {}
        }
    }
    result.expect("every step is reported")
}

/// Ids of the living processes whose command line holds `text`.
pub(crate) fn processes_with(text: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    entries
        .filter(|id: &u32| {
            let line = std::fs::read(Path::new("/proc").join(id.to_string()).join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).replace('\0', " ").contains(text)
        })
        .collect()
}
