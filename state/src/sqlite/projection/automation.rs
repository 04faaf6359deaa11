//! `automation_request`, `automation_hold` and `automation_pause`.

use assets::{AssetKey, AssetPartition};
use rusqlite::params;

use super::run::moved;
use super::{Projection, Refusal, Stamp};
use crate::automation::{AutomationDecision, Held};
use crate::sqlite::value::{partition_text, to_json};

const REQUEST: &str = "
    INSERT INTO automation_request (asset, seq, at, run, rule, partitions, evaluation, left_out)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const HOLD: &str = "
    INSERT OR REPLACE INTO automation_hold (asset, partition, seq, at, version, because) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const RELEASE: &str = "DELETE FROM automation_hold WHERE asset = ?1 AND partition = ?2";

const LET_GO: &str = "DELETE FROM automation_hold WHERE asset = ?1";

const PAUSE: &str = "
    INSERT OR IGNORE INTO automation_pause (asset, seq, at, by) VALUES (?1, ?2, ?3, ?4)";

const RESUME: &str = "DELETE FROM automation_pause WHERE asset = ?1";

/// `''` stands for all of it.
fn whose(asset: Option<&AssetKey>) -> &str {
    asset.map_or("", AssetKey::as_str)
}

impl Projection<'_> {
    pub(super) fn automation_requested(&mut self, stamp: Stamp, decision: &AutomationDecision) -> Result<(), Refusal> {
        let mut statement = self.connection.prepare_cached(REQUEST)?;
        for request in &decision.requests {
            statement.execute(params![
                request.asset.as_str(),
                stamp.seq,
                stamp.at,
                decision.run.as_str(),
                request.rule,
                to_json(&request.partitions),
                to_json(&request.evaluation),
                to_json(&request.left_out),
            ])?;
        }
        Ok(())
    }

    pub(super) fn automation_held(&mut self, stamp: Stamp, asset: &AssetKey, held: &[Held]) -> Result<(), Refusal> {
        let mut statement = self.connection.prepare_cached(HOLD)?;
        for one in held {
            statement.execute(params![
                asset.as_str(),
                partition_text(one.partition.as_ref()),
                stamp.seq,
                stamp.at,
                one.version.as_str(),
                one.because.as_str(),
            ])?;
        }
        Ok(())
    }

    /// What was made is no longer left alone.
    pub(super) fn automation_released(&mut self, step: &AssetPartition) -> Result<(), Refusal> {
        self.connection
            .prepare_cached(RELEASE)?
            .execute([step.asset.as_str(), partition_text(step.partition.as_ref())])?;
        Ok(())
    }

    /// What was refused because its table is cut in another way is refused no longer.
    pub(super) fn automation_let_go(&mut self, asset: &AssetKey) -> Result<(), Refusal> {
        self.connection.prepare_cached(LET_GO)?.execute([asset.as_str()])?;
        Ok(())
    }

    pub(super) fn automation_paused(
        &mut self,
        stamp: Stamp,
        asset: Option<&AssetKey>,
        by: &str,
    ) -> Result<(), Refusal> {
        let changed = self
            .connection
            .prepare_cached(PAUSE)?
            .execute(params![whose(asset), stamp.seq, stamp.at, by])?;
        moved(changed, || "that automation is paused already".to_owned())
    }

    pub(super) fn automation_resumed(&mut self, asset: Option<&AssetKey>) -> Result<(), Refusal> {
        let changed = self.connection.prepare_cached(RESUME)?.execute([whose(asset)])?;
        moved(changed, || "that automation is not paused".to_owned())
    }
}
