//! The life of a row of `step`. An attempt is the fence: what another attempt than the step's current one says is refused.

use assets::AssetPartition;
use assets::outcome::Failure;
use rusqlite::{OptionalExtension, params};

use super::attempt::Start;
use super::run::moved;
use super::{Projection, Refusal, Stamp, illegal};
use crate::event::{Materialization, Micros};
use crate::ids::{AttemptId, RunId};
use crate::sqlite::value::{integer, partition_text, step_status, to_json};
use crate::status::StepStatus;

const CURRENT: &str = "
    SELECT status, attempt FROM step WHERE run = ?1 AND asset = ?2 AND partition = ?3";

const STARTED: &str = "
    UPDATE step SET status = 'running', attempt = ?5, number = ?6, started_at = ?7, rows = NULL
    WHERE run = ?1 AND asset = ?2 AND partition = ?3 AND status = ?4 AND retry_at IS NULL";

const STAGED: &str = "
    UPDATE step SET status = 'publishing', rows = ?5
    WHERE run = ?1 AND asset = ?2 AND partition = ?3 AND status = ?4";

const SUCCEEDED: &str = "
    UPDATE step SET status = 'succeeded', rows = ?5, ended_at = ?6
    WHERE run = ?1 AND asset = ?2 AND partition = ?3 AND status = ?4";

const FRESH: &str = "
    UPDATE step SET status = 'succeeded', ended_at = ?5, retry_at = NULL
    WHERE run = ?1 AND asset = ?2 AND partition = ?3 AND status = ?4";

const FAILED: &str = "
    UPDATE step SET status = 'failed', failure = ?5, ended_at = ?6, retry_at = NULL
    WHERE run = ?1 AND asset = ?2 AND partition = ?3 AND status = ?4";

const SKIPPED: &str = "
    UPDATE step SET status = 'skipped', because = ?5, ended_at = ?6, retry_at = NULL
    WHERE run = ?1 AND asset = ?2 AND partition = ?3 AND status = ?4";

const CANCELED: &str = "
    UPDATE step SET status = 'canceled', ended_at = ?5, retry_at = NULL
    WHERE run = ?1 AND asset = ?2 AND partition = ?3 AND status = ?4";

const REQUEUED: &str = "
    UPDATE step SET status = 'waiting', attempt = NULL, started_at = NULL, rows = NULL, requeued = ?5
    WHERE run = ?1 AND asset = ?2 AND partition = ?3 AND status = ?4";

const UP_FOR_RETRY: &str = "
    UPDATE step SET status = 'waiting', attempt = NULL, started_at = NULL, rows = NULL, requeued = ?5, retries = ?6,
           retry_at = ?7
    WHERE run = ?1 AND asset = ?2 AND partition = ?3 AND status = ?4";

const RETRY_DUE: &str = "
    UPDATE step SET retry_at = NULL
    WHERE run = ?1 AND asset = ?2 AND partition = ?3 AND status = 'waiting' AND retry_at IS NOT NULL";

use StepStatus::{Canceled, Failed, Publishing, Running, Skipped, Succeeded, Waiting};

/// The fields of `Event::StepUpForRetry`, beside its run.
pub(super) struct UpForRetry<'e> {
    pub(super) attempt: &'e AttemptId,
    pub(super) step: &'e AssetPartition,
    pub(super) failure: &'e Failure,
    pub(super) retry: u32,
    pub(super) due: Micros,
}

/// One move of one step.
struct Move<'e> {
    run: &'e str,
    step: &'e AssetPartition,
    /// The states it may come from.
    from: &'static [StepStatus],
    to: StepStatus,
    /// The attempt that says so, if one does.
    attempt: Option<&'e AttemptId>,
}

