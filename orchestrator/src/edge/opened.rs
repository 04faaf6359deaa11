//! A project on disk, read and checked, with the settings that follow from it and from this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use assets::Warehouse;
use assets::diagnostic::Diagnostics;
use assets::project::{Daemon, Loaded, Maintenance, Project, Retention, load, load_with};
use assets::span::Sources;
use plugins::kind::{Batching, KINDS, KindSet};
use plugins::step::ProjectSettings;

use super::disk::DiskFiles;
use super::environment;
use super::environments::EnvironmentName;
use super::folder::{ProjectRoot, StateFolder};
use super::kept_files::{KeptFiles, RecordedFiles};
use super::messages::WorkerSettings;
use super::order::OrderSettings;
use super::pool::PoolSettings;
use super::query_cache::KeptQueryCache;
use super::warehouse::LakeSettings;
use crate::core::{CoreSettings, Definitions};

/// Memory that a worker's process may hold beyond what its queries are given: code, caches, buffers of writers.
const BESIDE_QUERIES: u64 = 768 << 20;
/// Most that the queries of one worker get when the project does not say.
const DEFAULT_QUERY_MEMORY: u64 = 2 << 30;

/// A checked project.
pub struct OpenedProject {
    /// The folder that holds `millpond.toml`, absolute, and the environment.
    pub root: ProjectRoot,
    /// The project's name.
    pub name: String,
    /// Its assets and what the core needs to know of the machine.
    pub definitions: Arc<Definitions>,
    /// What steps know of the project.
    pub settings: ProjectSettings,
    /// The sets of partitions by name.
    pub partitions: BTreeMap<String, assets::partition::Partitioning>,
    /// Where lineage is told.
    pub openlineage: Option<assets::openlineage::OpenLineage>,
    /// What each worker may use.
    pub pool: PoolSettings,
    /// What each order may use.
    pub orders: OrderSettings,
    /// How its daemon ends.
    pub daemon: Daemon,
    /// How long what happened is kept.
    pub retention: Retention,
    /// How long old versions of tables can be read.
    pub maintenance: Maintenance,
    /// What it was read from.
    pub files: Arc<KeptFiles>,
}

/// What reading a project gave: the project unless there are errors, and everything to tell.
pub struct ReadProject {
    /// `None` if there are errors.
    pub project: Option<OpenedProject>,
    /// Errors and warnings.
    pub diagnostics: Diagnostics,
    /// The texts they point into.
    pub sources: Sources,
    /// What was read.
    pub files: Arc<KeptFiles>,
}

/// Reads and checks the project in `root` (absolute).
pub fn read_project(root: &ProjectRoot) -> ReadProject {
    let disk = DiskFiles::new(&**root);
    let recorded = RecordedFiles::new(&disk);
    let cache = KeptQueryCache::open(root);
    let loaded = load_with(&recorded, &KindSet::all(), &cache.queries);
    cache.keep(root);
    read(root, loaded, recorded.finish())
}

/// The same for whoever only wants to know what is wrong: nothing is kept of the files, which would be half as much again as they are.
pub fn check_project(root: &ProjectRoot) -> ReadProject {
    let cache = KeptQueryCache::open(root);
    let loaded = load_with(&DiskFiles::new(&**root), &KindSet::all(), &cache.queries);
    cache.keep(root);
    read(root, loaded, KeptFiles::default())
}

/// Reads and checks a kept copy of the project in `root` (absolute).
pub fn read_kept(root: &ProjectRoot, files: KeptFiles) -> ReadProject {
    let loaded = load(&files, &KindSet::all());
    read(root, loaded, files)
}

fn read(root: &ProjectRoot, loaded: Loaded, files: KeptFiles) -> ReadProject {
    let Loaded {
        project,
        diagnostics,
        sources,
    } = loaded;
    let files = Arc::new(files);
    ReadProject {
        project: project.map(|project| open(root, project, Arc::clone(&files))),
        diagnostics,
        sources,
        files,
    }
}

fn open(root: &ProjectRoot, project: Project, files: Arc<KeptFiles>) -> OpenedProject {
    let cores = environment::cores();
    let slots = project.execution.workers.map_or(cores, |workers| workers as usize);
    let share = environment::memory_bytes() / 2 / slots as u64;
    let memory_bytes = project
        .execution
        .memory_bytes
        .unwrap_or_else(|| share.clamp(128 << 20, DEFAULT_QUERY_MEMORY));
    let said = project.graph.topological().filter_map(|asset| asset.rules.memory_bytes);
    let limit = said.fold(memory_bytes, u64::max) + BESIDE_QUERIES;
    let folder = StateFolder::of(root);
    let warehouse = warehouse_url(root, &project.warehouse.url);
    let settings = ProjectSettings {
        root: root.to_string_lossy().into_owned(),
        state_folder: folder.path().to_string_lossy().into_owned(),
        writes_below: root.environment().map(|name| tables_of(&warehouse, name)),
        warehouse: Warehouse {
            url: warehouse,
            s3: project.warehouse.s3.clone(),
        },
        s3: project.s3.or_else(|| project.warehouse.s3.clone()).unwrap_or_default(),
        timezone: project.timezone.clone(),
        params: project.params.clone(),
    };
    let together = KINDS
        .iter()
        .filter(|kind| kind.batching() == Batching::Together)
        .map(|kind| kind.name().to_owned())
        .collect();
    let core = CoreSettings {
        slots,
        together,
        pools: project
            .pools
            .iter()
            .map(|(name, pool)| (name.clone(), pool.limit))
            .collect(),
        // Shares that follow from the machine fit into it; those that the project chose need not.
        memory_bytes: project.execution.total_memory_bytes.unwrap_or_else(|| {
            let shares = match project.execution.memory_bytes {
                Some(_) => 0,
                None => memory_bytes * slots as u64,
            };
            (environment::memory_bytes() / 2).max(shares)
        }),
        step_memory_bytes: memory_bytes,
        forgets: project.retention.enabled,
        ..CoreSettings::default()
    };
    // An environment is its owner's own: it tells nobody of what goes on in it.
    let tells = root.environment().is_none();
    OpenedProject {
        root: root.clone(),
        name: project.name,
        partitions: project.partitions,
        openlineage: project.openlineage.filter(|_| tells),
        definitions: Arc::new(
            Definitions::new(project.graph, core)
                .with_schedules(project.schedules)
                .with_sensors(project.sensors)
                .with_alerts(if tells { project.alerts } else { BTreeMap::new() })
                .with_version(files.version()),
        ),
        pool: PoolSettings {
            worker: WorkerSettings {
                lake: LakeSettings::of(&settings),
                // The resident size is watched more closely; this stops what grows faster than one can watch.
                memory_limit_bytes: limit * 2,
                threads: cores.clamp(1, 8),
            },
            beside_queries_bytes: BESIDE_QUERIES,
            usual_query_bytes: memory_bytes,
        },
        orders: OrderSettings { memory_bytes },
        daemon: project.daemon,
        retention: project.retention,
        maintenance: project.maintenance,
        settings,
        files,
    }
}

/// The URL of the folder that an environment's tables are written to. No layer has a name like that of its parent.
pub fn tables_of(warehouse: &str, environment: &EnvironmentName) -> String {
    format!("{}/_environments/{environment}", warehouse.trim_end_matches('/'))
}

/// The URL of the warehouse: a folder from the project's, or an absolute one.
fn warehouse_url(root: &Path, declared: &str) -> String {
    if declared.contains("://") {
        return declared.to_owned();
    }
    format!("file://{}", root.join(declared).to_string_lossy().trim_end_matches('/'))
}
