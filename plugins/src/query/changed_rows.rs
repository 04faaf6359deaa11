//! What became of the rows of a table between two snapshots, told by the columns that identify a row.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use assets::AssetKey;
use assets::outcome::{Failure, FailureClass, TablePointer};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::{AsOf, QueryOptions, QuerySession, QueryTable};
use crate::lakehouse::{Lake, ScanOptions, TableColumn, columns};
use crate::step::Scope;

/// Columns that are compared: those of a wider table are left out.
const MOST_COLUMNS: usize = 300;

/// Which snapshots to compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesOrder {
    /// The table.
    pub asset: AssetKey,
    /// Its version: it knows both snapshots.
    pub pointer: TablePointer,
    /// The older snapshot.
    pub since: i64,
    /// The newer one.
    pub snapshot: i64,
    /// Columns that identify a row, at least one.
    pub key: Vec<String>,
    /// Bytes that the query may hold.
    pub memory_bytes: u64,
    /// Where it puts what does not fit into them; without one it fails then.
    #[serde(default)]
    pub spill_folder: Option<PathBuf>,
}

/// What became of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowChanges {
    /// Rows whose key is only in the newer snapshot.
    pub added: u64,
    /// Rows whose key is only in the older one.
    pub removed: u64,
    /// Rows that are in both and differ.
    pub changed: u64,
    /// Rows that are in both and are the same.
    pub same: u64,
    /// By column: in how many rows that are in both it differs; those that differ somewhere.
    pub columns: BTreeMap<String, u64>,
}

/// A session with the two snapshots as `compared.before` and `compared.after`, and the columns of each.
pub(super) struct BothSides {
    pub(super) session: QuerySession,
    pub(super) before: Vec<TableColumn>,
    pub(super) after: Vec<TableColumn>,
}

impl BothSides {
    pub(super) async fn open(lake: &Lake, order: &ChangesOrder) -> Result<Self, Failure> {
        let refuse = |error: crate::lakehouse::LakeError| Failure::new(FailureClass::Data, error.to_string());
        let table = lake.table(&order.asset, &order.pointer).await.map_err(refuse)?;
        let side = |snapshot| QueryTable {
            pointer: Some(order.pointer.clone()),
            scan: ScanOptions {
                snapshot: Some(snapshot),
                scope: Scope::All,
                partition_column: None,
            },
        };
        // The two sides under names of their own: an asset is one snapshot in a session.
        let name = |side: &str| AssetKey::new("compared", side).expect("it is a name like any other");
        let tables = BTreeMap::from([
            (name("before"), side(order.since)),
            (name("after"), side(order.snapshot)),
        ]);
        let options = QueryOptions {
            memory_bytes: usize::try_from(order.memory_bytes).unwrap_or(usize::MAX),
            spill_folder: order.spill_folder.clone(),
            target_partitions: 2,
            as_of: AsOf::Pinned,
        };
        Ok(Self {
            before: columns(&table, Some(order.since)).map_err(refuse)?,
            after: columns(&table, Some(order.snapshot)).map_err(refuse)?,
            session: QuerySession::new(lake, Arc::new(tables), &options)
                .map_err(|error| Failure::new(FailureClass::Internal, error.to_string()))?,
        })
    }

    /// Columns that both have, without the key.
    pub(super) fn compared(&self, key: &[String]) -> Vec<&str> {
        let names = self.after.iter().map(|column| column.name.as_str());
        names
            .filter(|name| self.before.iter().any(|column| column.name == *name))
            .filter(|name| !key.iter().any(|key| key == name))
            .take(MOST_COLUMNS)
            .collect()
    }

    /// The rows of a query.
    pub(super) async fn rows(&self, sql: &str) -> Result<RecordBatch, Failure> {
        let rows = self.session.execute(sql, &[]).await.map_err(|error| error.failure)?;
        let schema = rows.schema();
        let batches: Vec<_> = rows
            .try_collect()
            .await
            .map_err(|error| self.session.read_error(error).failure)?;
        concat_batches(&schema, &batches).map_err(|error| Failure::new(FailureClass::Internal, error.to_string()))
    }
}

/// A name as SQL wants it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Reads both snapshots and counts. Rows whose key is null in a column are told as added and removed.
pub async fn changed_rows(lake: &Lake, order: &ChangesOrder) -> Result<RowChanges, Failure> {
    let sides = BothSides::open(lake, order).await?;
    let (before, after) = (&sides.before, &sides.after);
    let has = |columns: &[TableColumn], name: &str| columns.iter().any(|column| column.name == name);
    if let Some(missing) = order.key.iter().find(|name| !has(before, name) || !has(after, name)) {
        let message = format!("one of the snapshots has no column `{missing}`, which identifies a row");
        return Err(Failure::new(FailureClass::Schema, message));
    }
    let compared = sides.compared(&order.key);
    let counts = sides.rows(&query(&order.key, &compared)).await?;
    let count = |place: usize| -> u64 {
        let column = counts.column(place).as_primitive_opt::<Int64Type>();
        column
            .filter(|_| counts.num_rows() > 0)
            .map_or(0, |column| column.value(0).unsigned_abs())
    };
    let changed = count(2);
    Ok(RowChanges {
        added: count(0),
        removed: count(1),
        changed,
        same: count(3).saturating_sub(changed),
        columns: compared
            .iter()
            .enumerate()
            .map(|(place, name)| ((*name).to_owned(), count(4 + place)))
            .filter(|(_, count)| *count > 0)
            .collect(),
    })
}

/// Counts of: added, removed, changed, in both, and of each column where it differs.
fn query(key: &[String], compared: &[&str]) -> String {
    let join: Vec<String> = key.iter().map(|name| format!("b.{0} = a.{0}", quoted(name))).collect();
    let differs: Vec<String> = compared
        .iter()
        .map(|name| format!("(b.{0} IS DISTINCT FROM a.{0})", quoted(name)))
        .collect();
    let both = "b.there_before AND a.there_after";
    let any = if differs.is_empty() {
        "false".to_owned()
    } else {
        differs.join(" OR ")
    };
    let mut counts = vec![
        "count(*) FILTER (WHERE b.there_before IS NULL)".to_owned(),
        "count(*) FILTER (WHERE a.there_after IS NULL)".to_owned(),
        format!("count(*) FILTER (WHERE {both} AND ({any}))"),
        format!("count(*) FILTER (WHERE {both})"),
    ];
    counts.extend(
        differs
            .iter()
            .map(|differs| format!("count(*) FILTER (WHERE {both} AND {differs})")),
    );
    let counts: Vec<String> = counts
        .into_iter()
        .enumerate()
        .map(|(place, count)| format!("{count} AS count_{place}"))
        .collect();
    format!(
        "SELECT {} FROM (SELECT *, true AS there_before FROM compared.\"before\") AS b \
         FULL OUTER JOIN (SELECT *, true AS there_after FROM compared.\"after\") AS a ON {}",
        counts.join(", "),
        join.join(" AND ")
    )
}
