//! What is remembered of schedules: how each was last declared, and its ticks.

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::ids::RunId;

/// When a schedule is due, as declared. Ticks are told apart by it: where it changes, instants of the old one end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredTimes {
    /// The crons as written.
    pub crons: Vec<String>,
    /// IANA name of the zone of their local time.
    pub timezone: String,
    /// At which pass a time of the day is due that comes twice: `first`, `last`, `both`.
    pub repeated: String,
}

/// What became of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TickStatus {
    /// A run was requested.
    Requested,
    /// No run was needed, or none was wanted: everything is fresh, an earlier run is not over, the schedule was paused.
    Skipped,
    /// Nobody was there for it, and it was not caught up.
    Missed,
    /// A run was wanted and could not be requested.
    Failed,
}

impl TickStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Requested, Self::Skipped, Self::Missed, Self::Failed];

    /// The persisted text; never renamed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
            Self::Failed => "failed",
        }
    }
}

/// One instant of a schedule and what became of it; or a stretch of instants that all came to the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tick {
    /// The schedule.
    pub schedule: String,
    /// The instant at which it was due; of a stretch the first.
    pub instant: Micros,
    /// The last instant of a stretch; otherwise the same as `instant`.
    pub last: Micros,
    /// How many instants: 1, or those of a stretch.
    pub count: u64,
    /// What became of it.
    pub status: TickStatus,
    /// Why, for people; there for all but what was simply requested.
    pub reason: Option<String>,
    /// The run, if one was requested.
    pub run: Option<RunId>,
    /// Someone asked for it: it is no instant of the schedule's own.
    pub by_hand: bool,
}
