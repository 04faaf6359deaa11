//! Which snapshots of a table nobody needs any more, and which files only they needed.
//!
//! ```text
//! plan_expiry ─► Expiry ─► prepare_expiry ─► new TablePointer ─(the owner moves the pointer)─► remove
//! ```
//! A snapshot may go once it stopped being the current one long enough ago, unless it is among the newest, a tag or branch points
//! to it, or the caller pins it. What a file is needed for is asked of the manifests of every snapshot that stays: one that cannot
//! be read ends it all, and nothing is removed. Files are removed after the pointer has moved; a crash between the two leaves
//! orphans, which [`orphans`] finds later: files of the table's folder that no snapshot refers to and that are old enough not to
//! belong to a step under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use ahash::{HashMap, HashSet};
use assets::AssetKey;
use assets::outcome::TablePointer;
use iceberg::spec::{SnapshotRef, TableMetadata};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use uuid::Uuid;

use super::history::SnapshotInfo;
use super::storage::SealTogether;
use super::{Lake, LakeError, LakeTable};

/// What is kept in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptSnapshots {
    /// Snapshots that were current at this time (milliseconds since 1970) or later.
    pub since_ms: i64,
    /// So many of the newest.
    pub newest: usize,
    /// These, and what needs them.
    pub pinned: BTreeMap<i64, String>,
}

/// What can be done without.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expiry {
    /// Snapshots that nobody needs, oldest first.
    pub expired: Vec<SnapshotInfo>,
    /// Old snapshots that stay, and what for.
    pub held: Vec<(SnapshotInfo, String)>,
    /// Snapshots of the table, the current one too.
    pub snapshots: usize,
    /// Files that only the expired ones need.
    pub files: Vec<UnneededFile>,
}

/// A file to remove.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnneededFile {
    /// Where it is.
    pub location: String,
    /// Its size.
    pub bytes: u64,
}

/// What removing files came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemovedFiles {
    /// How many were removed; those that were gone already count.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What could not be removed, for people. It is found again as an orphan.
    pub failed: Vec<String>,
}

/// Finds the snapshots of a table that may go, and what goes with them. Changes nothing.
///
/// # Errors
/// A manifest list or manifest of any snapshot cannot be read: what is needed is not known then.
pub async fn plan_expiry(table: &LakeTable, kept: &KeptSnapshots) -> Result<Expiry, LakeError> {
    let metadata = table.metadata();
    let mut snapshots: Vec<&SnapshotRef> = metadata.snapshots().collect();
    snapshots.sort_by_key(|snapshot| (snapshot.sequence_number(), snapshot.snapshot_id()));
    let newest: BTreeSet<i64> = snapshots
        .iter()
        .rev()
        .take(kept.newest)
        .map(|snapshot| snapshot.snapshot_id())
        .collect();
    let mut plan = Expiry {
        snapshots: snapshots.len(),
        ..Expiry::default()
    };
    let (until, references) = (last_current_ms(metadata), references(metadata)?);
    let mut stays = Vec::new();
    let mut goes = Vec::new();
    for snapshot in &snapshots {
        let id = snapshot.snapshot_id();
        let current = metadata.current_snapshot_id() == Some(id) || table.pointer().snapshot_id == Some(id);
        if current || newest.contains(&id) || until[&id] >= kept.since_ms {
            stays.push(*snapshot);
        } else if let Some(why) = references.get(&id).or_else(|| kept.pinned.get(&id)) {
            plan.held.push((SnapshotInfo::of(snapshot), why.clone()));
            stays.push(*snapshot);
        } else {
            plan.expired.push(SnapshotInfo::of(snapshot));
            goes.push(*snapshot);
        }
    }
    if goes.is_empty() {
        return Ok(plan);
    }
    let needed = Needed::by(table, &stays).await?;
    let unneeded = needed.unneeded_of(table, &goes).await?;
    for (location, bytes) in unneeded {
        let bytes = match bytes {
            Some(bytes) => bytes,
            // One that is gone already weighs nothing.
            None => table
                .lake()
                .storage()
                .end_of(&location, 1)
                .await
                .map_or(0, |(bytes, _)| bytes),
        };
        plan.files.push(UnneededFile { location, bytes });
    }
    Ok(plan)
}

/// Writes the table's metadata without the expired snapshots. The pointer still has to be moved to it, from the one that `table`
/// was opened with; until then nothing refers to it.
///
/// # Errors
/// The metadata cannot be written; or it was last written at a time that is yet to come by this machine's clock.
pub async fn prepare_expiry(table: &LakeTable, plan: &Expiry, seed: u64) -> Result<TablePointer, LakeError> {
    let lake = table.lake();
    let ids: Vec<i64> = plan.expired.iter().map(|snapshot| snapshot.id).collect();
    let before = &table.pointer().metadata_location;
    let metadata = table
        .metadata()
        .as_ref()
        .clone()
        .into_builder(Some(before.clone()))
        .remove_snapshots(&ids)
        .build()
        .map_err(|error| LakeError::iceberg("build the next version of", table.key(), error))?
        .metadata;
    let bytes = serde_json::to_vec(&metadata)
        .map_err(|error| LakeError::Internal(format!("the metadata of {} has no JSON form: {error}", table.key())))?;
    let mut random = StdRng::seed_from_u64(seed);
    let mut id = [0; 16];
    random.fill_bytes(&mut id);
    let id: Uuid = uuid::Builder::from_random_bytes(id).into_uuid();
    let version = super::names::version_of(before) + 1;
    let folder = lake.table_location(table.key());
    let location = format!("{folder}/metadata/{version:05}-{id}.metadata.json");
    let waiting = SealTogether::new(lake.storage().clone());
    waiting.put(&location, &bytes)?;
    waiting.seal().await?;
    lake.remember_metadata(&location, Arc::new(metadata), bytes.len());
    Ok(TablePointer {
        metadata_location: location,
        snapshot_id: table.pointer().snapshot_id,
    })
}

