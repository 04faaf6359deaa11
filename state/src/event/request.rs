//! What someone asked to be materialized, and who runs it.

use assets::{AssetPartition, PartitionKey};
use serde::{Deserialize, Serialize};

/// Who runs the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnerMode {
    /// `millpond up`: runs that a crash interrupted are carried on.
    Daemon,
    /// `millpond materialize` without a daemon: runs that a crash interrupted are ended as failed (`interrupted`).
    Foreground,
}

impl OwnerMode {
    /// The persisted text; never renamed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Daemon => "daemon",
            Self::Foreground => "foreground",
        }
    }
}

/// What someone asked to be materialized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunRequest {
    /// The selection as written.
    pub selection: String,
    /// One partition, or a range, as written.
    pub partitions: Option<PartitionChoice>,
    /// Run also what is fresh.
    pub force: bool,
    /// Of the partitions chosen, only these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Only>,
    /// In which order, and how much at a time.
    #[serde(default, skip_serializing_if = "Pace::is_usual")]
    pub pace: Pace,
    /// Which process the run belongs to.
    pub owner: OwnerMode,
    /// `cli`, `page`, `schedule nightly`, …
    pub trigger: String,
}

impl RunRequest {
    /// Whether also what is fresh runs: a failed partition may still show good rows of before.
    pub fn runs_fresh(&self) -> bool {
        self.force || self.only == Some(Only::Failed)
    }

    /// Its place among the runs that wait for a worker: the higher comes first.
    pub fn priority(&self) -> i32 {
        let own = ["schedule ", "sensor ", "automation"];
        self.pace.priority.unwrap_or(match self.trigger.as_str() {
            "backfill" => BACKFILL_PRIORITY,
            trigger if own.iter().any(|start| trigger.starts_with(start)) => OWN_PRIORITY,
            _ => ASKED_PRIORITY,
        })
    }
}

/// A part of the chosen partitions, by what became of them so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Only {
    /// Those that were never materialized.
    Missing,
    /// Those whose newest outcome is a failure.
    Failed,
}

/// In which order a run goes through its partitions, and how much of it is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Pace {
    /// The newest partitions first, each as far downstream as it can get, rather than the oldest.
    pub newest_first: bool,
    /// Most partitions in flight at once; as many as there are workers for if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Most partitions that one worker takes at a time; chosen by their number if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
    /// Its place among the runs that wait for a worker: the higher comes first. That of what asked for it if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

/// The priority of runs that someone asks for, unless they say another.
pub const ASKED_PRIORITY: i32 = 0;
/// The priority of runs that start by themselves: schedules, sensors, automation.
pub const OWN_PRIORITY: i32 = -10;
/// The priority of backfills.
pub const BACKFILL_PRIORITY: i32 = -20;

impl Pace {
    /// Whether nothing was asked for.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// Which partitions of the selected assets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartitionChoice {
    /// One key.
    One(PartitionKey),
    /// From one key to another, both included.
    Range(PartitionKey, PartitionKey),
    /// These keys, in any order. A key that means nothing keeps no other from running.
    These(Vec<PartitionKey>),
    /// These partitions of these assets, whatever else is selected: what another run left undone.
    Steps(Vec<AssetPartition>),
}

/// One step of a run's plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// What it materializes.
    pub step: AssetPartition,
    /// Why it is part of the run, for people; the same text that `millpond plan` prints.
    pub reason: String,
}
