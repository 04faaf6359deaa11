//! The model registry: models, their versions, aliases, and how aliases moved.

use std::collections::BTreeMap;

use assets::{AssetKey, Fingerprint};
use rusqlite::{Row, params};
use serde::Serialize;
use serde_json::Value;

use super::page::{Page, collect, one_more, text};
use crate::event::{Micros, PinnedVersion};
use crate::ids::RunId;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

const MODELS: &str = "
    SELECT v.model, v.version, v.at,
           (SELECT json_group_object(alias, version) FROM model_alias a WHERE a.model = v.model)
    FROM model_version v
    WHERE v.model > ?1
      AND v.version = (SELECT max(version) FROM model_version newest WHERE newest.model = v.model)
    ORDER BY v.model LIMIT ?2";

macro_rules! version_columns {
    () => {
        "model, version, at, run, artifact, sha256, algorithm, metrics, parameters, details, fingerprint, inputs,
         (SELECT json_group_array(alias) FROM
             (SELECT alias FROM model_alias a WHERE a.model = v.model AND a.version = v.version ORDER BY alias))"
    };
}

const VERSIONS: &str = concat!(
    "SELECT ",
    version_columns!(),
    " FROM model_version v WHERE model = ?1 AND version < ?2 ORDER BY version DESC LIMIT ?3"
);

const VERSION: &str = concat!(
    "SELECT ",
    version_columns!(),
    " FROM model_version v WHERE model = ?1 AND version = ?2"
);

const ALIAS_MOVES: &str = "
    SELECT seq, at, alias, from_version, to_version, reason
    FROM model_alias_move WHERE model = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3";

/// A model in a list.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ModelRow {
    /// The model's asset.
    pub model: AssetKey,
    /// Its newest version.
    pub newest_version: u64,
    /// When that was registered.
    pub registered_at: Micros,
    /// Its aliases and the version each points to.
    pub aliases: BTreeMap<String, u64>,
}

/// One version of a model.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ModelVersionRow {
    /// The model's asset.
    pub model: AssetKey,
    /// Its number.
    pub version: u64,
    /// When it was registered.
    pub at: Micros,
    /// The run that trained it.
    pub run: RunId,
    /// Artifact file, relative to the state folder.
    pub artifact: String,
    /// SHA-256 of the artifact, hex.
    pub sha256: String,
    /// Algorithm name.
    pub algorithm: String,
    /// Metrics on the test part.
    pub metrics: BTreeMap<String, f64>,
    /// Parameters of the trainer.
    pub parameters: BTreeMap<String, Value>,
    /// Anything else worth showing.
    pub details: Value,
    /// The fingerprint of its code.
    pub fingerprint: Fingerprint,
    /// The version of every input it was trained on.
    pub inputs: Vec<PinnedVersion>,
    /// The aliases that point to it.
    pub aliases: Vec<String>,
}

/// A move of an alias.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct AliasMoveRow {
    /// Its number; the cursor of the list.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// The alias.
    pub alias: String,
    /// Where it pointed.
    pub from: Option<u64>,
    /// Where it points since.
    pub to: u64,
    /// The condition that held, or who asked.
    pub reason: String,
}

impl ModelVersionRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        Ok(Self {
            model: value::parsed("model_version.model", text(row, 0)?)?,
            version: value::count(row.get(1)?),
            at: row.get(2)?,
            run: value::parsed("model_version.run", text(row, 3)?)?,
            artifact: row.get(4)?,
            sha256: row.get(5)?,
            algorithm: row.get(6)?,
            metrics: value::json("model_version.metrics", text(row, 7)?)?,
            parameters: value::json("model_version.parameters", text(row, 8)?)?,
            details: value::json("model_version.details", text(row, 9)?)?,
            fingerprint: value::fingerprint(row.get(10)?),
            inputs: value::json("model_version.inputs", text(row, 11)?)?,
            aliases: value::json("model_alias.alias", text(row, 12)?)?,
        })
    }
}

/// Models after `after`, by key.
pub fn models(store: &Store, after: Option<&AssetKey>, limit: usize) -> Result<Page<ModelRow, AssetKey>, StateError> {
    let mut statement = store.connection.prepare_cached(MODELS)?;
    let rows = statement.query(params![after.map_or("", AssetKey::as_str), one_more(limit)])?;
    let rows = collect(rows, |row| {
        Ok(ModelRow {
            model: value::parsed("model_version.model", text(row, 0)?)?,
            newest_version: value::count(row.get(1)?),
            registered_at: row.get(2)?,
            aliases: value::json("model_alias.version", text(row, 3)?)?,
        })
    })?;
    Ok(Page::of(rows, limit, |row| row.model.clone()))
}

/// Versions of `model` below `before`, newest first.
pub fn versions(
    store: &Store,
    model: &AssetKey,
    before: Option<u64>,
    limit: usize,
) -> Result<Page<ModelVersionRow, u64>, StateError> {
    let mut statement = store.connection.prepare_cached(VERSIONS)?;
    let before = before.map_or(i64::MAX, value::integer);
    let rows = statement.query(params![model.as_str(), before, one_more(limit)])?;
    Ok(Page::of(collect(rows, ModelVersionRow::of)?, limit, |row| row.version))
}

/// One version.
pub fn version(store: &Store, model: &AssetKey, version: u64) -> Result<Option<ModelVersionRow>, StateError> {
    let mut statement = store.connection.prepare_cached(VERSION)?;
    let mut rows = statement.query(params![model.as_str(), value::integer(version)])?;
    rows.next()?.map(ModelVersionRow::of).transpose()
}

/// Moves of the aliases of `model` before the one with the number `before`, newest first.
pub fn alias_moves(
    store: &Store,
    model: &AssetKey,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<AliasMoveRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(ALIAS_MOVES)?;
    let rows = statement.query(params![model.as_str(), before.unwrap_or(i64::MAX), one_more(limit)])?;
    let rows = collect(rows, |row| {
        Ok(AliasMoveRow {
            seq: row.get(0)?,
            at: row.get(1)?,
            alias: row.get(2)?,
            from: row.get::<_, Option<i64>>(3)?.map(value::count),
            to: value::count(row.get(4)?),
            reason: row.get(5)?,
        })
    })?;
    Ok(Page::of(rows, limit, |row| row.seq))
}
