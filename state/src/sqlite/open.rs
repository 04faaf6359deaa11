//! A connection to the state: for the one writer, for readers, or in memory for the simulator.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::error::StateError;
use super::migrations::{self, APPLICATION_ID, MIGRATIONS};
use super::mounts;

/// The first release with the fix of the WAL-reset fault: <https://sqlite.org/wal.html#walresetbug>.
const OLDEST_SAFE_SQLITE: i32 = 3_051_003;

/// A larger file is not checked before anything else after an unclean end: that would take seconds.
const LARGEST_CHECKED: u64 = 256 << 20;

/// What a [`Store`] is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// By the owner of the state folder (see [`super::OwnerLock`]); creates and migrates.
    Writer,
    /// By pages and commands; sees what is committed, changes nothing.
    Reader,
}

/// The state of a project. One writer in one process; any number of readers.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
    pub(super) path: Option<PathBuf>,
    pub(super) mode: OpenMode,
    /// The newest event that this writer knows to be committed.
    pub(super) last_seq: i64,
    /// Why nothing may be committed any more: a sync failed, and what is on disk is unknown until a restart.
    pub(super) poisoned: Option<String>,
    /// Whether the file was checked, or had no need of it.
    checked: bool,
}

impl Store {
    /// Opens `state.db` at `path`.
    ///
    /// A writer creates the file and its folder, brings the schema up to date, and checks the file's integrity when its
    /// last owner did not [`Store::close`] it (unless it is large: [`Store::needs_check`]). A reader needs a file of the current schema.
    pub fn open(path: &Path, mode: OpenMode) -> Result<Self, StateError> {
        let (error, folder) = match (Self::open_at(path, mode, Space::Enough), path.parent()) {
            // On a full disk SQLite speaks of a failed read or write as often as of the space.
            (Err(error @ StateError::Sqlite(_)), Some(folder)) if is_full(folder) => (error, folder),
            (result, _) => return result,
        };
        // A reader needs room as well, for the index of the write-ahead log. Without a log there is nothing to index, and
        // nobody writes one while the disk is full.
        if mode == OpenMode::Reader && !has_log(path) {
            return Self::open_at(path, mode, Space::None).map_err(|_| error);
        }
        Err(StateError::NoSpace(folder.to_owned()))
    }

