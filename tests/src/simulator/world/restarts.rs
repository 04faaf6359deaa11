//! The process dies and starts again from what is stored; what is too old is removed in between.

use std::sync::Arc;

use orchestrator::core::{Broken, Definitions, Input, InvariantId, World, check_same};
use state::event::{Micros, OwnerMode};
use state::sqlite::retention::{RetentionPass, RetentionPolicy};

use super::{SECOND, Simulation};

impl Simulation {
    pub(super) fn crash(&mut self) -> Result<(), Broken> {
        self.settle_held()?;
        if self.dice.percent(30) {
            // It was asked to end, and is killed before it has.
            self.take(Input::Drain)?;
        }
        // Nothing is half done between two inputs, so what is stored is what is known.
        let loaded = self.store.load().expect("the store can be read");
        check_same(
            &self.world,
            &World::from_loaded_with(loaded, self.world.definitions().clone(), &self.versions, 0),
        )?;
        self.start_again()
    }

    /// The process died and starts again from what is stored.
    pub(super) fn start_again(&mut self) -> Result<(), Broken> {
        self.boot += 1;
        self.sending.clear();
        self.changing.clear();
        self.outcome.crashes += 1;
        self.note("the process dies and starts again");
        let definitions = self.definitions();
        self.retire()?;
        self.load(&definitions);
        if self.dice.percent(80) {
            self.workers.kept.clear();
        }
        let mode = if self.dice.percent(25) {
            OwnerMode::Foreground
        } else {
            OwnerMode::Daemon
        };
        self.recover(mode)
    }

    /// What a start makes of what is stored: open runs find the definitions again that they were planned with, unless those can
    /// no longer be read.
    pub(super) fn load(&mut self, definitions: &Arc<Definitions>) {
        let loaded = self.store.load().expect("the store can be read");
        if self.dice.percent(self.faults.share) {
            self.versions
                .values_mut()
                .for_each(|known| *known = definitions.clone());
            self.history.recovered(definitions);
        }
        let seed = self.dice.roll();
        self.world = World::from_loaded_with(loaded, definitions.clone(), &self.versions, seed);
        self.alarm = None;
    }

    pub(super) fn recover(&mut self, mode: OwnerMode) -> Result<(), Broken> {
        let boot = self.boot;
        let definitions = self.world.definitions().clone();
        self.take(Input::DefinitionsLoaded(definitions))?;
        if self.boot != boot {
            // It died at once, and the one after it has recovered.
            return Ok(());
        }
        self.take(Input::Recover {
            boot: format!("boot {boot}"),
            mode,
        })
    }

    /// What is too old is removed, now and then, and nothing that counts changes by it.
    pub(super) fn retire(&mut self) -> Result<(), Broken> {
        if self.dice.percent(50) {
            return Ok(());
        }
        let before = format!("{:?}", self.store.load().expect("the store can be read"));
        let mut pass = RetentionPass::new(RetentionPolicy {
            before: self.latest - self.dice.below(4 * 3600) as Micros * SECOND,
            keep_runs: self.dice.below(3) as u32,
        });
        while self
            .store
            .retire(&mut pass)
            .expect("the store can be written")
            .is_some()
        {}
        self.history.tables.retired = true;
        let after = format!("{:?}", self.store.load().expect("the store can be read"));
        if before != after {
            return Err(Broken::new(
                InvariantId::RecoveredWorldIsEqual,
                "what is loaded is not the same once what is too old was removed",
            ));
        }
        self.sound()
    }

    /// The store agrees with its events.
    pub(super) fn sound(&self) -> Result<(), Broken> {
        let violations = state::fsck::check(&self.store).expect("the store can be read");
        match violations.first() {
            None => Ok(()),
            Some(violation) => Err(Broken::new(
                InvariantId::RecoveredWorldIsEqual,
                format!("fsck: {violation:?}"),
            )),
        }
    }
}
