//! `freshness` and `freshness_change`.

use assets::AssetKey;
use rusqlite::params;

use super::run::moved;
use super::{Projection, Refusal, Stamp, illegal};
use crate::freshness::{FreshnessChange, FreshnessState};

const BEFORE: &str = "SELECT state FROM freshness WHERE asset = ?1";

const CHANGED: &str = "
    INSERT INTO freshness (asset, seq, state, since, watched, made_at, late_at, reason)
    VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)
    ON CONFLICT (asset) DO UPDATE SET seq = ?2, state = ?3, since = ?4, made_at = ?5, late_at = ?6, reason = ?7";

const CHANGE: &str = "
    INSERT INTO freshness_change (asset, seq, at, previous, state, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

impl Projection<'_> {
    pub(super) fn freshness_changed(&mut self, stamp: Stamp, change: &FreshnessChange) -> Result<(), Refusal> {
        let asset = change.asset.as_str();
        let before: Option<String> = {
            let mut statement = self.connection.prepare_cached(BEFORE)?;
            let mut rows = statement.query([asset])?;
            rows.next()?.map(|row| row.get(0)).transpose()?
        };
        let from = change.from.map(FreshnessState::as_str);
        if before.as_deref() != from || from == Some(change.to.as_str()) {
            return illegal(format!(
                "{asset} changed to {} from where it was not",
                change.to.as_str()
            ));
        }
        self.connection.prepare_cached(CHANGED)?.execute(params![
            asset,
            stamp.seq,
            change.to.as_str(),
            stamp.at,
            change.made_at,
            change.late_at,
            change.reason
        ])?;
        self.connection.prepare_cached(CHANGE)?.execute(params![
            asset,
            stamp.seq,
            stamp.at,
            from,
            change.to.as_str(),
            change.reason
        ])?;
        Ok(())
    }

    pub(super) fn freshness_removed(&mut self, asset: &AssetKey) -> Result<(), Refusal> {
        let changed = self
            .connection
            .prepare_cached("DELETE FROM freshness WHERE asset = ?1")?
            .execute([asset.as_str()])?;
        moved(changed, || format!("{asset} is not watched"))
    }
}
