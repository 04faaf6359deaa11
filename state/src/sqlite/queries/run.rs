//! One run: its request, and its steps counted by asset.

use assets::AssetKey;
use serde::Serialize;

use super::page::{collect, text};
use super::runs::{RunRow, StepCounts};
use crate::event::RunRequest;
use crate::ids::RunId;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

const RUN: &str = "
    SELECT r.id, r.seq, r.status, r.owner, r.trigger, r.selection, r.submitted_at, r.started_at, r.ended_at, r.paused,
           coalesce(sum(a.waiting), 0), coalesce(sum(a.running), 0), coalesce(sum(a.publishing), 0),
           coalesce(sum(a.succeeded), 0), coalesce(sum(a.failed), 0), coalesce(sum(a.skipped), 0),
           coalesce(sum(a.canceled), 0), r.request
    FROM run r LEFT JOIN run_asset a ON a.run = r.id
    WHERE r.id = ?1 GROUP BY r.id";

const RUN_ASSETS: &str = "
    SELECT asset, waiting, running, publishing, succeeded, failed, skipped, canceled
    FROM run_asset WHERE run = ?1 ORDER BY position";

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct RunDetail {
    /// As in the list of runs.
    pub row: RunRow,
    /// What was asked for.
    pub request: RunRequest,
    /// Its assets, upstream first. As many as the run selects; at most the assets of a project.
    pub assets: Vec<RunAsset>,
}

/// The steps of one asset in a run.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct RunAsset {
    /// The asset.
    pub asset: AssetKey,
    /// Its steps by status.
    pub steps: StepCounts,
}

/// The run, or `None` if there is none with this id.
pub fn run(store: &Store, run: &RunId) -> Result<Option<RunDetail>, StateError> {
    let mut statement = store.connection.prepare_cached(RUN)?;
    let mut rows = statement.query([run.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut statement = store.connection.prepare_cached(RUN_ASSETS)?;
    let assets = collect(statement.query([run.as_str()])?, |row| {
        Ok(RunAsset {
            asset: value::parsed("run_asset.asset", text(row, 0)?)?,
            steps: StepCounts::of(row, 1)?,
        })
    })?;
    Ok(Some(RunDetail {
        row: RunRow::of(row)?,
        request: value::json("run.request", text(row, 17)?)?,
        assets,
    }))
}
