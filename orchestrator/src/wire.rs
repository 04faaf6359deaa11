//! The shapes that a command and the daemon's HTTP interface exchange. Pages' JSON twins are beside the pages.

use std::collections::BTreeMap;

use assets::{AssetKey, AssetPartition, PartitionKey};
use serde::{Deserialize, Serialize};
use state::event::{Only, OwnerMode, Pace, PartitionChoice, RunRequest};
use state::ids::RunId;
use state::sensor::{SensorEvent, SensorTick};

use crate::core::Answer;

/// Body of `POST /api/v1/environments/{name}/merge`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeBody {
    /// Who asks, for the record; `api` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Body of `POST /api/v1/runs/{run}/staged/publish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishBody {
    /// Of this asset alone; of all that the run staged if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<AssetKey>,
    /// Why the rows are right though a check has not passed.
    pub note: String,
    /// Who asks, for the record; `api` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Rows that a check kept back and that are published by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PublishedStaged {
    /// The run that it is shown as.
    pub run: RunId,
    /// How many partitions.
    pub partitions: u64,
    /// How many rows.
    pub rows: u64,
}

/// Body of `POST /api/v1/gc`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcBody {
    /// Whose tables; all if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<String>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// Leave small files as they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_compaction: bool,
    /// How many seconds a version is kept after another one took its place; as `[maintenance]` says if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_seconds: Option<u64>,
    /// How many of the newest versions are kept in any case; as `[maintenance]` says if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_snapshots: Option<u32>,
}

/// Answer of `POST /api/v1/gc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GcAnswer {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// By table.
    pub tables: Vec<TendedTable>,
    /// The process of a query for which versions stay that would go otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_by: Option<String>,
}

/// What went from one table, or would go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TendedTable {
    /// The table.
    pub table: AssetKey,
    /// Versions there were, the current one too.
    pub snapshots: u64,
    /// Versions that went.
    pub expired: u64,
    /// Old versions that stay, and what needs them.
    pub held: Vec<HeldSnapshot>,
    /// Files that only the versions needed that went.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that nothing referred to.
    pub orphans: u64,
    /// Their bytes.
    pub orphan_bytes: u64,
    /// Small files that became few.
    pub compacted: u64,
    /// How many they became; unknown where nothing was done.
    pub compacted_into: u64,
    /// Bytes of the small files.
    pub compacted_bytes: u64,
    /// Why small files were left as they are, if there were any.
    pub not_compacted: Option<String>,
    /// Files that could not be removed, and why.
    pub failed: Vec<String>,
    /// Why the table could not be judged, if it could not: nothing of it was removed.
    pub error: Option<String>,
}

/// An old version that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HeldSnapshot {
    /// The snapshot.
    pub snapshot: i64,
    /// What needs it.
    pub needed_by: String,
}

impl TendedTable {
    /// A table of which nothing is known yet.
    pub fn of(table: &AssetKey) -> Self {
        Self {
            table: table.clone(),
            snapshots: 0,
            expired: 0,
            held: Vec::new(),
            files: 0,
            bytes: 0,
            orphans: 0,
            orphan_bytes: 0,
            compacted: 0,
            compacted_into: 0,
            compacted_bytes: 0,
            not_compacted: None,
            failed: Vec::new(),
            error: None,
        }
    }
}

/// Answer of `POST /api/v1/alerts/{alert}/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TestAnswer {
    /// The alert.
    pub alert: String,
    /// Whether its receiver took the message.
    pub delivered: bool,
    /// Why it did not.
    pub error: Option<String>,
}

/// Body of `POST /api/v1/runs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunBody {
    /// The selection as written.
    pub selection: String,
    /// One partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionKey>,
    /// First partition of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PartitionKey>,
    /// Last partition of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<PartitionKey>,
    /// These partitions; one that means nothing keeps no other from running.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub these: Vec<PartitionKey>,
    /// Exactly these partitions of these assets, instead of those that are selected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<AssetPartition>,
    /// Run also what is fresh.
    #[serde(default)]
    pub force: bool,
    /// Of the chosen partitions, only those that were never materialized, or whose newest outcome is a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Only>,
    /// In which order, and how much at a time.
    #[serde(default, skip_serializing_if = "Pace::is_usual")]
    pub pace: Pace,
    /// Who asks, if it is neither the program on the other side nor a page: `backfill`, `retry of run_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
}

