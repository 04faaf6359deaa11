//! What must hold once the faults are over: everything is told, everything is kept, and asking again finds it done.

use std::collections::BTreeSet;

use assets::{AssetKey, AssetPartition};
use orchestrator::core::{Answer, Broken, Input, InvariantId, PlanRequest, Sight, plan};
use state::event::OwnerMode;

use super::super::rows::{fed, make, merged_by_query};
use super::super::workers::Faults;
use super::{SECOND, Simulation};

impl Simulation {
    /// Faults are over: everything that is asked for now succeeds, and asking again finds it done.
    pub(super) fn calm(&mut self) -> Result<(), Broken> {
        self.faults = Faults::NONE;
        self.drop_environments();
        self.project.restore();
        self.every_instant_is_told()?;
        self.edited()?;
        self.every_event_is_told()?;
        // The clock stands still, so that no partition comes to exist while this goes on.
        self.still = Some(self.now.max(self.clock()) + 3600 * SECOND);
        self.automation_goes_on()?;
        self.all_is_kept()?;
        self.all_are_cut_as_declared()?;
        // A model that is never promoted, or a source that is missing, keeps some assets back; a second round lets
        // those follow whose model is promoted in the first.
        for _ in 0..2 {
            self.submit("*".to_owned(), None, false, OwnerMode::Daemon)?;
            self.until_quiet()?;
        }
        self.fresh_is_current()?;
        let before = self.requests;
        self.submit("*".to_owned(), None, false, OwnerMode::Daemon)?;
        if let Some(Answer::Accepted { run, .. }) = self.answers.get(&before) {
            let run = self.world.run(run);
            let steps = run.map(|run| {
                (0..run.steps.len())
                    .map(|at| run.name(at as u32).to_string())
                    .collect::<Vec<_>>()
            });
            return Err(Broken::new(
                InvariantId::RepeatFindsAllFresh,
                format!("it ran again: {steps:?}"),
            ));
        }
        self.history.agrees_with(&self.world)?;
        self.everyone_is_told()?;
        self.outcome.runs = self.history.runs();
        self.outcome.published = self.history.published();
        self.outcome.decisions = self.history.upkeep.decisions;
        self.outcome.freshness = self.history.upkeep.changed;
        self.outcome.rollbacks = self.history.tables.rollbacks();
        self.outcome.expiries = self.history.tables.expiries;
        self.leftovers_are_found()?;
        self.sound()
    }

    /// A daemon is back: what was due is told, and none of it twice.
    pub(super) fn every_instant_is_told(&mut self) -> Result<(), Broken> {
        self.boot += 1;
        self.changing.clear();
        let definitions = self.definitions();
        self.load(&definitions);
        self.recover(OwnerMode::Daemon)?;
        for schedule in self.history.instants.paused() {
            let request = self.requests;
            self.requests += 1;
            let by = "someone".to_owned();
            self.take(Input::ResumeSchedule { request, schedule, by })?;
        }
        // Past the longest jitter, so that nothing is on its way.
        self.now += 600 * SECOND;
        let at = self.now.max(self.clock());
        self.still = Some(at);
        self.tick_all()?;
        // An instant whose start is put off is told once its time has come.
        self.still = Some(at + 600 * SECOND);
        self.tick_all()?;
        self.still = None;
        self.outcome.ticks += self.history.instants.counts().values().sum::<usize>();
        self.history.instants.all_are_told(at)?;
        self.until_quiet()
    }

    /// What was paused of automation goes on.
    pub(super) fn automation_goes_on(&mut self) -> Result<(), Broken> {
        let paused: Vec<Option<AssetKey>> = self.world.automation().paused.keys().cloned().collect();
        for asset in paused {
            self.pause_automation(asset, false)?;
        }
        Ok(())
    }

    /// A daemon that was told the time has made all that is to be made by itself.
    pub(super) fn all_is_kept(&mut self) -> Result<(), Broken> {
        if !self.world.keeps_schedules() {
            return Ok(());
        }
        // The time stands still, so that nothing comes to exist, and nothing late, while this is looked at.
        let still = self.still;
        // No decision is of before another one.
        self.still = Some(still.unwrap_or_else(|| self.now.max(self.clock())).max(self.latest));
        let at = self.clock();
        self.take(Input::TimePassed)?;
        self.until_quiet()?;
        // Where the clock went back, partitions were made that do not exist yet: what follows from those follows later.
        if !self.went_back {
            self.history.upkeep.all_is_kept(&self.world, at)?;
        }
        self.still = still;
        Ok(())
    }

    /// Receivers take everything, and time goes on until nothing waits.
    pub(super) fn everyone_is_told(&mut self) -> Result<(), Broken> {
        for _ in 0..500 {
            let Some(next) = self.world.next_message(&std::collections::HashSet::new()) else {
                self.outcome.raised = self.history.alerts.raised();
                self.outcome.received = self.history.alerts.received.len();
                return self.history.alerts.all_is_told(&self.world);
            };
            self.still = Some(self.clock().max(next));
            if self.world.next_grouping().is_some_and(|due| due <= self.clock()) {
                self.take(Input::AlertsDue)?;
            }
            for (_, message, _) in self.world.messages_to_send(self.clock()) {
                self.try_message(self.boot, &message, true)?;
            }
        }
        Err(Broken::new(
            InvariantId::EverythingIsTold,
            "there is no end to what is told",
        ))
    }

