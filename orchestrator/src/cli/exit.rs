//! How a command ends, as documented in `millpond --help`.

use std::process::ExitCode;

use state::sqlite::{CommitError, StateError};

use crate::edge::driver::DriverError;
use crate::edge::engine::{EngineError, RequestError, TableError};
use crate::edge::environments::EnvironmentError;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A run, a step or a query failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The project has mistakes.
    Mistakes = 3,
    /// No such asset, partition, run or model.
    NotFound = 4,
    /// Another process owns the project's state.
    Owned = 5,
    /// `fsck` found something wrong.
    Unsound = 6,
    /// Something broke.
    Broken = 70,
    /// Reading, writing or syncing the state failed: nothing was acknowledged since, and what is on disk is known only after
    /// another start.
    Io = 74,
    /// Interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command cannot go on, for a person.
#[derive(Debug)]
pub struct Stop {
    /// The exit code.
    pub exit: Exit,
    /// What happened, to what, and why.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
}

impl Stop {
    /// A command ends with this code and message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            help: None,
        }
    }

    /// Something broke.
    pub fn broken(message: impl Into<String>) -> Self {
        Self::new(Exit::Broken, message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// Adds what to do next.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<StateError> for Stop {
    fn from(error: StateError) -> Self {
        let exit = match &error {
            StateError::Owned { .. } => Exit::Owned,
            StateError::Missing(_) => Exit::NotFound,
            _ => Exit::Broken,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::State(error) => error.into(),
            EngineError::Driver(DriverError::Commit(error @ CommitError::Fatal(_))) => {
                Self::new(Exit::Io, error.to_string())
                    .with_help("look at the disk (`dmesg`, its free space, its health) before the next start; `millpond fsck` tells whether all is well")
            }
            error => Self::broken(error.to_string()),
        }
    }
}

impl From<EnvironmentError> for Stop {
    fn from(error: EnvironmentError) -> Self {
        let text = error.to_string();
        match error {
            EnvironmentError::Missing(name) => Self::not_found(text).with_help(format!(
                "`millpond env list` shows what there is; `millpond env create {name}` makes it"
            )),
            EnvironmentError::Exists(name) => {
                Self::new(Exit::Usage, text).with_help(format!("`millpond env drop {name}` removes it"))
            }
            EnvironmentError::Merged(name) => Self::new(Exit::Failed, text).with_help(format!(
                "`millpond env drop {name}` removes it; `millpond env create` makes another one"
            )),
            EnvironmentError::Busy { .. } => {
                Self::new(Exit::Owned, text).with_help("wait for its end, or stop it with Ctrl-C where it runs")
            }
            EnvironmentError::Refused { .. } => Self::new(Exit::Failed, text),
            EnvironmentError::State(error) => error.into(),
            EnvironmentError::Request(error) => error.into(),
            EnvironmentError::Commit(_)
            | EnvironmentError::Unreadable { .. }
            | EnvironmentError::Lake(_)
            | EnvironmentError::Broken(_)
            | EnvironmentError::Io { .. } => Self::broken(text),
        }
    }
}

impl From<TableError> for Stop {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Request(error) => error.into(),
            TableError::NotThere { message, help } => {
                let stop = Self::not_found(message);
                match help {
                    Some(help) => stop.with_help(help),
                    None => stop,
                }
            }
            TableError::Refused(reason) => Self::new(Exit::Failed, reason),
            TableError::Lake(error) => Self::broken(error.to_string()),
            TableError::State(error) => error.into(),
        }
    }
}

impl From<RequestError> for Stop {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Selection(error) => Self::new(Exit::NotFound, error.render()),
            RequestError::Sources { asset, failure } => {
                let stop = Self::new(
                    Exit::Failed,
                    format!("failed to look at the sources of `{asset}`: {failure}"),
                );
                match failure.help {
                    Some(help) => stop.with_help(help),
                    None => stop,
                }
            }
            RequestError::Stopping => Self::broken(error.to_string()),
        }
    }
}

impl From<assets::selection::SelectionError> for Stop {
    fn from(error: assets::selection::SelectionError) -> Self {
        Self::new(Exit::NotFound, error.render())
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::broken(error.to_string())
    }
}