impl RunBody {
    /// The request to the core, or why the choice of partitions is not one.
    pub fn request(self, owner: OwnerMode, trigger: &str) -> Result<RunRequest, String> {
        let one_or_range = self.partition.is_some() || self.from.is_some() || self.to.is_some();
        let ways = [one_or_range, !self.these.is_empty(), !self.steps.is_empty()];
        let several = ways.into_iter().filter(|given| *given).count() > 1;
        let partitions = match (self.partition, self.from, self.to) {
            (None, None, None) if !self.steps.is_empty() => Some(PartitionChoice::Steps(self.steps)),
            (Some(one), None, None) => Some(PartitionChoice::One(one)),
            (None, Some(from), Some(to)) => Some(PartitionChoice::Range(from, to)),
            (None, None, None) => (!self.these.is_empty()).then_some(PartitionChoice::These(self.these)),
            (Some(_), _, _) => return Err("give one partition or a range, not both".to_owned()),
            (None, Some(_), None) => return Err("a range needs its last partition (`to`) too".to_owned()),
            (None, None, Some(_)) => return Err("a range needs its first partition (`from`) too".to_owned()),
        };
        if several {
            return Err("give one partition, a range, a list of partitions, or steps: one of them".to_owned());
        }
        if self.pace.max_in_flight == Some(0) || self.pace.batch == Some(0) {
            return Err("a run with room for no partition would never end: give 1 or more".to_owned());
        }
        if self.force && self.only.is_some() {
            return Err("`force` asks for every partition, `only` for some: give one of them".to_owned());
        }
        Ok(RunRequest {
            selection: self.selection,
            partitions,
            force: self.force,
            only: self.only,
            pace: self.pace,
            owner,
            trigger: self.trigger.unwrap_or_else(|| trigger.to_owned()),
        })
    }
}

/// What became of a request to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum RunAnswer {
    /// The run exists.
    Accepted {
        /// The run.
        run: RunId,
        /// How many steps it has.
        steps: usize,
        /// What was left out and why.
        problems: Vec<String>,
        /// Something to fix is among the problems.
        mistakes: bool,
    },
    /// Everything is fresh.
    NothingToDo {
        /// How many partitions are fresh, by asset.
        fresh: BTreeMap<AssetKey, usize>,
        /// What was left out and why.
        problems: Vec<String>,
        /// Something to fix is among the problems.
        mistakes: bool,
    },
    /// The request cannot be met.
    Refused {
        /// Why.
        reasons: Vec<String>,
    },
}

impl From<Answer> for RunAnswer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Accepted { run, steps, problems } => Self::Accepted {
                run,
                steps,
                mistakes: problems.iter().any(crate::core::PlanProblem::is_mistake),
                problems: problems.iter().map(ToString::to_string).collect(),
            },
            Answer::NothingToDo { fresh, problems } => Self::NothingToDo {
                fresh,
                mistakes: problems.iter().any(crate::core::PlanProblem::is_mistake),
                problems: problems.iter().map(ToString::to_string).collect(),
            },
            Answer::Refused { reasons } => Self::Refused { reasons },
            Answer::Canceling { run } => Self::Refused {
                reasons: vec![format!("{run} is being canceled")],
            },
            Answer::Paused { .. }
            | Answer::Promoted { .. }
            | Answer::TableChanged
            | Answer::Adopted { .. }
            | Answer::TableMoved
            | Answer::Ticked { .. }
            | Answer::Schedule { .. }
            | Answer::SensorTicked { .. }
            | Answer::Sensor { .. }
            | Answer::Automation { .. } => Self::Refused {
                reasons: vec!["that was not a request to run".to_owned()],
            },
        }
    }
}

