//! Everything that can reach the core, as one closed list.

use std::collections::BTreeSet;
use std::sync::Arc;

use assets::outcome::{Failure, Observation, Staged, StagedModel, TablePointer};
use assets::{AssetKey, AssetPartition, Fingerprint, PartitionKey};
use state::event::{Materialization, Micros, OwnerMode, PinnedVersion, RestoredMaterialization, RunRequest};
use state::ids::{AttemptId, MessageId, RunId};
use state::sensor::SensorEvent;

use super::definitions::Definitions;
use super::effect::RequestId;
use super::world::KeyHash;

/// One thing that happened outside, or that someone asked for.
#[derive(Debug, Clone)]
pub enum Input {
    /// The project was read and checked. Runs in flight keep the definitions that they started with.
    DefinitionsLoaded(Arc<Definitions>),
    /// This process is about to end: what runs may finish, nothing more is started. What is asked for from here on is accepted
    /// and waits for the next start.
    Drain,
    /// Everything that would start by itself is to wait until someone lets it go on: the state was restored from a backup.
    Hold {
        /// Who asked, for the record.
        by: String,
    },
    /// This process has just become the owner of the state folder. Comes once, after the first definitions.
    Recover {
        /// Identity of this start.
        boot: String,
        /// `daemon` carries interrupted runs on, `foreground` ends them.
        mode: OwnerMode,
    },
    /// The sources of an ingest asset were looked at. Comes before a submit that may need it.
    Observed {
        /// The ingest asset.
        asset: AssetKey,
        /// What is there.
        observation: Observation,
    },
    /// Someone asks for a run.
    Submit {
        /// To answer it.
        request: RequestId,
        /// What is asked for.
        run: RunRequest,
    },
    /// Someone asks to stop a run.
    CancelRun {
        /// To answer it.
        request: RequestId,
        /// The run.
        run: RunId,
    },
    /// Someone asks that a run start nothing more for now, or go on.
    PauseRun {
        /// To answer it.
        request: RequestId,
        /// The run.
        run: RunId,
        /// Pause it, or let it go on.
        pause: bool,
    },
    /// Someone points an alias at a model version by hand.
    Promote {
        /// To answer it.
        request: RequestId,
        /// The model's asset.
        model: AssetKey,
        /// The alias.
        alias: String,
        /// The version.
        version: u64,
        /// Who asked, for the record.
        by: String,
    },
    /// Someone changes a table itself: takes it back to an older snapshot, or gives one a name. What is to be is written already
    /// and counts once the pointer is there.
    ChangeTable {
        /// To answer it.
        request: RequestId,
        /// The change.
        change: Box<TableChange>,
    },
    /// Someone asks that what was made elsewhere count here: in an environment, or by a step whose checks kept it back.
    Adopt {
        /// To answer it.
        request: RequestId,
        /// What was made.
        adoption: Box<Adoption>,
    },
    /// A schedule may be due; its sources were looked at. Nothing comes of it if it is not, so it may come too often.
    ScheduleDue {
        /// The schedule.
        schedule: String,
        /// Why its sources could not be looked at.
        unseen: Option<String>,
    },
    /// Someone asks for a tick of a schedule now. Its sources were looked at.
    TickSchedule {
        /// To answer it.
        request: RequestId,
        /// The schedule.
        schedule: String,
        /// Who asked, for the record.
        by: String,
    },
    /// Someone asks to pause a schedule.
    PauseSchedule {
        /// To answer it.
        request: RequestId,
        /// The schedule.
        schedule: String,
        /// Who asked, for the record.
        by: String,
    },
    /// Someone asks to resume a schedule.
    ResumeSchedule {
        /// To answer it.
        request: RequestId,
        /// The schedule.
        schedule: String,
        /// Who asked, for the record.
        by: String,
    },
    /// The time of something has come that time alone brings about: an asset is late, a partition exists, a cron of an asset
    /// ticks. Nothing comes of it if it has not, so it may come too often.
    TimePassed,
    /// Someone asks to pause automation, or to let it go on.
    PauseAutomation {
        /// To answer it.
        request: RequestId,
        /// Of one asset; all of it if absent.
        asset: Option<AssetKey>,
        /// Pause it, or let it go on.
        pause: bool,
        /// Who asked, for the record.
        by: String,
    },
    /// What waits to be told of alerts may be due. Nothing comes of it if it is not, so it may come too often.
    AlertsDue,
    /// A message was tried.
    AlertTried {
        /// The alert.
        alert: String,
        /// The message.
        message: MessageId,
        /// Why it was not delivered; `None` if the receiver took it.
        error: Option<String>,
    },
    /// A sensor has looked at what it watches; if it saw something, the sources of its selection were looked at after that.
    SensorLooked {
        /// To answer it, if someone waits for what becomes of it.
        request: Option<RequestId>,
        /// The sensor.
        sensor: String,
        /// What came of the look.
        look: Box<SensorLook>,
        /// Who asked for it, for the record, if someone did.
        by: Option<String>,
    },
    /// Someone asks to pause a sensor, or to resume it.
    PauseSensor {
        /// To answer it.
        request: RequestId,
        /// The sensor.
        sensor: String,
        /// Pause it, or resume it.
        pause: bool,
        /// Who asked, for the record.
        by: String,
    },
    /// Waits for retries may be over. Nothing comes of it if none is, so it may come too often.
    RetriesDue {
        /// Those that last until then are.
        until: Micros,
    },
    /// A worker takes longer over a step than its attempt may.
    AttemptTimedOut {
        /// The attempt.
        attempt: AttemptId,
        /// The partition it had last turned to; `None` if it had not begun.
        working_on: Option<Option<PartitionKey>>,
    },
    /// A worker staged one step; its checks have run and may have failed. The caller keeps `staged` by attempt and step until
    /// the step ends or is requeued.
    Staged {
        /// The attempt that staged it.
        attempt: AttemptId,
        /// What would be published.
        staged: Box<Staged>,
    },
    /// A worker reports that one step failed.
    StepFailed {
        /// The attempt.
        attempt: AttemptId,
        /// The partition.
        partition: Option<PartitionKey>,
        /// Why.
        failure: Failure,
    },
    /// A worker has nothing more to say about its attempt.
    AttemptEnded {
        /// The attempt.
        attempt: AttemptId,
    },
    /// A worker died, was killed, or could not be started.
    WorkerLost {
        /// The attempt it was working on.
        attempt: AttemptId,
        /// How it died.
        failure: Failure,
        /// The partition it had last turned to, which is to blame; `None` if it had not begun.
        working_on: Option<Option<PartitionKey>>,
    },
    /// The committer wrote the new metadata of an asset's tables; nothing points to it yet.
    CommitPrepared {
        /// The asset.
        asset: AssetKey,
        /// The asset's own table, and its quarantine table if that changes too. Empty for steps without rows.
        tables: Vec<PreparedTable>,
        /// The steps whose rows it holds.
        members: Vec<PreparedMember>,
    },
    /// The committer could not write the new metadata.
    CommitFailed {
        /// The asset.
        asset: AssetKey,
        /// The steps whose rows it tried to publish.
        members: Vec<super::effect::Member>,
        /// Why.
        failure: Failure,
    },
}

