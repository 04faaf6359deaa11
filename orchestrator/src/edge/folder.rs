//! Where things are below a project's state folder.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use state::ids::{AttemptId, RunId};

use super::environments::EnvironmentName;

/// The folder that holds `millpond.toml`, and in which of its environments one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRoot {
    folder: PathBuf,
    environment: Option<EnvironmentName>,
}

impl ProjectRoot {
    /// A project's folder, and an environment of it.
    pub fn new(folder: PathBuf, environment: Option<EnvironmentName>) -> Self {
        Self { folder, environment }
    }

    /// The project itself, outside of all environments.
    pub fn production(folder: impl Into<PathBuf>) -> Self {
        Self::new(folder.into(), None)
    }

    /// The environment; `None` for the project itself.
    pub fn environment(&self) -> Option<&EnvironmentName> {
        self.environment.as_ref()
    }
}

impl Deref for ProjectRoot {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.folder
    }
}

/// The folder of the environments.
const ENVIRONMENTS: &str = "environments";

/// The state folder of a project: `.millpond` beside `millpond.toml`, or that of one of its environments: a folder in it, of
/// the same shape. Everything in it is Millpond's own.
///
/// ```text
/// state.db      runs, events, the catalog, the registry
/// owner.lock    who runs the core
/// logs/         one file per attempt
/// models/       artifacts, by model and content
/// staged/       what checks kept back, by run
/// openlineage.json  up to where lineage was told
/// restored.json what the last restore found
/// queries/      a folder for each query outside of runs: what spilled, and a lock that says that it reads
/// cache/        queries that were parsed before: may be removed at any time
/// reserve       nothing: space that is given up when the disk is full
/// environments/ a state folder for each environment
/// scratch/      a folder for each worker: spill files of attempts under way; removed with the worker, and at every start
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFolder {
    path: PathBuf,
    /// Of an environment: the state folder that it was made from.
    production: Option<PathBuf>,
}

impl StateFolder {
    /// The state folder of a project, or of one of its environments.
    pub fn of(root: &ProjectRoot) -> Self {
        let production = root.join(".millpond");
        match root.environment() {
            None => Self {
                path: production,
                production: None,
            },
            Some(name) => Self {
                path: production.join(ENVIRONMENTS).join(name.as_str()),
                production: Some(production),
            },
        }
    }

    /// The state folders of the project's environments are in here.
    pub fn environments(&self) -> PathBuf {
        self.production.as_ref().unwrap_or(&self.path).join(ENVIRONMENTS)
    }

    /// What an environment is, in its state folder.
    pub fn environment_file(&self) -> PathBuf {
        self.path.join("environment.json")
    }

    /// Queries that were parsed before, one file for the project and its environments.
    pub fn query_cache(root: &ProjectRoot) -> PathBuf {
        root.join(".millpond").join("cache").join("queries")
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join("state.db")
    }

    /// What SQLite writes before it is moved into the database.
    pub fn write_ahead_log(&self) -> PathBuf {
        self.path.join("state.db-wal")
    }

    /// The log file that an attempt writes.
    pub fn log_file(&self, run: &RunId, attempt: &AttemptId) -> PathBuf {
        self.path.join(state::logs::attempt_file(run, attempt))
    }

    /// The log file of an attempt, to read it: what ran before an environment was made has left its log where it ran.
    pub fn written_log_file(&self, run: &RunId, attempt: &AttemptId) -> PathBuf {
        let own = self.log_file(run, attempt);
        match &self.production {
            Some(production) if !own.exists() => production.join(state::logs::attempt_file(run, attempt)),
            _ => own,
        }
    }

    /// What the workers' libraries wrote to standard error, for whoever looks for the cause of a crash.
    pub fn worker_log(&self, worker: usize) -> PathBuf {
        self.path.join("logs").join("workers").join(format!("{worker}.log"))
    }

    /// The scratch folder of a worker.
    pub fn scratch(&self, worker: usize) -> PathBuf {
        self.scratch_root().join(worker.to_string())
    }

    /// All scratch folders.
    pub fn scratch_root(&self) -> PathBuf {
        self.path.join("scratch")
    }

    /// A folder for each query under way outside of all runs.
    pub fn queries(&self) -> PathBuf {
        self.path.join("queries")
    }

    /// What checks kept back, by run.
    pub fn kept_staged(&self) -> PathBuf {
        self.path.join("staged")
    }

    /// What a restore found, for whoever lets things go on.
    pub fn restore_report(&self) -> PathBuf {
        self.path.join("restored.json")
    }

    /// Takes up space that is given up when the disk is full.
    pub fn reserve(&self) -> PathBuf {
        self.path.join("reserve")
    }

    /// The login secret of the dashboard and of commands that talk to the daemon.
    pub fn token(&self) -> PathBuf {
        self.path.join("token")
    }
}
