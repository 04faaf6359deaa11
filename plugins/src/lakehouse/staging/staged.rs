//! What was staged, as whoever checks, commits or drops it sees it.

use std::sync::Arc;

use assets::outcome::StagedTable;
use datafusion::catalog::TableProvider;
use iceberg::spec::{ManifestEntry, ManifestEntryRef, ManifestStatus, Schema};

use crate::lakehouse::data_file::FileRecord;
use crate::lakehouse::scan::{LakeScan, ScanFiles};
use crate::lakehouse::{Lake, LakeError};

/// Staged rows as a table, so that checks can query them before anyone else can.
///
/// All of `staged` must be of one table and written with one schema, as those of one [`StagingWriter`] are.
pub fn staged_provider(lake: &Lake, staged: &[StagedTable]) -> Result<Arc<dyn TableProvider>, LakeError> {
    staged_provider_with(lake, staged, &[])
}

/// The same, with files of the table beside the staged ones.
pub(crate) fn staged_provider_with(
    lake: &Lake,
    staged: &[StagedTable],
    others: &[ManifestEntryRef],
) -> Result<Arc<dyn TableProvider>, LakeError> {
    let first = staged
        .first()
        .ok_or_else(|| LakeError::Internal("no staged table to query".to_owned()))?;
    let schema = staged_schema(first)?;
    let mut entries = others.to_vec();
    for table in staged {
        for file in staged_files(table)? {
            let data_file = file.to_data_file(&schema, 0, None)?;
            let entry = ManifestEntry::builder()
                .status(ManifestStatus::Added)
                .data_file(data_file)
                .build();
            entries.push(Arc::new(entry));
        }
    }
    Ok(Arc::new(LakeScan::new(
        lake.clone(),
        Arc::new(schema),
        ScanFiles::Listed(entries),
    )?))
}

/// Locations of the files of staged rows.
///
/// # Errors
/// The staged table was not written by this release or an older one.
pub fn staged_locations(staged: &StagedTable) -> Result<Vec<String>, LakeError> {
    Ok(staged_files(staged)?.into_iter().map(|file| file.path).collect())
}

/// Removes the files of staged rows that will not be published.
///
/// # Errors
/// A file cannot be removed; the others are.
pub async fn discard_staged(lake: &Lake, staged: &[StagedTable]) -> Result<(), LakeError> {
    let mut first = Ok(());
    for table in staged {
        let files: Vec<String> = staged_files(table)?.into_iter().map(|file| file.path).collect();
        for removed in lake.storage().remove_all(&files).await {
            first = first.and(removed.map_err(LakeError::from));
        }
    }
    first
}

/// The schema that a staged table was written with.
pub(crate) fn staged_schema(staged: &StagedTable) -> Result<Schema, LakeError> {
    <Schema as serde::Deserialize>::deserialize(&staged.schema)
        .map_err(|error| LakeError::Internal(format!("the staged schema of {} cannot be read: {error}", staged.table)))
}

/// The files of a staged table.
pub(crate) fn staged_files(staged: &StagedTable) -> Result<Vec<FileRecord>, LakeError> {
    serde::Deserialize::deserialize(&staged.data_files)
        .map_err(|error| LakeError::Internal(format!("the staged files of {} cannot be read: {error}", staged.table)))
}
