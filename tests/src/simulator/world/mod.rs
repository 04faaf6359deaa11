//! The loop of the simulator: an input, a turn, a commit, the effects; and what is checked after each.

mod asking;
mod calm;
mod compaction;
mod effects;
mod environments;
mod happenings;
mod repartition;
mod restarts;
mod tables;
mod turns;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;
use std::sync::Arc;

use assets::{AssetKey, AssetPartition, Fingerprint};
use orchestrator::core::{Answer, Broken, CoreSettings, Definitions, Input, InvariantId, Member, World};
use state::Store;
use state::alert::AlertMessage;
use state::event::{Micros, OwnerMode};
use state::ids::{AttemptId, MessageId, RunId};

use super::dice::Dice;
use super::history::{History, Limits};
use super::lake::Lake;
use super::project::Project;
use super::sabotage::Sabotage;
use super::sensors::Outside;
use super::tending::Pins;
use super::workers::{Bases, Faults, Word, Workers};
use environments::{Environment, Merging};
use turns::Held;

const SECOND: Micros = 1_000_000;
/// 2024-03-10T01:00 in New York, an hour before its clocks go forward.
const BEGINS: Micros = 1_710_050_400 * SECOND;
/// How long the daemon looks at its agenda: until well after the last fault.
const KEEPS_LOOKING: Micros = 12 * 3600 * SECOND;
/// After so many turns all goes well: where each hour brings a partition and its work takes longer than an hour, as it does while
/// everything waits for an answer, there is always something to do.
const TROUBLED_TURNS: usize = 5_000;
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
    /// Rollbacks of tables.
    pub rollbacks: usize,
    /// Names given to snapshots, or taken away.
    pub tags: usize,
    /// Tables that were rid of old snapshots.
    pub expiries: usize,
    /// Tables whose small files became few.
    pub compactions: usize,
    /// Files that nothing referred to and that were removed.
    pub swept: usize,
    /// Merges that came too late.
    pub conflicts: usize,
    /// Turns that were committed together with the one before.
    pub joined: usize,
    /// Tables that were cut into other partitions.
    pub repartitions: usize,
    /// Environments that were made.
    pub environments: usize,
    /// Environments that count in production.
    pub merges: usize,
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
        bases: Bases,
        fails: bool,
    },
    Again(Box<Input>),
    /// Someone takes a table back, or names a snapshot of it.
    ChangeTable,
    /// The timetable tends small files.
    Compact,
    /// All tables are tended.
    Tend,
    /// Someone makes an environment.
    Environment,
    /// An environment is to be merged.
    Merge(usize),
    /// An asset gets other partitions.
    Recut,
    /// A table is to be cut as its asset is declared.
    Repartition(AssetKey),
    /// Something is wanted of a table.
    Want {
        boot: u64,
        table: AssetKey,
        wanted: tables::Wanted,
        tries: u32,
    },
    /// What was written of it is decided.
    Decide {
        boot: u64,
        written: tables::Written,
        tries: u32,
    },
    /// Files go that only old snapshots needed.
    Remove {
        boot: u64,
        table: AssetKey,
        files: Vec<String>,
        pins: Pins,
    },
    /// Files go that nothing refers to.
    Sweep {
        boot: u64,
        table: AssetKey,
        pins: Pins,
    },
}

