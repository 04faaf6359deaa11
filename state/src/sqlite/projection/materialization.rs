//! `materialization`, `asset_partition` and `check_result`: what was published, where each partition stands, what checks
//! found.

use assets::AssetPartition;
use assets::outcome::{CheckResult, Failure, Severity};
use rusqlite::{OptionalExtension, params};

use super::{Projection, Refusal, Stamp};
use crate::event::Materialization;
use crate::ids::{AttemptId, RunId};
use crate::sqlite::value::{integer, partition_text, to_json};

const INSERT_MATERIALIZATION: &str = "
    INSERT INTO materialization (seq, at, asset, partition, run, attempt, fingerprint, data_version, inputs,
                                 snapshot_id, rows, bytes, metadata)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

const BEFORE: &str = "
    SELECT seq, coalesce(rows, 0), coalesce(bytes, 0), failed FROM asset_partition WHERE asset = ?1 AND partition = ?2";

const SET_CURRENT: &str = "
    INSERT INTO asset_partition (asset, partition, seq, run, at, fingerprint, data_version, inputs, snapshot_id, rows,
                                 bytes, failed)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0)
    ON CONFLICT (asset, partition) DO UPDATE SET seq = ?3, run = ?4, at = ?5, fingerprint = ?6, data_version = ?7,
           inputs = ?8, snapshot_id = ?9, rows = ?10, bytes = ?11, failed = 0";

const SET_FAILED: &str = "
    INSERT INTO asset_partition (asset, partition, failed, failed_seq, failed_run, failed_at, failure)
    VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6)
    ON CONFLICT (asset, partition) DO UPDATE SET failed = 1, failed_seq = ?3, failed_run = ?4, failed_at = ?5,
           failure = ?6";

const REMOVE: &str = "
    DELETE FROM asset_partition WHERE asset = ?1 AND partition = ?2";

const INSERT_CHECK: &str = "
    INSERT INTO check_result (seq, ordinal, at, asset, partition, run, name, kind, severity, passed, published, figure,
                              expected, failing_rows, sample, error)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";

/// What `asset_partition` said before this event.
#[derive(Default)]
struct Before {
    materialized: bool,
    rows: i64,
    bytes: i64,
    failed: bool,
}

impl Projection<'_> {
    pub(super) fn materialized(
        &mut self,
        stamp: Stamp,
        run: &RunId,
        attempt: &AttemptId,
        made: &Materialization,
    ) -> Result<(), Refusal> {
        let (asset, partition) = (made.step.asset.as_str(), partition_text(made.step.partition.as_ref()));
        let inputs = to_json(&made.inputs);
        let (rows, bytes) = (integer(made.rows), integer(made.bytes));
        self.connection
            .prepare_cached(INSERT_MATERIALIZATION)?
            .execute(params![
                stamp.seq,
                stamp.at,
                asset,
                partition,
                run.as_str(),
                attempt.as_str(),
                made.fingerprint.as_str(),
                made.data_version.as_str(),
                inputs,
                made.snapshot_id,
                rows,
                bytes,
                to_json(&made.metadata),
            ])?;
        let before = self.before(asset, partition)?;
        self.connection.prepare_cached(SET_CURRENT)?.execute(params![
            asset,
            partition,
            stamp.seq,
            run.as_str(),
            stamp.at,
            made.fingerprint.as_str(),
            made.data_version.as_str(),
            inputs,
            made.snapshot_id,
            rows,
            bytes,
        ])?;
        let sums = self.sums.partitions(&made.step.asset);
        sums.materialized += i64::from(!before.materialized);
        sums.failed -= i64::from(before.failed);
        sums.rows += rows - before.rows;
        sums.bytes += bytes - before.bytes;
        sums.materializations += 1;
        sums.last = Some((stamp.seq, stamp.at, run.clone()));
        Ok(())
    }

    /// A partition that is no more, and with it how its last try ended.
    pub(super) fn removed(&mut self, step: &AssetPartition) -> Result<(), Refusal> {
        let (asset, partition) = (step.asset.as_str(), partition_text(step.partition.as_ref()));
        let before = self.before(asset, partition)?;
        self.connection.prepare_cached(REMOVE)?.execute([asset, partition])?;
        let sums = self.sums.partitions(&step.asset);
        sums.materialized -= i64::from(before.materialized);
        sums.failed -= i64::from(before.failed);
        sums.rows -= before.rows;
        sums.bytes -= before.bytes;
        Ok(())
    }

    pub(super) fn partition_failed(
        &mut self,
        stamp: Stamp,
        run: &RunId,
        step: &AssetPartition,
        failure: &Failure,
    ) -> Result<(), Refusal> {
        let (asset, partition) = (step.asset.as_str(), partition_text(step.partition.as_ref()));
        let before = self.before(asset, partition)?;
        self.connection.prepare_cached(SET_FAILED)?.execute(params![
            asset,
            partition,
            stamp.seq,
            run.as_str(),
            stamp.at,
            to_json(failure)
        ])?;
        let sums = self.sums.partitions(&step.asset);
        sums.failed += i64::from(!before.failed);
        sums.failed_at = Some(stamp.at);
        Ok(())
    }

    pub(super) fn checked(
        &mut self,
        stamp: Stamp,
        run: &RunId,
        step: &AssetPartition,
        checks: &[CheckResult],
        published: bool,
    ) -> Result<(), Refusal> {
        if checks.is_empty() {
            return Ok(());
        }
        let mut insert = self.connection.prepare_cached(INSERT_CHECK)?;
        for (ordinal, check) in checks.iter().enumerate() {
            insert.execute(params![
                stamp.seq,
                ordinal as i64,
                stamp.at,
                step.asset.as_str(),
                partition_text(step.partition.as_ref()),
                run.as_str(),
                check.name,
                check.check,
                match check.severity {
                    Severity::Warn => "warn",
                    Severity::Error => "error",
                },
                check.passed,
                published,
                // As in the event's JSON, which has no infinity.
                check.figure.filter(|figure| figure.is_finite()),
                check.expected,
                check.failing_rows.map(integer),
                check.sample.as_ref().map(to_json),
                check.error,
            ])?;
        }
        Ok(())
    }

    fn before(&self, asset: &str, partition: &str) -> rusqlite::Result<Before> {
        let found = self
            .connection
            .prepare_cached(BEFORE)?
            .query_row([asset, partition], |row| {
                Ok(Before {
                    materialized: row.get::<_, Option<i64>>(0)?.is_some(),
                    rows: row.get(1)?,
                    bytes: row.get(2)?,
                    failed: row.get(3)?,
                })
            })
            .optional()?;
        Ok(found.unwrap_or_default())
    }
}
