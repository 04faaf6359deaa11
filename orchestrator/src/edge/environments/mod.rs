//! Environments: the project as it is at one moment, to change it and look at it without anyone else seeing that.
//!
//! ```text
//!             create                                    merge
//! production ───────► a copy of the state ─ runs, … ─► what changed ─► one transaction of production's
//!                     (no table is copied)             (refused if production moved underneath)
//! ```
//! An environment is a state folder in the project's (`.millpond/environments/NAME`): a copy of the state, in which every table
//! points to the version that it has in production. Nothing of a table is copied: versions never change once they are written.
//! What runs in the environment writes below a folder of its own in the warehouse, and its storage refuses everything else
//! ([`plugins::lakehouse::Lake::writing_below`]); its state is another file. So it cannot change production.
//!
//! | file | what |
//! |---|---|
//! | `name` | what it may be called |
//! | `record` | what it was made from; finds environments, and refuses those that cannot be used |
//! | `create` | makes one |
//! | `changes` | what it made that differs from what it was made from |
//! | `merge` | has that count in production |
//! | `remove` | ends one, with the files that nobody else needs |
//! | `pins` | what it needs of production's tables, for who removes old versions of them |
//!
//! What it does not do: follow production after it was made, merge part of what it made, or keep programs that steps start from
//! changing the world outside.

mod changes;
mod create;
mod merge;
mod name;
mod pins;
mod record;
mod remove;

pub use changes::{ChangedPartition, Changes, changes};
pub use create::{create, to_rest};
pub use merge::{MergedEnvironment, merge};
pub use name::{BadEnvironmentName, EnvironmentName};
pub use pins::{EnvironmentPins, pins};
pub use record::{EnvironmentRecord, ModelBase, list, open, read};
pub use remove::{RemovedEnvironment, remove};

use std::io;
use std::path::{Path, PathBuf};

use plugins::lakehouse::LakeError;
use state::sqlite::{CommitError, StateError};

use super::engine::RequestError;
use crate::core::Broken;

/// Why something cannot be done with an environment.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// There is none of that name.
    #[error("there is no environment `{0}`")]
    Missing(EnvironmentName),
    /// There is one already.
    #[error("there is an environment `{0}` already")]
    Exists(EnvironmentName),
    /// It counts in production and is only there to be looked at.
    #[error("the environment `{0}` was merged: nothing more can be made in it")]
    Merged(EnvironmentName),
    /// A process works in it.
    #[error("process {pid} works in the environment `{name}`")]
    Busy {
        /// The environment.
        name: EnvironmentName,
        /// The process.
        pid: u32,
    },
    /// It cannot be done as things are.
    #[error("{}", reasons.join("\n"))]
    Refused {
        /// Why, each for itself.
        reasons: Vec<String>,
    },
    /// What it was made from cannot be read.
    #[error("the environment in `{}` cannot be read: {reason}", path.display())]
    Unreadable {
        /// Its folder.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A state.
    #[error(transparent)]
    State(#[from] StateError),
    /// A state cannot be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A table.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A bug in the core.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The engine.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A file.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl EnvironmentError {
    fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// Gives a file that never changes another name: as a link where the disk can, as a copy elsewhere. Whoever has it already keeps it.
fn take_file(from: &Path, to: &Path) -> Result<(), EnvironmentError> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(EnvironmentError::at("make", folder))?;
    }
    match std::fs::hard_link(from, to) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(_) => {}
    }
    // Under its own name only once it is whole.
    let part = to.with_extension("part");
    std::fs::copy(from, &part).map_err(EnvironmentError::at("copy", from))?;
    std::fs::File::open(&part)
        .and_then(|file| file.sync_all())
        .map_err(EnvironmentError::at("sync", &part))?;
    std::fs::rename(&part, to).map_err(EnvironmentError::at("write", to))
}

fn sync_folder(folder: &Path) -> Result<(), EnvironmentError> {
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(EnvironmentError::at("sync", folder))
}
