//! What happened. `orchestrator::core` decides by returning these; the store writes them and the tables that pages read in
//! one transaction; the core's world changes by applying them, live and at recovery alike.
//!
//! `request` has what a run was asked for, `made` what came of a step.

mod made;
mod request;

use assets::outcome::{CheckResult, Failure, Observation, StagedModel, TablePointer};
use assets::{AssetKey, AssetPartition, Fingerprint, PartitionKey};
use serde::{Deserialize, Serialize};

pub use self::made::{Materialization, PinnedVersion, RestoredMaterialization, Rollback};
pub use self::request::{Only, OwnerMode, Pace, PartitionChoice, PlannedStep, RunRequest};

use crate::alert::{AlertEnd, AlertLine, AlertMessage, RaisedAlert};
use crate::automation::{AutomationDecision, Held};
use crate::freshness::FreshnessChange;
use crate::ids::{AttemptId, MessageId, RunId};
use crate::schedule::{DeclaredTimes, Tick};
use crate::sensor::{DeclaredSensor, SensorTick, TickRange};
use crate::status::RunStatus;

/// Microseconds since 1970, UTC.
pub type Micros = i64;

/// One fact, as committed. The store adds a sequence number; `at` is the time that came in with the input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// When it was decided.
    pub at: Micros,
    /// What happened.
    pub event: Event,
}

