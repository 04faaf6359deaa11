//! The loop of the simulator: an input, a turn, a commit, the effects; and what is checked after each.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;
use std::sync::Arc;

use assets::outcome::{Failure, FailureClass, SourceFile, TablePointer};
use assets::{AssetKey, AssetPartition, Fingerprint, PartitionKey};
use orchestrator::core::{
    Answer, Broken, CoreSettings, Definitions, Effect, Input, InvariantId, Member, PlanRequest, Sight, World,
    check_invariants, check_same, plan, turn,
};
use state::Store;
use state::alert::AlertMessage;
use state::event::{Event, Micros, Only, OwnerMode, Pace, PartitionChoice, RunRequest};
use state::ids::{AttemptId, MessageId, RunId};
use state::sqlite::retention::{RetentionPass, RetentionPolicy};

use super::dice::Dice;
use super::history::{History, Limits};
use super::lake::{Lake, make};
use super::project::Project;
use super::sabotage::Sabotage;
use super::sensors::Outside;
use super::workers::{Faults, Word, Workers};

const SECOND: Micros = 1_000_000;
/// 2024-03-10T01:00 in New York, an hour before its clocks go forward.
const BEGINS: Micros = 1_710_050_400 * SECOND;
/// How long the daemon looks at its agenda: until well after the last fault.
const KEEPS_LOOKING: Micros = 12 * 3600 * SECOND;
/// Turns after which a run that is still open never ends.
const MOST_TURNS: usize = 20_000;

/// What a seed came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// Inputs taken.
    pub turns: usize,
    /// Runs submitted.
    pub runs: usize,
    /// Steps published.
    pub published: usize,
    /// Times the process died.
    pub crashes: usize,
    /// Instants of schedules that were told of, stretches counted once.
    pub ticks: usize,
    /// Decisions of automation.
    pub decisions: usize,
    /// Changes of freshness.
    pub freshness: usize,
    /// What was raised for alerts.
    pub raised: usize,
    /// Messages that reached a receiver.
    pub received: usize,
    /// Events that sensors told of.
    pub events: usize,
}

/// A seed that broke a promise.
#[derive(Debug)]
pub struct BrokenSeed {
    /// The seed.
    pub seed: u64,
    /// The promise.
    pub broken: Broken,
    /// What happened last.
    pub lately: Vec<String>,
}

impl fmt::Display for BrokenSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.broken)?;
        self.lately.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// What waits in the heap.
#[derive(Debug, Clone)]
enum Happening {
    Request,
    Cancel,
    Pause,
    Resume(RunId),
    ChangeSources,
    Edit,
    Crash,
    ClockJumps,
    /// The wait for a retry is over.
    Retries {
        until: Micros,
    },
    /// The daemon looks at its agenda.
    Look,
    /// Someone pauses, resumes or ticks a schedule.
    Schedule,
    /// Someone pauses or resumes automation.
    Automation,
    /// A receiver takes a message, or does not.
    Try {
        boot: u64,
        message: AlertMessage,
        takes: bool,
    },
    /// Something happens that a sensor will see.
    Outside,
    /// Someone pauses or resumes a sensor.
    Sensor,
    /// What a sensor saw reaches the daemon.
    Looked {
        boot: u64,
        input: Box<Input>,
    },
    Word {
        boot: u64,
        attempt: AttemptId,
        word: Word,
    },
    Committer {
        boot: u64,
        asset: AssetKey,
        members: Vec<Member>,
        base: Option<TablePointer>,
        fails: bool,
    },
    Again(Box<Input>),
}

