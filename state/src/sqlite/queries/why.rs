//! Everything known about one partition: what made it what it is, and what was tried since.

use assets::AssetPartition;
use assets::outcome::{Failure, SourceFile};
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::asset_partitions::{PartitionRow, partition_columns};
use super::attempts::{AttemptRow, attempt_columns};
use super::checks::{self, CheckRow};
use super::page::collect;
use super::rollbacks::RollbackRow;
use super::run_steps::{StepRow, step_columns};
use super::{attempts, events, rollbacks, run};
use crate::event::{Event, RunRequest};
use crate::ids::{AttemptId, RunId};
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;
use crate::status::StepStatus;

const PARTITION: &str = concat!(
    "SELECT ",
    partition_columns!(),
    " FROM asset_partition WHERE asset = ?1 AND partition = ?2"
);

const STEPS: &str = concat!(
    "SELECT ",
    step_columns!(),
    " FROM step WHERE asset = ?1 AND partition = ?2
      ORDER BY (SELECT seq FROM run WHERE run.id = step.run) DESC LIMIT ?3"
);

const ATTEMPTS: &str = concat!(
    "SELECT ",
    attempt_columns!(),
    ", s.failure FROM attempt_step s JOIN attempt a ON a.id = s.attempt
      WHERE s.asset = ?1 AND s.partition = ?2 ORDER BY s.seq DESC LIMIT ?3"
);

const ATTEMPT_OF: &str = "
    SELECT attempt FROM materialization WHERE seq = ?1";

/// What is known about one partition.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct WhyFacts {
    /// Its newest materialization and its newest failure; `None` if it never got that far.
    pub partition: Option<PartitionRow>,
    /// How the newest materialization was made.
    pub made_by: Option<MadeBy>,
    /// The results of the checks of the newest failure.
    pub failed_checks: Vec<CheckRow>,
    /// The newest runs that had it as a step, newest first.
    pub steps: Vec<StepRow>,
    /// The newest attempts at it, newest first, each with why this step of it failed.
    pub attempts: Vec<WhyAttempt>,
    /// The rollback that brought back what it shows, if nothing was made since.
    pub rolled_back: Option<RollbackRow>,
}

/// How a materialization was made.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct MadeBy {
    /// The run.
    pub run: RunId,
    /// What was asked for.
    pub request: Option<RunRequest>,
    /// The attempt, with the versions of the inputs that it was given.
    pub attempt: Option<AttemptRow>,
    /// The source files that the rows came from (ingest only).
    pub sources: Vec<SourceFile>,
    /// The results of its checks.
    pub checks: Vec<CheckRow>,
}

/// An attempt at one partition.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct WhyAttempt {
    /// The attempt.
    pub attempt: AttemptRow,
    /// Why this step failed in it, if it did.
    pub failure: Option<Failure>,
}

/// The facts about `step`, with at most `limit` runs and attempts.
pub fn why(store: &Store, step: &AssetPartition, limit: usize) -> Result<WhyFacts, StateError> {
    let key = [step.asset.as_str(), value::partition_text(step.partition.as_ref())];
    let limit = value::integer(limit as u64);
    let mut statement = store.connection.prepare_cached(PARTITION)?;
    let partition = statement.query(key)?.next()?.map(PartitionRow::of).transpose()?;
    let current = partition.as_ref().and_then(|partition| partition.current.as_ref());
    let made_by = match current {
        Some(current) => Some(made_by(store, current.seq, &current.run)?),
        None => None,
    };
    let failed_checks = match partition.as_ref().and_then(|partition| partition.last_failure.as_ref()) {
        Some(failure) => checks::of_step(store, failure.seq)?,
        None => Vec::new(),
    };
    let mut statement = store.connection.prepare_cached(STEPS)?;
    let steps = collect(statement.query(params![key[0], key[1], limit])?, StepRow::of)?;
    let mut statement = store.connection.prepare_cached(ATTEMPTS)?;
    let attempts = collect(statement.query(params![key[0], key[1], limit])?, |row| {
        Ok(WhyAttempt {
            attempt: AttemptRow::of(row)?,
            failure: value::optional_json("attempt_step.failure", row.get(10)?)?,
        })
    })?;
    Ok(WhyFacts {
        partition,
        made_by,
        failed_checks,
        steps,
        attempts,
        rolled_back: rollbacks::of_partition(store, step)?,
    })
}

impl WhyFacts {
    /// The newest step, if it was skipped, and the step for whose sake: one that it needs, or that is published together with it.
    pub fn skipped_last(&self) -> Option<(&StepRow, &AssetPartition)> {
        let newest = self.steps.first()?;
        Some((newest, newest.because.as_ref()?))
    }

    /// The step for whose sake what an attempt had made was not published: the two are published together.
    pub fn kept_back_by(&self, attempt: &AttemptId) -> Option<&AssetPartition> {
        let skipped = |step: &&StepRow| step.status == StepStatus::Skipped && step.attempt.as_ref() == Some(attempt);
        self.steps.iter().find(skipped)?.because.as_ref()
    }
}

/// How the materialization with the number `seq` was made.
fn made_by(store: &Store, seq: i64, run_id: &RunId) -> Result<MadeBy, StateError> {
    let attempt: Option<String> = store
        .connection
        .prepare_cached(ATTEMPT_OF)?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    let attempt: Option<AttemptId> = attempt
        .map(|attempt| value::parsed("materialization.attempt", &attempt))
        .transpose()?;
    let sources = match events::one(store, seq)? {
        Some(Event::StepSucceeded { materialization, .. }) => materialization.sources,
        Some(Event::PartitionRolledBack {
            restored: Some(restored),
            ..
        }) => restored.materialization.sources,
        _ => Vec::new(),
    };
    Ok(MadeBy {
        run: run_id.clone(),
        request: run::run(store, run_id)?.map(|detail| detail.request),
        attempt: match attempt {
            Some(attempt) => attempts::attempt(store, &attempt)?,
            None => None,
        },
        sources,
        checks: checks::of_step(store, seq)?,
    })
}
