//! Which versions of the simulated tables may go, and which files: the rules of `plugins::lakehouse` on the lake in small. What is
//! pinned is asked of the real store.

use std::collections::{BTreeMap, BTreeSet};

use assets::AssetKey;
use assets::outcome::TablePointer;
use state::Store;
use state::event::{Micros, PinnedVersion};
use state::ids::AttemptId;
use state::sqlite::queries::attempts::pinned_by_attempts;
use state::sqlite::queries::models::{models, versions};

use super::lake::{Lake, Metadata, Missing, Thing};

/// Files that nothing refers to are left alone for so long.
pub(super) const ORPHAN_AGE: Micros = 24 * 3_600_000_000;

/// What may not go, as it stood when somebody looked.
#[derive(Debug, Clone, Default)]
pub(super) struct Pins {
    snapshots: BTreeSet<(AssetKey, i64)>,
    metadata: BTreeSet<String>,
    /// Who writes at the moment, and what.
    writers: BTreeMap<AttemptId, AssetKey>,
    /// When the earliest attempt under way began, or the earliest change of a table that is not decided yet.
    earliest: Option<Micros>,
    /// When somebody looked.
    now: Micros,
}

impl Pins {
    /// What attempts under way and models need, by what is stored; `changing` is when the earliest change of a table began that is
    /// written and not decided.
    pub(super) fn of(store: &Store, changing: Option<Micros>, now: Micros) -> Self {
        let mut pins = Self {
            now,
            earliest: changing,
            ..Self::default()
        };
        let readable = "the store can be read";
        for attempt in pinned_by_attempts(store).expect(readable) {
            let began = attempt.started_at;
            pins.earliest = Some(pins.earliest.map_or(began, |at| at.min(began)));
            pins.add(&attempt.inputs);
            pins.add_version(&attempt.asset, attempt.table.as_ref());
            pins.writers.insert(attempt.attempt, attempt.asset);
        }
        for model in models(store, None, 1000).expect(readable).rows {
            for version in versions(store, &model.model, None, 10_000).expect(readable).rows {
                pins.add(&version.inputs);
            }
        }
        pins
    }

    /// An environment needs a version of a table, with the history that it has.
    pub(super) fn add_history(&mut self, table: &AssetKey, version: &TablePointer, metadata: &Metadata) {
        self.metadata.insert(version.metadata_location.clone());
        let snapshots = metadata.snapshots.keys().map(|snapshot| (table.clone(), *snapshot));
        self.snapshots.extend(snapshots);
    }

    /// None at all.
    pub(super) fn forgotten(now: Micros) -> Self {
        Self { now, ..Self::default() }
    }

    /// Snapshots that were current then or later stay, where those of so long ago are to.
    pub(super) fn since(&self, keep: Micros) -> Micros {
        let since = self.now - keep;
        self.earliest.map_or(since, |earliest| since.min(earliest))
    }

    /// Whether someone reads a table by this metadata.
    pub(super) fn needs(&self, location: &str) -> bool {
        self.metadata.contains(location)
    }

    fn add(&mut self, inputs: &[PinnedVersion]) {
        for input in inputs {
            self.add_version(&input.asset, input.table.as_ref());
        }
    }

    fn add_version(&mut self, asset: &AssetKey, version: Option<&TablePointer>) {
        let Some(version) = version else { return };
        self.metadata.insert(version.metadata_location.clone());
        if let Some(snapshot) = version.snapshot_id {
            self.snapshots.insert((asset.clone(), snapshot));
        }
    }
}

/// Snapshots that go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expired {
    pub(super) snapshots: Vec<i64>,
    /// The files that only they needed.
    pub(super) files: Vec<String>,
}

impl Lake {
    /// The snapshots of a table that may go.
    pub(super) fn plan_expiry(
        &self,
        table: &AssetKey,
        pointer: &TablePointer,
        pins: &Pins,
        since: Micros,
        newest: usize,
    ) -> Result<Expired, Missing> {
        let metadata = self.metadata(pointer)?;
        let until = last_current(metadata);
        let many = metadata.snapshots.len();
        let goes = metadata.snapshots.keys().enumerate().filter(|(place, id)| {
            let is_newest = place + newest >= many;
            let tagged = metadata.tags.values().any(|tagged| tagged == *id);
            let pinned = pins.snapshots.contains(&(table.clone(), **id));
            **id != metadata.current && !is_newest && until[*id] < since && !tagged && !pinned
        });
        let snapshots: Vec<i64> = goes.map(|(_, id)| *id).collect();
        let (mut needed, mut files) = (BTreeSet::new(), BTreeSet::new());
        for id in metadata.snapshots.keys() {
            let of = if snapshots.contains(id) {
                &mut files
            } else {
                &mut needed
            };
            self.files_of_snapshot(metadata, *id, of)?;
        }
        Ok(Expired {
            snapshots,
            files: files.difference(&needed).cloned().collect(),
        })
    }

