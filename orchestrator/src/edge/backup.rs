//! A backup: one file that holds the state of a moment and the models, with a manifest that says what it is.
//!
//! It is a tar archive, so that its parts can be had without Millpond: `manifest.json` first, then `state.db`, then the
//! artifacts of the models. The tables are not in it: their files never change once written, and are copied by whatever copies
//! the warehouse. Which version of each table the state shows is in the manifest.
//!
//! Written to a name of its own, synced and renamed: a file with the wanted name is whole.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use assets::outcome::TablePointer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use state::sqlite::{StateError, Store};
use std::collections::BTreeMap;

use super::clock;

const MANIFEST: &str = "manifest.json";
const DATABASE: &str = "state.db";
/// The newest form of backups that this program reads; it writes this one.
const FORMAT: u32 = 1;
/// No manifest is larger.
const LARGEST_MANIFEST: u64 = 1 << 30;

/// What a backup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the file.
    pub format: u32,
    /// The version of Millpond that wrote it.
    pub millpond: String,
    /// The version of the state's schema.
    pub schema: i64,
    /// The project's name.
    pub project: String,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// The number of the newest event.
    pub last_event: i64,
    /// The version of every table that the state shows.
    pub tables: BTreeMap<String, TablePointer>,
    /// Every file in it.
    pub files: Vec<BackedUp>,
}

/// A file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// Its path from the state folder.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// Their SHA-256, hex.
    pub sha256: String,
}

/// Why there is no backup, or why one cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
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
    /// It is no backup.
    #[error("`{}` is no backup of a Millpond state: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// It was written by a newer program.
    #[error("`{}` was written by millpond {millpond}, which is newer than this program: restore it with that one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Who wrote it.
        millpond: String,
    },
    /// It is not what its manifest says.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { action, path, source }
}

/// A name beside `file` for what is not whole yet.
fn beside(file: &Path, what: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{what}.{}", std::process::id()));
    file.with_file_name(name)
}

/// Removes files of ours that are not whole, however the work on them ends.
struct Unfinished(Vec<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        for path in &self.0 {
            // Whatever was renamed or never made is not there.
            std::fs::remove_file(path).ok();
        }
    }
}

/// Writes the state of this moment, and the models of `state_folder`, to `file`.
pub fn back_up(store: &Store, state_folder: &Path, project: &str, file: &Path) -> Result<Manifest, BackupError> {
    let (copy, archive) = (beside(file, DATABASE), beside(file, "part"));
    let _unfinished = Unfinished(vec![copy.clone(), archive.clone()]);
    // Another one of this name is from a process that died.
    std::fs::remove_file(&copy).ok();
    store.copy_to(&copy)?;
    // What follows is of the moment of the copy, whatever is committed meanwhile.
    let copied = Store::open_reader(&copy)?;
    let loaded = copied.load_with(|_| {})?;
    let mut sources = vec![(DATABASE.to_owned(), copy.clone())];
    for version in loaded.models.values().flat_map(|model| model.versions.values()) {
        sources.push((version.artifact.clone(), state_folder.join(&version.artifact)));
    }
    sources[1..].sort();
    sources.dedup();
    let files = sources
        .iter()
        .map(|(path, source)| {
            let (bytes, sha256) = digest(source)?;
            Ok(BackedUp {
                path: path.clone(),
                bytes,
                sha256,
            })
        })
        .collect::<Result<_, BackupError>>()?;
    let manifest = Manifest {
        format: FORMAT,
        millpond: env!("CARGO_PKG_VERSION").to_owned(),
        schema: copied.schema_version()?.0,
        project: project.to_owned(),
        at: clock::now(),
        last_event: copied.last_seq(),
        tables: loaded
            .pointers
            .iter()
            .map(|(table, pointer)| (table.to_string(), pointer.clone()))
            .collect(),
        files,
    };
    copied.close()?;
    write_archive(&archive, &manifest, &sources)?;
    std::fs::rename(&archive, file).map_err(io_error("write", file))?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io_error("sync", folder))?;
    Ok(manifest)
}

fn write_archive(path: &Path, manifest: &Manifest, sources: &[(String, PathBuf)]) -> Result<(), BackupError> {
    let file = File::create(path).map_err(io_error("write", path))?;
    let mut archive = tar::Builder::new(io::BufWriter::with_capacity(1 << 20, file));
    let seconds = (manifest.at / 1_000_000).unsigned_abs();
    let text = serde_json::to_vec_pretty(manifest).expect("texts and numbers have a JSON form");
    let header = |bytes: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_mtime(seconds);
        header
    };
    archive
        .append_data(&mut header(text.len() as u64), MANIFEST, text.as_slice())
        .map_err(io_error("write", path))?;
    for (entry, (name, source)) in manifest.files.iter().zip(sources) {
        let opened = File::open(source).map_err(io_error("read", source))?;
        archive
            .append_data(&mut header(entry.bytes), name, opened.take(entry.bytes))
            .map_err(io_error("write", path))?;
    }
    let written = archive.into_inner().and_then(|mut buffer| {
        buffer.flush()?;
        buffer.into_inner().map_err(io::IntoInnerError::into_error)
    });
    written
        .and_then(|file| file.sync_all())
        .map_err(io_error("write", path))
}

