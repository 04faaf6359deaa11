//! What the tables hold, as a lakehouse in small: metadata that lists snapshots, snapshots that list files, files with rows; each
//! a thing on a disk that is there or is not. A version of a table is written beside the others and counts once the core's
//! pointer is there; which of them may go is for [`super::tending`].

use std::collections::{BTreeMap, BTreeSet};

use assets::outcome::{Observation, Replace, SourceFile, StagedTable, TablePointer};
use assets::{AssetKey, Fingerprint, PartitionKey};
use orchestrator::core::HeldRows;
use serde_json::Value;
use state::event::Micros;

/// What one version of a table holds, by partition.
pub(super) type Contents = BTreeMap<Option<PartitionKey>, String>;

/// Values by key; a table whose rows are replaced has one, without a key.
pub(super) type Rows = BTreeMap<String, String>;

/// What a snapshot has of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Part {
    pub(super) files: BTreeSet<String>,
    /// In which snapshot each of them was added.
    pub(super) added: BTreeMap<String, i64>,
    /// The raw files whose rows were ever added to it, where rows are kept.
    pub(super) from: BTreeSet<String>,
}

pub(super) type Parts = BTreeMap<Option<PartitionKey>, Part>;

#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) parent: Option<i64>,
    pub(super) at: Micros,
    pub(super) list: String,
    /// In which its rows were made, where it merely has few files in place of many.
    pub(super) rows_of: Option<i64>,
    /// By what it is cut.
    pub(super) cut: Option<String>,
}

/// One version of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Metadata {
    /// By id, which is their order too.
    pub(super) snapshots: BTreeMap<i64, Snapshot>,
    pub(super) current: i64,
    /// Which was the current one from when on.
    pub(super) log: Vec<(Micros, i64)>,
    /// Metadata of before.
    pub(super) earlier: Vec<String>,
    pub(super) tags: BTreeMap<String, i64>,
    pub(super) updated: Micros,
}

impl Metadata {
    /// By what its rows are cut.
    pub(super) fn cut(&self) -> Option<&String> {
        self.snapshots.get(&self.current)?.cut.as_ref()
    }

    /// The snapshot in which the rows of a snapshot were made.
    pub(super) fn rows_of(&self, snapshot: i64) -> i64 {
        let known = self.snapshots.get(&snapshot);
        known.and_then(|known| known.rows_of).unwrap_or(snapshot)
    }
}

#[derive(Debug, Clone)]
pub(super) enum Thing {
    Data(Rows),
    List(Parts),
    Metadata(Box<Metadata>),
}

#[derive(Debug, Clone)]
pub(super) struct OnDisk {
    pub(super) table: AssetKey,
    /// Whose folder it is in.
    pub(super) environment: Option<usize>,
    pub(super) written: Micros,
    pub(super) thing: Thing,
}

/// Something is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing(pub(super) String);

/// Why a commit cannot be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotBuilt {
    Missing(Missing),
    /// A merge looked at other files than are there.
    MergedMeanwhile,
    /// The table is cut in another way.
    OtherCut,
}

impl From<Missing> for NotBuilt {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

/// A rollback that nothing points to yet.
pub(super) struct Prepared {
    pub(super) to: TablePointer,
    /// What each partition that changes holds after it.
    pub(super) partitions: Vec<(Option<PartitionKey>, Option<HeldRows>)>,
}

/// What one step changes of a table.
pub(super) struct Change<'a> {
    pub(super) partition: Option<PartitionKey>,
    pub(super) staged: &'a StagedTable,
    /// The raw files whose rows it adds.
    pub(super) from: &'a BTreeSet<String>,
}

/// All that is on the disk, and the raw files.
#[derive(Default)]
pub(super) struct Lake {
    pub(super) disk: BTreeMap<String, OnDisk>,
    written: i64,
    /// What the disk's clock says.
    pub(super) now: Micros,
    /// The environment that writes; production if there is none.
    pub(super) environment: Option<usize>,
    /// The raw files as they are, by ingest asset.
    pub(super) sources: BTreeMap<AssetKey, BTreeMap<String, SourceFile>>,
}

