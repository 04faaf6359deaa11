//! What is read of the state to carry on, as plain records.

use std::collections::BTreeMap;

use assets::outcome::{Failure, Observation, SourceFile, TablePointer};
use assets::{AssetKey, AssetPartition, Fingerprint, PartitionKey};

use super::loaded_alerts::LoadedAlert;
use super::loaded_sensors::LoadedSensor;
use crate::automation::Held;
use crate::event::{Micros, PinnedVersion, RunRequest};
use crate::freshness::FreshnessState;
use crate::ids::{AttemptId, RunId};
use crate::schedule::DeclaredTimes;
use crate::status::{RunStatus, StepStatus};

/// The state as of [`Loaded::last_seq`].
#[derive(Debug, Default)]
pub struct Loaded {
    /// The newest event's number; the next one gets `last_seq + 1`.
    pub last_seq: i64,
    /// The newest event's time; a clock that is behind it was set back.
    pub last_at: Option<Micros>,
    /// Runs that are not over, oldest first.
    pub runs: Vec<LoadedRun>,
    /// Every partition that was ever materialized or failed, by asset and key.
    pub partitions: Vec<LoadedPartition>,
    /// The version of every table, as the events say.
    pub pointers: BTreeMap<AssetKey, TablePointer>,
    /// Tables that another program moved since, with the metadata file that the catalog names now.
    pub moved_outside: BTreeMap<AssetKey, String>,
    /// What the sources of ingest assets held when they were last looked at.
    pub observations: BTreeMap<AssetKey, LoadedObservation>,
    /// The source files that fed the current materialization of each partition of an asset whose sources are observed.
    pub sources: BTreeMap<AssetPartition, Vec<SourceFile>>,
    /// The partitions that show what a rollback brought back.
    pub rolled_back: Vec<LoadedRollback>,
    /// The model registry.
    pub models: BTreeMap<AssetKey, LoadedModel>,
    /// Schedules that were ever declared, by name.
    pub schedules: BTreeMap<String, LoadedSchedule>,
    /// How each asset with a freshness policy stands by it.
    pub freshness: BTreeMap<AssetKey, LoadedFreshness>,
    /// When and by whom automation was paused: of an asset, or all of it (`None`).
    pub automation_paused: BTreeMap<Option<AssetKey>, (Micros, String)>,
    /// The partitions that automation leaves alone, and since when.
    pub held: Vec<(AssetKey, Micros, Held)>,
    /// Alerts of which something is open, to be told, or was told, by name.
    pub alerts: BTreeMap<String, LoadedAlert>,
    /// Sensors that were ever declared, by name.
    pub sensors: BTreeMap<String, LoadedSensor>,
}

/// A partition that shows what a rollback brought back.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedRollback {
    /// The partition.
    pub step: AssetPartition,
    /// When it was taken back.
    pub at: Micros,
    /// What it would have been made from.
    pub version: Fingerprint,
    /// The event of the whole rollback: the same for all partitions of one.
    pub rollback: i64,
    /// By whom.
    pub by: String,
    /// Why.
    pub note: Option<String>,
    /// The snapshot that shows it.
    pub snapshot_id: i64,
    /// Whether somebody tried since to make it anew, in vain.
    pub tried: bool,
}

/// How an asset with a freshness policy stands by it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedFreshness {
    /// Where it stands.
    pub state: FreshnessState,
    /// Since when.
    pub since: Micros,
    /// From when on it is watched.
    pub watched: Micros,
    /// From when on it is late.
    pub late_at: Option<Micros>,
}

/// A schedule that was ever declared.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedSchedule {
    /// When it is due, as last declared.
    pub times: DeclaredTimes,
    /// Whether the project declared it last.
    pub declared: bool,
    /// When and by whom it was paused, if it is.
    pub paused: Option<(Micros, String)>,
    /// Every instant up to here is accounted for.
    pub accounted: Micros,
    /// The newest tick that someone asked for.
    pub last_by_hand: Option<Micros>,
}

