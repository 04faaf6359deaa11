//! What people and clocks ask for: runs, edits of sources, ticks, looks, messages.

use assets::outcome::SourceFile;
use assets::{AssetKey, PartitionKey};
use orchestrator::core::{Broken, Input, InvariantId};
use state::alert::AlertMessage;
use state::event::{Only, OwnerMode, Pace, PartitionChoice, RunRequest};
use state::ids::RunId;

use super::{BEGINS, Happening, KEEPS_LOOKING, SECOND, Simulation};

impl Simulation {
    pub(super) fn request(&mut self) -> Result<(), Broken> {
        let assets: Vec<AssetKey> = self.project.declared().map(|asset| asset.key.clone()).collect();
        let asset = self.dice.pick(&assets).clone();
        let selection = match self.dice.below(5) {
            0 | 1 => "*".to_owned(),
            2 => format!("+{asset}"),
            3 => format!("{asset}+"),
            _ => format!("{asset} or stale"),
        };
        let partitions = self.dice.percent(30).then(|| self.choice()).flatten();
        let force = self.dice.percent(15);
        let owner = if self.dice.percent(30) {
            OwnerMode::Foreground
        } else {
            OwnerMode::Daemon
        };
        let only = self
            .dice
            .percent(20)
            .then(|| *self.dice.pick(&[Only::Missing, Only::Failed]));
        let mut pace = Pace::default();
        if self.dice.percent(40) {
            pace.newest_first = self.dice.percent(50);
            pace.max_in_flight = self.dice.percent(50).then(|| 1 + self.dice.below(4) as u32);
            pace.batch = self.dice.percent(50).then(|| 1 + self.dice.below(3) as u32);
            pace.priority = self.dice.percent(50).then(|| *self.dice.pick(&[-20, 0, 5]));
        }
        self.submit_run(RunRequest {
            selection,
            partitions,
            force,
            only,
            pace,
            owner,
            trigger: "simulator".to_owned(),
        })
    }

    pub(super) fn choice(&mut self) -> Option<PartitionChoice> {
        let sets: Vec<_> = self
            .project
            .declared()
            .filter_map(|asset| asset.partitions.clone())
            .collect();
        if sets.is_empty() {
            return None;
        }
        let now = jiff::Timestamp::from_microsecond(self.clock()).expect("the simulation is near the present");
        let keys: Vec<PartitionKey> = self.dice.pick(&sets).partitioning.keys(now).collect();
        if keys.is_empty() {
            return None;
        }
        let (from, to) = (self.dice.below(keys.len()), self.dice.below(keys.len()));
        Some(match self.dice.percent(50) {
            true => PartitionChoice::One(keys[from].clone()),
            false => PartitionChoice::Range(keys[from.min(to)].clone(), keys[from.max(to)].clone()),
        })
    }

    pub(super) fn submit(
        &mut self,
        selection: String,
        partitions: Option<PartitionChoice>,
        force: bool,
        owner: OwnerMode,
    ) -> Result<(), Broken> {
        self.submit_run(RunRequest {
            selection,
            partitions,
            force,
            only: None,
            pace: Pace::default(),
            owner,
            trigger: "simulator".to_owned(),
        })
    }

    pub(super) fn submit_run(&mut self, run: RunRequest) -> Result<(), Broken> {
        for asset in self.ingest() {
            let observation = self.lake.observe(&asset);
            self.take(Input::Observed { asset, observation })?;
        }
        let request = self.requests;
        self.requests += 1;
        self.take(Input::Submit { request, run })
    }

    pub(super) fn change_source(&mut self, asset: &AssetKey) {
        let declared = self.project.declared().find(|declared| declared.key == *asset);
        let Some((by, keeps)) = declared.map(|asset| (asset.partitions.clone(), asset.write.keeps_rows())) else {
            return;
        };
        let now = jiff::Timestamp::from_microsecond(self.clock()).expect("the simulation is near the present");
        let keys: Option<Vec<PartitionKey>> = by.map(|by| by.partitioning.keys(now).collect());
        let files = self.lake.sources.entry(asset.clone()).or_default();
        let mut path = format!("landing/{asset}/{}.csv", self.dice.below(4));
        if keeps {
            // Rows that were added stay: new ones come in files of their own.
            let names: Vec<String> = files.keys().cloned().collect();
            path = match names.is_empty() || self.dice.percent(70) {
                true => format!("landing/{asset}/{:016x}.csv", self.dice.roll()),
                false => self.dice.pick(&names).clone(),
            };
        }
        if files.contains_key(&path) && (keeps || self.dice.percent(20)) {
            files.remove(&path);
            return;
        }
        let content = self.dice.roll();
        let partitions = keys.map(|keys| {
            let from = self.dice.below(keys.len());
            keys.iter().skip(from).take(1 + self.dice.below(4)).cloned().collect()
        });
        let file = SourceFile {
            path: path.clone(),
            bytes: 1,
            modified_ns: 0,
            sha256: format!("{content:016x}"),
            partitions,
        };
        files.insert(path, file);
    }