impl Lake {
    fn put(&mut self, table: &AssetKey, folder: &str, thing: Thing) -> String {
        self.written += 1;
        let location = format!("memory:///{table}/{folder}/{}", self.written);
        let file = OnDisk {
            table: table.clone(),
            environment: self.environment,
            written: self.now,
            thing,
        };
        self.disk.insert(location.clone(), file);
        location
    }

    fn thing(&self, location: &str) -> Result<&Thing, Missing> {
        let found = self.disk.get(location).map(|file| &file.thing);
        found.ok_or_else(|| Missing(location.to_owned()))
    }

    pub(super) fn metadata(&self, pointer: &TablePointer) -> Result<&Metadata, Missing> {
        match self.thing(&pointer.metadata_location)? {
            Thing::Metadata(metadata) => Ok(metadata),
            other => unreachable!("a pointer points to metadata, not to {other:?}"),
        }
    }

    /// The partitions of a snapshot.
    pub(super) fn parts(&self, metadata: &Metadata, snapshot: i64) -> Result<&Parts, Missing> {
        let known = metadata.snapshots.get(&snapshot);
        let known = known.ok_or_else(|| Missing(format!("snapshot {snapshot}")))?;
        match self.thing(&known.list)? {
            Thing::List(parts) => Ok(parts),
            other => unreachable!("a snapshot lists files, not {other:?}"),
        }
    }

    pub(super) fn rows(&self, file: &str) -> Result<&Rows, Missing> {
        match self.thing(file)? {
            Thing::Data(rows) => Ok(rows),
            other => unreachable!("a file has rows, not {other:?}"),
        }
    }

    /// The files of a partition with their rows, and the raw files that went into them.
    pub(super) fn part(
        &self,
        pointer: Option<&TablePointer>,
        partition: Option<&PartitionKey>,
    ) -> Result<(BTreeMap<String, Rows>, BTreeSet<String>), Missing> {
        let Some(pointer) = pointer else {
            return Ok(<_>::default());
        };
        let metadata = self.metadata(pointer)?;
        let Some(part) = self.parts(metadata, metadata.current)?.get(&partition.cloned()) else {
            return Ok(<_>::default());
        };
        let files = part
            .files
            .iter()
            .map(|file| Ok((file.clone(), self.rows(file)?.clone())));
        Ok((files.collect::<Result<_, Missing>>()?, part.from.clone()))
    }

    /// In which snapshot the newest rows came to be that a snapshot shows of a partition.
    pub(super) fn last_added_in(
        &self,
        metadata: &Metadata,
        snapshot: i64,
        partition: &Option<PartitionKey>,
    ) -> Result<Option<i64>, Missing> {
        let (mut newest, mut next) = (None, vec![snapshot]);
        while let Some(snapshot) = next.pop() {
            // What the table has no more, nothing is known of.
            let Some(part) = metadata
                .snapshots
                .get(&snapshot)
                .map(|_| self.parts(metadata, snapshot))
            else {
                continue;
            };
            for added in part?.get(partition).into_iter().flat_map(|part| part.added.values()) {
                match metadata.snapshots.get(added).and_then(|known| known.rows_of) {
                    Some(other) => next.push(other),
                    None => newest = newest.max(Some(*added)),
                }
            }
        }
        Ok(newest)
    }

    /// What a version of a table holds.
    pub(super) fn read(&self, pointer: Option<&TablePointer>) -> Result<Contents, Missing> {
        let Some(pointer) = pointer else {
            return Ok(Contents::new());
        };
        let metadata = self.metadata(pointer)?;
        self.read_snapshot(metadata, metadata.current)
    }

    /// What a snapshot holds.
    pub(super) fn read_snapshot(&self, metadata: &Metadata, snapshot: i64) -> Result<Contents, Missing> {
        let mut contents = Contents::new();
        for (partition, part) in self.parts(metadata, snapshot)? {
            let rows = part.files.iter().map(|file| self.rows(file));
            let rows = rows.collect::<Result<Vec<_>, Missing>>()?;
            if !rows.is_empty() {
                contents.insert(partition.clone(), told(rows));
            }
        }
        Ok(contents)
    }

    /// Writes a file, whose name begins with who writes it.
    pub(super) fn stage(&mut self, table: &AssetKey, writer: &str, rows: Rows) -> String {
        self.put(table, &format!("data/{writer}"), Thing::Data(rows))
    }

