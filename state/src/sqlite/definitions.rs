//! Copies of the definitions: of those in force, for a start that finds mistakes in the files; and of each version that an
//! open run was planned with, for a start that finds other files.
//!
//! They are in `meta`: `definitions` says which version is in force, `definitions VERSION` is the copy of one.

use assets::Fingerprint;
use rusqlite::TransactionBehavior;

use super::error::StateError;
use super::open::Store;

const IN_FORCE: &str = "definitions";

const KEEP: &str = "
    INSERT INTO meta (key, value) VALUES ('definitions ' || ?1, ?2) ON CONFLICT (key) DO NOTHING";

const PUT_IN_FORCE: &str = "
    INSERT INTO meta (key, value) VALUES ('definitions', ?1) ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// Versions that are neither in force nor of an open run.
const DROP: &str = "
    DELETE FROM meta WHERE key > 'definitions ' AND key < 'definitions!'
      AND substr(key, 13) <> coalesce((SELECT value FROM meta WHERE key = 'definitions'), '')
      AND substr(key, 13) NOT IN (SELECT definitions FROM run
                                  WHERE status IN ('queued', 'running', 'canceling') AND definitions IS NOT NULL)";

impl Store {
    /// A copy of the definitions that were in force last, as [`Store::remember_definitions`] got it.
    pub fn definitions(&self) -> Result<Option<String>, StateError> {
        match self.meta(IN_FORCE)? {
            // Earlier programs kept the copy in this place.
            Some(copy) if copy.starts_with('{') => Ok(Some(copy)),
            Some(version) => Ok(self.meta(&format!("{IN_FORCE} {version}"))?),
            None => Ok(None),
        }
    }

    /// The copy of a version that some open run was planned with.
    pub fn definitions_of(&self, version: &Fingerprint) -> Result<Option<String>, StateError> {
        Ok(self.meta(&format!("{IN_FORCE} {}", version.as_str()))?)
    }

    /// Keeps a copy of the definitions that are about to be in force. Nothing is written if they are already.
    pub fn remember_definitions(&mut self, version: &Fingerprint, copy: &str) -> Result<(), StateError> {
        if self.meta(IN_FORCE)?.as_deref() == Some(version.as_str()) {
            return Ok(());
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(KEEP, [version.as_str(), copy])?;
        transaction.execute(PUT_IN_FORCE, [version.as_str()])?;
        Ok(transaction.commit()?)
    }

    /// Drops the copies that nobody needs any more: neither in force, nor of an open run. How many there were.
    pub fn drop_definitions(&mut self) -> Result<usize, StateError> {
        Ok(self.connection.execute(DROP, [])?)
    }
}