    /// Sensors look until they have told of all there is to see.
    pub(super) fn every_event_is_told(&mut self) -> Result<(), Broken> {
        for sensor in self.history.sensors.paused() {
            if self.project.sensors().contains_key(&sensor) {
                let (request, by) = (self.requests, "someone".to_owned());
                self.requests += 1;
                self.take(Input::PauseSensor {
                    request,
                    sensor,
                    pause: false,
                    by,
                })?;
            }
        }
        for sensor in self.project.sensors().into_keys() {
            for _ in 0..500 {
                if self.outside.is_told(&self.history.sensors, &sensor) {
                    break;
                }
                if let Some(input) = self.outside.look(&self.world, &sensor, 0, &mut self.dice) {
                    self.take(input)?;
                }
            }
            if !self.outside.is_told(&self.history.sensors, &sensor) {
                let found = format!("{sensor} looks and does not tell of all that it sees");
                return Err(Broken::new(InvariantId::EventsAreToldOnce, found));
            }
        }
        self.outcome.events = self.history.sensors.events();
        self.until_quiet()
    }

    /// Makes every partition that is called fresh once more, from what there is now, and compares.
    pub(super) fn fresh_is_current(&self) -> Result<(), Broken> {
        let definitions = self.world.definitions();
        let sight = Sight::new(&self.world, definitions, self.clock());
        let everything = definitions.ordered().iter().map(|asset| asset.key.clone()).collect();
        let request = PlanRequest {
            assets: everything,
            partitions: None,
            force: false,
            only: None,
            alone: false,
        };
        let planned: BTreeSet<AssetPartition> = plan(&self.world, self.clock(), &request)
            .steps
            .into_iter()
            .map(|step| step.step)
            .collect();
        for (step, content) in &self.contents {
            let Some(asset) = definitions.get(&step.asset).filter(|asset| asset.kind != "command") else {
                continue;
            };
            let exists = sight.scopes().exists(asset, step.partition.as_ref());
            // What was taken back is to be what it was.
            if self.history.tables.stands(step) && sight.stands_by_rollback(asset, step.partition.as_ref()).is_some() {
                continue;
            }
            if !exists || planned.contains(step) || sight.stale(asset, step.partition.as_ref()).is_some() {
                continue;
            }
            // Where a table was cut anew, which rows lie where is the simulation's own choice until steps make its partitions.
            let mut inputs = asset
                .inputs
                .iter()
                .filter(|input| input.role == assets::InputRole::Rows);
            let is_unmade = |input: &AssetKey| -> Result<bool, Broken> {
                let there = Self::there(self.lake.read(self.world.pointer(input)), "a table")?;
                let mut keys = there.into_keys().map(|key| AssetPartition::new(input.clone(), key));
                Ok(keys.any(|step| !self.contents.contains_key(&step)))
            };
            if inputs.try_fold(false, |found, input| Ok::<_, Broken>(found || is_unmade(&input.asset)?))? {
                continue;
            }
            let mut tables = Vec::new();
            let mut models = Vec::new();
            for input in &asset.inputs {
                match &input.role {
                    assets::InputRole::Rows => {
                        let scope = sight.scopes().of(asset, input, step.partition.as_ref());
                        let contents = Self::there(self.lake.read(self.world.pointer(&input.asset)), "a table")?;
                        tables.push((input.asset.clone(), scope, contents));
                    }
                    assets::InputRole::Model(reference) => {
                        models.extend(
                            sight
                                .model_version(&input.asset, reference)
                                .map(|v| (input.asset.clone(), v)),
                        );
                    }
                }
            }
            tables.sort_by(|a, b| a.0.cmp(&b.0));
            let record = self
                .world
                .asset(&asset.key)
                .and_then(|record| record.observation.clone());
            let sources = record.unwrap_or_default();
            let partition = step.partition.as_ref();
            let made = make(asset, partition, &tables, &models, &sources);
            let is_there = if !asset.write.keeps_rows() {
                made == *content
            } else {
                let there = self.lake.part(self.world.pointer(&step.asset), partition);
                let (files, from) = Self::there(there, "a table")?;
                match asset.kind.as_str() {
                    "ingest" => fed(&sources, partition).iter().all(|file| from.contains(&file.sha256)),
                    _ => merged_by_query(&made)
                        .iter()
                        .all(|(key, value)| files.values().any(|file| file.get(key) == Some(value))),
                }
            };
            if !is_there {
                return Err(Broken::new(
                    InvariantId::FreshIsCurrent,
                    format!("{step} is called fresh"),
                ));
            }
        }
        Ok(())
    }
}
