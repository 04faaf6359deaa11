//! Why the state of a project cannot be opened or read.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the state cannot be opened or read. Each message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Written by a later release.
    #[error(
        "`{}` has schema version {found} and this millpond knows up to {known}: use the release that wrote it, or restore \
         the copy that was made before the upgrade", path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// Written by an earlier release and opened for reading only.
    #[error(
        "`{}` has schema version {found} and this millpond needs {known}: start `millpond up` (or any command that writes) \
         once to bring it up to date", path.display()
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// Nothing was ever stored.
    #[error("there is no state at `{}` yet: nothing of this project was materialized on this machine", .0.display())]
    Missing(PathBuf),
    /// A SQLite file of another program.
    #[error("`{}` is a database of another program: choose another state folder", .0.display())]
    Foreign(PathBuf),
    /// Another process owns the state folder.
    #[error("the state folder `{}` is in use by {}: stop that process, or let it do the work", folder.display(), owner_text(*pid, url.as_deref()))]
    Owned {
        /// The folder.
        folder: PathBuf,
        /// The owner's process id, if it has written it already.
        pid: Option<u32>,
        /// The owner's address, if it serves one.
        url: Option<String>,
    },
    /// A file system on which SQLite's locks and syncs do not hold.
    #[error(
        "`{}` is on a network file system (`{kind}`), where SQLite can lose data: put the state folder on a local disk",
        path.display()
    )]
    NetworkFileSystem {
        /// The database.
        path: PathBuf,
        /// The type of the file system.
        kind: String,
    },
    /// The SQLite library has a known fault.
    #[error("this build has SQLite {found}, which can corrupt a database in WAL mode: build with 3.51.3 or later")]
    Library {
        /// Its version.
        found: String,
    },
    /// The file is damaged.
    #[error("`{}` is damaged ({detail}): keep the file, and restore the newest backup", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// A stored value is not what its column holds.
    #[error("column `{column}` holds {text:?}, which is not {expected}: run `millpond fsck`")]
    Value {
        /// Table and column.
        column: &'static str,
        /// What is there, shortened.
        text: String,
        /// What should be there.
        expected: &'static str,
    },
    /// A file beside the database.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No space left for what every start writes.
    #[error("no space left in `{}` to open the state: free some on the disk of the state folder, then try again", .0.display())]
    NoSpace(PathBuf),
    /// Anything else that SQLite reports.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

fn owner_text(pid: Option<u32>, url: Option<&str>) -> String {
    match (pid, url) {
        (Some(pid), Some(url)) => format!("process {pid} at {url}"),
        (Some(pid), None) => format!("process {pid}"),
        (None, _) => "another process that is just starting".to_owned(),
    }
}

/// The kinds of SQLite failure that ask for different answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No space: rolled back; works again when there is space.
    DiskFull,
    /// Another program holds the write lock.
    Busy,
    /// Reading, writing or syncing failed, or the file is damaged: nothing may be acknowledged any more.
    Fatal,
    /// A statement or a value was refused: a bug here.
    Statement,
}

pub(super) fn trouble(error: &rusqlite::Error) -> Trouble {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Trouble::DiskFull,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Busy,
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory
            | ErrorCode::FileLockingProtocolFailed,
        ) => Trouble::Fatal,
        _ => Trouble::Statement,
    }
}