/// An open run.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedRun {
    /// The run.
    pub run: RunId,
    /// The number of its submission.
    pub seq: i64,
    /// Queued, running or canceling.
    pub status: RunStatus,
    /// Whether it starts nothing more until it is resumed.
    pub paused: bool,
    /// What was asked for.
    pub request: RunRequest,
    /// The version of the definitions that it was planned with, if that is known.
    pub definitions: Option<Fingerprint>,
    /// When it was accepted.
    pub submitted_at: Micros,
    /// When its first attempt started.
    pub started_at: Option<Micros>,
    /// When its newest attempt started.
    pub last_start: Option<Micros>,
    /// Every step, upstream first.
    pub steps: Vec<LoadedStep>,
    /// The attempts that are open or hold a step that is running or publishing, oldest first.
    pub attempts: Vec<LoadedAttempt>,
}

/// A step of an open run.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedStep {
    /// What it materializes.
    pub step: AssetPartition,
    /// Why it is part of the run.
    pub reason: String,
    /// Where it is.
    pub status: StepStatus,
    /// The attempt that has it, or had it when it ended.
    pub attempt: Option<AttemptId>,
    /// The number of its newest attempt; 0 before the first.
    pub number: u32,
    /// Rows staged or published.
    pub rows: Option<u64>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The failed step for which it was skipped.
    pub because: Option<AssetPartition>,
    /// How often it was given another try after a failure.
    pub retries: u32,
    /// Until when it waits to be tried again.
    pub retry_at: Option<Micros>,
}

/// An attempt of an open run.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedAttempt {
    /// The attempt.
    pub attempt: AttemptId,
    /// The asset.
    pub asset: AssetKey,
    /// The partitions of its batch.
    pub partitions: Vec<Option<PartitionKey>>,
    /// 1 for the first try.
    pub number: u32,
    /// The inputs it was given.
    pub inputs: Vec<PinnedVersion>,
    /// When it started.
    pub started_at: Micros,
    /// When its worker had nothing more to say.
    pub ended_at: Option<Micros>,
    /// The partitions that it took too long over, once it did.
    pub timed_out: Option<Vec<Option<PartitionKey>>>,
}

/// Where one partition stands.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedPartition {
    /// Which.
    pub step: AssetPartition,
    /// Its newest materialization.
    pub current: Option<CurrentMaterialization>,
    /// Number and time of its newest failure. It failed last if this number is above that of `current`.
    pub failed: Option<(i64, Micros)>,
    /// Whether a check caused that failure.
    pub failed_by_check: bool,
}

impl LoadedPartition {
    /// Whether the newest outcome is a failure.
    pub fn failed_last(&self) -> bool {
        self.failed
            .is_some_and(|(failed, _)| self.current.as_ref().is_none_or(|current| current.seq < failed))
    }
}

/// What staleness reads of a materialization.
#[derive(Debug, Clone, PartialEq)]
pub struct CurrentMaterialization {
    /// Its number.
    pub seq: i64,
    /// The run that made it.
    pub run: RunId,
    /// When it was published.
    pub at: Micros,
    /// The fingerprint of its code.
    pub fingerprint: Fingerprint,
    /// What its rows are a function of.
    pub data_version: Fingerprint,
    /// The data version of each input, by key.
    pub inputs: Vec<(AssetKey, Fingerprint)>,
    /// The snapshot that shows it.
    pub snapshot_id: Option<i64>,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The newest look at an asset's sources.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedObservation {
    /// When.
    pub at: Micros,
    /// What was there, by path.
    pub observation: Observation,
}

/// A model of the registry.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoadedModel {
    /// Versions by number.
    pub versions: BTreeMap<u64, LoadedModelVersion>,
    /// Aliases and the version each points to.
    pub aliases: BTreeMap<String, u64>,
}

impl LoadedModel {
    /// The number that the next version gets.
    pub fn next_version(&self) -> u64 {
        self.versions.last_key_value().map_or(1, |(version, _)| version + 1)
    }
}

/// What conditions of promotion and inference read of a model version.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedModelVersion {
    /// The run that trained it.
    pub run: RunId,
    /// Artifact file, relative to the state folder.
    pub artifact: String,
    /// SHA-256 of the artifact, hex.
    pub sha256: String,
    /// Metrics by name.
    pub metrics: BTreeMap<String, f64>,
    /// What its code was.
    pub fingerprint: Fingerprint,
}