/// A table's next version, written beside its current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedTable {
    /// The table.
    pub table: AssetKey,
    /// The version that it was built on; `None` creates the table.
    pub from: Option<TablePointer>,
    /// The new version.
    pub to: TablePointer,
}

/// One step of a prepared commit, with what its worker staged.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedMember {
    /// The attempt that staged it: the fence.
    pub attempt: AttemptId,
    /// The step.
    pub step: AssetPartition,
    /// What was staged.
    pub staged: Box<Staged>,
}

/// One look of a sensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorLook {
    /// The number of the sensor's newest tick when the look began. If there is a newer one by now, the look counts for nothing:
    /// it is made again from where that one ended. `None` for what is pushed and is told apart by its keys alone.
    pub after: Option<u64>,
    /// What was seen, or why nothing could be.
    pub sight: Result<SensorSight, String>,
    /// Why the sources of the selection could not be looked at.
    pub unseen: Option<String>,
}

/// What a sensor has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SensorSight {
    /// Events in order, no more than the sensor may tell of in one tick.
    pub events: Vec<SensorEvent>,
    /// Up to where it has read with them.
    pub cursor: Option<String>,
    /// How many more events were seen.
    pub lag: u64,
    /// Something to add to the reason of the tick.
    pub remark: Option<String>,
    /// The keys of everything that it shows, told of or not, where that was looked for: what was told of long ago and is not
    /// among them is forgotten.
    pub shown: Option<BTreeSet<KeyHash>>,
}

