//! From staged files to a new version of a table: one snapshot for all members, on a base, as files that nothing points to yet.
//!
//! Order: the manifests, their list and the metadata are written and synced together, then the caller moves the pointer.
//! A crash before that leaves orphans, never a broken table. Because the outcome of moving a pointer may be unknown to whoever
//! asked for it, every snapshot carries the tokens of its members: preparing again what is already in the base's history is
//! answered with [`CommitOutcome::AlreadyCommitted`].

mod members;
mod shape;
mod start;
mod summary;

use std::collections::HashMap;
use std::sync::Arc;

use assets::AssetKey;
use assets::outcome::{StagedTable, TablePointer};
use iceberg::spec::{ManifestListWriter, Operation, Snapshot, SnapshotSummaryCollector, Summary, TableMetadataBuilder};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::manifests::{ManifestsOf, Removed, next_manifests};
use super::metadata_text::{self, Written};
use super::names::{FreeNames, fresh_snapshot_id};
use super::staging::staged_files;
use super::storage::SealTogether;
use super::{Lake, LakeError};
use members::{check_members, check_seen};
use shape::{Shape, check_ids};
use start::Start;
use summary::{committed_tokens, operation, properties};

/// Snapshot property with the runs of the members.
pub const RUN_PROPERTY: &str = "millpond.run";
/// Snapshot property with the tokens of the members.
pub const TOKEN_PROPERTY: &str = "millpond.token";

/// Snapshot property of a compaction: the snapshot whose rows it shows, which may be gone by the time somebody asks.
pub(super) const ROWS_OF_PROPERTY: &str = "millpond.rows-of";

/// One step's share in a commit.
#[derive(Debug, Clone)]
pub struct CommitMember {
    /// Unique to the step's materialization; no comma, not empty.
    pub token: String,
    /// The run's id.
    pub run: String,
    /// What it staged for the table.
    pub staged: StagedTable,
}

/// A new version of a table that nothing points to yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedCommit {
    /// The version to move the pointer to.
    pub pointer: TablePointer,
    /// The version that it was built on, and that the pointer must still show.
    pub base: Option<TablePointer>,
    /// The new snapshot.
    pub snapshot_id: i64,
    /// Locations of the metadata, manifest list and manifests that were written.
    pub written_files: Vec<String>,
    /// Tokens of members that the base already holds; they are not part of this commit.
    pub already: Vec<String>,
}

/// What preparing a commit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Move the pointer.
    Prepared(PreparedCommit),
    /// Every member is in the base's history: nothing to do.
    AlreadyCommitted {
        /// The base.
        pointer: TablePointer,
        /// The newest snapshot that holds one of them.
        snapshot_id: i64,
    },
}

/// Builds one snapshot with all `members` on `base` (`None` creates the table), writes and syncs it.
///
/// `now_ms` is the wall clock in milliseconds; the snapshot is never older than the last one. `seed` gives ids and file names.
/// After a conflict, call it again with the newer base and another seed.
pub async fn prepare_commit(
    lake: &Lake,
    table: &AssetKey,
    base: Option<&TablePointer>,
    members: &[CommitMember],
    now_ms: i64,
    seed: u64,
) -> Result<CommitOutcome, LakeError> {
    prepare(lake, table, base, members, Purpose::Publish, now_ms, seed).await
}

/// What a snapshot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Rows of steps.
    Publish,
    /// The same rows in other files.
    Compact,
    /// The same rows, cut into other partitions.
    Repartition,
}

