//! What came of a step, from what, and what became of it when its table was taken back.

use std::collections::BTreeMap;

use assets::outcome::{CheckResult, SourceFile, TablePointer};
use assets::{AssetKey, AssetPartition, Fingerprint};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{AttemptId, RunId};

/// The version of one input that an attempt was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PinnedVersion {
    /// The upstream asset.
    pub asset: AssetKey,
    /// Its table at that moment; `None` for a model.
    pub table: Option<TablePointer>,
    /// The model version, for a model.
    pub model_version: Option<u64>,
}

/// How a table was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The snapshot that shows the old rows again.
    pub snapshot_id: i64,
    /// The snapshot that it went back to.
    pub to_snapshot: i64,
    /// The snapshot that readers saw until then.
    pub from_snapshot: Option<i64>,
    /// How many partitions changed by it.
    pub partitions: u64,
    /// `cli`, `page`, `api`.
    pub by: String,
    /// Why, as they say.
    pub note: Option<String>,
}

/// A materialization that counts again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestoredMaterialization {
    /// The run that made it.
    pub run: RunId,
    /// The attempt.
    pub attempt: AttemptId,
    /// It, as it was but for its snapshot.
    pub materialization: Materialization,
}

/// One published result of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Materialization {
    /// What it materialized.
    pub step: AssetPartition,
    /// The fingerprint of the code.
    pub fingerprint: Fingerprint,
    /// What the rows are a function of: code, inputs' data versions, sources. Equal means equal rows.
    pub data_version: Fingerprint,
    /// For each input, the fingerprint of the data versions of the upstream partitions that this step saw.
    pub inputs: BTreeMap<AssetKey, Fingerprint>,
    /// The snapshot that shows it; `None` for a model.
    pub snapshot_id: Option<i64>,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Numbers to plot.
    pub metadata: BTreeMap<String, Value>,
    /// Check results.
    pub checks: Vec<CheckResult>,
    /// Source files (ingest only).
    pub sources: Vec<SourceFile>,
}
