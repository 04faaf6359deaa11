//! `run`, `run_asset` and the rows of `step` that a submitted run brings.

use std::collections::HashSet;

use assets::{AssetKey, Fingerprint};
use rusqlite::params;

use super::{Projection, Refusal, Stamp, illegal};
use crate::event::{PlannedStep, RunRequest};
use crate::ids::RunId;
use crate::sqlite::value::{partition_text, to_json};
use crate::status::{RunStatus, StepStatus};

const INSERT_RUN: &str = "
    INSERT INTO run (id, seq, status, owner, trigger, selection, request, submitted_at, definitions)
    VALUES (?1, ?2, 'queued', ?3, ?4, ?5, ?6, ?7, ?8)";

const INSERT_RUN_ASSET: &str = "
    INSERT INTO run_asset (run, asset, run_seq, position) VALUES (?1, ?2, ?3, ?4)";

const INSERT_STEP: &str = "
    INSERT INTO step (run, asset, partition, position, status, reason) VALUES (?1, ?2, ?3, ?4, 'waiting', ?5)";

const RUN_STARTED: &str = "
    UPDATE run SET status = 'running', started_at = ?2 WHERE id = ?1 AND status = 'queued'";

const RUN_CANCELING: &str = "
    UPDATE run SET status = 'canceling', paused = 0 WHERE id = ?1 AND status IN ('queued', 'running')";

const RUN_ENDED: &str = "
    UPDATE run SET status = ?2, ended_at = ?3, paused = 0 WHERE id = ?1 AND status IN ('queued', 'running', 'canceling')";

const RUN_PAUSED: &str = "
    UPDATE run SET paused = ?2 WHERE id = ?1 AND paused = 1 - ?2 AND status IN ('queued', 'running')";

const RUN_STATUS: &str = "
    SELECT status FROM run WHERE id = ?1";

impl Projection<'_> {
    pub(super) fn run_submitted(
        &mut self,
        stamp: Stamp,
        run: &RunId,
        request: &RunRequest,
        steps: &[PlannedStep],
        definitions: Option<&Fingerprint>,
    ) -> Result<(), Refusal> {
        if self.run_status(run)?.is_some() {
            return illegal(format!("there is a run {run} already"));
        }
        self.connection.prepare_cached(INSERT_RUN)?.execute(params![
            run.as_str(),
            stamp.seq,
            request.owner.as_str(),
            request.trigger,
            request.selection,
            to_json(request),
            stamp.at,
            definitions.map(Fingerprint::as_str),
        ])?;
        let mut insert_asset = self.connection.prepare_cached(INSERT_RUN_ASSET)?;
        let mut insert_step = self.connection.prepare_cached(INSERT_STEP)?;
        let mut seen: HashSet<&AssetKey> = HashSet::new();
        for (position, planned) in steps.iter().enumerate() {
            let asset = &planned.step.asset;
            if seen.insert(asset) {
                insert_asset.execute(params![run.as_str(), asset.as_str(), stamp.seq, position as i64])?;
            }
            insert_step.execute(params![
                run.as_str(),
                asset.as_str(),
                partition_text(planned.step.partition.as_ref()),
                position as i64,
                planned.reason
            ])?;
            self.sums.step(run, asset, None, StepStatus::Waiting);
        }
        Ok(())
    }

    /// The first attempt starts the run.
    pub(super) fn run_works(&self, stamp: Stamp, run: &RunId) -> Result<(), Refusal> {
        match self.run_status(run)?.as_deref() {
            Some("queued") => {
                let changed = self
                    .connection
                    .prepare_cached(RUN_STARTED)?
                    .execute(params![run.as_str(), stamp.at])?;
                moved(changed, || format!("run {run} did not start"))
            }
            Some("running") => Ok(()),
            other => illegal(format!("run {run} is {}", other.unwrap_or("unknown"))),
        }
    }

    pub(super) fn run_cancel_requested(&mut self, run: &RunId) -> Result<(), Refusal> {
        let changed = self.connection.prepare_cached(RUN_CANCELING)?.execute([run.as_str()])?;
        moved(changed, || format!("run {run} is not queued or running"))
    }

    pub(super) fn run_paused(&mut self, run: &RunId, paused: bool) -> Result<(), Refusal> {
        let changed = self
            .connection
            .prepare_cached(RUN_PAUSED)?
            .execute(params![run.as_str(), paused])?;
        moved(changed, || format!("run {run} is not under way, or is so already"))
    }

    pub(super) fn run_ended(&mut self, stamp: Stamp, run: &RunId, status: RunStatus) -> Result<(), Refusal> {
        if !status.is_terminal() {
            return illegal(format!("`{}` does not end a run", status.as_str()));
        }
        let changed =
            self.connection
                .prepare_cached(RUN_ENDED)?
                .execute(params![run.as_str(), status.as_str(), stamp.at])?;
        moved(changed, || format!("run {run} is not open"))
    }

    fn run_status(&self, run: &RunId) -> Result<Option<String>, Refusal> {
        let mut statement = self.connection.prepare_cached(RUN_STATUS)?;
        let mut rows = statement.query([run.as_str()])?;
        Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
    }
}

/// A guarded update changes exactly one row.
pub(super) fn moved(changed: usize, otherwise: impl FnOnce() -> String) -> Result<(), Refusal> {
    match changed {
        1 => Ok(()),
        _ => illegal(otherwise()),
    }
}
