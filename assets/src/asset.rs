//! A checked asset: what a declaration means once every name in it is resolved.
//!
//! Serializable, because a worker process gets the asset as the daemon compiled it: an edit while a run is in flight changes
//! the next run, not this one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::automation::Automation;
use crate::check::Check;
use crate::contract::Contract;
use crate::fingerprint::Fingerprint;
use crate::freshness::Freshness;
use crate::key::AssetKey;
use crate::partition::{PartitionMapping, Partitioning};
use crate::step_rules::StepRules;

/// One asset of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asset {
    /// `layer.name`.
    pub key: AssetKey,
    /// The kind's name: `ingest`, `sql`, …
    pub kind: String,
    /// What it holds, for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Free words to select by.
    pub tags: Vec<String>,
    /// How it is cut; `None` is one whole.
    pub partitions: Option<PartitionedBy>,
    /// Columns that identify a row, if declared.
    pub key_columns: Vec<String>,
    /// Columns by which the rows of its files are sorted, smallest first and nulls last, when small files are made few. No part of
    /// what its rows are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort_columns: Vec<String>,
    /// How a step's rows join those of the table.
    pub write: WriteMode,
    /// What it promises of its columns.
    #[serde(default, skip_serializing_if = "Contract::is_empty")]
    pub contract: Contract,
    /// What it reads, explicit and inferred, by asset key.
    pub inputs: Vec<AssetInput>,
    /// Checks on the staged rows, in the order declared.
    pub checks: Vec<Check>,
    /// How old the newest materialization may be. No worker needs it.
    #[serde(skip)]
    pub freshness: Option<Freshness>,
    /// When it is made by itself. No worker needs it.
    #[serde(skip)]
    pub automation: Option<Automation>,
    /// How its steps are run.
    #[serde(default)]
    pub rules: StepRules,
    /// The kind's own part, checked, in the kind's own form. Holds the text of SQL files, not their paths alone.
    pub config: Value,
    /// What the code is: changes when a step would compute something else.
    pub fingerprint: Fingerprint,
    /// Where it is declared.
    pub declared_at: Location,
}

/// A place in a project's file, for people: 1-based line and column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Location {
    /// Path relative to the project.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// How an asset is cut into partitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartitionedBy {
    /// Name of the set in `[partitions]`.
    pub name: String,
    /// Column of the rows that tells their partition.
    pub column: String,
    /// The set itself.
    pub partitioning: Partitioning,
}

/// How a step's rows join those of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    /// They replace the partition, or the whole table.
    #[default]
    Replace,
    /// They are added.
    Append,
    /// Each replaces the row with the same key, or is added if there is none: `key` says which columns tell.
    Merge,
}

impl WriteMode {
    /// The word in TOML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Append => "append",
            Self::Merge => "merge",
        }
    }

    /// Whether rows that were there before a step stay unless it says otherwise.
    pub fn keeps_rows(self) -> bool {
        self != Self::Replace
    }
}

/// One upstream asset, and how much of it a step sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetInput {
    /// The upstream asset.
    pub asset: AssetKey,
    /// Rows or a model.
    pub role: InputRole,
    /// Which upstream partitions belong to one partition of this asset.
    pub mapping: PartitionMapping,
    /// Whether the mapping was written down by the user (`inputs."a.b" = …`) or follows from the two partitionings.
    pub declared: bool,
}

/// What is taken from an upstream asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputRole {
    /// The rows of its table.
    Rows,
    /// One version of its model.
    Model(ModelReference),
}

/// Which version of a model: `models.delay@champion` or `models.delay@3`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelReference {
    /// The version that an alias points to when the step starts.
    Alias(String),
    /// A fixed version.
    Version(u64),
}
