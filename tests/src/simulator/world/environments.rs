//! Environments: the state is copied, something is made in the copy, and what that came to is merged into what production is by then.
//!
//! In an environment all goes well: what is looked at is production, which moves underneath it, removes old versions of its tables, and
//! takes over what it made, or refuses to. Its state, its runs and its files are its own; raw files and tables' folders it shares, as it
//! does outside of the simulator.

use std::collections::{BTreeMap, BinaryHeap};

use assets::AssetPartition;
use assets::outcome::TablePointer;
use orchestrator::core::{Adoption, Broken, Input};
use orchestrator::edge::environments::{EnvironmentRecord, changes, to_rest};
use state::event::OwnerMode;
use state::sqlite::queries::events::newest;

use super::super::dice::Dice;
use super::super::lake::Lake;
use super::super::sabotage::Sabotage;
use super::super::workers::{Faults, Workers};
use super::turns::Held;
use super::{Happening, Outcome, SECOND, Simulation, tables};

/// An environment in which something was made.
pub(super) struct Environment {
    pub(super) record: EnvironmentRecord,
    /// Its own world. Its lake is production's.
    own: Box<Simulation>,
    /// How often its merge was asked for.
    asked: u32,
}

/// What is being merged: what readers are to see, and the names of snapshots.
pub(super) struct Merging {
    pub(super) contents: BTreeMap<AssetPartition, String>,
    pub(super) tags: BTreeMap<tables::Named, i64>,
}

impl Environment {
    /// The versions of tables that it was made from.
    pub(super) fn reads(&self) -> impl Iterator<Item = (&assets::AssetKey, &TablePointer)> {
        self.record.tables.iter()
    }
}

impl Simulation {
    /// Someone makes an environment, and something in it.
    pub(super) fn make_environment(&mut self) -> Result<(), Broken> {
        self.settle_held()?;
        if self.world.pointers().next().is_none() || self.world.is_unrecovered() {
            return Ok(());
        }
        let number = self.outcome.environments;
        self.outcome.environments += 1;
        self.note(format!("environment e{number} is made"));
        let mut own = self.fork();
        own.lake = std::mem::take(&mut self.lake);
        own.lake.environment = Some(number);
        let made = own.work_apart(number);
        own.lake.environment = None;
        self.lake = std::mem::take(&mut own.lake);
        self.lake.now = self.clock();
        let record = match made {
            Ok(record) => record,
            Err(broken) => {
                self.lately.append(&mut own.lately);
                return Err(broken);
            }
        };
        // Nothing of it is later than what follows.
        let ended = own.now.max(self.now);
        let environment = Environment {
            record,
            own: Box::new(own),
            asked: 0,
        };
        self.environments.insert(number, environment);
        let at = ended + self.environment_dice.between(0, 5400) * SECOND;
        self.at(at, Happening::Merge(number));
        Ok(())
    }

    /// A copy of all that is known, in which nothing happens yet.
    fn fork(&mut self) -> Self {
        Self {
            dice: Dice::new(self.environment_dice.roll()),
            joins: Dice::new(0),
            environment_dice: Dice::new(0),
            held: Held::default(),
            sabotage: None,
            faults: Faults::NONE,
            now: self.now,
            skew: self.skew,
            still: None,
            latest: self.latest,
            went_back: self.went_back,
            heap: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            scheduled: 0,
            boot: self.boot + 1_000_000,
            project: self.project.clone(),
            lake: Lake::default(),
            workers: Workers::default(),
            store: self.store.copy_in_memory().expect("a store in memory can be copied"),
            world: self.world.clone(),
            history: self.history.clone(),
            versions: self.versions.clone(),
            sending: self.sending.clone(),
            outside: self.outside.clone(),
            limits: self.limits.clone(),
            requests: 0,
            answers: BTreeMap::new(),
            contents: self.contents.clone(),
            alarm: None,
            tags: self.tags.clone(),
            naming: BTreeMap::new(),
            changing: BTreeMap::new(),
            environments: BTreeMap::new(),
            merging: None,
            outcome: Outcome::default(),
            lately: Vec::new(),
        }
    }

