//! What a table's metadata tells about its past and its partitions.

use std::collections::{BTreeMap, BTreeSet};

use assets::PartitionKey;
use iceberg::spec::{ManifestContentType, ManifestEntryRef, SnapshotRef};

use super::commit::{ROWS_OF_PROPERTY, RUN_PROPERTY};
use super::partition_column::key_of_literal;
use super::rollback::ROLLED_BACK_PROPERTY;
use super::table::identity_column;
use super::{LakeError, LakeTable};

/// One snapshot of a table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SnapshotInfo {
    /// Its id.
    pub id: i64,
    /// The snapshot that it was built on.
    pub parent: Option<i64>,
    /// When it was made, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// `append`, `overwrite`, `delete` or `replace`.
    pub operation: String,
    /// The run that made it, if one of ours did (several, comma between, if their steps shared it).
    pub run: Option<String>,
    /// The snapshot whose rows it shows again, if it is a rollback.
    pub rolled_back_to: Option<i64>,
    /// The snapshot whose rows it shows in other files, if it is a compaction or a repartition.
    pub same_rows_as: Option<i64>,
    /// Rows in added files.
    pub rows_added: u64,
    /// Rows in removed files.
    pub rows_deleted: u64,
    /// Rows in the table after it; `None` if its writer left no total.
    pub rows_total: Option<u64>,
    /// Data files in the table after it; `None` if its writer left no total.
    pub files: Option<u64>,
}

/// What the manifests hold of one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionRows {
    /// Rows in its files.
    pub rows: u64,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl SnapshotInfo {
    pub(super) fn of(snapshot: &SnapshotRef) -> Self {
        let summary = snapshot.summary();
        let number = |name: &str| {
            summary
                .additional_properties
                .get(name)
                .and_then(|text| text.parse().ok())
        };
        Self {
            id: snapshot.snapshot_id(),
            parent: snapshot.parent_snapshot_id(),
            timestamp_ms: snapshot.timestamp_ms(),
            operation: summary.operation.as_str().to_owned(),
            run: summary.additional_properties.get(RUN_PROPERTY).cloned(),
            rolled_back_to: summary
                .additional_properties
                .get(ROLLED_BACK_PROPERTY)
                .and_then(|text| text.parse().ok()),
            same_rows_as: summary
                .additional_properties
                .get(ROWS_OF_PROPERTY)
                .and_then(|text| text.parse().ok()),
            rows_added: number("added-records").unwrap_or(0),
            rows_deleted: number("deleted-records").unwrap_or(0),
            rows_total: number("total-records"),
            files: number("total-data-files"),
        }
    }
}

/// The snapshots that led to the one the pointer shows, newest first.
pub fn history(table: &LakeTable) -> Result<Vec<SnapshotInfo>, LakeError> {
    let mut found = Vec::new();
    let mut next = table.snapshot(None)?;
    while let Some(snapshot) = next {
        found.push(SnapshotInfo::of(&snapshot));
        let parent = snapshot.parent_snapshot_id();
        next = parent
            .and_then(|parent| table.metadata().snapshot_by_id(parent))
            .cloned();
    }
    Ok(found)
}

/// The ids of a snapshot and of all that it was built on.
pub fn ancestors(table: &LakeTable, snapshot: i64) -> Result<BTreeSet<i64>, LakeError> {
    let mut found = BTreeSet::new();
    let mut next = table.snapshot(Some(snapshot))?;
    while let Some(snapshot) = next {
        found.insert(snapshot.snapshot_id());
        next = snapshot
            .parent_snapshot_id()
            .and_then(|parent| table.metadata().snapshot_by_id(parent))
            .cloned();
    }
    Ok(found)
}

/// The snapshot in which the rows that a snapshot shows were made, or taken back: itself, but for one that merely has few files in place
/// of many. The table may not have it any more.
///
/// # Errors
/// The table does not have the snapshot.
pub fn rows_of(table: &LakeTable, snapshot: i64) -> Result<i64, LakeError> {
    let known = table.snapshot(Some(snapshot))?;
    let property = known.and_then(|known| known.summary().additional_properties.get(ROWS_OF_PROPERTY).cloned());
    Ok(property.and_then(|id| id.parse().ok()).unwrap_or(snapshot))
}

/// The snapshot that the table showed at a time (milliseconds since 1970).
pub fn snapshot_as_of(table: &LakeTable, ms: i64) -> Result<i64, LakeError> {
    // The log tells when a snapshot became current. A table's pointer may show an older version of the log.
    let log = table.metadata().history().iter();
    match log.filter(|entry| entry.timestamp_ms() <= ms).next_back() {
        Some(entry) => Ok(entry.snapshot_id),
        None => {
            let at = jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |at| at.to_string());
            Err(LakeError::NotYet {
                table: table.key().clone(),
                at,
            })
        }
    }
}

