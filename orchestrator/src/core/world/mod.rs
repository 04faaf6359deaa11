//! What the core knows: the newest materialization of every partition, the catalog's pointers, the models, the open runs and
//! the attempts in flight.
//!
//! It changes only by [`World::apply`], live and at recovery alike; the three exceptions are not facts about data: the
//! definitions in force, the seed of ids, and whether this process is about to end. Ended runs leave it: history is the store's.

mod alerts;
mod apply;
mod assets;
mod automation;
mod freshness;
mod ids;
mod load;
mod pending;
mod retries;
mod rollback;
mod runs;
mod schedules;
mod sensors;
mod steps;

pub use alerts::{AlertRecord, WaitingMessage};
pub use apply::Broken;
pub(super) use assets::sources_of;
pub use assets::{
    AssetRecord, LastFailure, LastMaterialization, ModelRecord, ModelVersion, PartitionRecord, PartitionRollback,
    RollbackAsked, SourceRead,
};
pub use automation::{AutomationRecord, Hold};
pub use freshness::FreshnessRecord;
pub(super) use ids::split_mix;
pub(super) use pending::{Alarm, Changed, Pending};
pub use runs::{Attempt, Group, Run, Step};
pub use schedules::{Due, ScheduleRecord};
pub(super) use schedules::{delay, times_of};
pub(super) use sensors::watched_by;
pub use sensors::{KeyHash, SensorRecord, key_hash};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::assets::outcome::TablePointer;
use ::assets::{AssetKey, PartitionKey};
use state::event::Micros;
use state::ids::{AttemptId, RunId};
use state::status::StepStatus;

use super::definitions::Definitions;

/// All that decisions depend on.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) seed: u64,
    pub(super) minted: u64,
    pub(super) definitions: Arc<Definitions>,
    pub(super) assets: BTreeMap<AssetKey, AssetRecord>,
    pub(super) pointers: BTreeMap<AssetKey, TablePointer>,
    pub(super) models: BTreeMap<AssetKey, ModelRecord>,
    pub(super) runs: BTreeMap<RunId, Run>,
    /// Open runs in the order of their submission.
    pub(super) order: BTreeMap<u64, RunId>,
    pub(super) submitted: u64,
    pub(super) attempts: BTreeMap<AttemptId, Attempt>,
    /// Until when steps wait to be tried again: when, and the run and position of the step.
    pub(super) retries: BTreeSet<(Micros, RunId, u32)>,
    /// Schedules that were ever declared, by name.
    pub(super) schedules: BTreeMap<String, ScheduleRecord>,
    /// When which schedule is to be looked at next; follows from the schedules and their declarations.
    pub(super) agenda: schedules::Agenda,
    /// Alerts that ever told of something, by name.
    pub(super) alerts: BTreeMap<String, AlertRecord>,
    /// Sensors that were ever declared, by name.
    pub(super) sensors: BTreeMap<String, SensorRecord>,
    /// Assets with a freshness policy, and how they stand by it.
    pub(super) freshness: BTreeMap<AssetKey, FreshnessRecord>,
    /// What automation leaves alone, and whether it is paused.
    pub(super) automation: AutomationRecord,
    /// The rollback whose partitions are being told.
    pub(super) rolling_back: Option<(AssetKey, Arc<RollbackAsked>)>,
    /// What automation and freshness are yet to look at; follows from what happened.
    pub(super) pending: Pending,
    /// Whether this process keeps schedules, sensors, automation and freshness: the daemon does.
    pub(super) daemon: bool,
    /// Whether it was read from what is stored, and no start has decided yet on what was in flight then.
    pub(super) unrecovered: bool,
    /// Whether this process is about to end and starts nothing more.
    draining: bool,
}

impl World {
    /// A world in which nothing has happened. `seed` makes its ids differ from those of another start.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            minted: 0,
            definitions: Arc::default(),
            assets: BTreeMap::new(),
            pointers: BTreeMap::new(),
            models: BTreeMap::new(),
            runs: BTreeMap::new(),
            order: BTreeMap::new(),
            submitted: 0,
            attempts: BTreeMap::new(),
            retries: BTreeSet::new(),
            schedules: BTreeMap::new(),
            agenda: schedules::Agenda::default(),
            freshness: BTreeMap::new(),
            automation: AutomationRecord::default(),
            rolling_back: None,
            pending: Pending::default(),
            alerts: BTreeMap::new(),
            sensors: BTreeMap::new(),
            daemon: false,
            unrecovered: false,
            draining: false,
        }
    }

    /// From now on nothing is started: this process is about to end.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether nothing is started any more.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// The definitions that new runs are planned with.
    pub fn definitions(&self) -> &Arc<Definitions> {
        &self.definitions
    }

    /// Puts other definitions in force for the runs to come.
    pub fn set_definitions(&mut self, definitions: Arc<Definitions>) {
        self.definitions = definitions;
        self.look_through_schedules();
        self.look_at_everything();
    }

    /// What is known of one asset's partitions and sources.
    pub fn asset(&self, key: &AssetKey) -> Option<&AssetRecord> {
        self.assets.get(key)
    }

    /// What is known of one partition.
    pub fn partition(&self, key: &AssetKey, partition: Option<&PartitionKey>) -> Option<&PartitionRecord> {
        // The map's key is owned; cloning a partition key costs a reference count.
        self.assets.get(key)?.partitions.get(&partition.cloned())
    }

    /// The current version of a table.
    pub fn pointer(&self, table: &AssetKey) -> Option<&TablePointer> {
        self.pointers.get(table)
    }

    /// The current version of every table.
    pub fn pointers(&self) -> impl Iterator<Item = (&AssetKey, &TablePointer)> {
        self.pointers.iter()
    }

    /// The versions and aliases of a model.
    pub fn model(&self, key: &AssetKey) -> Option<&ModelRecord> {
        self.models.get(key)
    }

    /// A run that is not over.
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.runs.get(id)
    }

    /// The runs that are not over, in the order of their submission.
    pub fn open_runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.order.values().map(|id| &self.runs[id])
    }

    /// Whether it was read from what is stored, and no start has decided yet on what was in flight then.
    pub fn is_unrecovered(&self) -> bool {
        self.unrecovered
    }

    /// The attempts of which a worker has not said its last word, or of which a step is still being published.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.values()
    }

    /// How many of them come to their end if nothing more is started: not those of which all that is left waits for what is published
    /// together with it and has not begun.
    pub fn busy_attempts(&self) -> usize {
        let publishes = |attempt: &&Attempt| {
            let run = self.runs.get(&attempt.run);
            run.is_some_and(|run| {
                attempt.steps.iter().any(|&position| {
                    let step = &run.steps[position as usize];
                    let own = step.status == StepStatus::Publishing && step.attempt.as_ref() == Some(&attempt.id);
                    own && !run.waits_for_mates(position)
                })
            })
        };
        let attempts = self.attempts.values();
        attempts.filter(|attempt| !attempt.ended || publishes(attempt)).count()
    }

    /// One such attempt.
    pub fn attempt(&self, id: &AttemptId) -> Option<&Attempt> {
        self.attempts.get(id)
    }

    /// How many workers are busy.
    pub fn slots_used(&self) -> usize {
        self.attempts.values().filter(|attempt| !attempt.ended).count()
    }
}
