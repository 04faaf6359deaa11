//! What a step leaves behind, in words that every floor shares: pointers to tables, check results, failures, staged rows.
//!
//! `plugins` produces these, `state` stores them, and neither knows the other; so the plain records live here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fingerprint::Fingerprint;
use crate::key::AssetKey;
use crate::partition::PartitionKey;

/// One version of a table: where its metadata is, and the snapshot it shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TablePointer {
    /// URL of the Iceberg metadata file.
    pub metadata_location: String,
    /// The current snapshot in it; `None` for a table that was created and never written.
    pub snapshot_id: Option<i64>,
}

/// Whether a failing check blocks publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A failure is reported and the rows are published.
    Warn,
    /// A failure keeps the staged rows from readers and skips what is downstream.
    Error,
}

/// What one check found on the staged rows of one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckResult {
    /// Unique within the asset: declared, or derived such as `not_null(carrier)`.
    pub name: String,
    /// `not_null`, `unique`, `accepted`, `range`, `row_count`, `null_share`, `foreign_key`, `sql`, or a kind's own check.
    pub check: String,
    /// Whether a failure blocks.
    pub severity: Severity,
    /// A blocking check that gives no result has not passed.
    pub passed: bool,
    /// The measured figure (a count or a share), if there is one.
    pub figure: Option<f64>,
    /// What was expected, in words: `at most 0.05`, `at least 1 row`.
    pub expected: String,
    /// How many rows fail, where the check is about rows.
    pub failing_rows: Option<u64>,
    /// The first failing rows (at most 10).
    pub sample: Option<Sample>,
    /// Why there is no result, if the check itself failed to run.
    pub error: Option<String>,
}

impl CheckResult {
    /// Whether this result keeps the rows from being published.
    pub fn blocks(&self) -> bool {
        !self.passed && self.severity == Severity::Error
    }
}

/// A few rows as text, for a person to look at. Each value is shortened to 200 characters; `None` is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Sample {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows of the same width as `columns`.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Why a step failed, as a closed list: what to do next depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The declaration or its SQL is wrong: an unknown column, a type error.
    Declaration,
    /// The data is wrong: a bad row, a corrupt file, rows outside the partition.
    Data,
    /// The columns differ from those of the table.
    Schema,
    /// A blocking check failed; the rows stay staged.
    Check,
    /// An input is not there: no file, a table never materialized.
    MissingInput,
    /// A source file changed while it was read.
    Changed,
    /// The step needed more memory than it may use.
    Memory,
    /// A query nested too deep for the stack.
    StackOverflow,
    /// Our code or a library panicked.
    Panic,
    /// The worker was ended by a signal that we did not send.
    Killed,
    /// The worker ended without a word.
    Crash,
    /// The child program of a `command` asset failed.
    Command,
    /// No space left where the step writes.
    DiskFull,
    /// Reading or writing failed for another reason.
    Io,
    /// The step took longer than it may.
    Timeout,
    /// Someone asked to stop.
    Canceled,
    /// The process that owned the run ended; nothing of the step was published.
    Interrupted,
    /// A promise of ours was broken; a bug.
    Internal,
    /// The asset was declared when the step was planned and is not any more.
    DefinitionGone,
}

impl FailureClass {
    /// Every class.
    pub const ALL: [Self; 19] = [
        Self::Declaration,
        Self::Data,
        Self::Schema,
        Self::Check,
        Self::MissingInput,
        Self::Changed,
        Self::Memory,
        Self::StackOverflow,
        Self::Panic,
        Self::Killed,
        Self::Crash,
        Self::Command,
        Self::DiskFull,
        Self::Io,
        Self::Timeout,
        Self::Canceled,
        Self::Interrupted,
        Self::Internal,
        Self::DefinitionGone,
    ];

    /// The persisted word, which is also the one of TOML; never renamed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Declaration => "declaration",
            Self::Data => "data",
            Self::Schema => "schema",
            Self::Check => "check",
            Self::MissingInput => "missing_input",
            Self::Changed => "changed",
            Self::Memory => "memory",
            Self::StackOverflow => "stack_overflow",
            Self::Panic => "panic",
            Self::Killed => "killed",
            Self::Crash => "crash",
            Self::Command => "command",
            Self::DiskFull => "disk_full",
            Self::Io => "io",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal",
            Self::DefinitionGone => "definition_gone",
        }
    }
}

/// Why a step failed, for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, schemars::JsonSchema)]
#[error("{message}")]
pub struct Failure {
    /// The class.
    pub class: FailureClass,
    /// What happened, to what, and why; one or two sentences, no period at the end.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
}