    fn open_at(path: &Path, mode: OpenMode, space: Space) -> Result<Self, StateError> {
        require_safe_library()?;
        if mode == OpenMode::Writer {
            let folder = path.parent().unwrap_or(Path::new("."));
            let folder_error = |action| {
                move |source| StateError::Io {
                    action,
                    path: folder.to_owned(),
                    source,
                }
            };
            std::fs::create_dir_all(folder).map_err(folder_error("create"))?;
            refuse_network_file_system(path, &folder.canonicalize().map_err(folder_error("resolve"))?)?;
        } else if !path.exists() {
            return Err(StateError::Missing(path.to_owned()));
        }
        let access = match mode {
            OpenMode::Writer => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            OpenMode::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        // Without a mutex per call: a `Store` is used by one thread at a time, which `&mut` and `!Sync` ensure.
        let mut connection = match space {
            Space::Enough => Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?,
            Space::None => Connection::open_with_flags(
                unchanging(path),
                access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI,
            )?,
        };
        connection.busy_timeout(Duration::from_secs(5))?;
        let mut checked = true;
        let found = refuse_other_files(&connection, path)?;
        if mode == OpenMode::Writer {
            configure_writer(&connection)?;
            migrations::migrate(&mut connection, Some(path), MIGRATIONS)?;
            checked = check_after_unclean_shutdown(&connection, path)?;
        } else if found == 0 {
            return Err(StateError::Missing(path.to_owned()));
        } else if found < MIGRATIONS.len() as i64 {
            return Err(StateError::Older {
                path: path.to_owned(),
                found,
                known: MIGRATIONS.len() as i64,
            });
        }
        let mut store = Self::with(connection, Some(path.to_owned()), mode)?;
        store.checked = checked;
        Ok(store)
    }

    /// Opens the state for reading: [`Store::open`] with [`OpenMode::Reader`].
    pub fn open_reader(path: &Path) -> Result<Self, StateError> {
        Self::open(path, OpenMode::Reader)
    }

    /// An empty state in memory: the same code on the same SQLite, for the simulator and for tests.
    pub fn in_memory() -> Result<Self, StateError> {
        require_safe_library()?;
        let mut connection = Connection::open_in_memory()?;
        configure_writer(&connection)?;
        migrations::migrate(&mut connection, None, MIGRATIONS)?;
        Self::with(connection, None, OpenMode::Writer)
    }

    fn with(connection: Connection, path: Option<PathBuf>, mode: OpenMode) -> Result<Self, StateError> {
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cache_size", -32_768)?;
        connection.set_prepared_statement_cache_capacity(128);
        let last_seq = connection.query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0))?;
        Ok(Self {
            connection,
            path,
            mode,
            last_seq,
            poisoned: None,
            checked: true,
        })
    }

    /// The file; `None` in memory.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The number of the newest event this connection knows: for a writer the last one it committed.
    pub fn last_seq(&self) -> i64 {
        self.last_seq
    }

    /// Why this store refuses to commit, if it does: the owner should exit and be started again.
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// The name of the project that this state belongs to, once it was remembered.
    pub fn project(&self) -> Result<Option<String>, StateError> {
        Ok(self.meta("project")?)
    }

    /// Remembers the project's name, so that a state folder that is used by another project can be told.
    pub fn remember_project(&mut self, name: &str) -> Result<(), StateError> {
        self.set_meta("project", name)?;
        Ok(())
    }

    /// The identity of the newest start, as in `Event::Started`.
    pub fn boot(&self) -> Result<Option<String>, StateError> {
        Ok(self.meta("boot")?)
    }

    /// Moves what is in the write-ahead log into the database file; to be called when there is nothing else to do.
    /// Readers do not wait for it, and it does what it can while they read.
    pub fn checkpoint(&mut self) -> Result<(), StateError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Writes a copy of this moment to `path`, which must not exist, whatever is committed meanwhile. The copy is one file, and
    /// checked.
    pub fn copy_to(&self, path: &Path) -> Result<(), StateError> {
        let mut copy = Connection::open(path)?;
        self.copy_into(&mut copy, path)?;
        copy.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
        quick_check(&copy, path)?;
        copy.close().map_err(|(_, error)| error.into())
    }

    /// A copy of this moment that is in no file.
    pub fn copy_in_memory(&self) -> Result<Self, StateError> {
        let mut copy = Connection::open_in_memory()?;
        self.copy_into(&mut copy, Path::new("a copy in memory"))?;
        configure_writer(&copy)?;
        Self::with(copy, None, OpenMode::Writer)
    }

    fn copy_into(&self, copy: &mut Connection, path: &Path) -> Result<(), StateError> {
        let backup = Backup::new(&self.connection, copy)?;
        // All of it in one read: in parts it would begin again with every commit.
        match backup.step(-1)? {
            StepResult::Done => Ok(()),
            // More, busy or locked: none of them can be with all pages asked for and a reader's snapshot.
            other => Err(StateError::Corrupt {
                path: path.to_owned(),
                detail: format!("the copy is not whole: {other:?}"),
            }),
        }
    }

    /// Whether the file still has to be checked: its last owner did not close it, and it is so large that the check would hold
    /// up the start. [`Store::quick_check`] does it, on a connection of its own.
    pub fn needs_check(&self) -> bool {
        !self.checked
    }

    /// Checks the file, which reads all of it.
    pub fn quick_check(&self) -> Result<(), StateError> {
        quick_check(&self.connection, self.path.as_deref().unwrap_or(Path::new("")))
    }

    /// The version of the schema, and the newest that this program knows.
    pub fn schema_version(&self) -> Result<(i64, i64), StateError> {
        Ok((migrations::version(&self.connection)?, MIGRATIONS.len() as i64))
    }

    /// How long a commit waits for another program that holds the database's lock (5 seconds unless set).
    pub fn wait_for_locks(&mut self, longest: Duration) -> Result<(), StateError> {
        Ok(self.connection.busy_timeout(longest)?)
    }

    /// Lets the file grow to `most` pages of 4 KB (or its size now, if that is more); `None` lifts the limit. A commit that
    /// needs more is refused as if the disk were full.
    pub fn limit_pages(&mut self, most: Option<u32>) -> Result<(), StateError> {
        // 0 would only ask; SQLite takes anything below the present size as that size.
        let most = most.map_or(i64::from(u32::MAX - 1), |most| i64::from(most.max(1)));
        self.connection
            .query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(()))?;
        Ok(())
    }

    /// Ends the use of the state in good order, so that the next start needs no check of the file.
    pub fn close(mut self) -> Result<(), StateError> {
        if self.mode == OpenMode::Writer && self.poisoned.is_none() {
            self.set_meta("shutdown", "clean")?;
            self.connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        self.connection.flush_prepared_statement_cache();
        self.connection.close().map_err(|(_, error)| error.into())
    }

    pub(super) fn meta(&self, key: &str) -> rusqlite::Result<Option<String>> {
        self.connection
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
            .optional()
    }

    fn set_meta(&mut self, key: &str, value: &str) -> rusqlite::Result<usize> {
        self.connection
            .execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", [key, value])
    }
}

