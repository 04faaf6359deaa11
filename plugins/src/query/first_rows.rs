//! Some rows of one table as text, for a person to look at: the next few of a snapshot or of one of its partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use assets::outcome::{Failure, FailureClass, Sample, TablePointer};
use assets::{AssetKey, PartitionKey};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::{AsOf, QueryOptions, QuerySession, QueryTable};
use crate::checks::SampleOfRows;
use crate::lakehouse::{Lake, ScanOptions};
use crate::step::Scope;

/// Which rows to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsOrder {
    /// The table.
    pub asset: AssetKey,
    /// Its version.
    pub pointer: TablePointer,
    /// A snapshot other than the pointer's.
    pub snapshot: Option<i64>,
    /// Rows of this partition alone.
    pub partition: Option<PartitionKey>,
    /// Rows to pass over.
    pub skip: u64,
    /// Rows to show.
    pub most: u64,
    /// Bytes that the query may hold.
    pub memory_bytes: u64,
}

/// Reads the rows in the order of the files that hold them: it is the same as long as the snapshot is. No rows are an empty
/// sample.
pub async fn first_rows(lake: &Lake, order: &RowsOrder) -> Result<Sample, Failure> {
    let scope = match &order.partition {
        Some(partition) => Scope::Keys(vec![partition.clone()]),
        None => Scope::All,
    };
    let table = QueryTable {
        pointer: Some(order.pointer.clone()),
        scan: ScanOptions {
            snapshot: order.snapshot,
            scope,
            partition_column: None,
        },
    };
    let options = QueryOptions {
        memory_bytes: usize::try_from(order.memory_bytes).unwrap_or(usize::MAX),
        spill_folder: None,
        // One after the other, so that what is passed over is what was shown.
        target_partitions: 1,
        as_of: AsOf::Pinned,
    };
    let tables = BTreeMap::from([(order.asset.clone(), table)]);
    let session = QuerySession::new(lake, Arc::new(tables), &options)
        .map_err(|error| Failure::new(FailureClass::Internal, error.to_string()))?;
    let sql = format!(
        "SELECT * FROM \"{}\".\"{}\" LIMIT {} OFFSET {}",
        order.asset.layer(),
        order.asset.name(),
        order.most,
        order.skip
    );
    let mut rows = session.execute(&sql, &[]).await.map_err(|error| error.failure)?;
    let most = usize::try_from(order.most).unwrap_or(usize::MAX);
    let mut sample = SampleOfRows::of_at_most(&rows.schema(), most);
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|error| session.read_error(error).failure)?;
        for row in 0..batch.num_rows() {
            sample.add(&batch, row);
        }
    }
    Ok(sample.all())
}