impl Failure {
    /// A failure without help.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            help: None,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A raw file as it was when it was read; its identity decides whether what was made of it is still fresh.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SourceFile {
    /// Path relative to the project, `/` between parts; absolute if it is outside.
    pub path: String,
    /// Size in bytes as stored (compressed).
    pub bytes: u64,
    /// Time of modification in nanoseconds since 1970.
    pub modified_ns: i64,
    /// SHA-256 of the stored bytes, hex. Equal content is the same version, whatever the times say.
    pub sha256: String,
    /// The partitions whose rows it holds; `None` when the asset has no partitions.
    pub partitions: Option<Vec<PartitionKey>>,
}

/// What an ingest asset's sources hold at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Observation {
    /// Every file that the declaration matches, by path.
    pub files: Vec<SourceFile>,
    /// What the look depended on besides the files: where rows belong, and which partitions there are. A look with another
    /// code says nothing about the files that are the same. `None` for a look of a release that did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Fingerprint>,
}

/// Which rows of a table a publish takes away before it adds the staged ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replace {
    /// Everything.
    Whole,
    /// The rows of this partition.
    Partition(PartitionKey),
    /// Nothing: append.
    Nothing,
    /// Some files, whose rows are among the staged ones as far as they stay: merge.
    Files {
        /// The partition that was merged into; `None` for a table without partitions.
        partition: Option<PartitionKey>,
        /// Locations of the files.
        removed: Vec<String>,
        /// Which files of the partition the merge looked at, as a fingerprint: it counts only where they are still the same.
        seen: Fingerprint,
    },
}

/// Files written for one table and not yet visible to anyone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StagedTable {
    /// The table they are for: the asset's own, or its quarantine table.
    pub table: AssetKey,
    /// What they replace.
    pub replace: Replace,
    /// Rows in the files; of a merge, all rows of the partition after it.
    pub rows: u64,
    /// Bytes in the files; of a merge, of all files of the partition.
    pub bytes: u64,
    /// The Iceberg data files, in the form that `plugins::lakehouse` writes and reads.
    pub data_files: Value,
    /// The Iceberg schema the files were written with (same form).
    pub schema: Value,
    /// Column by which the table is partitioned in Iceberg (identity), if it is.
    pub partition_column: Option<String>,
    /// By which rule the writer has filled that column, where it is one that it appends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitioned_by: Option<String>,
    /// What of the table's columns the schema changes by declaration.
    #[serde(default, skip_serializing_if = "ColumnChanges::is_empty")]
    pub changes: ColumnChanges,
}

/// Columns of a table that publishing changes because their asset says so; by Iceberg's field ids.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ColumnChanges {
    /// They get the name that the schema has for them.
    #[serde(default)]
    pub renamed: Vec<i32>,
    /// They are no longer in the schema.
    #[serde(default)]
    pub dropped: Vec<i32>,
}

impl ColumnChanges {
    /// Whether no column is renamed or dropped.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl StagedTable {
    /// Whether publishing it leaves every row as it is: a merge of rows that are all there.
    pub fn changes_nothing(&self) -> bool {
        let no_files = self.data_files.as_array().is_some_and(Vec::is_empty);
        no_files && matches!(&self.replace, Replace::Files { removed, .. } if removed.is_empty())
    }
}

/// A model that a training step made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StagedModel {
    /// Artifact file, relative to the project's state folder.
    pub artifact: String,
    /// SHA-256 of the artifact, hex.
    pub sha256: String,
    /// Algorithm name.
    pub algorithm: String,
    /// Metrics on the test part, by name.
    pub metrics: BTreeMap<String, f64>,
    /// Parameters of the trainer, defaults included.
    pub parameters: BTreeMap<String, Value>,
    /// Anything worth showing: importance per feature, rows trained on, the split.
    pub details: Value,
}

/// Everything that one step staged: what publishing it would make visible.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Staged {
    /// The partition it is for.
    pub partition: Option<PartitionKey>,
    /// Tables to publish together; empty for a model.
    pub tables: Vec<StagedTable>,
    /// The model to register, for a training step.
    pub model: Option<StagedModel>,
    /// Results of the checks, in the order declared.
    pub checks: Vec<CheckResult>,
    /// Numbers to plot over time (`rows`, `bytes`, what a command reported).
    pub metadata: BTreeMap<String, Value>,
    /// The source files the rows came from (ingest only).
    pub sources: Vec<SourceFile>,
    /// A data version that the step's own program reported (command only).
    pub data_version: Option<String>,
}

impl Staged {
    /// Rows staged for the asset's own table.
    pub fn rows(&self) -> u64 {
        self.tables.first().map_or(0, |table| table.rows)
    }

    /// Bytes staged for the asset's own table.
    pub fn bytes(&self) -> u64 {
        self.tables.first().map_or(0, |table| table.bytes)
    }

    /// The first check that blocks publishing.
    pub fn blocked_by(&self) -> Option<&CheckResult> {
        self.checks.iter().find(|check| check.blocks())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_written_to_the_store_as_it_is_called() {
        for class in FailureClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
        }
    }
}
