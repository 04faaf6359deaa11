//! `attempt` and `attempt_step`: who worked on what, when, with which inputs.

use assets::outcome::Failure;
use assets::{AssetKey, AssetPartition, PartitionKey};
use rusqlite::{OptionalExtension, params};

use super::run::moved;
use super::{Projection, Refusal, Stamp, illegal};
use crate::event::PinnedVersion;
use crate::ids::{AttemptId, RunId};
use crate::sqlite::value::{partition_text, to_json};

const INSERT_ATTEMPT: &str = "
    INSERT INTO attempt (id, seq, run, asset, number, partitions, inputs, started_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const INSERT_ATTEMPT_STEP: &str = "
    INSERT INTO attempt_step (asset, partition, seq, attempt) VALUES (?1, ?2, ?3, ?4)";

const ATTEMPT_ENDED: &str = "
    UPDATE attempt SET ended_at = ?2, failure = ?3 WHERE id = ?1 AND ended_at IS NULL";

const ATTEMPT_TIMED_OUT: &str = "
    UPDATE attempt SET timed_out = ?2 WHERE id = ?1 AND ended_at IS NULL AND timed_out IS NULL";

const RUN_OF_ATTEMPT: &str = "
    SELECT run FROM attempt WHERE id = ?1";

const ATTEMPT_STEP_FAILED: &str = "
    UPDATE attempt_step SET failure = ?4
    WHERE asset = ?1 AND partition = ?2 AND seq = (SELECT seq FROM attempt WHERE id = ?3)";

/// The fields of `Event::AttemptStarted`.
pub(super) struct Start<'e> {
    pub(super) attempt: &'e AttemptId,
    pub(super) run: &'e RunId,
    pub(super) asset: &'e AssetKey,
    pub(super) partitions: &'e [Option<PartitionKey>],
    pub(super) number: u32,
    pub(super) inputs: &'e [PinnedVersion],
}

impl Projection<'_> {
    pub(super) fn attempt_started(&mut self, stamp: Stamp, start: &Start<'_>) -> Result<(), Refusal> {
        if self.run_of_attempt(start.attempt)?.is_some() {
            return illegal(format!("there is an attempt {} already", start.attempt));
        }
        if start.number == 0 {
            return illegal(format!("attempt {} has the number 0; the first is 1", start.attempt));
        }
        self.run_works(stamp, start.run)?;
        self.connection.prepare_cached(INSERT_ATTEMPT)?.execute(params![
            start.attempt.as_str(),
            stamp.seq,
            start.run.as_str(),
            start.asset.as_str(),
            start.number,
            to_json(start.partitions),
            to_json(start.inputs),
            stamp.at,
        ])?;
        let mut insert_step = self.connection.prepare_cached(INSERT_ATTEMPT_STEP)?;
        for partition in start.partitions {
            let partition = partition_text(partition.as_ref());
            self.step_started(stamp, start, partition)?;
            insert_step.execute(params![
                start.asset.as_str(),
                partition,
                stamp.seq,
                start.attempt.as_str()
            ])?;
        }
        Ok(())
    }

    pub(super) fn attempt_ended(
        &mut self,
        stamp: Stamp,
        attempt: &AttemptId,
        failure: Option<&Failure>,
    ) -> Result<(), Refusal> {
        let changed = self.connection.prepare_cached(ATTEMPT_ENDED)?.execute(params![
            attempt.as_str(),
            stamp.at,
            failure.map(to_json)
        ])?;
        moved(changed, || format!("attempt {attempt} is not open"))
    }

    pub(super) fn attempt_timed_out(
        &mut self,
        attempt: &AttemptId,
        partitions: &[Option<PartitionKey>],
    ) -> Result<(), Refusal> {
        let changed = self
            .connection
            .prepare_cached(ATTEMPT_TIMED_OUT)?
            .execute(params![attempt.as_str(), to_json(partitions)])?;
        moved(changed, || {
            format!("attempt {attempt} is not open, or was stopped already")
        })
    }

    /// Remembers why one step of an attempt failed, also when a later attempt succeeds.
    pub(super) fn attempt_step_failed(
        &self,
        attempt: &AttemptId,
        step: &AssetPartition,
        failure: &str,
    ) -> Result<(), Refusal> {
        let changed = self.connection.prepare_cached(ATTEMPT_STEP_FAILED)?.execute(params![
            step.asset.as_str(),
            partition_text(step.partition.as_ref()),
            attempt.as_str(),
            failure
        ])?;
        moved(changed, || format!("attempt {attempt} has no step {step}"))
    }

    pub(super) fn run_of_attempt(&self, attempt: &AttemptId) -> rusqlite::Result<Option<String>> {
        self.connection
            .prepare_cached(RUN_OF_ATTEMPT)?
            .query_row([attempt.as_str()], |row| row.get(0))
            .optional()
    }
}
