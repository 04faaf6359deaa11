//! What the core wants done, as data. Every effect can be derived again from what is committed, so a lost one is not missed:
//! recovery requeues what was under way. But for [`Effect::KeepStaged`]: rows that nobody was to see are then not there to be looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use assets::outcome::{Observation, Staged, TablePointer};
use assets::{Asset, AssetKey, AssetPartition, PartitionKey};
use serde::{Deserialize, Serialize};
use state::event::{Event, Materialization, Micros, PinnedVersion};
use state::ids::{AttemptId, RunId};
use state::schedule::Tick;
use state::sensor::SensorTick;

use super::plan::PlanProblem;
use super::world::SourceRead;

/// Tells answers apart; given by whoever asks, meaningless to the core.
pub type RequestId = u64;

/// What follows from one input.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// Facts, in order. Committed in one transaction before any effect is performed.
    pub events: Vec<Event>,
    /// What to do after the commit, in order.
    pub effects: Vec<Effect>,
}

/// One thing to do after the commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Give a batch of steps to a free worker.
    Start(Box<StartAttempt>),
    /// Stop the worker of an attempt; it then reports `AttemptEnded` or is reported as `WorkerLost`.
    CancelAttempt {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Build the next version of an asset's tables from what these steps staged, on the tables' current pointers
    /// ([`super::World::pointer`]), and come back with `CommitPrepared` or `CommitFailed`. Every one is to be answered, also
    /// when the rows of all its members were dropped meanwhile (a run was canceled): then with no members.
    Prepare {
        /// The asset.
        asset: AssetKey,
        /// The staged steps that wait to be published.
        members: Vec<Member>,
    },
    /// Keep what a step staged and a check kept back, so that it can be looked at, and published by hand or dropped.
    KeepStaged(Box<KeptStaged>),
    /// Answer a request.
    Reply {
        /// Which.
        request: RequestId,
        /// With what.
        answer: Answer,
    },
}

/// A staged step and the attempt that staged it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The attempt.
    pub attempt: AttemptId,
    /// The step.
    pub step: AssetPartition,
}

/// An answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The run exists.
    Accepted {
        /// The run.
        run: RunId,
        /// How many steps it has.
        steps: usize,
        /// What was left out of it and why.
        problems: Vec<PlanProblem>,
    },
    /// All that was selected is fresh: there is no run.
    NothingToDo {
        /// How many partitions are fresh, by asset.
        fresh: BTreeMap<AssetKey, usize>,
        /// What was left out and why.
        problems: Vec<PlanProblem>,
    },
    /// The run will stop, or is over already.
    Canceling {
        /// The run.
        run: RunId,
    },
    /// The run starts nothing more until it is resumed, or goes on.
    Paused {
        /// The run.
        run: RunId,
        /// Whether it is paused now.
        paused: bool,
    },
    /// The alias points to the version.
    Promoted {
        /// Where it pointed before.
        from: Option<u64>,
    },
    /// The table is what was asked for.
    TableChanged,
    /// What was made elsewhere counts here.
    Adopted {
        /// The run that it is shown as.
        run: RunId,
    },
    /// The table is not what the change was built on any more: it is to be built again.
    TableMoved,
    /// What became of a tick that someone asked for.
    Ticked {
        /// The tick.
        tick: Tick,
    },
    /// The schedule is paused, or is not, as was asked for.
    Schedule {
        /// Whether it is paused now.
        paused: bool,
    },
    /// Automation is paused, or is not, as was asked for.
    Automation {
        /// Whether it is paused now.
        paused: bool,
    },
    /// What became of a look of a sensor; nothing if it saw nothing new.
    SensorTicked {
        /// The tick.
        tick: Option<SensorTick>,
    },
    /// The sensor is paused, or is not, as was asked for.
    Sensor {
        /// Whether it is paused now.
        paused: bool,
    },
    /// The request cannot be met.
    Refused {
        /// Why, as lowercase fragments, one per problem, each saying what to do next.
        reasons: Vec<String>,
    },
}

/// What a step staged and a check kept back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptStaged {
    /// The run.
    pub run: RunId,
    /// The attempt that staged it.
    pub attempt: AttemptId,
    /// When its checks were known.
    pub at: Micros,
    /// The staged rows, with the results of the checks.
    pub staged: Staged,
    /// The materialization that publishing it would have made; its snapshot is not known yet.
    pub made: Materialization,
    /// The inputs that the attempt was given, pinned.
    pub inputs: Vec<PinnedVersion>,
}

/// A batch of steps of one asset, with every input pinned: all that a work order needs from the core.
#[derive(Debug, Clone, PartialEq)]
pub struct StartAttempt {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its run.
    pub run: RunId,
    /// 1 for the first try.
    pub number: u32,
    /// The asset, as defined when the run was accepted.
    pub asset: Arc<Asset>,
    /// The steps.
    pub partitions: Vec<StartPartition>,
    /// The current version of the asset's own table.
    pub table: Option<TablePointer>,
    /// The pinned tables of its inputs, and of the assets that its checks refer to.
    pub inputs: Vec<StartInput>,
    /// The pinned model versions that it reads.
    pub models: Vec<StartModel>,
    /// The source files as last observed (ingest only).
    pub observation: Option<Observation>,
    /// Seed for everything random in the step: a function of the asset's code and its partitions, so that a replay draws the
    /// same numbers.
    pub seed: u64,
}

/// One step of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct StartPartition {
    /// The partition.
    pub key: Option<PartitionKey>,
    /// Start and end (exclusive) in microseconds UTC, for partitions by time.
    pub bounds: Option<(i64, i64)>,
    /// For each input that is a table, which of its partitions the step sees.
    pub scopes: BTreeMap<AssetKey, StepScope>,
    /// The source files whose rows the partition has already, where rows are added and not replaced.
    pub has: Vec<SourceRead>,
}

/// Which rows of an input a step sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepScope {
    /// All rows.
    All,
    /// The rows of these partitions, which may be none.
    Keys(Vec<PartitionKey>),
}

/// A pinned table.
#[derive(Debug, Clone, PartialEq)]
pub struct StartInput {
    /// The upstream asset.
    pub asset: AssetKey,
    /// Its version; `None` when it was never materialized.
    pub table: Option<TablePointer>,
    /// The column that tells a row's partition, as the upstream asset declares it.
    pub partition_column: Option<String>,
}

/// A pinned model version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartModel {
    /// The model's asset.
    pub model: AssetKey,
    /// Its version.
    pub version: u64,
    /// Its artifact, relative to the state folder.
    pub artifact: String,
}