    pub(super) fn pause(&mut self, run: RunId, pause: bool) -> Result<(), Broken> {
        self.requests += 1;
        let request = self.requests - 1;
        self.take(Input::PauseRun { request, run, pause })
    }

    pub(super) fn pause_automation(&mut self, asset: Option<AssetKey>, pause: bool) -> Result<(), Broken> {
        let request = self.requests;
        self.requests += 1;
        self.take(Input::PauseAutomation {
            request,
            asset,
            pause,
            by: "someone".to_owned(),
        })
    }

    /// What the daemon does whenever something may be due, and when it looks again.
    pub(super) fn look(&mut self) -> Result<(), Broken> {
        self.tick_all()?;
        if self.world.next_alarm().is_some_and(|alarm| alarm <= self.clock()) {
            self.take(Input::TimePassed)?;
        }
        self.send_messages()?;
        self.sensors_look();
        if self.now < BEGINS + KEEPS_LOOKING {
            let soon = self.now + 20 * 60 * SECOND;
            let wake = self.world.next_wake().filter(|_| self.world.keeps_schedules());
            let wake = wake.into_iter().chain(self.world.next_alarm()).min();
            // Now and then nobody wakes up in time.
            let wake = wake.filter(|_| self.dice.percent(80));
            let next = wake.map_or(soon, |wake| soon.min(self.now + (wake - self.clock()).max(SECOND)));
            self.at(next, Happening::Look);
        }
        Ok(())
    }

    /// What waits to be told becomes messages, and those that are due are on their way.
    pub(super) fn send_messages(&mut self) -> Result<(), Broken> {
        if self.world.next_grouping().is_some_and(|due| due <= self.clock()) {
            self.take(Input::AlertsDue)?;
        }
        if !self.world.keeps_schedules() {
            return Ok(());
        }
        for (_, message, _) in self.world.messages_to_send(self.clock()) {
            if self.sending.insert(message.id.clone()) {
                let takes = !self.dice.percent(self.faults.share * 2);
                let boot = self.boot;
                self.later(100, Happening::Try { boot, message, takes });
            }
        }
        Ok(())
    }

    /// A receiver was asked to take a message. If the process died meanwhile, nobody hears of it.
    pub(super) fn try_message(&mut self, boot: u64, message: &AlertMessage, takes: bool) -> Result<(), Broken> {
        if takes {
            self.history.alerts.receive(message)?;
        }
        if boot != self.boot {
            return Ok(());
        }
        self.sending.remove(&message.id);
        self.take(Input::AlertTried {
            alert: message.alert.clone(),
            message: message.id.clone(),
            error: (!takes).then(|| "the receiver does not answer".to_owned()),
        })
    }

    /// Every sensor looks; what it saw comes late, twice, or never.
    pub(super) fn sensors_look(&mut self) {
        for sensor in self.project.sensors().into_keys() {
            let share = self.faults.share;
            let Some(input) = self.outside.look(&self.world, &sensor, share, &mut self.dice) else {
                continue;
            };
            let times = match () {
                () if self.dice.percent(share) => 0,
                () if self.dice.percent(share) => 2,
                () => 1,
            };
            for _ in 0..times {
                let most = if self.dice.percent(share) { 3600 } else { 5 };
                let (boot, input) = (self.boot, Box::new(input.clone()));
                self.later(most, Happening::Looked { boot, input });
            }
        }
    }

    /// Some keys of one of the sets of partitions.
    pub(super) fn some_keys(&mut self) -> Vec<PartitionKey> {
        match self.choice() {
            Some(PartitionChoice::One(key)) => vec![key],
            Some(PartitionChoice::Range(from, to)) => vec![from, to],
            Some(PartitionChoice::These(_) | PartitionChoice::Steps(_)) | None => Vec::new(),
        }
    }

    pub(super) fn tick_all(&mut self) -> Result<(), Broken> {
        for _ in 0..200 {
            let at = self.clock();
            let due = self.world.due_schedules(at, 4);
            if due.is_empty() || !self.world.keeps_schedules() {
                return Ok(());
            }
            for asset in self.ingest() {
                let observation = self.lake.observe(&asset);
                self.take(Input::Observed { asset, observation })?;
            }
            for schedule in due {
                let unseen = self.dice.percent(self.faults.share / 2);
                let unseen = unseen.then(|| "the share does not answer".to_owned());
                self.take(Input::ScheduleDue { schedule, unseen })?;
            }
        }
        Err(Broken::new(
            InvariantId::InstantsAreToldOnce,
            "what is due is asked for and stays due",
        ))
    }
}
