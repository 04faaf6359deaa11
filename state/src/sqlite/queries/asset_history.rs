//! The numbers behind an asset's plots: how large each partition is, how long materializations took, which model predicted.

use assets::{AssetKey, AssetPartition, PartitionKey};
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::page::{collect, text};
use crate::event::Micros;
use crate::ids::RunId;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

const SIZES: &str = "
    SELECT partition, rows, bytes FROM asset_partition
    WHERE asset = ?1 AND partition >= ?2 AND partition <= ?3 AND seq IS NOT NULL ORDER BY partition LIMIT ?4";

const TOOK: &str = "
    SELECT ended_at - started_at FROM step WHERE run = ?1 AND asset = ?2 AND partition = ?3 AND status = 'succeeded'";

const BY_MODEL: &str = "
    SELECT json_extract(m.metadata, '$.model_version') AS version, count(*), min(p.partition), max(p.partition), sum(p.rows)
    FROM (SELECT seq, partition, rows FROM asset_partition WHERE asset = ?1 AND seq IS NOT NULL ORDER BY partition DESC LIMIT ?2) p
    JOIN materialization m ON m.seq = p.seq
    WHERE version IS NOT NULL GROUP BY version ORDER BY version DESC";

/// How much one partition holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct PartitionSize {
    /// The partition.
    pub partition: PartitionKey,
    /// Rows of its newest materialization.
    pub rows: u64,
    /// Bytes of the same.
    pub bytes: u64,
}

/// The materialized partitions of `asset` from `first` to `last` by key, at most `limit` of them.
pub fn partition_sizes(
    store: &Store,
    asset: &AssetKey,
    first: &PartitionKey,
    last: &PartitionKey,
    limit: usize,
) -> Result<Vec<PartitionSize>, StateError> {
    let mut statement = store.connection.prepare_cached(SIZES)?;
    let rows = statement.query(params![
        asset.as_str(),
        first.as_str(),
        last.as_str(),
        value::integer(limit as u64)
    ])?;
    let sizes = collect(rows, |row| {
        let partition = value::partition("asset_partition.partition", text(row, 0)?)?;
        Ok(partition.map(|partition| {
            let (rows, bytes) = (row.get(1)?, row.get(2)?);
            Ok::<_, StateError>(PartitionSize {
                partition,
                rows: value::count(rows),
                bytes: value::count(bytes),
            })
        }))
    })?;
    sizes.into_iter().flatten().collect()
}

/// How long the step took that made this in that run; `None` once the run's steps are removed.
pub fn took(store: &Store, run: &RunId, step: &AssetPartition) -> Result<Option<Micros>, StateError> {
    let mut statement = store.connection.prepare_cached(TOOK)?;
    let key = params![
        run.as_str(),
        step.asset.as_str(),
        value::partition_text(step.partition.as_ref())
    ];
    let took: Option<Option<Micros>> = statement.query_row(key, |row| row.get(0)).optional()?;
    Ok(took.flatten())
}

/// Predictions by the version of the model that made them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct PredictedBy {
    /// The version.
    pub version: u64,
    /// How many partitions.
    pub partitions: u64,
    /// The first of them; `None` for an asset without partitions.
    pub first: Option<PartitionKey>,
    /// The last.
    pub last: Option<PartitionKey>,
    /// Rows in them.
    pub rows: u64,
}

/// Which versions of its model made the newest `limit` partitions of `asset` as they are now.
pub fn predicted_by(store: &Store, asset: &AssetKey, limit: usize) -> Result<Vec<PredictedBy>, StateError> {
    let mut statement = store.connection.prepare_cached(BY_MODEL)?;
    let rows = statement.query(params![asset.as_str(), value::integer(limit as u64)])?;
    collect(rows, |row| {
        Ok(PredictedBy {
            version: value::count(row.get(0)?),
            partitions: value::count(row.get(1)?),
            first: value::partition("asset_partition.partition", text(row, 2)?)?,
            last: value::partition("asset_partition.partition", text(row, 3)?)?,
            rows: value::count(row.get(4)?),
        })
    })
}