struct Simulation {
    dice: Dice,
    sabotage: Option<Sabotage>,
    faults: Faults,
    now: Micros,
    skew: Micros,
    /// The time that inputs come with, once it stands still.
    still: Option<Micros>,
    /// The newest time that an input came with.
    latest: Micros,
    /// Whether one came with an older time than one before it.
    went_back: bool,
    heap: BinaryHeap<Reverse<(Micros, u64)>>,
    waiting: BTreeMap<u64, Happening>,
    scheduled: u64,
    boot: u64,
    project: Project,
    lake: Lake,
    workers: Workers,
    store: Store,
    world: World,
    history: History,
    /// Every version of the project, by its name.
    versions: BTreeMap<Fingerprint, Arc<Definitions>>,
    /// Messages that this start of the process is sending.
    sending: BTreeSet<MessageId>,
    outside: Outside,
    limits: Limits,
    requests: u64,
    answers: BTreeMap<u64, Answer>,
    /// What the newest published result of each partition is.
    contents: BTreeMap<AssetPartition, String>,
    /// The wait for a retry for which a wake-up is in the heap.
    alarm: Option<Micros>,
    outcome: Outcome,
    lately: Vec<String>,
}

/// Runs one seed to its end: faults first, then calm until all runs are over, then the same request again.
pub fn simulate(seed: u64, sabotage: Option<Sabotage>) -> Result<Outcome, BrokenSeed> {
    let mut simulation = Simulation::new(seed, sabotage);
    match simulation.run() {
        Ok(()) => Ok(simulation.outcome),
        Err(broken) => {
            let skip = simulation.lately.len().saturating_sub(40);
            Err(BrokenSeed {
                seed,
                broken,
                lately: simulation.lately.split_off(skip),
            })
        }
    }
}

impl Simulation {
    fn new(seed: u64, sabotage: Option<Sabotage>) -> Self {
        let mut dice = Dice::new(seed);
        let project = Project::random(&mut dice);
        Self {
            sabotage,
            faults: Faults {
                share: *dice.pick(&[0, 3, 8, 20]),
            },
            now: BEGINS,
            skew: 0,
            still: None,
            latest: 0,
            went_back: false,
            heap: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            scheduled: 0,
            boot: 0,
            project,
            lake: Lake::default(),
            workers: Workers::default(),
            store: Store::in_memory().expect("a store in memory opens"),
            world: World::new(seed),
            history: History::default(),
            versions: BTreeMap::new(),
            sending: BTreeSet::new(),
            outside: Outside::default(),
            limits: Limits {
                slots: 1 + dice.below(4),
                pools: BTreeMap::from([("database", 1 + dice.below(2)), ("share", 1 + dice.below(3))])
                    .into_iter()
                    .map(|(pool, limit)| (pool.to_owned(), limit as u32))
                    .collect(),
                memory: *dice.pick(&[3, 6, u64::MAX]),
                step_memory: 1,
            },
            requests: 0,
            answers: BTreeMap::new(),
            contents: BTreeMap::new(),
            alarm: None,
            outcome: Outcome::default(),
            lately: Vec::new(),
            dice,
        }
    }

    fn run(&mut self) -> Result<(), Broken> {
        let ingest: Vec<AssetKey> = self.ingest();
        for asset in &ingest {
            for _ in 0..3 {
                self.change_source(asset);
            }
        }
        self.edited()?;
        self.take(Input::Recover {
            boot: "boot 0".to_owned(),
            mode: OwnerMode::Daemon,
        })?;
        for _ in 0..2 + self.dice.below(4) {
            self.later(6 * 3600, Happening::Request);
        }
        for (most, what) in [
            (2, Happening::Cancel),
            (2, Happening::Pause),
            (4, Happening::ChangeSources),
            (3, Happening::Edit),
            (3, Happening::Crash),
            (2, Happening::ClockJumps),
            (3, Happening::Schedule),
            (2, Happening::Automation),
            (6, Happening::Outside),
            (3, Happening::Sensor),
        ] {
            for _ in 0..self.dice.below(most + 1) {
                self.later(7 * 3600, what.clone());
            }
        }
        self.later(600, Happening::Look);
        self.until_quiet()?;
        self.all_is_kept()?;
        self.calm()
    }

