//! What people and maintenance do to tables: take them back, name snapshots, rid them of old ones. Each is written first, decided
//! later, and followed by more; the process may die in between, and the answer may be lost.

use assets::outcome::TablePointer;
use assets::{AssetKey, AssetPartition};
use orchestrator::core::{
    Answer, Broken, Input, InvariantId, PreparedExpiry, PreparedRollback, PreparedTable, RestoredPartition,
    TableChange, TableChangeKind, restored,
};
use state::event::Micros;
use state::sqlite::queries::restored::ShownIn;

use super::super::lake::{Contents, Missing};
use super::super::sabotage::Sabotage;
use super::super::tending::{Expired, ORPHAN_AGE, Pins};
use super::compaction::{Compacted, prepared};
use super::environments::Environment;
use super::repartition::Recut;
use super::{Happening, SECOND, Simulation};

/// What someone wants of a table.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// What it showed in this snapshot.
    RollBack(i64),
    /// A name for a snapshot, or none for any.
    Tag(&'static str, Option<i64>),
    /// That nobody keeps what nobody needs.
    Tend(Box<Tending>),
    /// Few files, with the rows of many.
    Compact(Vec<Compacted>),
    /// Other partitions.
    Repartition(Box<Recut>),
}

/// How old versions are to go.
#[derive(Debug, Clone)]
pub(super) struct Tending {
    pins: Pins,
    keep: Micros,
    newest: usize,
}

/// A change that was written and waits to be decided.
#[derive(Debug, Clone)]
pub(super) struct Written {
    change: Box<TableChange>,
    wanted: Wanted,
    /// What the table is to show.
    shows: Contents,
    /// The files that may go once it counts.
    files: Vec<String>,
}