struct Simulation {
    dice: Dice,
    /// Which turns are committed together.
    joins: Dice,
    /// What becomes of environments.
    environment_dice: Dice,
    held: Held,
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
    /// The names that snapshots were given.
    tags: BTreeMap<tables::Named, i64>,
    /// Names that are given by versions of tables that were written, by their metadata.
    naming: BTreeMap<String, (tables::Named, Option<i64>)>,
    /// Changes of tables that are written and not decided, by their metadata, and since when.
    changing: BTreeMap<String, Micros>,
    environments: BTreeMap<usize, Environment>,
    /// The environment that is being merged.
    merging: Option<Merging>,
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
                slow: dice.percent(10),
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
            tags: BTreeMap::new(),
            naming: BTreeMap::new(),
            changing: BTreeMap::new(),
            environments: BTreeMap::new(),
            merging: None,
            outcome: Outcome::default(),
            lately: Vec::new(),
            dice,
            joins: Dice::new(!seed),
            environment_dice: Dice::new(seed.rotate_left(32) ^ 0x656e_7669),
            held: Held::default(),
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
            (if self.faults.slow { 8 } else { 2 }, Happening::ClockJumps),
            (3, Happening::Schedule),
            (2, Happening::Automation),
            (6, Happening::Outside),
            (3, Happening::Sensor),
            (12, Happening::ChangeTable),
            (20, Happening::Compact),
            (4, Happening::Tend),
        ] {
            for _ in 0..self.dice.below(most + 1) {
                self.later(7 * 3600, what.clone());
            }
        }
        for _ in 0..self.environment_dice.below(4) {
            let at = self.now + self.environment_dice.between(600, 6 * 3600) * SECOND;
            self.at(at, Happening::Environment);
        }
        for _ in 0..self.environment_dice.below(4) {
            let at = self.now + self.environment_dice.between(600, 6 * 3600) * SECOND;
            self.at(at, Happening::Recut);
        }
        self.later(600, Happening::Look);
        self.until_quiet()?;
        self.all_is_kept()?;
        self.calm()
    }

    fn until_quiet(&mut self) -> Result<(), Broken> {
        while let Some(Reverse((at, number))) = self.heap.pop() {
            let what = self.waiting.remove(&number).expect("what is in the heap waits");
            let joins = matches!(
                what,
                Happening::Word { .. } | Happening::Committer { .. } | Happening::Again(_)
            );
            if at > self.now || !joins {
                self.settle_held()?;
            }
            self.now = self.now.max(at);
            self.happen(what)?;
            if self.outcome.turns > TROUBLED_TURNS {
                self.faults = Faults::NONE;
            }
            if self.outcome.turns > MOST_TURNS {
                break;
            }
        }
        self.settle_held()?;
        match self.world.open_runs().next() {
            Some(run) => {
                let waits = orchestrator::core::waits(&self.world, self.clock(), &run.id);
                let open = run
                    .steps
                    .iter()
                    .enumerate()
                    .filter(|(_, step)| !step.status.is_terminal());
                let open = open.map(|(position, step)| format!("{} {:?}", run.name(position as u32), step.status));
                let open: Vec<String> = open.take(10).collect();
                let found = format!(
                    "{} is {:?} with {} open steps, such as {open:?}; it waits for {waits:?}",
                    run.id, run.status, run.open
                );
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

    fn edited(&mut self) -> Result<(), Broken> {
        let definitions = self.definitions();
        self.take(Input::DefinitionsLoaded(definitions))
    }

    fn ingest(&self) -> Vec<AssetKey> {
        let declared = self.project.declared().filter(|asset| asset.kind == "ingest");
        declared.map(|asset| asset.key.clone()).collect()
    }
}

fn summary(input: &Input) -> String {
    match input {
        Input::DefinitionsLoaded(_) => "definitions loaded".to_owned(),
        Input::Drain => "drain".to_owned(),
        Input::Hold { .. } => "hold".to_owned(),
        Input::Staged { attempt, staged } => format!("staged {attempt} {:?}", staged.partition),
        Input::CommitPrepared { asset, members, .. } => format!("commit prepared {asset} {}", members.len()),
        Input::ChangeTable { change, .. } => {
            let what = format!("{:?}", change.what).chars().take(60).collect::<String>();
            format!("change of {}: {what}", change.table.table)
        }
        Input::Observed { asset, .. } => format!("observed {asset}"),
        Input::Adopt { adoption, .. } => {
            let tables: Vec<&str> = adoption.tables.iter().map(|table| table.table.as_str()).collect();
            format!("adopt {} attempts on {tables:?}", adoption.attempts.len())
        }
        other => format!("{other:?}").chars().take(200).collect(),
    }
}
