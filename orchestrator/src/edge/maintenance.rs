//! Tending tables: few files of many small ones (`compaction`), no versions that nobody needs any more, no files that nothing refers to.
//!
//! ```text
//! pointers, pins ─► plan of each table ─► metadata without them ─► the driver moves the pointer ─► files removed
//! ```
//! The driver refuses if the table moved on meanwhile; it is then planned anew. What may go is `plugins::lakehouse`'s to say, what
//! somebody needs is found here: versions that attempts under way or models were made from. A table that cannot be judged (a
//! manifest that cannot be read) is told of and left as it is; the others are not held up by it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use assets::AssetKey;
use assets::outcome::TablePointer;
use assets::selection::Selection;
use plugins::lakehouse::{
    CompactionRule, Expiry, KeptSnapshots, LakeError, NeededBeside, old_files, orphans, plan_expiry, prepare_expiry,
    remove,
};
use state::event::{Micros, PinnedVersion};
use state::sqlite::queries::attempts::pinned_by_attempts;
use state::sqlite::queries::models::{models, versions};
use state::sqlite::{StateError, Store};
use tokio::task::JoinHandle;

use super::compaction::compact_table;
use super::driver::quarantine_table;
use super::engine::{EngineHandle, NextVersion, RequestError, TableError};
use super::environments::{self, EnvironmentError, EnvironmentName};
use super::kept_staged::{self, KeptStagedError};
use super::readers::{self, Needed};
use super::ticker::sleep_until;
use super::{clock, environment};
use crate::core::{PreparedExpiry, TableChangeKind, selected};
use crate::wire::{GcAnswer, GcBody, HeldSnapshot, TendedTable};

/// Files that nothing refers to are left alone for so long: a step may be about to publish them.
const ORPHAN_AGE: Micros = 24 * 3_600_000_000;
/// Rows of a page of the registry.
const PAGE: usize = 200;
/// How long after a failure the daemon waits before it looks at its timetable again.
const AFTER_TROUBLE: Duration = Duration::from_secs(60);