    fn snapshot(
        &mut self,
        table: &AssetKey,
        base: Option<(&TablePointer, Metadata)>,
        mut parts: Parts,
        cut: Option<String>,
    ) -> TablePointer {
        // The number that the list gets is the snapshot's too.
        let id = self.written + 1;
        for part in parts.values_mut() {
            part.added.retain(|file, _| part.files.contains(file));
            for file in &part.files {
                part.added.entry(file.clone()).or_insert(id);
            }
        }
        let list = self.put(table, "metadata/list", Thing::List(parts));
        let (pointer, mut metadata) = match base {
            Some((pointer, metadata)) => (Some(pointer), metadata),
            None => (None, Metadata::default()),
        };
        // Never before the version that it is built on, even if the clock was set back.
        let at = self.now.max(metadata.updated);
        let parent = pointer.map(|_| metadata.current);
        metadata.snapshots.insert(
            id,
            Snapshot {
                parent,
                at,
                list,
                rows_of: None,
                cut,
            },
        );
        metadata.current = id;
        metadata.log.push((at, id));
        self.next(table, pointer, metadata)
    }

    /// Writes the next metadata of a table.
    pub(super) fn next(&mut self, table: &AssetKey, base: Option<&TablePointer>, metadata: Metadata) -> TablePointer {
        let mut metadata = metadata;
        metadata.updated = metadata.updated.max(self.now);
        metadata
            .earlier
            .extend(base.map(|pointer| pointer.metadata_location.clone()));
        let many = metadata.earlier.len().saturating_sub(100);
        metadata.earlier.drain(..many);
        let snapshot_id = Some(metadata.current);
        TablePointer {
            metadata_location: self.put(table, "metadata", Thing::Metadata(Box::new(metadata))),
            snapshot_id,
        }
    }