    /// What runs in production is over in the copy; then someone works in it until nothing is under way.
    fn work_apart(&mut self, number: usize) -> Result<EnvironmentRecord, Broken> {
        let readable = "the store can be read";
        let name = format!("e{number}").parse().expect("a plain name");
        let from_event = newest(&self.store).expect(readable);
        let loaded = self.store.load().expect(readable);
        let mut record = EnvironmentRecord::of(name, self.clock(), from_event, &loaded);
        for input in to_rest(&mut self.world, format!("environment {number}")) {
            self.take(input)?;
        }
        record.own_from_event = newest(&self.store).expect(readable);
        // Workers of production speak to production.
        self.heap.clear();
        self.waiting.clear();
        if self.dice.percent(40) {
            self.project.edit(&mut self.dice);
        }
        self.boot += 1;
        let definitions = self.definitions();
        self.load(&definitions);
        self.recover(OwnerMode::Foreground)?;
        for _ in 0..1 + self.dice.below(3) {
            match self.dice.below(4) {
                0 if self.dice.percent(40) => {
                    let mut dice = self.dice.clone();
                    if let Some(asset) = self.project.recut(&mut dice) {
                        self.edited()?;
                        self.repartition(&asset)?;
                    }
                    self.dice = dice;
                }
                0 => self.change_a_table()?,
                1 => self.request()?,
                _ => {
                    let assets: Vec<_> = self.project.declared().map(|asset| asset.key.to_string()).collect();
                    let asset = self.dice.pick(&assets).clone();
                    let partitions = self.dice.percent(50).then(|| self.choice()).flatten();
                    self.submit(asset, partitions, true, OwnerMode::Foreground)?;
                }
            }
            self.until_quiet()?;
        }
        Ok(record)
    }

    /// Someone asks for an environment to be merged.
    pub(super) fn merge(&mut self, number: usize) -> Result<(), Broken> {
        self.settle_held()?;
        let Some(mut environment) = self.environments.remove(&number) else {
            return Ok(());
        };
        // Most take over the declarations that it was made with first.
        if environment.asked == 0 && self.environment_dice.percent(70) {
            self.project = environment.own.project.clone();
            self.edited()?;
        }
        let compared = changes(&environment.record, &environment.own.store, &self.store, "someone");
        let mut compared = compared.expect("both stores can be read");
        if self.sabotage == Some(Sabotage::MergeOverWhatMoved) {
            compared.reasons.clear();
            for table in &mut compared.merge.tables {
                table.from = self.world.pointer(&table.table).cloned();
            }
        }
        environment.asked += 1;
        if compared.is_empty() || !compared.reasons.is_empty() || self.shows(&compared.merge) {
            self.drop_environment(number);
            return Ok(());
        }
        let request = self.requests;
        self.requests += 1;
        self.merging = Some(Merging {
            contents: environment.own.contents.clone(),
            tags: environment.own.tags.clone(),
        });
        let known = self.history.run_ids();
        let adoption = Box::new(compared.merge.clone());
        let boot = self.boot;
        let taken = self.take(Input::Adopt { request, adoption });
        self.merging = None;
        taken?;
        if self.shows(&compared.merge) {
            self.outcome.merges += 1;
            let theirs = &environment.own.history.tables;
            self.history.tables.adopt(theirs, &compared.merge, &known);
        } else if boot != self.boot && environment.asked < 3 {
            // The answer is lost, and it does not count: who asked asks again.
            self.environments.insert(number, environment);
            self.later(600, Happening::Merge(number));
            return Ok(());
        }
        self.drop_environment(number);
        Ok(())
    }

    /// Whether production has the tables of an environment.
    fn shows(&self, adoption: &Adoption) -> bool {
        let mut tables = adoption.tables.iter();
        !adoption.tables.is_empty() && tables.all(|table| self.world.pointer(&table.table) == Some(&table.to))
    }

    /// An environment goes, with the files of its own that nobody else needs.
    fn drop_environment(&mut self, number: usize) {
        self.environments.remove(&number);
        let pointers = self.world.pointers().map(|(_, pointer)| pointer);
        let versions = pointers.chain(
            self.environments
                .values()
                .flat_map(|other| other.record.tables.values()),
        );
        // What is gone of an old version is needed by nobody.
        let needed = versions
            .flat_map(|version| self.lake.referred_and_there(version))
            .collect();
        let pins = self.pins();
        self.lake.drop_environment(number, &needed, &pins);
    }

    /// All of them go.
    pub(super) fn drop_environments(&mut self) {
        for number in self.environments.keys().copied().collect::<Vec<_>>() {
            self.drop_environment(number);
        }
    }
}