fn digest(path: &Path) -> Result<(u64, String), BackupError> {
    let mut file = File::open(path).map_err(io_error("read", path))?;
    let mut digest = Sha256::new();
    let bytes = io::copy(&mut file, &mut digest).map_err(io_error("read", path))?;
    Ok((bytes, hex::encode(digest.finalize())))
}

/// Unpacks a backup into `folder`, which is made. Every file is checked against the manifest.
pub fn unpack(file: &Path, folder: &Path) -> Result<Manifest, BackupError> {
    let foreign = |reason: String| BackupError::Foreign {
        path: file.to_owned(),
        reason,
    };
    let damaged = |reason: String| BackupError::Damaged {
        path: file.to_owned(),
        reason,
    };
    let opened = File::open(file).map_err(io_error("read", file))?;
    let mut archive = tar::Archive::new(io::BufReader::with_capacity(1 << 20, opened));
    let mut entries = archive.entries().map_err(|error| foreign(error.to_string()))?;
    let mut first = match entries.next() {
        Some(Ok(entry)) => entry,
        Some(Err(error)) => return Err(foreign(error.to_string())),
        None => return Err(foreign("it is empty".to_owned())),
    };
    if first.path().ok().as_deref() != Some(Path::new(MANIFEST)) {
        return Err(foreign(format!("it does not begin with `{MANIFEST}`")));
    }
    let mut text = String::new();
    (&mut first)
        .take(LARGEST_MANIFEST)
        .read_to_string(&mut text)
        .map_err(|error| foreign(error.to_string()))?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| foreign(format!("its manifest cannot be read: {error}")))?;
    if manifest.format > FORMAT {
        return Err(BackupError::Newer {
            path: file.to_owned(),
            millpond: manifest.millpond,
        });
    }
    std::fs::create_dir_all(folder).map_err(io_error("make", folder))?;
    let mut expected = manifest.files.iter();
    for entry in entries {
        let mut entry = entry.map_err(|error| damaged(error.to_string()))?;
        let Some(file) = expected.next() else {
            return Err(damaged("it has more files than its manifest says".to_owned()));
        };
        if entry.path().ok().as_deref() != Some(Path::new(&file.path)) || !is_inside(&file.path) {
            return Err(damaged(format!("`{}` is not where its manifest says", file.path)));
        }
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(io_error("make", parent))?;
        }
        let mut out = File::create(&path).map_err(io_error("write", &path))?;
        io::copy(&mut entry, &mut out).map_err(|error| damaged(error.to_string()))?;
        out.sync_all().map_err(io_error("sync", &path))?;
        let (bytes, sha256) = digest(&path)?;
        if (bytes, &sha256) != (file.bytes, &file.sha256) {
            return Err(damaged(format!("`{}` is not what its manifest says", file.path)));
        }
    }
    match expected.next() {
        Some(missing) => Err(damaged(format!("`{}` is missing", missing.path))),
        None if manifest.files.first().is_none_or(|file| file.path != DATABASE) => {
            Err(foreign("it holds no state".to_owned()))
        }
        None => Ok(manifest),
    }
}

/// Whether a path stays in the folder that it is joined to.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("old/state.db"), state::sqlite::OpenMode::Writer).unwrap();
        store.remember_project("toy").unwrap();
        let file = folder.path().join("b.tar");
        let manifest = back_up(&store, &folder.path().join("old"), "toy", &file).unwrap();
        assert_eq!((manifest.format, manifest.files.len()), (1, 1));
        (folder, file)
    }

    #[test]
    fn a_backup_is_restored_whole_and_leaves_nothing_else_behind() {
        let (folder, file) = made();
        let names = || {
            let mut names: Vec<_> = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(), ["b.tar", "old"]);
        let manifest = unpack(&file, &folder.path().join("new")).unwrap();
        assert_eq!(manifest.project, "toy");
        let store = Store::open_reader(&folder.path().join("new/state.db")).unwrap();
        assert_eq!(store.project().unwrap().as_deref(), Some("toy"));
    }

    #[test]
    fn what_is_damaged_cut_or_foreign_is_refused() {
        let (folder, file) = made();
        let whole = std::fs::read(&file).unwrap();
        let new = folder.path().join("new");
        let refused = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            let error = unpack(&file, &new).unwrap_err().to_string();
            std::fs::remove_dir_all(&new).ok();
            error
        };
        let mut flipped = whole.clone();
        let middle = whole.len() / 2;
        flipped[middle] ^= 1;
        assert!(refused(&flipped).contains("is not what its manifest says"));
        for cut in [0, 100, 700, middle] {
            let error = refused(&whole[..cut]);
            assert!(
                error.contains("is damaged") || error.contains("is no backup"),
                "{cut}: {error}"
            );
        }
        assert!(refused(b"PK\x03\x04 something else").contains("is no backup"));
        let text = String::from_utf8_lossy(&whole).replace("\"format\": 1", "\"format\": 9");
        assert!(refused(text.as_bytes()).contains("newer") || text.len() != whole.len());
    }

    #[test]
    fn paths_stay_inside() {
        for (path, inside) in [
            ("state.db", true),
            ("models/a/b.json", true),
            ("../state.db", false),
            ("/etc/passwd", false),
            ("models/../../x", false),
            ("", false),
        ] {
            assert_eq!(is_inside(path), inside, "{path}");
        }
    }
}