/// Rows and files per partition, from the manifests of the pointer's snapshot. Files without a partition of ours (an
/// unpartitioned table, a null) are under `None`.
pub async fn partition_rows(table: &LakeTable) -> Result<BTreeMap<Option<PartitionKey>, PartitionRows>, LakeError> {
    partition_rows_at(table, None).await
}

/// In which snapshot the newest rows came to be that a snapshot shows, by partition: the one in which its newest file was added. For a
/// file that merely holds what others did, the one in which the newest of those was, as far as the table has them.
///
/// # Errors
/// A manifest cannot be read.
pub async fn last_added_in(table: &LakeTable, snapshot: i64) -> Result<BTreeMap<Option<PartitionKey>, i64>, LakeError> {
    // By snapshot and partition: when its files were added, and in which snapshot.
    let mut found: BTreeMap<i64, BTreeMap<Option<PartitionKey>, BTreeSet<(i64, i64)>>> = BTreeMap::new();
    let mut next = vec![snapshot];
    while let Some(snapshot) = next.pop() {
        if found.contains_key(&snapshot) || table.metadata().snapshot_by_id(snapshot).is_none() {
            continue;
        }
        let mut added: BTreeMap<Option<PartitionKey>, BTreeSet<(i64, i64)>> = BTreeMap::new();
        each_file(table, Some(snapshot), |key, entry| {
            let of_key = added.entry(key).or_default();
            of_key.extend(entry.sequence_number().zip(entry.snapshot_id()));
        })
        .await?;
        let snapshots = added.values().flatten().map(|(_, added)| *added);
        next.extend(snapshots.filter_map(|added| same_rows_as(table, added)));
        found.insert(snapshot, added);
    }
    let newest = |key: &Option<PartitionKey>| {
        let (mut newest, mut seen) = (None, BTreeSet::from([snapshot]));
        let mut next = vec![snapshot];
        while let Some(snapshot) = next.pop() {
            let added = found.get(&snapshot).and_then(|added| added.get(key));
            for (sequence, added) in added.into_iter().flatten() {
                match same_rows_as(table, *added) {
                    Some(other) => next.extend(seen.insert(other).then_some(other)),
                    None => newest = newest.max(Some((*sequence, *added))),
                }
            }
        }
        newest.map(|(_, snapshot)| snapshot)
    };
    let keys = found.get(&snapshot).into_iter().flat_map(BTreeMap::keys);
    Ok(keys.filter_map(|key| Some((key.clone(), newest(key)?))).collect())
}

/// The snapshot whose rows another one has in other files, if it is such a one.
fn same_rows_as(table: &LakeTable, snapshot: i64) -> Option<i64> {
    let known = table.metadata().snapshot_by_id(snapshot)?;
    let property = known.summary().additional_properties.get(ROWS_OF_PROPERTY)?;
    property.parse().ok()
}

/// The same of a snapshot other than the pointer's.
pub async fn partition_rows_at(
    table: &LakeTable,
    snapshot: Option<i64>,
) -> Result<BTreeMap<Option<PartitionKey>, PartitionRows>, LakeError> {
    let mut found: BTreeMap<Option<PartitionKey>, PartitionRows> = BTreeMap::new();
    each_file(table, snapshot, |key, entry| {
        let rows = found.entry(key).or_default();
        rows.rows += entry.record_count();
        rows.files += 1;
        rows.bytes += entry.file_size_in_bytes();
    })
    .await?;
    Ok(found)
}

/// Every live file of a snapshot with its partition.
async fn each_file(
    table: &LakeTable,
    snapshot: Option<i64>,
    mut see: impl FnMut(Option<PartitionKey>, &ManifestEntryRef),
) -> Result<(), LakeError> {
    let Some(snapshot) = table.snapshot(snapshot)? else {
        return Ok(());
    };
    let metadata = table.metadata();
    let list = table.lake().manifest_list(&snapshot, metadata.format_version()).await?;
    for file in list
        .entries()
        .iter()
        .filter(|file| file.content == ManifestContentType::Data)
    {
        let column_type = metadata
            .partition_spec_by_id(file.partition_spec_id)
            .and_then(|spec| identity_column(spec, metadata.current_schema()))
            .map(|(_, column_type)| column_type.clone());
        for entry in table.lake().manifest(file).await?.alive() {
            let value = entry.data_file().partition().fields().first().and_then(Option::as_ref);
            let key = column_type
                .as_ref()
                .and_then(|column_type| key_of_literal(value, column_type));
            see(key, entry);
        }
    }
    Ok(())
}