impl Projection<'_> {
    pub(super) fn step_started(&mut self, stamp: Stamp, start: &Start<'_>, partition: &str) -> Result<(), Refusal> {
        let (run, asset) = (start.run.as_str(), start.asset.as_str());
        match self.current(run, asset, partition)? {
            Some((Waiting, _)) => {}
            Some((status, _)) => return illegal(format!("`{asset}@{partition}` is {}", status.as_str())),
            None => return illegal(format!("run {run} has no step `{asset}@{partition}`")),
        }
        let changed = self.connection.prepare_cached(STARTED)?.execute(params![
            run,
            asset,
            partition,
            Waiting.as_str(),
            start.attempt.as_str(),
            start.number,
            stamp.at
        ])?;
        self.sums.step(start.run, start.asset, Some(Waiting), Running);
        moved(changed, || format!("`{asset}@{partition}` did not start"))
    }

    pub(super) fn step_staged(&mut self, attempt: &AttemptId, step: &AssetPartition, rows: u64) -> Result<(), Refusal> {
        let Some(run) = self.run_of_attempt(attempt)? else {
            return illegal(format!("there is no attempt {attempt}"));
        };
        let Ok(run_id) = run.parse() else {
            return illegal(format!("`{run}` is not a run"));
        };
        let step_move = Move {
            run: &run,
            step,
            from: &[Running],
            to: Publishing,
            attempt: Some(attempt),
        };
        let from = self.allowed(&step_move)?;
        let changed = self.connection.prepare_cached(STAGED)?.execute(params![
            run,
            step.asset.as_str(),
            partition_text(step.partition.as_ref()),
            from.as_str(),
            integer(rows)
        ])?;
        self.count(&run_id, &step_move, from, changed)
    }

    pub(super) fn step_succeeded(
        &mut self,
        stamp: Stamp,
        run: &RunId,
        attempt: &AttemptId,
        materialization: &Materialization,
    ) -> Result<(), Refusal> {
        let step = &materialization.step;
        let step_move = Move {
            run: run.as_str(),
            step,
            from: &[Running, Publishing],
            to: Succeeded,
            attempt: Some(attempt),
        };
        let from = self.allowed(&step_move)?;
        let changed = self.connection.prepare_cached(SUCCEEDED)?.execute(params![
            run.as_str(),
            step.asset.as_str(),
            partition_text(step.partition.as_ref()),
            from.as_str(),
            integer(materialization.rows),
            stamp.at
        ])?;
        self.count(run, &step_move, from, changed)
    }

    pub(super) fn step_failed(
        &mut self,
        stamp: Stamp,
        run: &RunId,
        attempt: Option<&AttemptId>,
        step: &AssetPartition,
        failure: &Failure,
    ) -> Result<(), Refusal> {
        let from: &[StepStatus] = match attempt {
            Some(_) => &[Running, Publishing],
            None => &[Waiting, Running, Publishing],
        };
        let step_move = Move {
            run: run.as_str(),
            step,
            from,
            to: Failed,
            attempt,
        };
        let from = self.allowed(&step_move)?;
        let failure = to_json(failure);
        if let Some(attempt) = attempt {
            self.attempt_step_failed(attempt, step, &failure)?;
        }
        let changed = self.connection.prepare_cached(FAILED)?.execute(params![
            run.as_str(),
            step.asset.as_str(),
            partition_text(step.partition.as_ref()),
            from.as_str(),
            failure,
            stamp.at
        ])?;
        self.count(run, &step_move, from, changed)
    }

    /// Ends without an attempt: the materialization that is there is as good as a new one.
    pub(super) fn step_fresh(&mut self, stamp: Stamp, run: &RunId, step: &AssetPartition) -> Result<(), Refusal> {
        let step_move = Move {
            run: run.as_str(),
            step,
            from: &[Waiting],
            to: Succeeded,
            attempt: None,
        };
        let from = self.allowed(&step_move)?;
        let changed = self.connection.prepare_cached(FRESH)?.execute(params![
            run.as_str(),
            step.asset.as_str(),
            partition_text(step.partition.as_ref()),
            from.as_str(),
            stamp.at
        ])?;
        self.count(run, &step_move, from, changed)
    }

    pub(super) fn step_skipped(
        &mut self,
        stamp: Stamp,
        run: &RunId,
        step: &AssetPartition,
        because: &AssetPartition,
    ) -> Result<(), Refusal> {
        let step_move = Move {
            run: run.as_str(),
            step,
            from: &[Waiting, Running, Publishing],
            to: Skipped,
            attempt: None,
        };
        let from = self.allowed(&step_move)?;
        let changed = self.connection.prepare_cached(SKIPPED)?.execute(params![
            run.as_str(),
            step.asset.as_str(),
            partition_text(step.partition.as_ref()),
            from.as_str(),
            to_json(because),
            stamp.at
        ])?;
        self.count(run, &step_move, from, changed)
    }

    pub(super) fn step_canceled(&mut self, stamp: Stamp, run: &RunId, step: &AssetPartition) -> Result<(), Refusal> {
        let step_move = Move {
            run: run.as_str(),
            step,
            from: &[Waiting, Running, Publishing],
            to: Canceled,
            attempt: None,
        };
        let from = self.allowed(&step_move)?;
        let changed = self.connection.prepare_cached(CANCELED)?.execute(params![
            run.as_str(),
            step.asset.as_str(),
            partition_text(step.partition.as_ref()),
            from.as_str(),
            stamp.at
        ])?;
        self.count(run, &step_move, from, changed)
    }

    pub(super) fn step_requeued(&mut self, run: &RunId, step: &AssetPartition, reason: &str) -> Result<(), Refusal> {
        let step_move = Move {
            run: run.as_str(),
            step,
            from: &[Running, Publishing],
            to: Waiting,
            attempt: None,
        };
        let from = self.allowed(&step_move)?;
        let changed = self.connection.prepare_cached(REQUEUED)?.execute(params![
            run.as_str(),
            step.asset.as_str(),
            partition_text(step.partition.as_ref()),
            from.as_str(),
            reason
        ])?;
        self.count(run, &step_move, from, changed)
    }

    pub(super) fn step_up_for_retry(&mut self, run: &RunId, retry: &UpForRetry<'_>) -> Result<(), Refusal> {
        let step_move = Move {
            run: run.as_str(),
            step: retry.step,
            from: &[Running, Publishing],
            to: Waiting,
            attempt: Some(retry.attempt),
        };
        let from = self.allowed(&step_move)?;
        self.attempt_step_failed(retry.attempt, retry.step, &to_json(retry.failure))?;
        let changed = self.connection.prepare_cached(UP_FOR_RETRY)?.execute(params![
            run.as_str(),
            retry.step.asset.as_str(),
            partition_text(retry.step.partition.as_ref()),
            from.as_str(),
            retry.failure.message,
            retry.retry,
            retry.due
        ])?;
        self.count(run, &step_move, from, changed)
    }

    pub(super) fn step_retry_due(&self, run: &RunId, step: &AssetPartition) -> Result<(), Refusal> {
        let changed = self.connection.prepare_cached(RETRY_DUE)?.execute(params![
            run.as_str(),
            step.asset.as_str(),
            partition_text(step.partition.as_ref())
        ])?;
        moved(changed, || format!("`{step}` does not wait to be tried again"))
    }

    /// The state the step is in, if it may make this move.
    fn allowed(&self, step_move: &Move<'_>) -> Result<StepStatus, Refusal> {
        let step = step_move.step;
        let Some((status, attempt)) = self.current(
            step_move.run,
            step.asset.as_str(),
            partition_text(step.partition.as_ref()),
        )?
        else {
            return illegal(format!("run {} has no step `{step}`", step_move.run));
        };
        if !step_move.from.contains(&status) {
            return illegal(format!("`{step}` is {}", status.as_str()));
        }
        match step_move.attempt {
            Some(says) if attempt.as_deref() != Some(says.as_str()) => illegal(format!(
                "`{step}` is in the hands of {}, not of {says}",
                attempt.as_deref().unwrap_or("no attempt")
            )),
            _ => Ok(status),
        }
    }

    fn count(&mut self, run: &RunId, step_move: &Move<'_>, from: StepStatus, changed: usize) -> Result<(), Refusal> {
        moved(changed, || {
            format!("`{}` did not move to {}", step_move.step, step_move.to.as_str())
        })?;
        self.sums.step(run, &step_move.step.asset, Some(from), step_move.to);
        Ok(())
    }

    fn current(
        &self,
        run: &str,
        asset: &str,
        partition: &str,
    ) -> Result<Option<(StepStatus, Option<String>)>, Refusal> {
        let found = self
            .connection
            .prepare_cached(CURRENT)?
            .query_row([run, asset, partition], |row| {
                Ok((
                    step_status(row.get_ref(0)?.as_str()?).ok(),
                    row.get::<_, Option<String>>(1)?,
                ))
            })
            .optional()?;
        match found {
            Some((Some(status), attempt)) => Ok(Some((status, attempt))),
            Some((None, _)) => illegal(format!(
                "`{asset}@{partition}` has a status that this release does not know"
            )),
            None => Ok(None),
        }
    }
}
