//! Schedules: when a selection is to be materialized by the clock, as declared.
//!
//! What comes of a schedule (its ticks, whether it is paused) is remembered by the store and decided by the core.

use crate::asset::Location;
use crate::cron::{Repeated, Timetable};
use crate::selection::Selection;

/// A schedule without mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Its name, unique in the project.
    pub name: String,
    /// What it is for, for people.
    pub description: Option<String>,
    /// When it is due.
    pub timetable: Timetable,
    /// IANA name of the zone of its crons.
    pub zone: String,
    /// What it materializes: what is stale among these assets, in the partitions that exist at the instant of the tick.
    pub selection: Selection,
    /// What becomes of instants that nobody was there for.
    pub catch_up: CatchUp,
    /// What becomes of an instant while the run of an earlier one is not over.
    pub overlap: Overlap,
    /// Most seconds by which a start is put off, so that many schedules do not start at once; 0 for none.
    pub jitter_seconds: u64,
    /// Whether it is paused until someone resumes it.
    pub paused: bool,
    /// Where it is declared.
    pub location: Location,
}

impl Schedule {
    /// The crons as declared.
    pub fn crons(&self) -> Vec<String> {
        self.timetable
            .crons()
            .iter()
            .map(|cron| cron.as_str().to_owned())
            .collect()
    }

    /// At which pass a time of the day ticks that comes twice.
    pub fn repeated(&self) -> Repeated {
        self.timetable.repeated()
    }
}

/// What becomes of instants that passed while no daemon ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatchUp {
    /// Which of them run.
    pub policy: CatchUpPolicy,
    /// An instant longer ago than this many seconds is missed in any case.
    pub window_seconds: u64,
    /// Most instants that run at once, the newest ones, for [`CatchUpPolicy::All`].
    pub most: u32,
}

impl Default for CatchUp {
    fn default() -> Self {
        Self {
            policy: CatchUpPolicy::Latest,
            window_seconds: 24 * 60 * 60,
            most: 10,
        }
    }
}

/// Which instants run that passed while no daemon ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CatchUpPolicy {
    /// None.
    Skip,
    /// The newest.
    Latest,
    /// All, oldest first.
    All,
}

impl CatchUpPolicy {
    /// The word used in TOML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Latest => "latest",
            Self::All => "all",
        }
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Skip, Self::Latest, Self::All]
            .into_iter()
            .find(|policy| policy.as_str() == word)
    }
}

/// What becomes of an instant while the run of an earlier one is not over. Runs of one schedule are never under way side by
/// side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Overlap {
    /// The instant is skipped.
    #[default]
    Skip,
    /// Its run waits for the earlier ones.
    Queue,
    /// The earlier runs are canceled, and its run follows them.
    CancelPrevious,
}

impl Overlap {
    /// The word used in TOML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::CancelPrevious => "cancel_previous",
        }
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Skip, Self::Queue, Self::CancelPrevious]
            .into_iter()
            .find(|overlap| overlap.as_str() == word)
    }
}
