//! Ends an environment.
//!
//! Its folder loses its name first, so that nothing of production's is kept for it any more; then its files in the warehouse go, but for
//! those that tables of production or of other environments refer to since a merge; then the folder. If that breaks off, it is taken
//! up again by asking once more. The files are removed through the environment's own storage, which can remove no others.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use assets::AssetKey;
use assets::outcome::TablePointer;
use plugins::lakehouse::{Lake, RemovedFiles, UnneededFile, remove as remove_files, unneeded_below};
use serde::Serialize;
use state::sqlite::{StateError, Store};

use super::super::folder::{ProjectRoot, StateFolder};
use super::super::maintenance::pins;
use super::super::opened::tables_of;
use super::record::{at_rest, list};
use super::{EnvironmentError, EnvironmentName};

/// What removing an environment came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemovedEnvironment {
    /// The environment.
    pub environment: String,
    /// Files of tables that were removed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that stay because tables refer to them.
    pub kept: u64,
    /// Files that could not be removed, and why.
    pub failed: Vec<String>,
}

/// Removes an environment of the project in `production`, or what an earlier try has left of it.
///
/// # Errors
/// There is none, a process works in it, or what others need cannot be told: then no file of a table is removed.
pub async fn remove(
    production: &ProjectRoot,
    lake: &Lake,
    name: &EnvironmentName,
) -> Result<RemovedEnvironment, EnvironmentError> {
    let own = StateFolder::of(&ProjectRoot::new(production.to_path_buf(), Some(name.clone())));
    let leaving: PathBuf = own.environments().join(format!("{name}.leaving"));
    let tables = tables_of(lake.warehouse(), name);
    let there = own.path().exists();
    if there {
        at_rest(name, &own)?;
        match fs::remove_dir_all(&leaving) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(EnvironmentError::at("remove", &leaving)(error));
            }
            _ => {}
        }
        fs::rename(own.path(), &leaving).map_err(EnvironmentError::at("rename", own.path()))?;
    }
    let (versions, pinned) = needed(&StateFolder::of(production))?;
    let (mut unneeded, mut kept) = unneeded_below(lake, &tables, &versions).await?;
    // What models and attempts were made from is read by the metadata of then; the log of a table reaches back a hundred versions.
    let all = unneeded.len();
    unneeded.retain(|file| !pinned.contains(&file.location));
    kept += (all - unneeded.len()) as u64;
    // What was merged is there for good, with or without an environment.
    if !there && !leaving.exists() && unneeded.is_empty() {
        return Err(EnvironmentError::Missing(name.clone()));
    }
    let removed = remove_all(lake, &tables, &unneeded).await?;
    match fs::remove_dir_all(&leaving) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(EnvironmentError::at("remove", &leaving)(error));
        }
        _ => {}
    }
    Ok(RemovedEnvironment {
        environment: name.to_string(),
        files: removed.files,
        bytes: removed.bytes,
        kept,
        failed: removed.failed,
    })
}

async fn remove_all(lake: &Lake, tables: &str, files: &[UnneededFile]) -> Result<RemovedFiles, EnvironmentError> {
    let removed = remove_files(&lake.writing_below(tables)?, files).await;
    if let Some(folder) = tables.strip_prefix("file://") {
        remove_empty_folders(Path::new(folder));
    }
    Ok(removed)
}

/// Removes a folder and those in it that hold no file. One that is not empty stays, whatever it is.
fn remove_empty_folders(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty_folders(&entry.path());
        }
    }
    // Not empty: it stays.
    fs::remove_dir(folder).ok();
}

/// Versions of tables, and metadata files, as the storage spells them.
type Needed = (BTreeSet<(AssetKey, TablePointer)>, BTreeSet<String>);

/// Every version of a table that anybody may read with its history, and the metadata of those that models and attempts read.
fn needed(production: &StateFolder) -> Result<Needed, EnvironmentError> {
    let (mut versions, mut pinned) = Needed::default();
    match Store::open_reader(&production.database()) {
        Ok(store) => {
            versions.extend(store.load_with(|_| {})?.pointers);
            let metadata = pins(&store)?.metadata;
            pinned.extend(
                metadata
                    .iter()
                    .map(|location| location.trim_start_matches("file://").to_owned()),
            );
        }
        Err(StateError::Missing(_)) => {}
        Err(error) => return Err(error.into()),
    }
    for record in list(production)?.into_iter().filter(|record| record.merged.is_none()) {
        versions.extend(record.tables);
    }
    Ok((versions, pinned))
}