/// What came of asking a sensor to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum SensorLooked {
    /// What became of the look; no tick if another look came between.
    Ticked {
        /// The tick.
        tick: Option<SensorTick>,
    },
    /// What the sensor would tell of; nothing was decided.
    Seen {
        /// Those of the events that it has not told of, as many as one tick holds.
        events: Vec<SensorEvent>,
        /// How many more there are.
        lag: u64,
        /// Up to where it would have read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
        /// What else there is to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remark: Option<String>,
    },
    /// It could not see anything.
    Blind {
        /// Why.
        reason: String,
    },
}

/// Body of `POST /api/v1/models/{model}/aliases/{alias}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AliasBody {
    /// The version that the alias is to point to.
    pub version: u64,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Body of `POST /api/v1/assets/{asset}/rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackBody {
    /// Where to go back to: a snapshot, a time, a tag, or `-1` for the one before the current one.
    pub to: String,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// `cli` if a command asks; it is recorded as `api` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What became of a table that was taken back. Ids of snapshots are texts: they are larger than the numbers of many programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RollbackAnswer {
    /// The asset.
    pub asset: AssetKey,
    /// The snapshot that shows the old rows again; the current one if nothing had to be taken back.
    pub snapshot: String,
    /// The snapshot that it went back to.
    pub to: String,
    /// Whether the table showed these rows already, and nothing was changed.
    pub already: bool,
    /// The partitions that show what they showed then.
    pub restored: Vec<AssetPartition>,
    /// The partitions that were not there then, and are not there now.
    pub removed: Vec<AssetPartition>,
    /// The assets that read it and are stale by it now.
    pub stale: Vec<AssetKey>,
    /// The assets that are published together with it, and were not taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published_with: Vec<AssetKey>,
}

/// Body of `POST /api/v1/assets/{asset}/repartition`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepartitionBody {
    /// Only say what would be written.
    #[serde(default)]
    pub dry_run: bool,
    /// `cli` if a command asks; it is recorded as `api` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What became of a table that was to be cut into the partitions of its asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RepartitionAnswer {
    /// The asset.
    pub asset: AssetKey,
    /// Whether the table is cut so already, and nothing was changed.
    pub already: bool,
    /// Whether nothing was written because only the plan was asked for.
    pub dry_run: bool,
    /// By what it was cut, in words; empty if it is cut so already.
    pub was: String,
    /// By what it is cut, or would be.
    pub is: String,
    /// The snapshot that shows the rows as they are cut now; a text, since ids are larger than the numbers of many programs.
    pub snapshot: Option<String>,
    /// Rows that were written anew.
    pub rows: u64,
    /// The files they were in.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// The files they are in.
    pub into: u64,
}

/// Body of `POST /api/v1/assets/{asset}/tags/{tag}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagBody {
    /// What the tag is to name: a snapshot, a time, another tag, `-1`, or `current`, which it is if nothing is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Take the tag away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop: bool,
}

/// What a tag names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TagAnswer {
    /// The asset.
    pub asset: AssetKey,
    /// The tag.
    pub tag: String,
    /// The snapshot, as text; `None` once the tag is dropped.
    pub snapshot: Option<String>,
    /// Whether it was so before, and nothing was changed.
    pub already: bool,
}

/// Who moved an alias and why, as it is recorded: `cli`, `page: worse on Sundays`.
pub fn moved_by(by: &str, reason: Option<&str>) -> String {
    match reason.map(str::trim).filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("{by}: {reason}"),
        None => by.to_owned(),
    }
}

/// Body and answer of `/api/v1/log-level`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelBody {
    /// What is worth a line in the daemon's log: `info`, `debug`, `info,orchestrator::edge=trace`.
    pub level: String,
}

/// What every request that is refused is answered with, beside its HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ErrorBody {
    /// What is wrong and what to do.
    pub error: String,
}
