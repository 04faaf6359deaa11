//! The model registry: versions, which are never changed, and aliases, which move.

use assets::outcome::StagedModel;
use assets::{AssetKey, Fingerprint};
use rusqlite::{OptionalExtension, params};

use super::run::moved;
use super::{Projection, Refusal, Stamp, illegal};
use crate::event::PinnedVersion;
use crate::ids::RunId;
use crate::sqlite::value::{integer, to_json};

const INSERT_VERSION: &str = "
    INSERT INTO model_version (model, version, seq, at, run, artifact, sha256, algorithm, metrics, parameters, details,
                               fingerprint, inputs)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
    ON CONFLICT DO NOTHING";

const HAS_VERSION: &str = "
    SELECT 1 FROM model_version WHERE model = ?1 AND version = ?2";

const ALIAS: &str = "
    SELECT version FROM model_alias WHERE model = ?1 AND alias = ?2";

const SET_ALIAS: &str = "
    INSERT INTO model_alias (model, alias, version, seq) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (model, alias) DO UPDATE SET version = ?3, seq = ?4";

const INSERT_MOVE: &str = "
    INSERT INTO model_alias_move (model, seq, at, alias, from_version, to_version, reason)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// The fields of `Event::ModelRegistered`.
pub(super) struct Registration<'e> {
    pub(super) model: &'e AssetKey,
    pub(super) version: u64,
    pub(super) run: &'e RunId,
    pub(super) staged: &'e StagedModel,
    pub(super) fingerprint: &'e Fingerprint,
    pub(super) inputs: &'e [PinnedVersion],
}

/// The fields of `Event::AliasMoved`.
pub(super) struct AliasMove<'e> {
    pub(super) model: &'e AssetKey,
    pub(super) alias: &'e str,
    pub(super) from: Option<u64>,
    pub(super) to: u64,
    pub(super) reason: &'e str,
}

impl Projection<'_> {
    pub(super) fn model_registered(&mut self, stamp: Stamp, registration: &Registration<'_>) -> Result<(), Refusal> {
        let Registration {
            model,
            version,
            run,
            staged,
            fingerprint,
            inputs,
        } = registration;
        if *version == 0 {
            return illegal(format!("`{model}` has no version 0; the first is 1"));
        }
        let changed = self.connection.prepare_cached(INSERT_VERSION)?.execute(params![
            model.as_str(),
            integer(*version),
            stamp.seq,
            stamp.at,
            run.as_str(),
            staged.artifact,
            staged.sha256,
            staged.algorithm,
            to_json(&staged.metrics),
            to_json(&staged.parameters),
            to_json(&staged.details),
            fingerprint.as_str(),
            to_json(*inputs),
        ])?;
        moved(changed, || format!("`{model}` has a version {version} already"))
    }

    pub(super) fn alias_moved(&mut self, stamp: Stamp, alias_move: &AliasMove<'_>) -> Result<(), Refusal> {
        let AliasMove {
            model,
            alias,
            from,
            to,
            reason,
        } = *alias_move;
        let (from, to) = (from.map(integer), integer(to));
        let known = self
            .connection
            .prepare_cached(HAS_VERSION)?
            .exists(params![model.as_str(), to])?;
        if !known {
            return illegal(format!("`{model}` has no version {to}"));
        }
        let current: Option<i64> = self
            .connection
            .prepare_cached(ALIAS)?
            .query_row([model.as_str(), alias], |row| row.get(0))
            .optional()?;
        if current != from {
            return illegal(format!(
                "alias `{alias}` of `{model}` is at {current:?}, not at {from:?}"
            ));
        }
        self.connection
            .prepare_cached(SET_ALIAS)?
            .execute(params![model.as_str(), alias, to, stamp.seq])?;
        self.connection.prepare_cached(INSERT_MOVE)?.execute(params![
            model.as_str(),
            stamp.seq,
            stamp.at,
            alias,
            from,
            to,
            reason
        ])?;
        Ok(())
    }
}
