//! Rows that a check kept back. They are staged: their files are in the warehouse, and no table refers to them. What they are is kept
//! in the state folder, a file for each step, so that someone can look at them, publish them all the same, or drop them.
//!
//! ```text
//! core: a blocking check did not pass ─► keep ─► of_run ─► query --staged
//!                                                       ├► publish (one transaction of the core's) ─► forgotten
//!                                                       └► drop, or too old for gc                 ─► forgotten, files removed
//! ```
//! What is lost of it (the daemon died in between, the disk was full) is rows that nobody was to see: the run can be asked for again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use assets::AssetKey;
use plugins::lakehouse::{Lake, LakeError, discard_staged, staged_locations};
use sha2::{Digest, Sha256};
use state::event::Micros;
use state::ids::RunId;

use super::folder::StateFolder;
use crate::core::KeptStaged;

/// How long rows that a check kept back are kept, in microseconds: a week.
pub const KEPT_FOR: Micros = 7 * 24 * 3_600_000_000;

/// Why kept rows cannot be found, or dropped.
#[derive(Debug, thiserror::Error)]
pub enum KeptStagedError {
    /// A file that says what they are.
    #[error("cannot {action} `{}`: {reason}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Their own files.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeptStagedError {
    let path = path.to_owned();
    move |error| KeptStagedError::File {
        action,
        path,
        reason: error.to_string(),
    }
}

/// Kept rows, and the file that says so.
#[derive(Debug, Clone)]
pub struct Found {
    /// What they are.
    pub kept: KeptStaged,
    file: PathBuf,
}

/// Keeps what a check kept back.
pub fn keep(folder: &StateFolder, kept: &KeptStaged) -> Result<(), KeptStagedError> {
    let folder = folder.kept_staged().join(kept.run.to_string());
    fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
    // A key may have letters that no file name can.
    let step = hex::encode(Sha256::digest(kept.made.step.to_string()));
    let file = folder.join(format!("{}-{}.json", kept.attempt, &step[..16]));
    let part = file.with_extension("part");
    let text = serde_json::to_vec(kept).expect("what is staged has a JSON form");
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(&text)?;
        file.sync_all()
    });
    written.map_err(failed("write", &part))?;
    fs::rename(&part, &file).map_err(failed("write", &file))
}

/// What is kept of a run, by asset and partition.
///
/// # Errors
/// A file cannot be read.
pub fn of_run(folder: &StateFolder, run: &RunId) -> Result<Vec<Found>, KeptStagedError> {
    let mut found = in_folder(&folder.kept_staged().join(run.to_string()))?;
    found.sort_by(|a, b| a.kept.made.step.cmp(&b.kept.made.step));
    Ok(found)
}

/// All that is kept, newest first.
///
/// # Errors
/// A file cannot be read: what it keeps is not known then.
pub fn all(folder: &StateFolder) -> Result<Vec<Found>, KeptStagedError> {
    let root = folder.kept_staged();
    let mut found = Vec::new();
    for run in entries(&root)? {
        found.extend(in_folder(&run)?);
    }
    found.sort_by(|a, b| (b.kept.at, &a.kept.made.step).cmp(&(a.kept.at, &b.kept.made.step)));
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, KeptStagedError> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()).map_err(failed("list", folder)))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed("list", folder)(error)),
    }
}

fn in_folder(folder: &Path) -> Result<Vec<Found>, KeptStagedError> {
    let mut found = Vec::new();
    for file in entries(folder)? {
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = match fs::read(&file) {
            Ok(text) => text,
            // It was published or dropped just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed("read", &file)(error)),
        };
        let kept = serde_json::from_slice(&text).map_err(|error| KeptStagedError::File {
            action: "read",
            path: file.clone(),
            reason: error.to_string(),
        })?;
        found.push(Found { kept, file });
    }
    Ok(found)
}

impl Found {
    /// Whether it is of this asset.
    pub fn is_of(&self, asset: &AssetKey) -> bool {
        self.kept.made.step.asset == *asset
    }

    /// Locations of the files of its rows.
    pub fn locations(&self) -> Result<Vec<String>, LakeError> {
        let mut locations = Vec::new();
        for table in &self.kept.staged.tables {
            locations.extend(staged_locations(table)?);
        }
        Ok(locations)
    }

    /// It is not kept any more: its rows are published.
    pub fn forget(&self) -> Result<(), KeptStagedError> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &self.file)(error)),
            _ => {
                if let Some(folder) = self.file.parent() {
                    // Not empty: others of the run are there.
                    fs::remove_dir(folder).ok();
                }
                Ok(())
            }
        }
    }

    /// It is not kept any more, and its rows are removed. The rows go last: what is left of them, nothing refers to.
    pub async fn drop(&self, lake: &Lake) -> Result<(), KeptStagedError> {
        self.forget()?;
        Ok(discard_staged(lake, &self.kept.staged.tables).await?)
    }
}