    /// Faults are over: everything that is asked for now succeeds, and asking again finds it done.
    fn calm(&mut self) -> Result<(), Broken> {
        self.faults.share = 0;
        self.project.restore();
        self.every_instant_is_told()?;
        self.edited()?;
        self.every_event_is_told()?;
        // The clock stands still, so that no partition comes to exist while this goes on.
        self.still = Some(self.now.max(self.clock()) + 3600 * SECOND);
        self.automation_goes_on()?;
        self.all_is_kept()?;
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
        self.sound()
    }

    /// A daemon is back: what was due is told, and none of it twice.
    fn every_instant_is_told(&mut self) -> Result<(), Broken> {
        self.boot += 1;
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
    fn automation_goes_on(&mut self) -> Result<(), Broken> {
        let paused: Vec<Option<AssetKey>> = self.world.automation().paused.keys().cloned().collect();
        for asset in paused {
            self.pause_automation(asset, false)?;
        }
        Ok(())
    }

    fn pause_automation(&mut self, asset: Option<AssetKey>, pause: bool) -> Result<(), Broken> {
        let request = self.requests;
        self.requests += 1;
        self.take(Input::PauseAutomation {
            request,
            asset,
            pause,
            by: "someone".to_owned(),
        })
    }

    /// A daemon that was told the time has made all that is to be made by itself.
    fn all_is_kept(&mut self) -> Result<(), Broken> {
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

    fn until_quiet(&mut self) -> Result<(), Broken> {
        while let Some(Reverse((at, number))) = self.heap.pop() {
            self.now = self.now.max(at);
            let what = self.waiting.remove(&number).expect("what is in the heap waits");
            self.happen(what)?;
            if self.outcome.turns > MOST_TURNS {
                break;
            }
        }
        match self.world.open_runs().next() {
            Some(run) => {
                let found = format!("{} is {:?} with {} open steps", run.id, run.status, run.open);
                Err(Broken::new(InvariantId::EveryRunEnds, found))
            }
            None => Ok(()),
        }
    }

    fn later(&mut self, most_seconds: i64, what: Happening) {
        let at = self.now + self.dice.between(0, most_seconds * 1000) * (SECOND / 1000);
        self.at(at, what);
    }

    fn at(&mut self, at: Micros, what: Happening) {
        self.scheduled += 1;
        self.heap.push(Reverse((at, self.scheduled)));
        self.waiting.insert(self.scheduled, what);
    }

    /// What the clock on the wall says.
    fn clock(&self) -> Micros {
        self.still.unwrap_or(self.now + self.skew)
    }

    fn note(&mut self, line: impl Into<String>) {
        self.lately
            .push(format!("{} {}", (self.now - BEGINS) / SECOND, line.into()));
    }

    /// The project as it is now, as a version of its own.
    fn definitions(&mut self) -> Arc<Definitions> {
        let mut settings = CoreSettings {
            slots: self.limits.slots,
            largest_batch: 8,
            pools: self.limits.pools.clone(),
            memory_bytes: self.limits.memory,
            step_memory_bytes: self.limits.step_memory,
            ..CoreSettings::default()
        };
        if self.sabotage == Some(Sabotage::OvercrowdAPool) {
            settings.pools.values_mut().for_each(|limit| *limit += 1);
        }
        let version = Fingerprint::of([self.versions.len().to_string().as_str()]);
        let definitions = Arc::new(
            Definitions::new(self.project.graph(), settings)
                .with_schedules(self.project.schedules())
                .with_sensors(self.project.sensors())
                .with_alerts(self.project.alerts())
                .with_version(version.clone()),
        );
        self.versions.insert(version, definitions.clone());
        definitions
    }

    /// What a start makes of what is stored: open runs find the definitions again that they were planned with, unless those can
    /// no longer be read.
    fn load(&mut self, definitions: &Arc<Definitions>) {
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

    fn edited(&mut self) -> Result<(), Broken> {
        let definitions = self.definitions();
        self.take(Input::DefinitionsLoaded(definitions))
    }

    fn ingest(&self) -> Vec<AssetKey> {
        let declared = self.project.declared().filter(|asset| asset.kind == "ingest");
        declared.map(|asset| asset.key.clone()).collect()
    }

    fn happen(&mut self, what: Happening) -> Result<(), Broken> {
        match what {
            Happening::Request => self.request(),
            Happening::Cancel => {
                let runs: Vec<RunId> = self.world.open_runs().map(|run| run.id.clone()).collect();
                if runs.is_empty() {
                    return Ok(());
                }
                let run = self.dice.pick(&runs).clone();
                self.requests += 1;
                self.take(Input::CancelRun {
                    request: self.requests - 1,
                    run,
                })
            }
            Happening::Pause => {
                let runs: Vec<RunId> = self.world.open_runs().map(|run| run.id.clone()).collect();
                if runs.is_empty() {
                    return Ok(());
                }
                let run = self.dice.pick(&runs).clone();
                self.later(3600, Happening::Resume(run.clone()));
                self.pause(run, true)
            }
            Happening::Resume(run) => {
                self.pause(run.clone(), false)?;
                // The process may have died before it was committed; who got no answer asks again.
                if self.world.run(&run).is_some_and(|run| run.paused) {
                    self.later(600, Happening::Resume(run));
                }
                Ok(())
            }
            Happening::ChangeSources => {
                for asset in self.ingest() {
                    self.change_source(&asset);
                }
                Ok(())
            }
            Happening::Edit => {
                self.project.edit(&mut self.dice);
                if self.dice.percent(30) {
                    self.limits
                        .pools
                        .insert("share".to_owned(), 1 + self.dice.below(3) as u32);
                }
                self.edited()
            }
            Happening::Crash => self.crash(),
            Happening::ClockJumps => {
                self.skew += self.dice.between(-30 * 3600, 30 * 3600) * SECOND;
                self.note("the clock jumps");
                Ok(())
            }
            Happening::Retries { until } => {
                self.alarm = None;
                self.take(Input::RetriesDue { until })
            }
            Happening::Look => self.look(),
            Happening::Schedule => {
                let names: Vec<String> = self.world.schedules().map(|(name, _)| name.clone()).collect();
                if names.is_empty() {
                    return Ok(());
                }
                let (schedule, by) = (self.dice.pick(&names).clone(), "someone".to_owned());
                self.requests += 1;
                let request = self.requests - 1;
                let choice = self.dice.below(5);
                self.take(match choice {
                    0 | 1 => Input::PauseSchedule { request, schedule, by },
                    2 | 3 => Input::ResumeSchedule { request, schedule, by },
                    _ => Input::TickSchedule { request, schedule, by },
                })
            }
            Happening::Automation => {
                let assets: Vec<AssetKey> = self.project.declared().map(|asset| asset.key.clone()).collect();
                let asset = self.dice.percent(60).then(|| self.dice.pick(&assets).clone());
                let pause = self.dice.percent(60);
                self.pause_automation(asset, pause)
            }
            Happening::Try { boot, message, takes } => self.try_message(boot, &message, takes),
            Happening::Outside => {
                let keys = self.some_keys();
                for sensor in self.project.sensors().into_keys() {
                    self.outside.happen(&sensor, &keys, &mut self.dice);
                }
                Ok(())
            }
            Happening::Sensor => {
                let names: Vec<String> = self.world.sensors().map(|(name, _)| name.clone()).collect();
                if names.is_empty() {
                    return Ok(());
                }
                let (sensor, by) = (self.dice.pick(&names).clone(), "someone".to_owned());
                self.requests += 1;
                let (request, pause) = (self.requests - 1, self.dice.percent(50));
                self.take(Input::PauseSensor {
                    request,
                    sensor,
                    pause,
                    by,
                })
            }
            Happening::Looked { boot, input } => {
                // What a process that is gone has seen is gone with it, or was on its way.
                if boot != self.boot && self.dice.percent(70) {
                    return Ok(());
                }
                for asset in self.ingest() {
                    let observation = self.lake.observe(&asset);
                    self.take(Input::Observed { asset, observation })?;
                }
                self.take(*input)
            }
            Happening::Word { boot, attempt, word } => self.word(boot, &attempt, &word),
            Happening::Committer {
                boot,
                asset,
                members,
                base,
                fails,
            } => {
                if boot != self.boot && self.dice.percent(70) {
                    return Ok(());
                }
                if fails {
                    let failure = Failure::new(FailureClass::Io, "the warehouse does not answer");
                    return self.take(Input::CommitFailed {
                        asset,
                        members,
                        failure,
                    });
                }
                let input = self.workers.commit(&asset, &members, base, &mut self.lake);
                if self.dice.percent(self.faults.share / 2) {
                    self.later(2000, Happening::Again(Box::new(input.clone())));
                }
                self.take(input)
            }
            Happening::Again(input) => self.take(*input),
        }
    }

    fn pause(&mut self, run: RunId, pause: bool) -> Result<(), Broken> {
        self.requests += 1;
        let request = self.requests - 1;
        self.take(Input::PauseRun { request, run, pause })
    }

    /// What the daemon does whenever something may be due, and when it looks again.
    fn look(&mut self) -> Result<(), Broken> {
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
    fn send_messages(&mut self) -> Result<(), Broken> {
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
    fn try_message(&mut self, boot: u64, message: &AlertMessage, takes: bool) -> Result<(), Broken> {
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

    /// Receivers take everything, and time goes on until nothing waits.
    fn everyone_is_told(&mut self) -> Result<(), Broken> {
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

    /// Every sensor looks; what it saw comes late, twice, or never.
    fn sensors_look(&mut self) {
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

    /// Sensors look until they have told of all there is to see.
    fn every_event_is_told(&mut self) -> Result<(), Broken> {
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

    /// Some keys of one of the sets of partitions.
    fn some_keys(&mut self) -> Vec<PartitionKey> {
        match self.choice() {
            Some(PartitionChoice::One(key)) => vec![key],
            Some(PartitionChoice::Range(from, to)) => vec![from, to],
            Some(PartitionChoice::These(_) | PartitionChoice::Steps(_)) | None => Vec::new(),
        }
    }

    fn tick_all(&mut self) -> Result<(), Broken> {
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

    fn word(&mut self, boot: u64, attempt: &AttemptId, word: &Word) -> Result<(), Broken> {
        // Of another start's workers, most are gone with it; of those told to stop, some speak on.
        if boot != self.boot && self.dice.percent(70) {
            return Ok(());
        }
        if self.workers.canceled.contains(attempt) && !matches!(word, Word::Ended | Word::Lost { .. }) {
            if self.dice.percent(50) {
                return Ok(());
            }
        }
        let input = self.workers.hear(attempt, word, &self.lake);
        self.take(input)
    }

    fn request(&mut self) -> Result<(), Broken> {
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

    fn choice(&mut self) -> Option<PartitionChoice> {
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

    fn submit(
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

    fn submit_run(&mut self, run: RunRequest) -> Result<(), Broken> {
        for asset in self.ingest() {
            let observation = self.lake.observe(&asset);
            self.take(Input::Observed { asset, observation })?;
        }
        let request = self.requests;
        self.requests += 1;
        self.take(Input::Submit { request, run })
    }

    fn change_source(&mut self, asset: &AssetKey) {
        let declared = self.project.declared().find(|declared| declared.key == *asset);
        let Some(by) = declared.map(|asset| asset.partitions.clone()) else {
            return;
        };
        let now = jiff::Timestamp::from_microsecond(self.clock()).expect("the simulation is near the present");
        let keys: Option<Vec<PartitionKey>> = by.map(|by| by.partitioning.keys(now).collect());
        let files = self.lake.sources.entry(asset.clone()).or_default();
        let path = format!("landing/{asset}/{}.csv", self.dice.below(4));
        if files.contains_key(&path) && self.dice.percent(20) {
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

    /// One input: turn, commit, effects. Now and then the process dies between two of them.
    fn take(&mut self, input: Input) -> Result<(), Broken> {
        self.outcome.turns += 1;
        let at = self.clock();
        self.went_back |= at < self.latest;
        self.latest = self.latest.max(at);
        let input = self
            .sabotage
            .map_or_else(|| input.clone(), |bug| bug.input(input.clone()));
        self.note(summary(&input));
        let before = self.sabotage.map(|_| self.world.clone());
        let mut turn = turn(&mut self.world, at, input.clone())?;
        if let (Some(bug), Some(before)) = (self.sabotage, before) {
            if let Some(changed) = bug.events(&before, &input, &turn.events) {
                let definitions = self.world.definitions().clone();
                self.world = before;
                self.world.set_definitions(definitions);
                for recorded in &changed {
                    self.world.apply(recorded)?;
                }
                turn.events = changed;
            }
        }
        for recorded in &turn.events {
            let text = serde_json::to_string(&recorded.event).expect("events are written as JSON");
            self.note(format!("  {}", text.chars().take(220).collect::<String>()));
        }
        if self.sabotage.is_some() {
            check_invariants(&self.world)?;
        }
        let dies =
            self.faults.share > 0 && self.dice.percent(self.faults.share).then(|| self.dice.percent(20)) == Some(true);
        if dies && self.dice.percent(50) {
            return self.start_again();
        }
        let stored = self
            .sabotage
            .map_or_else(|| turn.events.clone(), |bug| bug.stored(&turn.events));
        self.store.commit(&stored).map_err(|error| {
            Broken::new(
                InvariantId::OnlyListedTransitions,
                format!("the store refused what was decided: {error}"),
            )
        })?;
        let limits = self.limits.clone();
        self.history.waited_long_enough(&input, &turn.events)?;
        self.history.tell(&self.world, &limits, &turn.events)?;
        for (sensor, key) in &self.history.sensors.forgotten {
            if !self.outside.is_gone(sensor, key) {
                let found = format!("{sensor} forgot {key}, which is still there");
                return Err(Broken::new(InvariantId::EventsAreToldOnce, found));
            }
        }
        if self.dice.percent(10) {
            self.history.reasons_are_true(&self.world, &limits, at)?;
        }
        for recorded in &turn.events {
            self.published(&recorded.event)?;
        }
        if dies {
            return self.start_again();
        }
        for effect in turn.effects {
            self.perform(effect);
        }
        self.set_alarm();
        Ok(())
    }

    /// As the driver does: wakes when the first wait for a retry is over, however the clock was set meanwhile.
    fn set_alarm(&mut self) {
        let next = self.world.next_retry();
        if next != self.alarm {
            self.alarm = next;
            if let Some(due) = next {
                let wait = (due - self.clock()).max(0);
                self.at(self.now + wait, Happening::Retries { until: due });
            }
        }
    }

    fn published(&mut self, event: &Event) -> Result<(), Broken> {
        let Event::StepSucceeded {
            attempt,
            materialization,
            ..
        } = event
        else {
            return Ok(());
        };
        let step = &materialization.step;
        let Some(kept) = self.workers.kept.get(&(attempt.clone(), step.clone())) else {
            return Err(Broken::new(
                InvariantId::MaterializedBySuccess,
                format!("{step} was published and never staged"),
            ));
        };
        if !kept.checks_pass {
            return Err(Broken::new(
                InvariantId::PublishedOnPass,
                format!("{step} did not pass its check"),
            ));
        }
        self.contents.insert(step.clone(), kept.content.clone());
        let shown = self.lake.read(self.world.pointer(&step.asset));
        if kept.staged.model.is_none() && shown.get(&step.partition) != Some(&kept.content) {
            return Err(Broken::new(
                InvariantId::MaterializedBySuccess,
                format!("readers do not see the rows of {step}"),
            ));
        }
        Ok(())
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Start(order) => {
                let attempt = order.attempt.clone();
                for (after, word) in self.workers.start(*order, &mut self.dice, self.faults) {
                    let word = Happening::Word {
                        boot: self.boot,
                        attempt: attempt.clone(),
                        word,
                    };
                    self.at(self.now + after * SECOND, word);
                }
            }
            Effect::CancelAttempt { attempt } => {
                self.workers.canceled.insert(attempt.clone());
                let word = if self.dice.percent(50) {
                    Word::Ended
                } else {
                    Word::Lost { working_on: None }
                };
                self.later(
                    20,
                    Happening::Word {
                        boot: self.boot,
                        attempt,
                        word,
                    },
                );
            }
            Effect::Prepare { asset, members } => {
                let fails = self.dice.percent(self.faults.share / 4);
                let base = self.world.pointer(&asset).cloned();
                let boot = self.boot;
                let seconds = if self.dice.percent(self.faults.share) { 3000 } else { 5 };
                if self.dice.percent(self.faults.share / 2) {
                    let (asset, members, base) = (asset.clone(), members.clone(), base.clone());
                    self.later(
                        seconds,
                        Happening::Committer {
                            boot,
                            asset,
                            members,
                            base,
                            fails: false,
                        },
                    );
                }
                self.later(
                    seconds,
                    Happening::Committer {
                        boot,
                        asset,
                        members,
                        base,
                        fails,
                    },
                );
            }
            Effect::Reply { request, answer } => {
                self.note(format!("  answer {answer:?}").chars().take(400).collect::<String>());
                self.answers.insert(request, answer);
            }
        }
    }

    fn crash(&mut self) -> Result<(), Broken> {
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
    fn start_again(&mut self) -> Result<(), Broken> {
        self.boot += 1;
        self.sending.clear();
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

    /// What is too old is removed, now and then, and nothing that counts changes by it.
    fn retire(&mut self) -> Result<(), Broken> {
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
    fn sound(&self) -> Result<(), Broken> {
        let violations = state::fsck::check(&self.store).expect("the store can be read");
        match violations.first() {
            None => Ok(()),
            Some(violation) => Err(Broken::new(
                InvariantId::RecoveredWorldIsEqual,
                format!("fsck: {violation:?}"),
            )),
        }
    }

    fn recover(&mut self, mode: OwnerMode) -> Result<(), Broken> {
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

    /// Makes every partition that is called fresh once more, from what there is now, and compares.
    fn fresh_is_current(&self) -> Result<(), Broken> {
        let definitions = self.world.definitions();
        let sight = Sight::new(&self.world, definitions, self.clock());
        let everything = definitions.ordered().iter().map(|asset| asset.key.clone()).collect();
        let request = PlanRequest {
            assets: everything,
            partitions: None,
            force: false,
            only: None,
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
            if !exists || planned.contains(step) || sight.stale(asset, step.partition.as_ref()).is_some() {
                continue;
            }
            let mut tables = Vec::new();
            let mut models = Vec::new();
            for input in &asset.inputs {
                match &input.role {
                    assets::InputRole::Rows => {
                        let scope = sight.scopes().of(asset, input, step.partition.as_ref());
                        let contents = self.lake.read(self.world.pointer(&input.asset));
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
            if make(asset, step.partition.as_ref(), &tables, &models, &sources) != *content {
                return Err(Broken::new(
                    InvariantId::FreshIsCurrent,
                    format!("{step} is called fresh"),
                ));
            }
        }
        Ok(())
    }
}

fn summary(input: &Input) -> String {
    match input {
        Input::DefinitionsLoaded(_) => "definitions loaded".to_owned(),
        Input::Drain => "drain".to_owned(),
        Input::Hold { .. } => "hold".to_owned(),
        Input::Staged { attempt, staged } => format!("staged {attempt} {:?}", staged.partition),
        Input::CommitPrepared { asset, members, .. } => format!("commit prepared {asset} {}", members.len()),
        Input::Observed { asset, .. } => format!("observed {asset}"),
        other => format!("{other:?}").chars().take(200).collect(),
    }
}
