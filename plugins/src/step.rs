//! The work order of a worker: one attempt at a batch of steps of one asset, with every input pinned.
//!
//! Serializable: the daemon writes it to a worker's pipe. Nothing in it is a secret; a worker reads secrets by their references.

use std::collections::BTreeMap;

use assets::outcome::{Failure, Observation, Staged, TablePointer};
use assets::warehouse::S3Store;
use assets::{Asset, AssetKey, PartitionKey, Warehouse};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a worker is asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepOrder {
    /// The attempt's id, as text: it names the log file and fences results.
    pub attempt: String,
    /// The run's id, as text.
    pub run: String,
    /// 1 for the first try.
    pub number: u32,
    /// The asset as it was compiled when the run was accepted.
    pub asset: Asset,
    /// The steps of this batch; one entry, without partition, for an unpartitioned asset.
    pub partitions: Vec<OrderedPartition>,
    /// The newest version of the asset's own table; `None` before its first materialization.
    pub table: Option<TablePointer>,
    /// The newest version of the asset's quarantine table, if it has one.
    pub quarantine: Option<TablePointer>,
    /// Every table that the step may read: inputs, and what checks refer to.
    pub inputs: Vec<OrderedInput>,
    /// Model versions that the step reads, by model asset.
    pub models: Vec<OrderedModel>,
    /// The project's settings.
    pub project: ProjectSettings,
    /// Source files as last observed (ingest only).
    pub observation: Option<Observation>,
    /// Seed for everything random in the step.
    pub seed: u64,
    /// Bytes that queries of this step may use before they spill or fail.
    pub memory_bytes: u64,
    /// Log file of the attempt, absolute.
    pub log_file: String,
    /// A folder for spill files and the like, absolute: the worker's own, made by its owner, empty of files between two orders.
    pub scratch: String,
}

/// One partition of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderedPartition {
    /// The key; `None` for an unpartitioned asset.
    pub key: Option<PartitionKey>,
    /// Start and end (exclusive) in microseconds UTC, for partitions by time.
    pub bounds: Option<(i64, i64)>,
    /// For each input, by asset key as text, which of its partitions this step sees.
    pub scopes: BTreeMap<AssetKey, Scope>,
    /// The source files whose rows it has already, where rows are added and not replaced (`write = "append"`).
    pub has: Vec<OrderedSource>,
}

/// A source file as it was when its rows were published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedSource {
    /// Its path then.
    pub path: String,
    /// SHA-256 of its bytes, hex: a file of another name with these bytes is the same.
    pub sha256: String,
}

/// Which rows of an input a step sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All rows.
    All,
    /// The rows of these partitions; may be empty.
    Keys(Vec<PartitionKey>),
}

/// A pinned table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderedInput {
    /// Its asset key.
    pub asset: AssetKey,
    /// The version to read; `None` when it was never materialized (reading it then fails as a missing input).
    pub table: Option<TablePointer>,
    /// The column that tells a row's partition, as the table has it (see `lakehouse::partition_column`).
    pub partition_column: Option<String>,
}

/// A pinned model version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedModel {
    /// The model's asset key.
    pub model: AssetKey,
    /// Its version.
    pub version: u64,
    /// Its artifact, absolute.
    pub artifact: String,
}

/// What a step knows of its project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectSettings {
    /// The project's folder, absolute.
    pub root: String,
    /// The state folder (`.millpond` in it), absolute: artifacts and logs live below.
    pub state_folder: String,
    /// Where its tables are: `file:///…/lake` or `s3://bucket/prefix`, and how the store is reached.
    pub warehouse: Warehouse,
    /// Of an environment: the folder of the warehouse that its tables are written to, and nothing beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes_below: Option<String>,
    /// How objects are reached that raw files are read from.
    pub s3: S3Store,
    /// IANA name of the default time zone.
    pub timezone: String,
    /// `[params]`: bound as query parameters `$name`.
    pub params: BTreeMap<String, Value>,
}

/// What a worker says while it works on an order. One `Ended` closes each order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StepReport {
    /// It turned to this partition. If the worker dies now, this one is to blame.
    Started {
        /// The partition.
        partition: Option<PartitionKey>,
    },
    /// One step's rows are staged and its checks have run (they may have failed).
    Staged {
        /// What would be published.
        staged: Box<Staged>,
    },
    /// One step failed.
    Failed {
        /// The partition.
        partition: Option<PartitionKey>,
        /// Why.
        failure: Failure,
    },
    /// Rows done so far in the current step, at most a few times a second.
    Progress {
        /// The partition.
        partition: Option<PartitionKey>,
        /// Rows so far.
        rows: u64,
    },
    /// Nothing more comes for this order.
    Ended {
        /// What the last step has staged: told with the end, so that its owner can store both at once.
        staged: Vec<Staged>,
    },
}