/// Whether there is room for what SQLite writes beside the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Space {
    Enough,
    None,
}

/// Whether the database has a write-ahead log with something in it.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

/// The database as a URI that says that nobody changes it, see <https://sqlite.org/uri.html>.
fn unchanging(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri + "?immutable=1"
}

/// Whether a file of the size that SQLite begins with does not fit there.
fn is_full(folder: &Path) -> bool {
    let probe = folder.join(format!(".space.{}", std::process::id()));
    let tried = std::fs::write(&probe, [1; 1 << 16]);
    // Nobody reads it; one that stays behind is replaced by the next.
    std::fs::remove_file(&probe).ok();
    tried.is_err_and(|error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

fn require_safe_library() -> Result<(), StateError> {
    if rusqlite::version_number() < OLDEST_SAFE_SQLITE {
        return Err(StateError::Library {
            found: rusqlite::version().to_owned(),
        });
    }
    Ok(())
}

fn refuse_network_file_system(path: &Path, folder: &Path) -> Result<(), StateError> {
    // Only Linux has this file; elsewhere nothing is known and nothing is refused.
    let Ok(mountinfo) = std::fs::read_to_string("/proc/self/mountinfo") else {
        return Ok(());
    };
    match mounts::network_file_system(&mountinfo, folder) {
        Some(kind) => Err(StateError::NetworkFileSystem {
            path: path.to_owned(),
            kind: kind.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Reads the header only. Nothing may be written before this has passed: an older program must not touch a newer file.
fn refuse_other_files(connection: &Connection, path: &Path) -> Result<i64, StateError> {
    let damaged = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => StateError::Foreign(path.to_owned()),
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => StateError::Corrupt {
            path: path.to_owned(),
            detail: error.to_string(),
        },
        _ => error.into(),
    };
    let found = migrations::version(connection).map_err(damaged)?;
    let application: i64 = connection
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(damaged)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(damaged)?;
    if application != APPLICATION_ID && (found != 0 || tables != 0 || application != 0) {
        return Err(StateError::Foreign(path.to_owned()));
    }
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StateError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(found)
}

fn configure_writer(connection: &Connection) -> rusqlite::Result<()> {
    // Answers the mode: `wal`, or `memory` for a database in memory.
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // A commit returns after its write-ahead log is synced: an acknowledged request survives a power cut.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    // 16 MB between automatic checkpoints, so that one large commit does not also pay for one.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)
}

/// Checks the file if its last owner did not close it; `false` if it is too large to be checked before anything else.
fn check_after_unclean_shutdown(connection: &Connection, path: &Path) -> Result<bool, StateError> {
    let shutdown: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = 'shutdown'", [], |row| row.get(0))
        .optional()?;
    if shutdown.as_deref() == Some("open") {
        if std::fs::metadata(path).is_ok_and(|file| file.len() > LARGEST_CHECKED) {
            return Ok(false);
        }
        quick_check(connection, path)?;
    } else {
        connection.execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES ('shutdown', 'open')",
            [],
        )?;
    }
    Ok(true)
}

fn quick_check(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(StateError::Corrupt {
        path: path.to_owned(),
        detail: verdict,
    })
}