/// Why nothing could be done at all.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The selection, or the engine is stopping.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// What is pinned cannot be read, so nothing is known to be free.
    #[error("failed to read what runs and models need: {0}")]
    State(#[from] StateError),
    /// What an environment needs cannot be read, so nothing is known to be free.
    #[error("failed to read what environments need, so nothing is removed: {0}")]
    Environment(#[from] EnvironmentError),
    /// What a check kept back cannot be read, or dropped.
    #[error("failed to read what checks kept back, so nothing is removed: {0}")]
    KeptStaged(#[from] KeptStagedError),
    /// What queries read cannot be found out, so nothing is known to be free.
    #[error("failed to find out what queries under way read, so nothing is removed: {0}")]
    Readers(#[from] std::io::Error),
    /// It is asked of an environment.
    #[error("the files of the environment {0} go with it, and no others are its own: `millpond env drop {0}`")]
    InEnvironment(EnvironmentName),
}

/// What may not go.
pub(super) struct Pins {
    /// By table and snapshot: what for.
    snapshots: BTreeMap<AssetKey, BTreeMap<i64, String>>,
    /// Metadata that someone still reads tables by, and files of rows that a check kept back.
    pub(super) metadata: BTreeSet<String>,
    /// When the earliest attempt under way began.
    earliest: Option<Micros>,
}

/// Tends the selected tables, or says what would be done.
pub async fn tend(engine: &EngineHandle, body: &GcBody, by: &str) -> Result<GcAnswer, MaintenanceError> {
    let _one_at_a_time = engine.tending().lock().await;
    if let Some(name) = engine.project().root.environment() {
        return Err(MaintenanceError::InEnvironment(name.clone()));
    }
    let kept = engine.project().maintenance.clone();
    let keep_seconds = body.keep_seconds.unwrap_or(kept.keep_seconds);
    let newest = body.keep_snapshots.unwrap_or(kept.keep_snapshots) as usize;
    let tables = tables(engine, body.selection.as_deref()).await?;
    let reader = engine.clone();
    let mut pins = tokio::task::spawn_blocking(move || pins(&reader.reader()?))
        .await
        .map_err(|_| RequestError::Stopping)??;
    let of_environments = environments::pins(engine.folder(), engine.lake()).await?;
    pins.metadata.extend(of_environments.metadata);
    for (table, snapshots) in of_environments.snapshots {
        let of_table = pins.snapshots.entry(table).or_default();
        for (snapshot, what_for) in snapshots {
            of_table.entry(snapshot).or_insert(what_for);
        }
    }
    let needed = needed_by_queries(engine).await?;
    if let Some(needed) = &needed {
        pins.earliest = Some(pins.earliest.map_or(needed.since, |at| at.min(needed.since)));
    }
    let now = clock::now();
    for found in kept_staged::all(engine.folder())? {
        if now - found.kept.at > kept_staged::KEPT_FOR && !body.dry_run {
            found.drop(engine.lake()).await?;
        } else {
            pins.metadata.extend(found.locations().map_err(KeptStagedError::from)?);
        }
    }
    let since = now - Micros::try_from(keep_seconds).unwrap_or(Micros::MAX / 2_000_000) * 1_000_000;
    let since = pins.earliest.map_or(since, |earliest| since.min(earliest));
    let rule = (!body.no_compaction && kept.compact_files > 0).then(|| CompactionRule {
        small_bytes: kept.small_file_bytes,
        least_files: kept.compact_files as usize,
    });
    let mut answer = GcAnswer {
        dry_run: body.dry_run,
        tables: Vec::new(),
        read_by: needed.map(|needed| needed.process),
    };
    for table in tables {
        let kept = KeptSnapshots {
            since_ms: since / 1000,
            newest,
            pinned: pins.snapshots.get(&table).cloned().unwrap_or_default(),
        };
        let mut told = TendedTable::of(&table);
        let mut tended = Ok(());
        if let Some(rule) = &rule {
            tended = compact_table(engine, &table, rule, body.dry_run, by, &mut told).await;
        }
        // Small files that stay, for a column to sort by that is not there, keep no old version from going.
        if let Err(Untended::Lake(error)) = &tended {
            tracing::warn!(%table, %error, "small files of a table stay as they are");
            told.error = Some(error.to_string());
            tended = Ok(());
        }
        if tended.is_ok() {
            tended = tend_table(engine, &table, &kept, &pins, now, body.dry_run, by, &mut told).await;
        }
        match tended {
            Ok(()) => {}
            Err(Untended::Stopping) => return Err(RequestError::Stopping.into()),
            Err(Untended::Unknown(error)) => return Err(error),
            Err(Untended::Refused(why)) => told.error = Some(format!("nothing was removed: {why}")),
            Err(Untended::Lake(error)) => {
                tracing::warn!(%table, %error, "old versions of a table stay as they are");
                told.error = Some(error.to_string());
            }
        }
        answer.tables.push(told);
    }
    Ok(answer)
}

/// Why a table was not tended.
pub(super) enum Untended {
    Lake(LakeError),
    /// What is needed cannot be read, of any table.
    Unknown(MaintenanceError),
    /// The table is gone, or written all the time.
    Refused(String),
    Stopping,
}

impl From<MaintenanceError> for Untended {
    fn from(error: MaintenanceError) -> Self {
        Self::Unknown(error)
    }
}

impl From<TableError> for Untended {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Lake(error) => Self::Lake(error),
            TableError::State(error) => Self::Unknown(error.into()),
            TableError::Request(error) => Self::Unknown(error.into()),
            TableError::NotThere { message, .. } | TableError::Refused(message) => Self::Refused(message),
        }
    }
}

impl From<LakeError> for Untended {
    fn from(error: LakeError) -> Self {
        Self::Lake(error)
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "called once; the parts come from different places"
)]
async fn tend_table(
    engine: &EngineHandle,
    key: &AssetKey,
    kept: &KeptSnapshots,
    pins: &Pins,
    now: Micros,
    dry_run: bool,
    by: &str,
    told: &mut TendedTable,
) -> Result<(), Untended> {
    let moved = engine.move_pointer(key, |newest| async move {
        let table = newest.table;
        let plan = plan_expiry(&table, kept).await?;
        if dry_run || plan.expired.is_empty() {
            return Ok((None, (plan, false)));
        }
        let to = prepare_expiry(&table, &plan, environment::seed()).await?;
        let what = TableChangeKind::Expiry(PreparedExpiry {
            snapshots: plan.expired.len() as u64,
            files: plan.files.len() as u64,
            bytes: plan.files.iter().map(|file| file.bytes).sum(),
            by: by.to_owned(),
        });
        Ok((Some(NextVersion::of_metadata(to, what)), (plan, true)))
    });
    match moved.await {
        Ok((plan, expired)) => {
            tell(told, &plan);
            // Who began before the table moved may have looked up a version that is gone now; its files go another time.
            if expired && needed_by_queries(engine).await?.is_some_and(|needed| needed.since == 0) {
                tracing::info!(table = %key, "files of old versions stay for a query that may read them");
                return Ok(());
            }
            if expired {
                told.failed.extend(remove(engine.lake(), &plan.files).await.failed);
            }
        }
        Err(TableError::NotThere { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let before = pins
        .earliest
        .map_or(now - ORPHAN_AGE, |earliest| earliest.min(now - ORPHAN_AGE));
    let before = UNIX_EPOCH + Duration::from_micros(u64::try_from(before).unwrap_or(0));
    let old = old_files(engine.lake(), key, before).await?;
    // Asked after the files were listed, whatever a clock that jumps says of their age: what is needed of them is known by now.
    let mut beside = in_use(engine, key).await?;
    beside.locations.extend(pins.metadata.iter().cloned());
    let Some(pointer) = pointer(engine, key).await? else {
        return Ok(());
    };
    let table = engine.lake().table(key, &pointer).await?;
    let found = orphans(&table, old, &beside).await?;
    told.orphans = found.len() as u64;
    told.orphan_bytes = found.iter().map(|file| file.bytes).sum();
    if !dry_run && !found.is_empty() {
        told.failed.extend(remove(engine.lake(), &found).await.failed);
    }
    Ok(())
}

fn tell(told: &mut TendedTable, plan: &Expiry) {
    told.snapshots = plan.snapshots as u64;
    told.expired = plan.expired.len() as u64;
    told.files = plan.files.len() as u64;
    told.bytes = plan.files.iter().map(|file| file.bytes).sum();
    told.held = plan
        .held
        .iter()
        .map(|(snapshot, why)| HeldSnapshot {
            snapshot: snapshot.id,
            needed_by: why.clone(),
        })
        .collect();
}

/// What queries outside of all runs need at the moment.
async fn needed_by_queries(engine: &EngineHandle) -> Result<Option<Needed>, MaintenanceError> {
    let folder = engine.folder().clone();
    let needed = tokio::task::spawn_blocking(move || readers::needed(&folder)).await;
    Ok(needed.map_err(|_| RequestError::Stopping)??)
}

/// What attempts need of a table at the moment, and the files that a check kept back.
async fn in_use(engine: &EngineHandle, key: &AssetKey) -> Result<NeededBeside, Untended> {
    let asked = engine.clone();
    let attempts = tokio::task::spawn_blocking(move || asked.ask_store(pinned_by_attempts)).await;
    let attempts = attempts
        .map_err(|_| Untended::Stopping)?
        .map_err(MaintenanceError::from)?;
    let mut beside = NeededBeside::default();
    for attempt in attempts {
        beside.is_written |= attempt.asset == *key || quarantine_table(&attempt.asset) == *key;
        beside.writers.insert(attempt.attempt.to_string());
        let inputs = attempt.inputs.into_iter().filter_map(|input| input.table);
        let versions = inputs.chain(attempt.table);
        beside.locations.extend(versions.map(|table| table.metadata_location));
    }
    for found in kept_staged::all(engine.folder()).map_err(MaintenanceError::from)? {
        let locations = found.locations().map_err(KeptStagedError::from);
        beside.locations.extend(locations.map_err(MaintenanceError::from)?);
    }
    Ok(beside)
}

pub(super) async fn pointer(engine: &EngineHandle, key: &AssetKey) -> Result<Option<TablePointer>, Untended> {
    let key = key.clone();
    engine
        .driver()
        .ask(move |world, _| world.pointer(&key).cloned())
        .await
        .ok_or(Untended::Stopping)
}

/// The tables of the selected assets, with those of their quarantined rows; all tables there are if nothing is selected.
async fn tables(engine: &EngineHandle, selection: Option<&str>) -> Result<Vec<AssetKey>, MaintenanceError> {
    let selection = match selection {
        Some(text) => Some(Selection::parse(text).map_err(RequestError::from)?),
        None => None,
    };
    let asked = engine.driver().ask(move |world, at| {
        let all = world.pointers().map(|(table, _)| table.clone());
        let Some(selection) = selection else {
            return Ok(all.collect());
        };
        let wanted: BTreeSet<AssetKey> = selected(world, at, selection.as_str())?
            .into_iter()
            .flat_map(|key| [quarantine_table(&key), key])
            .collect();
        Ok(all.filter(|table| wanted.contains(table)).collect())
    });
    let found = asked.await.ok_or(RequestError::Stopping)?;
    Ok(found.map_err(RequestError::Selection)?)
}

/// What attempts under way and models were made from.
pub(super) fn pins(store: &Store) -> Result<Pins, StateError> {
    let mut pins = Pins {
        snapshots: BTreeMap::new(),
        metadata: BTreeSet::new(),
        earliest: None,
    };
    for attempt in pinned_by_attempts(store)? {
        let began = attempt.started_at;
        pins.earliest = Some(pins.earliest.map_or(began, |at| at.min(began)));
        let what_for = format!("attempt {}", attempt.attempt);
        pins.add(&attempt.inputs, &what_for);
        pins.add_version(&attempt.asset, attempt.table.as_ref(), &what_for);
    }
    let mut after = None;
    loop {
        let page = models(store, after.as_ref(), PAGE)?;
        for model in &page.rows {
            let mut before = None;
            loop {
                let page = versions(store, &model.model, before, PAGE)?;
                for version in &page.rows {
                    pins.add(
                        &version.inputs,
                        &format!("version {} of {}", version.version, version.model),
                    );
                }
                before = page.next;
                if before.is_none() {
                    break;
                }
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(pins);
        }
    }
}

impl Pins {
    fn add(&mut self, inputs: &[PinnedVersion], what_for: &str) {
        for input in inputs {
            self.add_version(&input.asset, input.table.as_ref(), what_for);
        }
    }

    fn add_version(&mut self, asset: &AssetKey, version: Option<&TablePointer>, what_for: &str) {
        let Some(version) = version else { return };
        self.metadata.insert(version.metadata_location.clone());
        if let Some(snapshot) = version.snapshot_id {
            let of_table = self.snapshots.entry(asset.clone()).or_default();
            of_table.entry(snapshot).or_insert_with(|| what_for.to_owned());
        }
    }
}

/// Tends all tables whenever the project says so.
pub struct Tender(JoinHandle<()>);

impl Tender {
    /// Starts it. Must be called inside a tokio runtime.
    pub fn start(engine: EngineHandle) -> Self {
        Self(tokio::spawn(keep(engine)))
    }

    /// Stops it: between two steps of a table, which leaves orphans at most.
    pub async fn stop(self) {
        self.0.abort();
        // Either it was aborted, or it ended by itself because the driver did.
        self.0.await.ok();
    }
}

async fn keep(engine: EngineHandle) {
    let mut projects = engine.projects();
    loop {
        let project = projects.borrow_and_update().clone();
        let now = clock::clock()();
        let next = project
            .maintenance
            .timetable
            .as_ref()
            .and_then(|timetable| timetable.next(now));
        let Some(next) = next else {
            if projects.changed().await.is_err() {
                return;
            }
            continue;
        };
        tokio::select! {
            changed = projects.changed() => {
                if changed.is_err() {
                    return;
                }
                continue;
            }
            () = sleep_until(next.at.as_microsecond()) => {}
        }
        match tend(&engine, &GcBody::default(), "[maintenance]").await {
            Ok(answer) => {
                let sum = |of: fn(&TendedTable) -> u64| answer.tables.iter().map(of).sum::<u64>();
                tracing::info!(
                    tables = answer.tables.len(),
                    compacted = sum(|table| table.compacted),
                    snapshots = sum(|table| table.expired),
                    files = sum(|table| table.files + table.orphans),
                    bytes = sum(|table| table.bytes + table.orphan_bytes),
                    "tables were tended"
                );
            }
            Err(MaintenanceError::Request(RequestError::Stopping)) => return,
            Err(error) => {
                tracing::error!(%error, "old versions of tables could not be removed");
                tokio::time::sleep(AFTER_TROUBLE).await;
            }
        }
    }
}