    /// Writes a version of a table with what these steps staged; nothing points to it yet.
    pub(super) fn commit(
        &mut self,
        table: &AssetKey,
        base: Option<&TablePointer>,
        changes: &[Change<'_>],
    ) -> Result<TablePointer, NotBuilt> {
        let base = match base {
            Some(pointer) => Some((pointer, self.metadata(pointer)?.clone())),
            None => None,
        };
        let mut parts = match &base {
            Some((_, metadata)) => self.parts(metadata, metadata.current)?.clone(),
            None => Parts::new(),
        };
        let was = base.as_ref().and_then(|(_, metadata)| metadata.cut().cloned());
        let cut = match changes.first() {
            Some(change) => change.staged.partitioned_by.clone(),
            None => was.clone(),
        };
        let whole = changes.iter().any(|change| change.staged.replace == Replace::Whole);
        if base.is_some() && was != cut && !whole {
            return Err(NotBuilt::OtherCut);
        }
        for change in changes {
            let added = files_of(change.staged);
            if change.staged.replace == Replace::Whole {
                parts.clear();
            }
            let part = parts.entry(change.partition.clone()).or_default();
            match &change.staged.replace {
                Replace::Whole | Replace::Partition(_) => *part = Part::default(),
                Replace::Nothing => {}
                Replace::Files { removed, seen, .. } => {
                    if fingerprint(&part.files) != *seen {
                        return Err(NotBuilt::MergedMeanwhile);
                    }
                    for file in removed {
                        part.files.remove(file);
                    }
                }
            }
            part.files.extend(added);
            part.from.extend(change.from.iter().cloned());
        }
        Ok(self.snapshot(table, base, parts, cut))
    }

    /// Writes a version of a table whose files are cut into other partitions; nothing points to it yet. `seen` is what there was when they
    /// were written.
    pub(super) fn repartition(
        &mut self,
        table: &AssetKey,
        base: &TablePointer,
        seen: &Fingerprint,
        parts: Parts,
        cut: Option<String>,
    ) -> Result<TablePointer, NotBuilt> {
        let metadata = self.metadata(base)?.clone();
        let there = self.parts(&metadata, metadata.current)?;
        if fingerprint(there.values().flat_map(|part| &part.files)) != *seen {
            return Err(NotBuilt::MergedMeanwhile);
        }
        let rows_of = metadata.rows_of(metadata.current);
        let to = self.snapshot(table, Some((base, metadata)), parts, cut);
        self.has_rows_of(&to, rows_of);
        Ok(to)
    }

    /// The newest snapshot of what was just written has the rows of another one in other files.
    fn has_rows_of(&mut self, to: &TablePointer, rows_of: i64) {
        let written = self.disk.get_mut(&to.metadata_location).map(|file| &mut file.thing);
        let Some(Thing::Metadata(metadata)) = written else {
            unreachable!("metadata was written")
        };
        let current = metadata.current;
        let snapshot = metadata.snapshots.get_mut(&current).expect("it was just added");
        snapshot.rows_of = Some(rows_of);
    }

    /// The same with few files in place of many.
    pub(super) fn compact(
        &mut self,
        table: &AssetKey,
        base: &TablePointer,
        changes: &[Change<'_>],
    ) -> Result<TablePointer, NotBuilt> {
        let before = self.metadata(base)?;
        let rows_of = before.rows_of(before.current);
        let to = self.commit(table, Some(base), changes)?;
        self.has_rows_of(&to, rows_of);
        Ok(to)
    }

    /// Writes a version of a table that shows again what `target` shows; `None` if it does already.
    pub(super) fn roll_back(
        &mut self,
        table: &AssetKey,
        base: &TablePointer,
        target: i64,
    ) -> Result<Option<Prepared>, Missing> {
        let metadata = self.metadata(base)?.clone();
        let then = self.parts(&metadata, target)?.clone();
        let now = self.parts(&metadata, metadata.current)?;
        let files = |parts: &Parts, key: &Option<PartitionKey>| {
            let part = parts.get(key).map(|part| part.files.clone());
            part.unwrap_or_default()
        };
        let keys: BTreeSet<_> = now.keys().chain(then.keys()).cloned().collect();
        let mut partitions = Vec::new();
        for key in keys {
            let (was, is) = (files(&then, &key), files(now, &key));
            if was == is {
                continue;
            }
            let rows = was.iter().map(|file| Ok(self.rows(file)?.len() as u64));
            let rows = rows.collect::<Result<Vec<u64>, Missing>>()?;
            let after = HeldRows {
                rows: rows.iter().sum(),
                bytes: rows.len() as u64,
            };
            partitions.push((key, (!was.is_empty()).then_some(after)));
        }
        if partitions.is_empty() {
            return Ok(None);
        }
        let cut = metadata.snapshots[&target].cut.clone();
        let to = self.snapshot(table, Some((base, metadata)), then, cut);
        Ok(Some(Prepared { to, partitions }))
    }

    /// Writes a version of a table in which a snapshot has a name, or nothing has it; `None` if that is so already.
    pub(super) fn tag(
        &mut self,
        table: &AssetKey,
        base: &TablePointer,
        name: &str,
        snapshot: Option<i64>,
    ) -> Result<Option<TablePointer>, Missing> {
        let mut metadata = self.metadata(base)?.clone();
        let before = match snapshot {
            Some(id) if !metadata.snapshots.contains_key(&id) => return Ok(None),
            Some(id) => metadata.tags.insert(name.to_owned(), id),
            None => metadata.tags.remove(name),
        };
        if before == snapshot {
            return Ok(None);
        }
        Ok(Some(self.next(table, Some(base), metadata)))
    }

    /// The raw files of an asset as someone who looks sees them.
    pub(super) fn observe(&self, asset: &AssetKey) -> Observation {
        let files = self
            .sources
            .get(asset)
            .into_iter()
            .flat_map(|files| files.values().cloned());
        Observation {
            files: files.collect(),
            code: None,
        }
    }
}

/// The files that were staged.
pub(super) fn files_of(staged: &StagedTable) -> Vec<String> {
    let files = staged.data_files.as_array().into_iter().flatten();
    files.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The files of a partition, as a merge remembers which it has looked at.
pub(super) fn fingerprint<'a>(files: impl IntoIterator<Item = &'a String>) -> Fingerprint {
    Fingerprint::of(files.into_iter().map(String::as_str))
}

/// All rows of a partition in one text: equal exactly if the rows are.
pub(super) fn told<'a>(rows: impl IntoIterator<Item = &'a Rows>) -> String {
    let rows = rows.into_iter().flatten().map(|(key, value)| match key.as_str() {
        "" => value.clone(),
        key => format!("{key}={value}"),
    });
    let mut rows: Vec<String> = rows.collect();
    rows.sort();
    rows.join(" ")
}