/// The closed list of facts. Persisted as JSON; variants and fields are never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A request was accepted; the run and all its steps exist from here on.
    RunSubmitted {
        /// The run.
        run: RunId,
        /// What was asked for.
        request: RunRequest,
        /// Every step, upstream first, with the reason it is part of the run.
        steps: Vec<PlannedStep>,
        /// The version of the definitions that it was planned with, where the versions are kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        definitions: Option<Fingerprint>,
    },
    /// A batch of steps was given to a worker.
    AttemptStarted {
        /// The attempt.
        attempt: AttemptId,
        /// The run.
        run: RunId,
        /// The asset.
        asset: AssetKey,
        /// Its partitions in this batch.
        partitions: Vec<Option<PartitionKey>>,
        /// 1 for the first try of these steps.
        number: u32,
        /// The inputs it was given, pinned.
        inputs: Vec<PinnedVersion>,
        /// The version of the asset's own table that it was given; events of before this was kept have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        table: Option<TablePointer>,
    },
    /// The rows of one step are staged and pass their checks; they wait for the committer.
    StepStaged {
        /// The attempt.
        attempt: AttemptId,
        /// The step.
        step: AssetPartition,
        /// Rows staged.
        rows: u64,
    },
    /// One step was published. Written in the transaction that moves the pointers and registers the model.
    StepSucceeded {
        /// The run.
        run: RunId,
        /// The attempt.
        attempt: AttemptId,
        /// The materialization it made.
        materialization: Materialization,
    },
    /// One step failed; nothing of it was published.
    StepFailed {
        /// The run.
        run: RunId,
        /// The attempt, if it had started.
        attempt: Option<AttemptId>,
        /// The step.
        step: AssetPartition,
        /// Why.
        failure: Failure,
        /// The check results, when checks ran.
        checks: Vec<CheckResult>,
    },
    /// A step that was planned turned out to be fresh when its turn came (its upstream steps made the same rows again, or
    /// another run had just made it): it ends as succeeded without an attempt.
    StepFresh {
        /// The run.
        run: RunId,
        /// The step.
        step: AssetPartition,
    },
    /// A step will not run.
    StepSkipped {
        /// The run.
        run: RunId,
        /// The step.
        step: AssetPartition,
        /// The step whose failure is the cause: one upstream, or one that is published together with it.
        because: AssetPartition,
    },
    /// A step was stopped, or will not start, on request.
    StepCanceled {
        /// The run.
        run: RunId,
        /// The step.
        step: AssetPartition,
    },
    /// A step goes back to waiting without blame: its worker ended while it worked on another step of the batch, or its
    /// owner restarted.
    StepRequeued {
        /// The run.
        run: RunId,
        /// The step.
        step: AssetPartition,
        /// Why, for people.
        reason: String,
    },
    /// A step failed in an attempt, which published nothing of it, and is to be tried again: it waits.
    StepUpForRetry {
        /// The run.
        run: RunId,
        /// The attempt that failed.
        attempt: AttemptId,
        /// The step.
        step: AssetPartition,
        /// Why it failed.
        failure: Failure,
        /// Which retry it waits for; 1 is the first.
        retry: u32,
        /// Until when it waits.
        due: Micros,
    },
    /// The wait of a step that is tried again is over.
    StepRetryDue {
        /// The run.
        run: RunId,
        /// The step.
        step: AssetPartition,
    },
    /// An attempt took longer over steps than it may: it is being stopped.
    AttemptTimedOut {
        /// The attempt.
        attempt: AttemptId,
        /// The partitions that it took too long over; its other steps are not to blame.
        partitions: Vec<Option<PartitionKey>>,
    },
    /// A worker has nothing more to say about an attempt.
    AttemptEnded {
        /// The attempt.
        attempt: AttemptId,
        /// Why it ended early, if it did.
        failure: Option<Failure>,
    },
    /// Someone asked to stop a run.
    RunCancelRequested {
        /// The run.
        run: RunId,
    },
    /// A run is to start nothing more until it is resumed; what runs goes on.
    RunPaused {
        /// The run.
        run: RunId,
    },
    /// A paused run goes on.
    RunResumed {
        /// The run.
        run: RunId,
    },
    /// A run is over.
    RunEnded {
        /// The run.
        run: RunId,
        /// How.
        status: RunStatus,
    },
    /// A table's pointer moved from one version to the next (compare-and-set in the same transaction).
    PointerMoved {
        /// The table.
        table: AssetKey,
        /// What it was; `None` creates the table.
        from: Option<TablePointer>,
        /// What it is now.
        to: TablePointer,
    },
    /// A table was rid of snapshots that nobody needs, by the `PointerMoved` before. Their files go after this is committed.
    SnapshotsExpired {
        /// The table.
        table: AssetKey,
        /// How many snapshots.
        snapshots: u64,
        /// How many files only they needed.
        files: u64,
        /// Bytes of those files.
        bytes: u64,
        /// Who asked, for the record.
        by: String,
    },
    /// Small files of a table became few, by the `PointerMoved` before. Its rows are the same.
    FilesCompacted {
        /// The table.
        table: AssetKey,
        /// How many files.
        files: u64,
        /// How many they became.
        into: u64,
        /// Bytes of the files that they became.
        bytes: u64,
        /// Who asked, for the record.
        by: String,
    },
    /// A table was cut into other partitions, by the `PointerMoved` before. Its rows are the same; the partitions that it had are told
    /// by the `PartitionCutAway`s that follow.
    TableRepartitioned {
        /// The table.
        table: AssetKey,
        /// By what it was cut, in words.
        was: String,
        /// By what it is.
        is: String,
        /// How many rows were written anew.
        rows: u64,
        /// How many files they were in.
        files: u64,
        /// How many they are in.
        into: u64,
        /// Who asked, for the record.
        by: String,
    },
    /// A partition of a table that was cut in another way: its rows are those of other partitions now, and none was ever made.
    PartitionCutAway {
        /// Which.
        step: AssetPartition,
    },
    /// A table was taken back to what it was: its pointer moves in the same transaction, and what becomes of each partition that
    /// changes by it is told by the `PartitionRolledBack`s that follow.
    RolledBack {
        /// The asset.
        asset: AssetKey,
        /// From which snapshot to which, by whom and why.
        rollback: Rollback,
    },
    /// A partition shows again what it showed before, and is left so until what it is made from changes, or until someone makes
    /// it anew.
    PartitionRolledBack {
        /// The partition.
        step: AssetPartition,
        /// Its materialization as it was, now in the snapshot of the rollback; `None` if it had none.
        restored: Option<RestoredMaterialization>,
        /// What it would be made from now: once this is another, it is no longer left as it is.
        version: Fingerprint,
    },
    /// The sources of an ingest asset were looked at.
    SourceObserved {
        /// The asset.
        asset: AssetKey,
        /// What is there.
        observation: Observation,
    },
    /// A training step registered a model version, in the transaction of its `StepSucceeded`.
    ModelRegistered {
        /// The model's asset.
        model: AssetKey,
        /// 1, 2, 3, …
        version: u64,
        /// The run that trained it.
        run: RunId,
        /// Artifact, metrics, parameters.
        staged: StagedModel,
        /// What its code was.
        fingerprint: Fingerprint,
        /// The version of every input it was trained on.
        inputs: Vec<PinnedVersion>,
    },
    /// An alias points to another version.
    AliasMoved {
        /// The model's asset.
        model: AssetKey,
        /// The alias.
        alias: String,
        /// Where it pointed.
        from: Option<u64>,
        /// Where it points.
        to: u64,
        /// The condition that held, or who asked.
        reason: String,
    },
    /// A schedule was declared, or is declared otherwise than before: its instants count from here on.
    ScheduleDeclared {
        /// The schedule.
        schedule: String,
        /// When it is due.
        times: DeclaredTimes,
        /// Whether it is paused from here on.
        paused: bool,
    },
    /// The project no longer declares a schedule.
    ScheduleRemoved {
        /// The schedule.
        schedule: String,
    },
    /// Someone paused a schedule.
    SchedulePaused {
        /// The schedule.
        schedule: String,
        /// `cli`, `page`, `api`.
        by: String,
    },
    /// Someone resumed a schedule: its instants count from here on.
    ScheduleResumed {
        /// The schedule.
        schedule: String,
        /// `cli`, `page`, `api`.
        by: String,
    },
    /// It was decided what becomes of an instant of a schedule; if a run was requested, in the transaction that submits it.
    Ticked {
        /// The tick.
        tick: Tick,
    },
    /// An asset became late, will be soon, recovered, or is watched from here on.
    FreshnessChanged {
        /// From which state to which, and why.
        change: FreshnessChange,
    },
    /// An asset has no freshness policy any more.
    FreshnessRemoved {
        /// The asset.
        asset: AssetKey,
    },
    /// Automation requested a run; in the transaction that submits it.
    AutomationRequested {
        /// What was requested, and why.
        decision: AutomationDecision,
    },
    /// Automation leaves partitions alone until something that they are made from changes, or until they are made.
    AutomationHeld {
        /// The asset.
        asset: AssetKey,
        /// Which partitions, and why.
        held: Vec<Held>,
    },
    /// Someone paused automation.
    AutomationPaused {
        /// Of one asset; all of it if absent.
        asset: Option<AssetKey>,
        /// `cli`, `page`, `api`.
        by: String,
    },
    /// Someone resumed automation.
    AutomationResumed {
        /// Of one asset, or all of it.
        asset: Option<AssetKey>,
        /// `cli`, `page`, `api`.
        by: String,
    },
    /// Something went wrong that an alert is about, decided with the fact itself and in its transaction.
    AlertRaised {
        /// What, and which alert.
        raised: RaisedAlert,
    },
    /// What an alert told of is over.
    AlertEnded {
        /// The alert.
        alert: String,
        /// Why.
        end: AlertEnd,
        /// What is over.
        line: AlertLine,
        /// Whether that is to be told.
        tell: bool,
    },
    /// All that waited to be told of an alert became a message.
    AlertGrouped {
        /// The message, which waits to be delivered from here on.
        message: AlertMessage,
    },
    /// The receiver of an alert took a message.
    AlertDelivered {
        /// The alert.
        alert: String,
        /// The message.
        message: MessageId,
        /// How often it was tried, this time included.
        tries: u32,
    },
    /// A message could not be delivered.
    AlertFailed {
        /// The alert.
        alert: String,
        /// The message.
        message: MessageId,
        /// How often it was tried, this time included.
        tries: u32,
        /// Why it failed.
        error: String,
        /// When it is tried again; `None` if it is given up.
        next_at: Option<Micros>,
    },
    /// A sensor was declared, or watches something else than before.
    SensorDeclared {
        /// The sensor.
        sensor: String,
        /// What it watches.
        declared: DeclaredSensor,
        /// Whether it is paused from here on.
        paused: bool,
    },
    /// The project no longer declares a sensor.
    SensorRemoved {
        /// The sensor.
        sensor: String,
    },
    /// Someone paused a sensor.
    SensorPaused {
        /// The sensor.
        sensor: String,
        /// `cli`, `page`, `api`.
        by: String,
    },
    /// Someone resumed a sensor.
    SensorResumed {
        /// The sensor.
        sensor: String,
        /// `cli`, `page`, `api`.
        by: String,
    },
    /// A sensor looked: what it has seen, up to where it has read, and the run that it requested, all in one transaction.
    SensorTicked {
        /// The tick.
        tick: SensorTick,
    },
    /// A sensor no longer remembers what it told of in some of its ticks: that is long ago, and what it watches shows it no more.
    SensorForgot {
        /// The sensor.
        sensor: String,
        /// In which ticks, ascending; one without events may be among them.
        ticks: Vec<TickRange>,
    },
    /// A process took over the state folder; what an earlier one left unfinished is decided by the events that follow.
    Started {
        /// Identity of this start.
        boot: String,
        /// `daemon` or `foreground`.
        mode: OwnerMode,
    },
}
