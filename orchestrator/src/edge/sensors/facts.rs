//! What this project's own state tells: assets that were materialized, runs that ended; and new versions of another project's
//! tables, from its state. Where nothing was read yet, what happened before does not count.

use std::collections::BTreeSet;
use std::path::Path;

use assets::AssetKey;
use assets::sensor::{AssetSource, RunSource};
use state::sensor::SensorEvent;
use state::sqlite::queries::sensors::{current_version, ended_runs, materialized_after, newest_event};
use state::sqlite::{StateError, Store};

use super::super::engine::EngineHandle;
use super::super::folder::{ProjectRoot, StateFolder};
use super::look::Sight;
use super::task::Known;
use crate::core::{SensorSight, selected};

/// What is said of the first look.
const BEGINS: &str = "it begins here: what happened before does not count";

/// New materializations of an asset, or new versions of another project's table.
pub(super) async fn asset(known: &Known, source: &AssetSource, engine: &EngineHandle) -> Result<Sight, String> {
    match &source.project {
        Some(project) => elsewhere(known, source, project, engine).await,
        None => here(known, source, engine).await,
    }
}

async fn here(known: &Known, source: &AssetSource, engine: &EngineHandle) -> Result<Sight, String> {
    let (cursor, most) = (number(known), known.sensor.most_events as usize);
    let (asset, trigger) = (source.asset.to_string(), own_trigger(known));
    let found = ask(engine, move |store| match cursor {
        None => Ok(Err(newest_event(store)?)),
        // One more than counts tells whether there are more.
        Some(after) => Ok(Ok(materialized_after(store, &asset, after, &trigger, most + 1)?)),
    });
    let mut found = match found.await? {
        Err(newest) => return Ok(begins(newest.to_string())),
        Ok(found) => found,
    };
    let lag = found.len().saturating_sub(most);
    found.truncate(most);
    let cursor = found
        .last()
        .map(|last| last.seq.to_string())
        .or_else(|| known.cursor.clone());
    let events = found.into_iter().map(|made| SensorEvent {
        key: format!("materialization {}", made.seq),
        what: match &made.partition {
            Some(partition) => format!("{}@{partition} by {}", source.asset, made.run),
            None => format!("{} by {}", source.asset, made.run),
        },
        partitions: made.partition.into_iter().collect(),
        payload: None,
    });
    Ok(seen(events.collect(), cursor, lag))
}

async fn elsewhere(known: &Known, source: &AssetSource, project: &str, engine: &EngineHandle) -> Result<Sight, String> {
    let root = Path::new(&engine.settings().root).join(project);
    let database = StateFolder::of(&ProjectRoot::production(root)).database();
    let asset = source.asset.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let store = Store::open_reader(&database)?;
        current_version(&store, asset.layer(), asset.name())
    });
    let version = match looked.await.map_err(|error| error.to_string())? {
        Ok(version) => version.unwrap_or_default(),
        Err(error) => return Err(format!("the state of `{project}` cannot be read: {error}")),
    };
    match &known.cursor {
        None => Ok(begins(version)),
        Some(before) if *before == version => Ok(seen(Vec::new(), known.cursor.clone(), 0)),
        Some(_) => {
            let file = version.rsplit('/').next().unwrap_or_default();
            let event = SensorEvent {
                key: format!("{} {version}", known.sensor.scope().as_str()),
                what: match version.is_empty() {
                    true => format!("{} is gone", source.asset),
                    false => format!("{} is at {file}", source.asset),
                },
                partitions: Vec::new(),
                payload: None,
            };
            Ok(seen(vec![event], Some(version), 0))
        }
    }
}

/// Runs that ended, without those that this sensor requested: it would start itself again for ever.
pub(super) async fn run(
    known: &Known,
    source: &RunSource,
    scanned: &mut i64,
    engine: &EngineHandle,
) -> Result<Sight, String> {
    let Some(cursor) = number(known) else {
        let newest = ask(engine, newest_event).await?;
        return Ok(begins(newest.to_string()));
    };
    let of: Option<BTreeSet<AssetKey>> = match &source.of {
        None => None,
        Some(of) => {
            let of = of.as_str().to_owned();
            let found = engine.driver().ask(move |world, at| selected(world, at, &of));
            let found = found.await.ok_or("millpond is stopping")?;
            Some(found.map_err(|error| format!("`of` means nothing: {error}"))?)
        }
    };
    let most = known.sensor.most_events as usize;
    // What was looked at before and did not count is not looked at again.
    let after = cursor.max(*scanned);
    let trigger = own_trigger(known);
    let ended = ask(engine, move |store| ended_runs(store, after, &trigger, most + 1)).await?;
    let all = ended.len();
    let mut events = Vec::new();
    let mut newest = None;
    for run in ended.into_iter().take(most) {
        *scanned = run.seq;
        let is_of = |of: &BTreeSet<AssetKey>| {
            run.assets
                .iter()
                .any(|asset| of.iter().any(|one| one.as_str() == asset))
        };
        let ends_so = source.statuses.iter().any(|status| status.as_str() == run.status);
        if ends_so && of.as_ref().is_none_or(is_of) {
            newest = Some(run.seq.to_string());
            events.push(SensorEvent {
                key: run.run.to_string(),
                what: format!("{} {}: {}", run.run, run.status, run.selection),
                partitions: Vec::new(),
                payload: None,
            });
        }
    }
    let mut sight = seen(
        events,
        newest.or_else(|| known.cursor.clone()),
        all.saturating_sub(most),
    );
    if all > most && sight.sight.events.is_empty() {
        // None of these counted, and there are more.
        sight.sight.lag = 0;
        sight.again_in = Some(std::time::Duration::from_millis(1));
    }
    Ok(sight)
}

fn own_trigger(known: &Known) -> String {
    format!("sensor {}", known.sensor.name)
}

fn number(known: &Known) -> Option<i64> {
    known.cursor.as_ref()?.parse().ok()
}

fn begins(cursor: String) -> Sight {
    let mut sight = seen(Vec::new(), Some(cursor), 0);
    sight.sight.remark = Some(BEGINS.to_owned());
    sight
}

fn seen(events: Vec<SensorEvent>, cursor: Option<String>, lag: usize) -> Sight {
    Sight {
        sight: SensorSight {
            events,
            cursor,
            lag: lag as u64,
            ..SensorSight::default()
        },
        ..Sight::default()
    }
}

/// Asks the store on a thread that may wait.
async fn ask<T: Send + 'static>(
    engine: &EngineHandle,
    question: impl FnOnce(&Store) -> Result<T, StateError> + Send + 'static,
) -> Result<T, String> {
    let engine = engine.clone();
    let asked = tokio::task::spawn_blocking(move || question(&engine.reader()?)).await;
    asked
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("the state cannot be read: {error}"))
}
