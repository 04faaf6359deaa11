//! Checks on the staged rows, as declared. How they are computed is the business of `plugins::checks`.

use serde::{Deserialize, Serialize};

use crate::outcome::Severity;

/// One check of an asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Unique within the asset: declared, or derived from the rule: `not_null(carrier)`.
    pub name: String,
    /// Whether a failure blocks.
    pub severity: Severity,
    /// What is checked.
    pub rule: CheckRule,
}

/// What a check asks of the staged rows of one partition. A limit that is absent does not bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckRule {
    /// No null in the column.
    NotNull {
        /// The column. A declaration of several columns becomes one check each.
        column: String,
    },
    /// No two rows with equal values in these columns (rows with a null among them count as different).
    Unique {
        /// The columns; `unique = "key"` stands for the asset's key.
        columns: Vec<String>,
    },
    /// Every value that is not null is one of these.
    Accepted {
        /// The column.
        column: String,
        /// The values as text; compared after casting the column to text.
        values: Vec<String>,
    },
    /// Every value that is not null lies within.
    Range {
        /// The column.
        column: String,
        /// Smallest allowed value.
        min: Option<f64>,
        /// Greatest allowed value.
        max: Option<f64>,
    },
    /// The number of rows lies within.
    RowCount {
        /// Least rows.
        min: Option<u64>,
        /// Most rows.
        max: Option<u64>,
    },
    /// The share of nulls in the column, from 0 to 1, is at most this. No rows: share 0.
    NullShare {
        /// The column.
        column: String,
        /// Greatest allowed share.
        max: f64,
    },
    /// Every key that has no null exists in another table.
    ForeignKey {
        /// The columns here.
        columns: Vec<String>,
        /// The other asset.
        references: crate::key::AssetKey,
        /// The columns there, in the same order.
        referenced_columns: Vec<String>,
    },
    /// A query over `this` (and other tables) whose rows are the failing rows.
    Sql {
        /// The query.
        query: String,
    },
}
