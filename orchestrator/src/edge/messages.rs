//! What the daemon and a worker say to each other.

use assets::Asset;
use assets::outcome::{Failure, Observation, Sample};
use plugins::query::{ChangesOrder, RowChanges, RowsOrder};
use plugins::step::{ProjectSettings, StepOrder, StepReport};
use serde::{Deserialize, Serialize};

use super::warehouse::LakeSettings;

/// To a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToWorker {
    /// Comes once, before anything else.
    Hello(WorkerSettings),
    /// Work on these steps.
    Work(Box<StepOrder>),
    /// Look at the sources of an asset.
    Observe {
        /// The asset.
        asset: Box<Asset>,
        /// Its project.
        project: ProjectSettings,
        /// What was seen the last time.
        previous: Option<Observation>,
    },
    /// Look into a table for a page.
    Table(Box<TableQuestion>),
    /// Stop what you are doing, and say `Ended` for it.
    Cancel,
}

/// What a worker needs to know before its first order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSettings {
    /// Where the tables are.
    pub lake: LakeSettings,
    /// Bytes of data segment that the process may have; past it allocations fail and the process ends.
    pub memory_limit_bytes: u64,
    /// Threads that run steps.
    pub threads: usize,
}

/// From a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromWorker {
    /// About the order it works on.
    Report {
        /// What.
        report: StepReport,
    },
    /// The answer to `Observe`; `None` for an asset that has no sources.
    Observed {
        /// What is there, or why it could not be seen.
        result: Result<Option<Observation>, Failure>,
    },
    /// The answer to `Table`.
    Table {
        /// What was asked, or why it cannot be told.
        result: Result<TableAnswer, Failure>,
    },
}

/// What a page asks of a table's rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableQuestion {
    /// Some of them.
    Rows(RowsOrder),
    /// What became of them between two snapshots.
    Changes(ChangesOrder),
}

/// The answer to each question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableAnswer {
    /// The rows.
    Rows(Sample),
    /// The counts.
    Changes(RowChanges),
}
