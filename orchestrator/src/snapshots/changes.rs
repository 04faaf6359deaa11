//! What changed from one snapshot to another: in rows, files, columns, and what they hold.

use plugins::lakehouse::{ColumnFacts, LakeError, LakeTable, TableFacts, table_facts};
use plugins::query::RowChanges;
use serde::Serialize;

/// Tables of more files are not measured while somebody waits.
pub const MOST_FILES: u64 = 20_000;

/// What changed from one snapshot to another.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Changes {
    /// The older one; `None` is before the first.
    pub since: Option<String>,
    /// The newer one.
    pub snapshot: String,
    /// What the older one held.
    pub before: Option<TableTotals>,
    /// What the newer one holds.
    pub after: TableTotals,
    /// Column by column: those of the newer one, then those that went.
    pub columns: Vec<ColumnChange>,
    /// What became of the rows, by their key, if that was asked too.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub rows: Option<RowChanges>,
    /// Why it could not be told.
    pub failure: Option<String>,
}

/// What became of a column.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ColumnChange {
    /// In the older snapshot.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub before: Option<ColumnFacts>,
    /// In the newer one.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub after: Option<ColumnFacts>,
}

impl ColumnChange {
    /// In words; `None` if name and type are the same.
    pub fn of_schema(&self) -> Option<String> {
        match (&self.before, &self.after) {
            (None, Some(_)) => Some("added".to_owned()),
            (Some(_), None) => Some("removed".to_owned()),
            (Some(before), Some(after)) => {
                let (before, after) = (&before.column, &after.column);
                let renamed = (before.name != after.name).then(|| format!("was called {}", before.name));
                let retyped = (before.column_type != after.column_type).then(|| format!("was {}", before.column_type));
                let words: Vec<String> = renamed.into_iter().chain(retyped).collect();
                (!words.is_empty()).then(|| words.join(", "))
            }
            (None, None) => None,
        }
    }
}

impl Changes {
    /// Compares what the metadata tells of two snapshots of a table. No row is read.
    pub async fn of(table: &LakeTable, since: Option<i64>, snapshot: i64) -> Result<Self, LakeError> {
        let after = table_facts(table, Some(snapshot), None, MOST_FILES).await?;
        let before = match since {
            Some(since) => Some(table_facts(table, Some(since), None, MOST_FILES).await?),
            None => None,
        };
        Ok(Self {
            since: since.map(|since| since.to_string()),
            snapshot: snapshot.to_string(),
            columns: compare(before.as_ref().map_or(&[][..], |facts| &facts.columns), &after.columns),
            before: before.as_ref().map(TableTotals::of),
            after: TableTotals::of(&after),
            rows: None,
            failure: None,
        })
    }
}

/// How much the files hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct TableTotals {
    /// Rows in the files.
    pub rows: u64,
    /// The files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether the files were looked at.
    pub measured: bool,
    /// Whether some rows in them are taken away already.
    pub with_deleted_rows: bool,
}

impl TableTotals {
    /// The totals of what the manifests tell.
    pub fn of(facts: &TableFacts) -> Self {
        Self {
            rows: facts.rows,
            files: facts.files,
            bytes: facts.bytes,
            measured: facts.measured,
            with_deleted_rows: facts.with_deleted_rows,
        }
    }
}

/// Pairs columns by what stays when their names change.
pub fn compare(before: &[ColumnFacts], after: &[ColumnFacts]) -> Vec<ColumnChange> {
    let of = |columns: &[ColumnFacts], id: i32| columns.iter().find(|column| column.column.id == id).cloned();
    let kept = after.iter().map(|column| ColumnChange {
        before: of(before, column.column.id),
        after: Some(column.clone()),
    });
    let gone = before
        .iter()
        .filter(|column| of(after, column.column.id).is_none())
        .map(|column| ColumnChange {
            before: Some(column.clone()),
            after: None,
        });
    kept.chain(gone).collect()
}