pub(super) async fn prepare(
    lake: &Lake,
    table: &AssetKey,
    base: Option<&TablePointer>,
    members: &[CommitMember],
    purpose: Purpose,
    now_ms: i64,
    seed: u64,
) -> Result<CommitOutcome, LakeError> {
    check_members(table, members)?;
    let base_metadata = match base {
        Some(base) => Some(lake.metadata(&base.metadata_location).await?),
        None => None,
    };
    let parent = match (&base_metadata, base.and_then(|base| base.snapshot_id)) {
        (Some(metadata), Some(snapshot)) => {
            Some(
                metadata
                    .snapshot_by_id(snapshot)
                    .cloned()
                    .ok_or_else(|| LakeError::NoSnapshot {
                        table: table.clone(),
                        snapshot,
                    })?,
            )
        }
        _ => None,
    };

    let known = match (&base_metadata, &parent) {
        (Some(metadata), Some(parent)) => committed_tokens(metadata, parent, members),
        _ => HashMap::new(),
    };
    let (already, members): (Vec<_>, Vec<_>) = members.iter().partition(|member| known.contains_key(&member.token));
    if members.is_empty()
        && let (Some(base), Some(snapshot_id)) = (base, known.values().max_by_key(|(sequence, _)| *sequence))
    {
        return Ok(CommitOutcome::AlreadyCommitted {
            pointer: base.clone(),
            snapshot_id: snapshot_id.1,
        });
    }

    check_seen(lake, table, base, &members).await?;
    let shape = Shape::of(table, base_metadata.as_deref(), parent.as_ref(), &members, purpose)?;
    let start = Start {
        lake,
        table,
        base,
        metadata: base_metadata.as_deref(),
        shape: &shape,
    };
    let mut random = StdRng::seed_from_u64(seed);
    let snapshot_id = fresh_snapshot_id(&mut random, base_metadata.as_deref());
    let sequence = base_metadata
        .as_ref()
        .map_or(1, |metadata| metadata.next_sequence_number());
    let parent_id = parent.as_ref().map(|parent| parent.snapshot_id());
    // Never before the version that it is built on, even if the clock was set back.
    let timestamp_ms = base_metadata.as_ref().map_or(now_ms, |metadata| {
        let last = metadata.history().last().map_or(0, |entry| entry.timestamp_ms());
        now_ms.max(metadata.last_updated_ms()).max(last)
    });
    // A draft tells the ids that schema and partition spec get, where they are not those of the base. It has a snapshot for its
    // time alone: without one the builder would take the machine's, and refuse it where that was set back.
    let (schema, spec) = match start.unchanged()? {
        Some(known) => known,
        None => {
            let in_draft = Snapshot::builder()
                .with_snapshot_id(snapshot_id)
                .with_parent_snapshot_id(parent_id)
                .with_sequence_number(sequence)
                .with_timestamp_ms(timestamp_ms)
                .with_manifest_list(String::new())
                .with_summary(Summary {
                    operation: Operation::Append,
                    additional_properties: HashMap::new(),
                })
                .build();
            let draft = start
                .builder(seed)?
                .set_branch_snapshot(in_draft, "main")
                .and_then(TableMetadataBuilder::build)
                .map_err(|error| refuse(table, error))?
                .metadata;
            check_ids(table, &shape.schema, draft.current_schema())?;
            (
                Arc::clone(draft.current_schema()),
                Arc::clone(draft.default_partition_spec()),
            )
        }
    };

    let names = FreeNames::find(lake, table, base, snapshot_id, &mut random).await?;
    let waiting = SealTogether::new(lake.storage().clone());
    let mut summary = SnapshotSummaryCollector::default();
    let mut added = Vec::new();
    for member in &members {
        for file in staged_files(&member.staged)? {
            let data_file = file.to_data_file(&schema, spec.spec_id(), shape.partition_column.as_deref())?;
            summary.add_file(&data_file, Arc::clone(&schema), Arc::clone(&spec));
            added.push(data_file);
        }
    }
    let added_files = added.len();
    let removed = shape.removed(&members, &schema)?;
    let next = next_manifests(
        ManifestsOf {
            lake,
            table,
            metadata: base_metadata.as_deref(),
            parent: parent.as_ref(),
        },
        (&schema, &spec),
        &removed,
        added,
        snapshot_id,
        &names.manifest_stem,
        &waiting,
        &mut summary,
    )
    .await?;

    if let Removed::Files(paths) = &removed
        && paths.len() != next.removed_files
    {
        let found = next.removed_files;
        return Err(LakeError::Internal(format!(
            "a merge into {table} replaces {} files, of which {found} are there",
            paths.len()
        )));
    }
    write_manifest_list(&waiting, &names.list, snapshot_id, parent_id, sequence, next.list)
        .await
        .map_err(|error| LakeError::iceberg("write", &names.list, error))?;
    let snapshot = Snapshot::builder()
        .with_snapshot_id(snapshot_id)
        .with_parent_snapshot_id(parent_id)
        .with_sequence_number(sequence)
        .with_timestamp_ms(timestamp_ms)
        .with_manifest_list(names.list.clone())
        .with_schema_id(schema.schema_id())
        .with_summary(Summary {
            operation: match purpose {
                Purpose::Publish => operation(added_files, next.removed_files),
                Purpose::Compact | Purpose::Repartition => Operation::Replace,
            },
            additional_properties: properties(&members, purpose, &summary, parent.as_ref()),
        })
        .build();
    let metadata = start
        .builder(seed)?
        .set_branch_snapshot(snapshot, "main")
        .and_then(TableMetadataBuilder::build)
        .map_err(|error| refuse(table, error))?
        .metadata;
    let before = base.and_then(|base| lake.take_text(&base.metadata_location));
    let text = metadata_text::write(table, &metadata, before.as_deref())?;
    drop(before);
    waiting.put(&names.metadata, text.bytes())?;
    waiting.seal().await?;
    lake.remember_metadata(&names.metadata, Arc::new(metadata), text.bytes().len());
    if let Written::Kept(text) = &text {
        lake.remember_text(&names.metadata, text);
    }

    let mut written_files = next.written;
    written_files.extend([names.list, names.metadata.clone()]);
    Ok(CommitOutcome::Prepared(PreparedCommit {
        pointer: TablePointer {
            metadata_location: names.metadata,
            snapshot_id: Some(snapshot_id),
        },
        base: base.cloned(),
        snapshot_id,
        written_files,
        already: already.into_iter().map(|member| member.token.clone()).collect(),
    }))
}

/// Removes the files that were written for a version of a table that definitely does not count. Data files are not among them: they
/// belong to the steps.
pub async fn abandon(lake: &Lake, written_files: &[String]) -> Result<(), LakeError> {
    for removed in lake.storage().remove_all(written_files).await {
        removed?;
    }
    Ok(())
}

pub(super) fn refuse(table: &AssetKey, error: iceberg::Error) -> LakeError {
    LakeError::iceberg("build the next version of", table, error)
}

pub(super) async fn write_manifest_list(
    waiting: &SealTogether,
    location: &str,
    snapshot_id: i64,
    parent: Option<i64>,
    sequence: i64,
    list: Vec<iceberg::spec::ManifestFile>,
) -> iceberg::Result<()> {
    use iceberg::io::Storage;
    let output = waiting.writer(location).await?;
    let mut writer = ManifestListWriter::v2(output, snapshot_id, parent, sequence);
    writer.add_manifests(list.into_iter())?;
    writer.close().await
}