    /// Writes the metadata of a table without these snapshots.
    pub(super) fn expire(
        &mut self,
        table: &AssetKey,
        pointer: &TablePointer,
        expired: &[i64],
    ) -> Result<TablePointer, Missing> {
        let mut metadata = self.metadata(pointer)?.clone();
        metadata.snapshots.retain(|id, _| !expired.contains(id));
        // The log reaches back to the last gap.
        if let Some(gap) = metadata.log.iter().rposition(|(_, id)| expired.contains(id)) {
            metadata.log.drain(..=gap);
        }
        Ok(self.next(table, Some(pointer), metadata))
    }

    /// The files of a table's folder that nothing refers to, written before `before`.
    pub(super) fn orphans(
        &self,
        table: &AssetKey,
        pointer: &TablePointer,
        before: Micros,
        pins: &Pins,
    ) -> Result<Vec<String>, Missing> {
        let mut needed = self.referred(pointer)?;
        needed.extend(pins.metadata.iter().cloned());
        let is_written = |location: &str| {
            if !location.contains("/data/") {
                return pins.writers.values().any(|asset| asset == table);
            }
            let writer = location.split("/data/").nth(1).and_then(|name| name.split('/').next());
            writer.is_some_and(|writer| pins.writers.keys().any(|known| known.as_str() == writer))
        };
        let files = self.disk.iter().filter(|(location, file)| {
            let old = file.table == *table && file.environment.is_none() && file.written < before;
            old && !needed.contains(*location) && !is_written(location)
        });
        Ok(files.map(|(location, _)| location.clone()).collect())
    }

    /// All that a version of a table refers to: its metadata and that of before, its snapshots, their files.
    pub(super) fn referred(&self, pointer: &TablePointer) -> Result<BTreeSet<String>, Missing> {
        let metadata = self.metadata(pointer)?;
        let mut files = BTreeSet::from([pointer.metadata_location.clone()]);
        for id in metadata.snapshots.keys() {
            self.files_of_snapshot(metadata, *id, &mut files)?;
        }
        files.extend(metadata.earlier.iter().cloned());
        Ok(files)
    }

    /// The same as far as it is there.
    pub(super) fn referred_and_there(&self, pointer: &TablePointer) -> BTreeSet<String> {
        let Ok(metadata) = self.metadata(pointer) else {
            return BTreeSet::new();
        };
        let mut files = BTreeSet::from([pointer.metadata_location.clone()]);
        for id in metadata.snapshots.keys() {
            // A snapshot whose list is gone refers to nothing.
            self.files_of_snapshot(metadata, *id, &mut files).ok();
        }
        files.extend(metadata.earlier.iter().cloned());
        files
    }

    /// Removes what an environment wrote, but for what is needed.
    pub(super) fn drop_environment(&mut self, number: usize, needed: &BTreeSet<String>, pins: &Pins) {
        self.disk.retain(|location, file| {
            let needed = needed.contains(location) || pins.needs(location);
            needed || file.environment != Some(number)
        });
    }

    fn files_of_snapshot(
        &self,
        metadata: &Metadata,
        snapshot: i64,
        files: &mut BTreeSet<String>,
    ) -> Result<(), Missing> {
        let parts = self.parts(metadata, snapshot)?;
        files.extend(parts.values().flat_map(|part| part.files.iter().cloned()));
        files.insert(metadata.snapshots[&snapshot].list.clone());
        Ok(())
    }

    /// Whether all is there that a version of a table shows, in each of its snapshots.
    pub(super) fn is_whole(&self, pointer: &TablePointer) -> Result<(), Missing> {
        let metadata = self.metadata(pointer)?;
        for id in metadata.snapshots.keys() {
            self.read_snapshot(metadata, *id)?;
        }
        match metadata.tags.values().find(|id| !metadata.snapshots.contains_key(id)) {
            Some(id) => Err(Missing(format!("snapshot {id}, which has a name"))),
            None => Ok(()),
        }
    }

    /// Removes files. Those that are gone already are.
    pub(super) fn remove<'a>(&mut self, files: impl IntoIterator<Item = &'a String>) {
        for file in files {
            self.disk.remove(file);
        }
    }

    /// Whether a file has rows of a table.
    pub(super) fn is_data(&self, location: &str) -> bool {
        matches!(self.disk.get(location).map(|file| &file.thing), Some(Thing::Data(_)))
    }
}

/// Until when each snapshot was the current one: until another followed it in the log, or, where the log does not reach, was built
/// on it.
fn last_current(metadata: &Metadata) -> BTreeMap<i64, Micros> {
    let mut until: BTreeMap<i64, Micros> = BTreeMap::new();
    for pair in metadata.log.windows(2) {
        let left = until.entry(pair[0].1).or_insert(Micros::MIN);
        *left = (*left).max(pair[1].0);
    }
    for (id, snapshot) in &metadata.snapshots {
        let built_on = || {
            let children = metadata.snapshots.values().filter(|other| other.parent == Some(*id));
            children.map(|child| child.at).min()
        };
        if !until.contains_key(id) {
            until.insert(*id, built_on().unwrap_or(snapshot.at));
        }
    }
    until
}