/// Where rows come from that are to count here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdoptedFrom {
    /// From an environment.
    Environment(String),
    /// They were staged by a run, and kept back by a check.
    Staged {
        /// The run.
        run: RunId,
        /// Why they are published all the same, as someone says.
        note: String,
    },
}

/// What was made elsewhere, as it is to count here.
#[derive(Debug, Clone, PartialEq)]
pub struct Adoption {
    /// Where.
    pub from: AdoptedFrom,
    /// Who asked, for the record.
    pub by: String,
    /// From the version of each table that it was made on to the one that it is to have.
    pub tables: Vec<PreparedTable>,
    /// Partitions that are none any more, since their table was cut in another way.
    pub cut_away: Vec<AssetPartition>,
    /// Partitions that were made, by the attempt that did.
    pub attempts: Vec<AdoptedAttempt>,
    /// Versions of models that were trained, oldest first.
    pub models: Vec<AdoptedModel>,
    /// Aliases that are to point elsewhere.
    pub aliases: Vec<AdoptedAlias>,
    /// What was seen of the sources of the assets that were made.
    pub observations: Vec<(AssetKey, Observation)>,
}

/// What one attempt made elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct AdoptedAttempt {
    /// The asset.
    pub asset: AssetKey,
    /// The inputs it was given, pinned.
    pub inputs: Vec<PinnedVersion>,
    /// What it made, and is not made anew since.
    pub made: Vec<Materialization>,
}

/// A version of a model that was trained elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct AdoptedModel {
    /// The model's asset.
    pub model: AssetKey,
    /// The number that it is to have.
    pub version: u64,
    /// It.
    pub staged: StagedModel,
    /// The fingerprint of its code.
    pub fingerprint: Fingerprint,
    /// The version of every input that it was trained on.
    pub inputs: Vec<PinnedVersion>,
}

/// An alias that was moved elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptedAlias {
    /// The model's asset.
    pub model: AssetKey,
    /// The alias.
    pub alias: String,
    /// Where it points here.
    pub from: Option<u64>,
    /// Where it is to point.
    pub to: u64,
}

/// A change of a table that someone asks for, written and visible to nobody.
#[derive(Debug, Clone, PartialEq)]
pub struct TableChange {
    /// From which version to which.
    pub table: PreparedTable,
    /// What becomes of the table by it.
    pub what: TableChangeKind,
}

/// What becomes of a table that is changed by hand.
#[derive(Debug, Clone, PartialEq)]
pub enum TableChangeKind {
    /// A snapshot gets a name, or loses it.
    Tag,
    /// It is taken back.
    Rollback(PreparedRollback),
    /// It is rid of snapshots that nobody needs.
    Expiry(PreparedExpiry),
    /// Small files of it become few.
    Compaction(PreparedCompaction),
    /// It is cut into other partitions.
    Repartition(PreparedRepartition),
}

/// The rows of a table, cut into other partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedRepartition {
    /// By what it was cut, in words.
    pub was: String,
    /// By what it is to be.
    pub is: String,
    /// The fingerprint of the asset whose partitions these are.
    pub fingerprint: Fingerprint,
    /// How many rows were written anew.
    pub rows: u64,
    /// How many files they were in.
    pub files: u64,
    /// How many they are in.
    pub into: u64,
    /// The table of its quarantined rows without those of the partitions that are none any more, if there are any.
    pub emptied: Option<PreparedTable>,
    /// Who asked, for the record.
    pub by: String,
}

/// Small files that become few, with the same rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedCompaction {
    /// How many files.
    pub files: u64,
    /// How many they become.
    pub into: u64,
    /// Bytes of the files that they become.
    pub bytes: u64,
    /// Who asked, for the record.
    pub by: String,
}

/// Snapshots that go, with the files that only they needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedExpiry {
    /// How many snapshots.
    pub snapshots: u64,
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Who asked, for the record.
    pub by: String,
}

/// A rollback, ready to count.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedRollback {
    /// The snapshot that it goes back to.
    pub to_snapshot: i64,
    /// `cli`, `page`, `api`.
    pub by: String,
    /// Why, as they say.
    pub note: Option<String>,
    /// The partitions that change by it.
    pub partitions: Vec<RestoredPartition>,
}

/// A partition that a rollback changes.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoredPartition {
    /// Its key.
    pub partition: Option<PartitionKey>,
    /// What made it then; `None` if it was not there.
    pub restored: Option<RestoredMaterialization>,
}
