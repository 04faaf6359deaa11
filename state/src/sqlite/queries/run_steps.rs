//! The steps of a run, by asset and partition.

use assets::outcome::Failure;
use assets::{AssetKey, AssetPartition, PartitionKey};
use rusqlite::{Row, params};
use serde::Serialize;

use super::page::{Page, collect, one_more, text};
use crate::event::Micros;
use crate::ids::{AttemptId, RunId};
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;
use crate::status::StepStatus;

/// The columns of [`StepRow`], also read by `why`.
macro_rules! step_columns {
    () => {
        "run, asset, partition, status, reason, attempt, number, rows, failure, because, requeued, started_at, ended_at, \
         retries, retry_at"
    };
}
pub(super) use step_columns;

const STEPS: &str = concat!(
    "SELECT ",
    step_columns!(),
    " FROM step
      WHERE run = ?1 AND (asset, partition) > (?2, ?3) AND (?4 IS NULL OR asset = ?4) AND (?5 IS NULL OR status = ?5)
      ORDER BY asset, partition LIMIT ?6"
);

const STEPS_OF_ASSET: &str = concat!(
    "SELECT ",
    step_columns!(),
    " FROM step
      WHERE run = ?1 AND asset = ?2 AND partition > ?3 AND (?4 IS NULL OR status = ?4)
      ORDER BY partition LIMIT ?5"
);

const FAILED_STEPS: &str = concat!(
    "SELECT ",
    step_columns!(),
    " FROM step
      WHERE run = ?1 AND status = 'failed' AND (asset, partition) > (?2, ?3) AND (?4 IS NULL OR asset = ?4)
      ORDER BY asset, partition LIMIT ?5"
);

const STATUSES: &str = "
    SELECT partition, status FROM step WHERE run = ?1 AND asset = ?2 AND partition > '' AND partition >= ?3
    AND (?4 IS NULL OR partition <= ?4) ORDER BY partition";

const ONE: &str = concat!(
    "SELECT ",
    step_columns!(),
    " FROM step WHERE run = ?1 AND asset = ?2 AND partition = ?3"
);

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct StepRow {
    /// The run.
    pub run: RunId,
    /// What it materializes.
    pub step: AssetPartition,
    /// Where it is.
    pub status: StepStatus,
    /// Why it is part of the run.
    pub reason: String,
    /// The attempt that has it, or had it when it ended.
    pub attempt: Option<AttemptId>,
    /// The number of its newest attempt; 0 before the first.
    pub number: u32,
    /// Rows staged or published.
    pub rows: Option<u64>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The failed step for which it was skipped.
    pub because: Option<AssetPartition>,
    /// Why it went back to waiting, the last time it did.
    pub requeued: Option<String>,
    /// How often it was given another try after a failure.
    pub retries: u32,
    /// Until when it waits to be tried again.
    pub retry_at: Option<Micros>,
    /// When its newest attempt started.
    pub started_at: Option<Micros>,
    /// When it was over.
    pub ended_at: Option<Micros>,
}

impl StepRow {
    /// From the columns of `step_columns!`.
    pub(super) fn of(row: &Row<'_>) -> Result<Self, StateError> {
        let attempt: Option<String> = row.get(5)?;
        Ok(Self {
            run: value::parsed("step.run", text(row, 0)?)?,
            step: value::asset_partition(["step.asset", "step.partition"], text(row, 1)?, text(row, 2)?)?,
            status: value::step_status(text(row, 3)?)?,
            reason: row.get(4)?,
            attempt: attempt
                .map(|attempt| value::parsed("step.attempt", &attempt))
                .transpose()?,
            number: row.get(6)?,
            rows: row.get::<_, Option<i64>>(7)?.map(value::count),
            failure: value::optional_json("step.failure", row.get(8)?)?,
            because: value::optional_json("step.because", row.get(9)?)?,
            requeued: row.get(10)?,
            started_at: row.get(11)?,
            ended_at: row.get(12)?,
            retries: row.get(13)?,
            retry_at: row.get(14)?,
        })
    }
}

/// Which steps of a run to list.
#[derive(Debug, Clone, Default)]
pub struct StepFilter {
    /// Of this asset.
    pub asset: Option<AssetKey>,
    /// In this state.
    pub status: Option<StepStatus>,
}

/// Steps after `after`, by asset and partition.
pub fn run_steps(
    store: &Store,
    run: &RunId,
    filter: &StepFilter,
    after: Option<&AssetPartition>,
    limit: usize,
) -> Result<Page<StepRow, AssetPartition>, StateError> {
    let after_asset = after.map_or("", |after| after.asset.as_str());
    // Nothing comes before the unpartitioned step '' but the start of the list, which is before any asset.
    let after_partition = after.map_or("", |after| value::partition_text(after.partition.as_ref()));
    let asset = filter.asset.as_ref().map(AssetKey::as_str);
    let limit_value = one_more(limit);
    let rows = match (filter.status, asset) {
        (Some(StepStatus::Failed), _) => {
            let mut statement = store.connection.prepare_cached(FAILED_STEPS)?;
            collect(
                statement.query(params![run.as_str(), after_asset, after_partition, asset, limit_value])?,
                StepRow::of,
            )?
        }
        // The key begins with run and asset, so a later page of one asset starts where the earlier ended.
        (status, Some(asset)) if after.is_some_and(|after| after.asset.as_str() == asset) => {
            let mut statement = store.connection.prepare_cached(STEPS_OF_ASSET)?;
            let status = status.map(StepStatus::as_str);
            collect(
                statement.query(params![run.as_str(), asset, after_partition, status, limit_value])?,
                StepRow::of,
            )?
        }
        (status, asset) => {
            let mut statement = store.connection.prepare_cached(STEPS)?;
            let status = status.map(StepStatus::as_str);
            collect(
                statement.query(params![
                    run.as_str(),
                    after_asset,
                    after_partition,
                    asset,
                    status,
                    limit_value
                ])?,
                StepRow::of,
            )?
        }
    };
    Ok(Page::of(rows, limit, |row| row.step.clone()))
}

/// Visits the partitions of one asset in a run, from one key to another, both included, in their order. A million of them take
/// about a second: for runs that are over, whose answer can be kept.
pub fn each_status(
    store: &Store,
    run: &RunId,
    asset: &AssetKey,
    stretch: Option<(&str, &str)>,
    mut visit: impl FnMut(&str, StepStatus),
) -> Result<(), StateError> {
    let mut statement = store.connection.prepare_cached(STATUSES)?;
    let (from, to) = stretch.unzip();
    let mut rows = statement.query(params![run.as_str(), asset.as_str(), from.unwrap_or_default(), to])?;
    while let Some(row) = rows.next()? {
        visit(text(row, 0)?, value::step_status(text(row, 1)?)?);
    }
    Ok(())
}

/// The steps of one partition, asset by asset in the order given. Assets without it are left out.
pub fn steps_of_partition<'a>(
    store: &Store,
    run: &RunId,
    assets: impl Iterator<Item = &'a AssetKey>,
    partition: &PartitionKey,
) -> Result<Vec<StepRow>, StateError> {
    let mut statement = store.connection.prepare_cached(ONE)?;
    let mut found = Vec::new();
    for asset in assets {
        let mut rows = statement.query(params![run.as_str(), asset.as_str(), partition.as_str()])?;
        if let Some(row) = rows.next()? {
            found.push(StepRow::of(row)?);
        }
    }
    Ok(found)
}