/// Files in a table's own folder that were last written before `written_before`, by name: only files with the names that Iceberg's
/// writers give are looked at; what else people keep there stays. Which of them nothing refers to is for [`orphans`], asked of a version
/// of the table that was read later: a file that is listed here and needed by anything is then known to be.
///
/// # Errors
/// The folder cannot be read.
pub async fn old_files(
    lake: &Lake,
    table: &AssetKey,
    written_before: SystemTime,
) -> Result<Vec<UnneededFile>, LakeError> {
    let folder = lake.table_location(table);
    let mut found = Vec::new();
    for (part, endings) in [
        ("data", &[".parquet", ".tmp"][..]),
        ("metadata", &[".metadata.json", ".avro", ".tmp"][..]),
    ] {
        for file in lake.storage().list(&format!("{folder}/{part}")).await? {
            if file.written < written_before && endings.iter().any(|ending| file.location.ends_with(ending)) {
                found.push(UnneededFile {
                    location: file.location,
                    bytes: file.bytes,
                });
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What is needed of a table's folder and not by the table itself. A clock that was set back makes what is being written look old.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeededBeside {
    /// Earlier metadata that someone still reads by, and other files, by location.
    pub locations: BTreeSet<String>,
    /// The tokens of those who write data files, with which the names of these begin.
    pub writers: BTreeSet<String>,
    /// Whether someone may be writing the table's next metadata.
    pub is_written: bool,
}

/// Those of the [`old_files`] that no snapshot of the table, nor its metadata and their log, refers to, nor anyone beside.
///
/// # Errors
/// As [`plan_expiry`].
pub async fn orphans(
    table: &LakeTable,
    old: Vec<UnneededFile>,
    beside: &NeededBeside,
) -> Result<Vec<UnneededFile>, LakeError> {
    if old.is_empty() {
        return Ok(old);
    }
    let storage = table.lake().storage();
    // Another table's files, moved in by its metadata, are not ours to judge.
    let mut needed = all_files_of(table).await?;
    for location in &beside.locations {
        needed.insert(storage.same(location)?);
    }
    let folder = table.lake().table_location(table.key());
    let metadata = format!("{}/", storage.same(&format!("{folder}/metadata"))?);
    let is_written = |location: &str| {
        if location.starts_with(&metadata) {
            return beside.is_written;
        }
        let name = location.rsplit('/').next().unwrap_or(location).trim_start_matches('.');
        name.split_once('-')
            .is_some_and(|(token, _)| beside.writers.contains(token))
    };
    let orphans = old.into_iter();
    Ok(orphans
        .filter(|file| !needed.contains(&file.location) && !is_written(&file.location))
        .collect())
}

/// Files below a folder of the warehouse that none of these versions of tables refers to, by any of their snapshots; and how many others
/// there are. All of it is judged, whatever the names.
///
/// # Errors
/// As [`plan_expiry`]; or the folder cannot be read.
pub async fn unneeded_below(
    lake: &Lake,
    folder: &str,
    needed_by: &BTreeSet<(AssetKey, TablePointer)>,
) -> Result<(Vec<UnneededFile>, u64), LakeError> {
    let files = lake.storage().list(folder).await?;
    let mut needed: HashSet<String> = HashSet::default();
    // With nothing there, nothing needs to be known.
    for (table, pointer) in needed_by.iter().filter(|_| !files.is_empty()) {
        needed.extend(all_files_of(&lake.table(table, pointer).await?).await?);
    }
    let there = files.len();
    let mut unneeded: Vec<UnneededFile> = files
        .into_iter()
        .filter(|file| !needed.contains(&file.location))
        .map(|file| UnneededFile {
            location: file.location,
            bytes: file.bytes,
        })
        .collect();
    unneeded.sort();
    let kept = there - unneeded.len();
    Ok((unneeded, kept as u64))
}

/// Removes files. To be called once no version of the table that anyone can open refers to them.
pub async fn remove(lake: &Lake, files: &[UnneededFile]) -> RemovedFiles {
    let locations: Vec<String> = files.iter().map(|file| file.location.clone()).collect();
    let mut removed = RemovedFiles::default();
    for (file, outcome) in files.iter().zip(lake.storage().remove_all(&locations).await) {
        match outcome {
            Err(error) => removed.failed.push(format!("`{}`: {}", file.location, error.source)),
            Ok(()) => {
                removed.files += 1;
                removed.bytes += file.bytes;
            }
        }
    }
    removed
}

/// Until when each snapshot was the current one: until another one followed it in the log, or, where the log does not reach, was
/// built on it. One that nothing was built on, and that is not current either, never was for longer than an instant.
fn last_current_ms(metadata: &TableMetadata) -> HashMap<i64, i64> {
    let mut until: HashMap<i64, i64> = HashMap::default();
    let log = metadata.history();
    for (entry, next) in log.iter().zip(log.iter().skip(1)) {
        let left = until.entry(entry.snapshot_id).or_insert(i64::MIN);
        *left = (*left).max(next.timestamp_ms());
    }
    let mut built_on: HashMap<i64, i64> = HashMap::default();
    for snapshot in metadata.snapshots() {
        if let Some(parent) = snapshot.parent_snapshot_id() {
            let first = built_on.entry(parent).or_insert(i64::MAX);
            *first = (*first).min(snapshot.timestamp_ms());
        }
    }
    for snapshot in metadata.snapshots() {
        let id = snapshot.snapshot_id();
        until
            .entry(id)
            .or_insert_with(|| built_on.get(&id).copied().unwrap_or_else(|| snapshot.timestamp_ms()));
    }
    until
}

/// The tags and branches but the main one, by the snapshot that they point to.
fn references(metadata: &TableMetadata) -> Result<BTreeMap<i64, String>, LakeError> {
    // The library keeps them to itself, but writes them.
    let written = serde_json::to_value(metadata)
        .map_err(|error| LakeError::Internal(format!("table metadata has no JSON form: {error}")))?;
    let mut found = BTreeMap::new();
    for (name, reference) in written["refs"].as_object().into_iter().flatten() {
        if name != "main"
            && let Some(id) = reference["snapshot-id"].as_i64()
        {
            let kind = reference["type"].as_str().unwrap_or("reference");
            found.entry(id).or_insert_with(|| format!("{kind} `{name}`"));
        }
    }
    Ok(found)
}

/// The files of some snapshots.
struct Needed {
    paths: HashSet<String>,
}

impl Needed {
    async fn by(table: &LakeTable, snapshots: &[&SnapshotRef]) -> Result<Self, LakeError> {
        let mut paths = HashSet::default();
        let mut seen: HashSet<String> = HashSet::default();
        for snapshot in snapshots {
            for (path, _) in files_of(table, snapshot, &mut seen).await? {
                paths.insert(path);
            }
        }
        Ok(Self { paths })
    }

    /// The files of other snapshots that are not among these, each once, with their sizes where a manifest tells them.
    async fn unneeded_of(
        &self,
        table: &LakeTable,
        snapshots: &[&SnapshotRef],
    ) -> Result<BTreeMap<String, Option<u64>>, LakeError> {
        let mut unneeded = BTreeMap::new();
        let mut seen: HashSet<String> = HashSet::default();
        for snapshot in snapshots {
            for (path, bytes) in files_of(table, snapshot, &mut seen).await? {
                if !self.paths.contains(&path) {
                    unneeded.insert(path, bytes);
                }
            }
        }
        Ok(unneeded)
    }
}

/// Every file that a version of a table refers to, by any snapshot.
async fn all_files_of(table: &LakeTable) -> Result<HashSet<String>, LakeError> {
    let (metadata, storage) = (table.metadata(), table.lake().storage());
    let snapshots: Vec<&SnapshotRef> = metadata.snapshots().collect();
    let mut needed = Needed::by(table, &snapshots).await?.paths;
    needed.insert(storage.same(&table.pointer().metadata_location)?);
    for entry in metadata.metadata_log() {
        needed.insert(storage.same(&entry.metadata_file)?);
    }
    for statistics in metadata.statistics_iter() {
        needed.insert(storage.same(&statistics.statistics_path)?);
    }
    for statistics in metadata.partition_statistics_iter() {
        needed.insert(storage.same(&statistics.statistics_path)?);
    }
    Ok(needed)
}

/// The manifest list, manifests and live files of a snapshot; what is in manifests that were `seen` is left out.
async fn files_of(
    table: &LakeTable,
    snapshot: &SnapshotRef,
    seen: &mut HashSet<String>,
) -> Result<Vec<(String, Option<u64>)>, LakeError> {
    let (lake, storage) = (table.lake(), table.lake().storage());
    let list = lake.manifest_list(snapshot, table.metadata().format_version()).await?;
    let mut files = vec![(storage.same(snapshot.manifest_list())?, None)];
    for manifest in list.entries() {
        if !seen.insert(manifest.manifest_path.clone()) {
            continue;
        }
        let bytes = u64::try_from(manifest.manifest_length).ok();
        files.push((storage.same(&manifest.manifest_path)?, bytes));
        for entry in lake.manifest(manifest).await?.alive() {
            let location = storage.same(entry.data_file().file_path())?;
            files.push((location, Some(entry.file_size_in_bytes())));
        }
    }
    Ok(files)
}
