//! What an environment was made from, as it stands in its folder; and which environments there are.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use assets::AssetKey;
use assets::outcome::TablePointer;
use serde::{Deserialize, Serialize};
use state::event::Micros;
use state::ids::RunId;
use state::sqlite::Owner;
use state::sqlite::load::Loaded;

use super::super::folder::{ProjectRoot, StateFolder};
use super::{EnvironmentError, EnvironmentName, sync_folder};

/// The newest form that this program reads; it writes this one.
const FORMAT: u32 = 1;

/// What an environment was made from, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentRecord {
    /// The form of the file.
    pub format: u32,
    /// Its name.
    pub name: EnvironmentName,
    /// When it was made.
    pub created_at: Micros,
    /// The number of production's newest event then.
    pub from_event: i64,
    /// The number of its own newest event before anything was done in it.
    pub own_from_event: i64,
    /// The version of every table then.
    pub tables: BTreeMap<AssetKey, TablePointer>,
    /// Where every model stood then.
    pub models: BTreeMap<AssetKey, ModelBase>,
    /// When it was merged and the run of production's that it became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<(Micros, Option<RunId>)>,
}

/// Where a model stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelBase {
    /// Its newest version.
    pub newest: u64,
    /// Its aliases.
    pub aliases: BTreeMap<String, u64>,
}

impl EnvironmentRecord {
    /// One that was made from a state whose newest event has the number `from_event`. Nothing has happened in it yet.
    pub fn of(name: EnvironmentName, created_at: Micros, from_event: i64, state: &Loaded) -> Self {
        let models = state.models.iter().map(|(model, known)| {
            let base = ModelBase {
                newest: known.versions.keys().next_back().copied().unwrap_or_default(),
                aliases: known.aliases.clone().into_iter().collect(),
            };
            (model.clone(), base)
        });
        Self {
            format: FORMAT,
            name,
            created_at,
            from_event,
            own_from_event: from_event,
            tables: state.pointers.clone().into_iter().collect(),
            models: models.collect(),
            merged: None,
        }
    }

    /// Writes it into the environment's folder, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<(), EnvironmentError> {
        let (file, part) = (folder.join("environment.json"), folder.join("environment.json.part"));
        let text = serde_json::to_vec_pretty(self).expect("texts and numbers have a JSON form");
        std::fs::write(&part, text).map_err(EnvironmentError::at("write", &part))?;
        std::fs::File::open(&part)
            .and_then(|file| file.sync_all())
            .map_err(EnvironmentError::at("sync", &part))?;
        std::fs::rename(&part, &file).map_err(EnvironmentError::at("write", &file))?;
        sync_folder(folder)
    }
}

/// What the environment in a folder was made from; `None` if there is none.
pub fn read(folder: &Path) -> Result<Option<EnvironmentRecord>, EnvironmentError> {
    let file = folder.join("environment.json");
    let unreadable = |reason: String| EnvironmentError::Unreadable {
        path: folder.to_owned(),
        reason,
    };
    let text = match std::fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let record: EnvironmentRecord = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    if record.format > FORMAT {
        return Err(unreadable("a newer Millpond made it".to_owned()));
    }
    Ok(Some(record))
}

/// The environments of a project, by name. Folders that are none are passed over.
///
/// # Errors
/// One of them cannot be read: what it needs is not known then.
pub fn list(folder: &StateFolder) -> Result<Vec<EnvironmentRecord>, EnvironmentError> {
    let all = folder.environments();
    let entries = match std::fs::read_dir(&all) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(EnvironmentError::at("list", &all)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(EnvironmentError::at("list", &all))?;
        // What is being made or removed has a name that no environment can have.
        let named = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.parse::<EnvironmentName>().is_ok());
        if named {
            found.extend(read(&entry.path())?);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The environment that `root` names.
///
/// # Errors
/// There is none, or it was merged.
pub fn open(root: &ProjectRoot) -> Result<EnvironmentRecord, EnvironmentError> {
    let name = root.environment().expect("asked of an environment");
    let record = read(StateFolder::of(root).path())?.ok_or_else(|| EnvironmentError::Missing(name.clone()))?;
    match record.merged {
        Some(_) => Err(EnvironmentError::Merged(name.clone())),
        None => Ok(record),
    }
}

/// Refuses an environment that a process works in.
pub(super) fn at_rest(name: &EnvironmentName, folder: &StateFolder) -> Result<(), EnvironmentError> {
    match Owner::of(folder.path()) {
        Some(owner) => Err(EnvironmentError::Busy {
            name: name.clone(),
            pid: owner.pid,
        }),
        None => Ok(()),
    }
}
