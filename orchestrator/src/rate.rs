//! How fast a run goes, and when it will be over at that rate.

use serde::Serialize;
use state::event::Micros;
use state::sqlite::queries::runs::RunRow;

use crate::figures::duration;

/// Steps that have to be over before there is a rate to speak of.
const FEWEST: u64 = 10;
/// Time that has to pass before.
const SHORTEST: Micros = 2_000_000;

/// How fast a run has gone so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Rate {
    /// Steps that were over in a second, on average since it began.
    pub steps_per_second: f64,
    /// When the rest is over at this rate, in microseconds since 1970.
    pub expected_end: Micros,
}

impl Rate {
    /// The rate of a run that is under way; `None` while there is nothing to go by, and while it is paused.
    pub fn of(row: &RunRow, now: Micros) -> Option<Self> {
        let over = row.steps.over();
        let elapsed = now - row.started_at?;
        if row.ended_at.is_some() || row.paused || over < FEWEST || elapsed < SHORTEST {
            return None;
        }
        let steps_per_second = over as f64 / (elapsed as f64 / 1e6);
        let left = row.steps.total() - over;
        Some(Self {
            steps_per_second,
            expected_end: now + (left as f64 / steps_per_second * 1e6) as Micros,
        })
    }

    /// `3.2 steps a second, about 4 min left`.
    pub fn words(&self, now: Micros) -> String {
        format!("{}, about {} left", self.pace(), duration(self.expected_end - now))
    }

    /// `3.2 steps a second`. Slow steps are counted by the minute: "0.0 steps a second" says nothing.
    pub fn pace(&self) -> String {
        match self.steps_per_second {
            0.5.. => format!("{:.1} steps a second", self.steps_per_second),
            _ => format!("{:.1} steps a minute", self.steps_per_second * 60.0),
        }
    }
}