/// A name of a snapshot, of a table.
pub(super) type Named = (AssetKey, &'static str);

const NAMES: [&str; 3] = ["good", "known", "old"];

/// Nothing that is referred to may be missing.
fn needed(found: impl Into<String>) -> Broken {
    Broken::new(InvariantId::NeededIsKept, found)
}

impl Simulation {
    /// The lake is asked for something that someone refers to.
    pub(super) fn there<T>(found: Result<T, Missing>, who: &str) -> Result<T, Broken> {
        found.map_err(|Missing(what)| needed(format!("{who} refers to {what}, which is not there")))
    }

    /// Someone wants something of some table.
    pub(super) fn change_a_table(&mut self) -> Result<(), Broken> {
        let tables: Vec<(AssetKey, TablePointer)> =
            self.world.pointers().map(|(t, p)| (t.clone(), p.clone())).collect();
        if tables.is_empty() {
            return Ok(());
        }
        let (table, pointer) = self.dice.pick(&tables).clone();
        let metadata = Self::there(self.lake.metadata(&pointer), "a table")?;
        let snapshots: Vec<i64> = metadata.snapshots.keys().copied().collect();
        // Rather one of the newest, as people do.
        let newest = self.dice.percent(60).then(|| snapshots.len().saturating_sub(4));
        let snapshot = *self.dice.pick(&snapshots[newest.unwrap_or(0)..]);
        let wanted = match self.dice.below(3) {
            0 | 1 => Wanted::RollBack(snapshot),
            _ => {
                let name = *self.dice.pick(&NAMES);
                Wanted::Tag(name, self.dice.percent(80).then_some(snapshot))
            }
        };
        self.want(&table, wanted, 3)
    }

    /// Someone, or the timetable, tends all tables.
    pub(super) fn tend_all(&mut self) {
        let tables: Vec<AssetKey> = self.world.pointers().map(|(table, _)| table.clone()).collect();
        let (keep, newest) = (
            *self.dice.pick(&[0, 600, 3600, 24 * 3600]) * SECOND,
            1 + self.dice.below(3),
        );
        let boot = self.boot;
        let pins = match self.sabotage {
            Some(Sabotage::ForgetWhatIsPinned) => Pins::forgotten(self.clock()),
            _ => self.pins(),
        };
        for table in tables {
            let pins = pins.clone();
            let wanted = Wanted::Tend(Box::new(Tending { pins, keep, newest }));
            self.later(
                120,
                Happening::Want {
                    boot,
                    table,
                    wanted,
                    tries: 3,
                },
            );
        }
    }

    pub(super) fn pins(&self) -> Pins {
        let mut pins = Pins::of(&self.store, self.changing.values().copied().min(), self.clock());
        for (table, version) in self.environments.values().flat_map(Environment::reads) {
            let metadata = self.lake.metadata(version).expect("what an environment reads is there");
            pins.add_history(table, version, metadata);
        }
        pins
    }

    /// Writes what is wanted, to be decided a moment later.
    pub(super) fn want(&mut self, table: &AssetKey, wanted: Wanted, tries: u32) -> Result<(), Broken> {
        let Some(pointer) = self.world.pointer(table).cloned() else {
            return Ok(());
        };
        self.lake.now = self.clock();
        let (to, what, shows, files) = match &wanted {
            Wanted::RollBack(target) => {
                let metadata = Self::there(self.lake.metadata(&pointer), "a table")?.clone();
                if !metadata.snapshots.contains_key(target) {
                    return Ok(());
                }
                let shows = Self::there(self.lake.read_snapshot(&metadata, *target), "a table")?;
                let prepared = self.lake.roll_back(table, &pointer, *target);
                let Some(prepared) = Self::there(prepared, "a table")? else {
                    return Ok(());
                };
                let mut ids = std::collections::BTreeSet::new();
                let mut next = Some(*target);
                while let Some(id) = next {
                    ids.insert(id);
                    let parent = metadata.snapshots.get(&id).and_then(|snapshot| snapshot.parent);
                    next = parent.filter(|parent| metadata.snapshots.contains_key(parent));
                }
                let snapshot = prepared.to.snapshot_id.unwrap_or_default();
                let later = metadata
                    .snapshots
                    .keys()
                    .filter(|id| !ids.contains(id))
                    .copied()
                    .collect();
                let shown = ShownIn::of(&self.store, table, metadata.rows_of(*target), ids, later);
                let shown = shown.expect("the store can be read");
                let mut partitions = Vec::new();
                for (partition, after) in prepared.partitions {
                    let step = AssetPartition::new(table.clone(), partition.clone());
                    let added = self.lake.last_added_in(&metadata, *target, &partition);
                    let known = shown.made(&self.store, &step, Self::there(added, "a table")?);
                    let known = known.expect("the store can be read");
                    partitions.push(RestoredPartition {
                        restored: restored(&step, after, known, *target, snapshot),
                        partition,
                    });
                }
                let rollback = PreparedRollback {
                    to_snapshot: *target,
                    by: "someone".to_owned(),
                    note: None,
                    partitions,
                };
                (prepared.to, TableChangeKind::Rollback(rollback), shows, Vec::new())
            }
            Wanted::Tag(name, snapshot) => {
                let tagged = self.lake.tag(table, &pointer, name, *snapshot);
                let Some(to) = Self::there(tagged, "a table")? else {
                    return Ok(());
                };
                let shows = Self::there(self.lake.read(Some(&pointer)), "a table")?;
                (to, TableChangeKind::Tag, shows, Vec::new())
            }
            Wanted::Tend(tending) => {
                let since = tending.pins.since(tending.keep);
                let plan = self
                    .lake
                    .plan_expiry(table, &pointer, &tending.pins, since, tending.newest);
                let Expired { snapshots, files } = Self::there(plan, "a table")?;
                if snapshots.is_empty() {
                    self.sweep_later(table, &tending.pins);
                    return Ok(());
                }
                let to = Self::there(self.lake.expire(table, &pointer, &snapshots), "a table")?;
                let shows = Self::there(self.lake.read(Some(&pointer)), "a table")?;
                let expiry = PreparedExpiry {
                    snapshots: snapshots.len() as u64,
                    files: files.len() as u64,
                    bytes: files.len() as u64,
                    by: "someone".to_owned(),
                };
                (to, TableChangeKind::Expiry(expiry), shows, files)
            }
            Wanted::Repartition(recut) => {
                let Some(to) = self.offer_recut(table, &pointer, recut)? else {
                    return Ok(());
                };
                let shows = Self::there(self.lake.read(Some(&to)), "a table")?;
                (to, TableChangeKind::Repartition(recut.prepared()), shows, Vec::new())
            }
            Wanted::Compact(compacted) => {
                let shows = Self::there(self.lake.read(Some(&pointer)), "a table")?;
                let Some(to) = self.offer(table, &pointer, compacted)? else {
                    return Ok(());
                };
                (to, TableChangeKind::Compaction(prepared(compacted)), shows, Vec::new())
            }
        };
        let change = Box::new(TableChange {
            table: PreparedTable {
                table: table.clone(),
                from: Some(pointer),
                to,
            },
            what,
        });
        let boot = self.boot;
        let most = self.faults.wait(3, 900, &mut self.dice);
        self.changing
            .insert(change.table.to.metadata_location.clone(), self.clock());
        let written = Written {
            change,
            wanted,
            shows,
            files,
        };
        self.later(most, Happening::Decide { boot, written, tries });
        Ok(())
    }

    /// What was written is decided.
    pub(super) fn decide(&mut self, boot: u64, written: Written, tries: u32) -> Result<(), Broken> {
        let location = written.change.table.to.metadata_location.clone();
        // What a process that is gone has written, nobody asks for any more.
        if boot != self.boot {
            return Ok(());
        }
        let table = written.change.table.table.clone();
        if let Wanted::Tag(name, snapshot) = written.wanted {
            let to = written.change.table.to.metadata_location.clone();
            self.naming.insert(to, ((table.clone(), name), snapshot));
        }
        let request = self.requests;
        self.requests += 1;
        self.take(Input::ChangeTable {
            request,
            change: written.change.clone(),
        })?;
        self.changing.remove(&location);
        let counts = self.world.pointer(&table) == Some(&written.change.table.to);
        if counts {
            let shows = Self::there(self.lake.read(Some(&written.change.table.to)), "a table")?;
            if shows != written.shows {
                let found = format!("{table} shows {shows:?}, it was to show {:?}", written.shows);
                return Err(Broken::new(InvariantId::RollbackCountsOnce, found));
            }
        }
        if boot != self.boot {
            // The answer is lost. Who wanted it asks again, and finds it done or gets it done.
            let asks_again = matches!(written.wanted, Wanted::RollBack(_) | Wanted::Tag(..));
            if self.dice.percent(70) && asks_again {
                let (boot, wanted) = (self.boot, written.wanted);
                self.later(
                    600,
                    Happening::Want {
                        boot,
                        table,
                        wanted,
                        tries,
                    },
                );
            }
            return Ok(());
        }
        match self.answers.get(&request) {
            Some(Answer::TableChanged) => {
                if let Wanted::Compact(compacted) = &written.wanted {
                    self.outcome.compactions += 1;
                    self.no_longer_changing(compacted);
                }
                if let Wanted::Repartition(recut) = &written.wanted {
                    self.outcome.repartitions += 1;
                    self.recut_is_over(recut);
                }
                if let Wanted::Tend(tending) = &written.wanted {
                    let (files, pins) = (written.files, tending.pins.clone());
                    self.later(
                        30,
                        Happening::Remove {
                            boot,
                            table,
                            files,
                            pins,
                        },
                    );
                }
            }
            Some(Answer::TableMoved) => {
                if matches!(
                    written.wanted,
                    Wanted::Tend(_) | Wanted::Compact(_) | Wanted::Repartition(_)
                ) {
                    self.lake.remove([&written.change.table.to.metadata_location]);
                }
                if tries > 1 {
                    self.want(&table, written.wanted, tries - 1)?;
                } else if let Wanted::Compact(compacted) = &written.wanted {
                    self.give_up(compacted);
                } else if let Wanted::Repartition(recut) = &written.wanted {
                    self.give_up_recut(recut);
                }
            }
            Some(Answer::Refused { .. }) => {
                if let Wanted::Compact(compacted) = &written.wanted {
                    self.lake.remove([&written.change.table.to.metadata_location]);
                    self.give_up(compacted);
                }
                if let Wanted::Repartition(recut) = &written.wanted {
                    self.lake.remove([&written.change.table.to.metadata_location]);
                    self.give_up_recut(recut);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The files go that only expired snapshots needed.
    pub(super) fn remove(&mut self, boot: u64, table: &AssetKey, files: &[String], pins: &Pins) -> Result<(), Broken> {
        // A process that died has removed some of them, or none.
        let many = match boot == self.boot {
            true => files.len(),
            false => self.dice.below(files.len() + 1),
        };
        self.lake.remove(&files[..many]);
        self.needed_is_there(table)?;
        if boot == self.boot {
            self.sweep_later(table, pins);
        }
        Ok(())
    }

    fn sweep_later(&mut self, table: &AssetKey, pins: &Pins) {
        let (boot, table, pins) = (self.boot, table.clone(), pins.clone());
        self.later(30, Happening::Sweep { boot, table, pins });
    }

    /// The files go that nothing refers to.
    pub(super) fn sweep(&mut self, boot: u64, table: &AssetKey, pins: &Pins) -> Result<(), Broken> {
        let Some(pointer) = self.world.pointer(table).cloned().filter(|_| boot == self.boot) else {
            return Ok(());
        };
        let before = pins.since(ORPHAN_AGE);
        let before = match self.sabotage {
            Some(Sabotage::SweepTooSoon) => self.clock(),
            _ => before,
        };
        // What is needed is asked for after the files were listed.
        let now = match self.sabotage {
            Some(Sabotage::ForgetWhatIsPinned) => Pins::forgotten(self.clock()),
            _ => self.pins(),
        };
        let mut files = Self::there(self.lake.orphans(table, &pointer, before, &now), "a table")?;
        if self.sabotage == Some(Sabotage::OverlookLeftovers) {
            files.retain(|file| self.lake.is_data(file));
        }
        self.outcome.swept += files.len();
        self.lake.remove(&files);
        self.needed_is_there(table)
    }

    /// A table has another version: a snapshot may have a name by it. All that is referred to is there.
    pub(super) fn moved(&mut self, table: &AssetKey, to: &TablePointer) -> Result<(), Broken> {
        if let Some(merging) = &self.merging {
            self.tags.retain(|(of, _), _| of != table);
            let theirs = merging.tags.iter().filter(|((of, _), _)| of == table);
            self.tags
                .extend(theirs.map(|(place, snapshot)| (place.clone(), *snapshot)));
        }
        self.is_shown(table, to)?;
        if let Some((place, snapshot)) = self.naming.remove(&to.metadata_location) {
            match snapshot {
                Some(snapshot) => self.tags.insert(place, snapshot),
                None => self.tags.remove(&place),
            };
            self.outcome.tags += 1;
        }
        self.needed_is_there(table)
    }

    /// Readers of a table see of each partition what was made of it last.
    fn is_shown(&self, table: &AssetKey, to: &TablePointer) -> Result<(), Broken> {
        let shown = Self::there(self.lake.read(Some(to)), "a table")?;
        for (step, content) in self.contents.iter().filter(|(step, _)| step.asset == *table) {
            let is = shown.get(&step.partition).map_or("", String::as_str);
            if is != content {
                let found = format!("readers see {is:?} of {step}, which was made as {content:?}");
                return Err(Broken::new(InvariantId::MaterializedBySuccess, found));
            }
        }
        Ok(())
    }

    /// All that anyone refers to in a table is there.
    pub(super) fn needed_is_there(&self, table: &AssetKey) -> Result<(), Broken> {
        let Some(pointer) = self.world.pointer(table) else {
            return Ok(());
        };
        Self::there(self.lake.is_whole(pointer), &table.to_string())?;
        for environment in self.environments.values() {
            let reads = environment.record.tables.get(table);
            Self::there(self.lake.read(reads), environment.record.name.as_str())?;
        }
        let metadata = Self::there(self.lake.metadata(pointer), "a table")?;
        for attempt in self.world.attempts() {
            let Some(run) = self.world.run(&attempt.run) else {
                continue;
            };
            let counts = |position: &u32| run.steps[*position as usize].attempt.as_ref() == Some(&attempt.id);
            let steps = attempt.steps.iter().filter(|position| counts(position));
            for step in steps.map(|position| run.name(*position)) {
                let kept = self.workers.kept.get(&(attempt.id.clone(), step.clone()));
                let staged = kept.into_iter().flat_map(|kept| &kept.staged.tables);
                for file in staged.flat_map(super::super::lake::files_of) {
                    if !self.lake.is_data(&file) {
                        return Err(needed(format!("{step} is staged in {file}, which is not there")));
                    }
                }
            }
            if attempt.ended || attempt.open == 0 {
                continue;
            }
            let inputs = attempt.inputs.iter().filter(|input| input.asset == *table);
            // And what it builds on, which a clock that jumps makes look old.
            let own = self.workers.given(&attempt.id).filter(|_| attempt.asset == *table);
            for pinned in inputs.filter_map(|input| input.table.as_ref()).chain(own) {
                Self::there(self.lake.read(Some(pinned)), attempt.id.as_str())?;
            }
        }
        for ((model, version), inputs) in &self.history.tables.learned_from {
            let inputs = inputs.iter().filter(|input| input.asset == *table);
            for snapshot in inputs.filter_map(|input| input.table.as_ref()?.snapshot_id) {
                if !metadata.snapshots.contains_key(&snapshot) {
                    let found = format!("version {version} of {model} learned from snapshot {snapshot} of {table}");
                    return Err(needed(found));
                }
            }
        }
        for ((_, name), snapshot) in self.tags.iter().filter(|((of, _), _)| of == table) {
            if metadata.tags.get(*name) != Some(snapshot) {
                return Err(needed(format!("{name} of {table} is no name of {snapshot} any more")));
            }
        }
        Ok(())
    }

    /// Once all is old enough, maintenance leaves nothing behind that nothing refers to.
    pub(super) fn leftovers_are_found(&mut self) -> Result<(), Broken> {
        let tables: Vec<AssetKey> = self.world.pointers().map(|(table, _)| table.clone()).collect();
        let newest = self.lake.disk.values().map(|file| file.written).max().unwrap_or(0);
        self.still = Some(self.clock().max(newest) + ORPHAN_AGE + SECOND);
        self.tend_all();
        self.until_quiet()?;
        for table in tables {
            let pointer = self.world.pointer(&table).cloned().expect("a table does not go");
            let boot = self.boot;
            let pins = self.pins();
            self.sweep(boot, &table, &pins)?;
            let referred = Self::there(self.lake.referred(&pointer), "a table")?;
            let old = self.clock() - ORPHAN_AGE;
            let mut files = self.lake.disk.iter();
            let left = files.find(|(location, file)| {
                let own = file.table == table && file.environment.is_none();
                own && file.written < old && !referred.contains(*location)
            });
            if let Some((left, _)) = left.filter(|(location, _)| !pins.needs(location)) {
                return Err(Broken::new(InvariantId::LeftoversAreFound, left.clone()));
            }
        }
        Ok(())
    }
}
