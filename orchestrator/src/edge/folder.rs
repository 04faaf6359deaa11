//! Where things are below a project's state folder.

use std::path::{Path, PathBuf};

use state::ids::{AttemptId, RunId};

/// The state folder of a project: `.millpond` beside `millpond.toml`. Everything in it is Millpond's own.
///
/// ```text
/// state.db      runs, events, the catalog, the registry
/// owner.lock    who runs the core
/// logs/         one file per attempt
/// models/       artifacts, by model and content
/// openlineage.json  up to where lineage was told
/// restored.json what the last restore found
/// reserve       nothing: space that is given up when the disk is full
/// scratch/      a folder for each worker: spill files of attempts under way; removed with the worker, and at every start
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFolder {
    path: PathBuf,
}

impl StateFolder {
    /// The state folder of the project in `root`.
    pub fn of(root: &Path) -> Self {
        Self {
            path: root.join(".millpond"),
        }
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

    /// The log file of an attempt.
    pub fn log_file(&self, run: &RunId, attempt: &AttemptId) -> PathBuf {
        self.path.join(state::logs::attempt_file(run, attempt))
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
