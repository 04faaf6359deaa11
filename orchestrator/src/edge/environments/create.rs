//! Makes an environment: a copy of the state in which nothing starts by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugins::lakehouse::Lake;
use state::event::OwnerMode;
use state::sqlite::queries::events::newest;
use state::sqlite::{OpenMode, Store};

use super::super::folder::{ProjectRoot, StateFolder};
use super::super::{clock, environment};
use super::record::EnvironmentRecord;
use super::{EnvironmentError, EnvironmentName, sync_folder, take_file};
use crate::core::{Definitions, Input, World, turn};

/// Makes an environment of the project in `production` as it is now.
///
/// # Errors
/// There is one of that name; nothing of the project was ever materialized; or files cannot be read or written. Nothing is left behind
/// then.
pub async fn create(
    production: &ProjectRoot,
    lake: &Lake,
    name: &EnvironmentName,
) -> Result<EnvironmentRecord, EnvironmentError> {
    let from = StateFolder::of(production);
    let folder = StateFolder::of(&ProjectRoot::new(production.to_path_buf(), Some(name.clone())));
    if folder.path().exists() {
        return Err(EnvironmentError::Exists(name.clone()));
    }
    let environments = folder.environments();
    fs::create_dir_all(&environments).map_err(EnvironmentError::at("make", &environments))?;
    // No environment can have such a name.
    let unfinished = Unfinished(environments.join(format!("{name}.making.{}", std::process::id())));
    fs::create_dir(&unfinished.0).map_err(EnvironmentError::at("make", &unfinished.0))?;
    let record = copy(&from, &unfinished.0, name)?;
    fs::rename(&unfinished.0, folder.path()).map_err(EnvironmentError::at("make", folder.path()))?;
    sync_folder(&environments)?;
    // From here on its needs are known. What was removed just before is missed now, or never.
    for (table, pointer) in &record.tables {
        if let Err(error) = lake.table(table, pointer).await {
            fs::remove_dir_all(folder.path()).map_err(EnvironmentError::at("remove", folder.path()))?;
            return Err(error.into());
        }
    }
    Ok(record)
}

/// Removes a folder that did not become an environment.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It has another name by now, or is of no use.
        fs::remove_dir_all(&self.0).ok();
    }
}

fn copy(from: &StateFolder, to: &Path, name: &EnvironmentName) -> Result<EnvironmentRecord, EnvironmentError> {
    let database = to.join("state.db");
    let production = Store::open_reader(&from.database())?;
    production.copy_to(&database)?;
    production.close()?;
    let mut store = Store::open(&database, OpenMode::Writer)?;
    let loaded = store.load_with(|_| {})?;
    let mut record = EnvironmentRecord::of(name.clone(), clock::now(), newest(&store)?, &loaded);
    for version in loaded.models.values().flat_map(|known| known.versions.values()) {
        take_file(&from.path().join(&version.artifact), &to.join(&version.artifact))?;
    }
    bring_to_rest(&mut store)?;
    record.own_from_event = newest(&store)?;
    store.close()?;
    record.write(to)?;
    Ok(record)
}

/// What runs, runs in production. Here it is over, and nothing begins by itself.
fn bring_to_rest(store: &mut Store) -> Result<(), EnvironmentError> {
    let seed = environment::seed();
    let mut world = World::from_loaded(store.load()?, Arc::new(Definitions::default()), seed);
    for input in to_rest(&mut world, format!("environment {seed:016x}")) {
        let decided = turn(&mut world, clock::now(), input)?;
        store.commit(&decided.events)?;
    }
    Ok(())
}

/// What brings a copy of a state to rest, in the order in which it is to be taken.
pub fn to_rest(world: &mut World, boot: String) -> Vec<Input> {
    world.drain();
    let runs = world.open_runs().map(|run| run.id.clone());
    let cancel = runs.map(|run| Input::CancelRun { request: 0, run });
    let recover = Input::Recover {
        boot,
        mode: OwnerMode::Foreground,
    };
    let hold = Input::Hold {
        by: "environment".to_owned(),
    };
    cancel.chain([recover, hold]).collect()
}
