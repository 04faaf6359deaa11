//! From staged files to a new version of a table: one snapshot for all members, on a base, as files that nothing points to yet.
//!
//! Order: the manifests, their list and the metadata are written and synced together, then the caller moves the pointer.
//! A crash before that leaves orphans, never a broken table. Because the outcome of moving a pointer may be unknown to whoever
//! asked for it, every snapshot carries the tokens of its members: preparing again what is already in the base's history is
//! answered with [`CommitOutcome::AlreadyCommitted`].

use std::collections::HashMap;
use std::sync::Arc;

use ahash::HashSet;
use assets::AssetKey;
use assets::outcome::{ColumnChanges, Replace, StagedTable, TablePointer};
use iceberg::spec::{
    FormatVersion, ManifestListWriter, Operation, PartitionSpecRef, Schema, SchemaRef, Snapshot, SnapshotRef,
    SnapshotSummaryCollector, SortOrder, Summary, TableMetadata, TableMetadataBuilder, Transform, UnboundPartitionSpec,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::Digest;

use super::cut::{Cut, RULE_PROPERTY, check_cut};
use super::manifests::{ManifestsOf, Removed, next_manifests};
use super::merge::seen_now;
use super::metadata_text::{self, Written};
use super::names::{FreeNames, draw_uuid, fresh_snapshot_id};
use super::partition_column::datum_of;
use super::schema::join_staged;
use super::staging::{staged_files, staged_schema};
use super::storage::SealTogether;
use super::{Lake, LakeError};

/// Snapshot property with the runs of the members.
pub const RUN_PROPERTY: &str = "millpond.run";
/// Snapshot property with the tokens of the members.
pub const TOKEN_PROPERTY: &str = "millpond.token";

/// Snapshot property of a compaction: the snapshot whose rows it shows, which may be gone by the time somebody asks.
pub(super) const ROWS_OF_PROPERTY: &str = "millpond.rows-of";

/// With more members than this, tokens are kept shortened (`#` and 16 digits of their SHA-256).
const WHOLE_TOKENS: usize = 32;
/// More members than this are refused: their tokens would swell the metadata.
const MOST_MEMBERS: usize = 1000;

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

/// Removes the files of a commit that has definitely lost. Its data files stay: they belong to the steps.
pub async fn abandon(lake: &Lake, commit: &PreparedCommit) -> Result<(), LakeError> {
    for removed in lake.storage().remove_all(&commit.written_files).await {
        removed?;
    }
    Ok(())
}

pub(super) fn refuse(table: &AssetKey, error: iceberg::Error) -> LakeError {
    LakeError::iceberg("build the next version of", table, error)
}

fn check_members(table: &AssetKey, members: &[CommitMember]) -> Result<(), LakeError> {
    let wrong = |what: &str| Err(LakeError::Internal(format!("commit to {table}: {what}")));
    if members.is_empty() || members.len() > MOST_MEMBERS {
        return wrong(&format!("{} members, not 1 to {MOST_MEMBERS}", members.len()));
    }
    let mut partitions = HashSet::default();
    let mut tokens = HashSet::default();
    for member in members {
        if member.token.is_empty() || member.token.contains(',') || !tokens.insert(&member.token) {
            return wrong(&format!(
                "the token `{}` is empty, holds a comma or comes twice",
                member.token
            ));
        }
        if member.staged.table != *table {
            return wrong(&format!("one member was staged for {}", member.staged.table));
        }
        let cut = |member: &CommitMember| {
            let staged = &member.staged;
            (staged.partition_column.clone(), staged.partitioned_by.clone())
        };
        if cut(member) != cut(&members[0]) {
            return wrong("the members have different partition columns");
        }
        match &member.staged.replace {
            Replace::Whole if members.len() > 1 => return wrong("one member replaces all and is not alone"),
            Replace::Partition(key) if !partitions.insert(key) => {
                return wrong(&format!("two members replace partition {key}"));
            }
            Replace::Files { partition: None, .. } if members.len() > 1 => {
                return wrong("one member merges into all and is not alone");
            }
            Replace::Files {
                partition: Some(key), ..
            } if !partitions.insert(key) => {
                return wrong(&format!("two members merge into partition {key}"));
            }
            Replace::Whole | Replace::Partition(_) | Replace::Nothing | Replace::Files { .. } => {}
        }
    }
    Ok(())
}

/// A merge counts on the files that it has looked at, and on no others.
async fn check_seen(
    lake: &Lake,
    table: &AssetKey,
    base: Option<&TablePointer>,
    members: &[&CommitMember],
) -> Result<(), LakeError> {
    for member in members {
        if let Replace::Files { partition, seen, .. } = &member.staged.replace
            && seen_now(lake, table, base, partition.as_ref()).await? != *seen
        {
            return Err(LakeError::MergedMeanwhile { table: table.clone() });
        }
    }
    Ok(())
}

/// How a token stands in a snapshot of many members.
fn short_token(token: &str) -> String {
    format!("#{}", &hex::encode(sha2::Sha256::digest(token.as_bytes()))[..16])
}

/// Length and last byte.
fn end_of(token: &str) -> Option<(usize, u8)> {
    Some((token.len(), *token.as_bytes().last()?))
}

/// For each member's token that a snapshot of the ancestry carries: the snapshot's sequence number and id.
fn committed_tokens(
    metadata: &TableMetadata,
    head: &SnapshotRef,
    members: &[CommitMember],
) -> HashMap<String, (i64, i64)> {
    let mut wanted: ahash::HashMap<String, &str> = ahash::HashMap::default();
    for member in members {
        wanted.insert(member.token.clone(), &member.token);
        wanted.insert(short_token(&member.token), &member.token);
    }
    // Nearly no token of ten thousand snapshots is a wanted one, and nearly none is as long and ends alike.
    let ends: HashSet<(usize, u8)> = wanted.keys().filter_map(|token| end_of(token)).collect();
    let mut found = HashMap::new();
    let mut next = Some(head);
    while let Some(snapshot) = next {
        if let Some(tokens) = snapshot.summary().additional_properties.get(TOKEN_PROPERTY) {
            for token in tokens.split(',') {
                if end_of(token).is_some_and(|end| ends.contains(&end))
                    && let Some(whole) = wanted.get(token)
                {
                    let place = (snapshot.sequence_number(), snapshot.snapshot_id());
                    found.entry((*whole).to_owned()).or_insert(place);
                }
            }
        }
        next = snapshot
            .parent_snapshot_id()
            .and_then(|parent| metadata.snapshot_by_id(parent));
    }
    found
}

/// Columns and partition column of the next version.
struct Shape {
    schema: Schema,
    partition_column: Option<String>,
    whole: bool,
}

impl Shape {
    fn of(
        table: &AssetKey,
        base: Option<&TableMetadata>,
        parent: Option<&SnapshotRef>,
        members: &[&CommitMember],
        purpose: Purpose,
    ) -> Result<Self, LakeError> {
        let whole =
            purpose == Purpose::Repartition || members.iter().any(|member| member.staged.replace == Replace::Whole);
        let partitioned_by = members[0].staged.partitioned_by.clone();
        let partition_column = members[0].staged.partition_column.clone();
        let first = staged_schema(&members[0].staged)?;
        let mut schema = match base {
            None => first,
            Some(base) if whole => {
                check_reused_ids(table, base, &first, &members[0].staged.changes)?;
                first
            }
            Some(base) => base.current_schema().as_ref().clone(),
        };
        if !whole {
            let taken =
                |id| base.is_some_and(|base| base.schemas_iter().any(|schema| schema.field_by_id(id).is_some()));
            for member in members {
                let staged = staged_schema(&member.staged)?;
                if staged.as_struct() != schema.as_struct() {
                    schema = join_staged(table, &schema, &staged, &member.staged.changes, taken)?;
                }
            }
        }
        if let Some(base) = base
            && !whole
        {
            let wanted = Cut {
                column: partition_column.clone(),
                rule: partitioned_by.clone(),
            };
            check_cut(table, base, parent, &schema, &wanted)?;
        }
        Ok(Self {
            schema,
            partition_column,
            whole,
        })
    }

    fn spec(&self) -> Result<UnboundPartitionSpec, LakeError> {
        let builder = UnboundPartitionSpec::builder();
        let Some(column) = &self.partition_column else {
            return Ok(builder.build());
        };
        let field = self
            .schema
            .field_by_name(column)
            .ok_or_else(|| LakeError::Internal(format!("the staged schema has no partition column `{column}`")))?;
        builder
            .add_partition_field(field.id, column, Transform::Identity)
            .map(iceberg::spec::UnboundPartitionSpecBuilder::build)
            .map_err(|error| LakeError::iceberg("partition by", column, error))
    }

    /// What the members take away.
    fn removed(&self, members: &[&CommitMember], schema: &Schema) -> Result<Removed, LakeError> {
        if self.whole {
            return Ok(Removed::All);
        }
        let files = members.iter().filter_map(|member| match &member.staged.replace {
            Replace::Files { removed, .. } => Some(removed),
            _ => None,
        });
        let files: HashSet<String> = files.flatten().cloned().collect();
        if !files.is_empty() {
            return Ok(Removed::Files(files));
        }
        let mut values = Vec::new();
        for member in members {
            let Replace::Partition(key) = &member.staged.replace else {
                continue;
            };
            let column = self
                .partition_column
                .as_deref()
                .and_then(|column| schema.field_by_name(column));
            let primitive = column.and_then(|column| column.field_type.as_primitive_type());
            let value = primitive
                .and_then(|primitive| datum_of(key, primitive))
                .ok_or_else(|| {
                    LakeError::Internal(format!("partition {key} of {} has no value", member.staged.table))
                })?;
            values.push(value);
        }
        Ok(if values.is_empty() {
            Removed::Nothing
        } else {
            Removed::Values(values)
        })
    }
}

/// A whole replacement may drop and change columns, but an id, once given, means the same column for ever: unless it is renamed.
fn check_reused_ids(
    table: &AssetKey,
    base: &TableMetadata,
    staged: &Schema,
    changes: &ColumnChanges,
) -> Result<(), LakeError> {
    for field in staged
        .as_struct()
        .fields()
        .iter()
        .filter(|field| field.id <= base.last_column_id())
    {
        let same = base
            .schemas_iter()
            .filter_map(|schema| schema.field_by_id(field.id))
            .any(|known| known.name == field.name || changes.renamed.contains(&known.id));
        if !same {
            return Err(LakeError::Schema {
                table: table.clone(),
                differences: vec![super::SchemaDifference {
                    column: field.name.clone(),
                    was: Some(format!("field {} of another column, added meanwhile", field.id)),
                    is: Some(field.field_type.to_string()),
                }],
            });
        }
    }
    Ok(())
}

/// The library numbers the columns of a new table itself; files were written with our numbers.
fn check_ids(table: &AssetKey, ours: &Schema, theirs: &Schema) -> Result<(), LakeError> {
    if ours.as_struct() == theirs.as_struct() {
        Ok(())
    } else {
        Err(LakeError::Internal(format!(
            "the columns of {table} were numbered differently in its files"
        )))
    }
}

/// Where a metadata builder begins.
struct Start<'a> {
    lake: &'a Lake,
    table: &'a AssetKey,
    base: Option<&'a TablePointer>,
    metadata: Option<&'a TableMetadata>,
    shape: &'a Shape,
}

impl Start<'_> {
    /// Schema and partition spec of the base, if the next version has the same.
    fn unchanged(&self) -> Result<Option<(SchemaRef, PartitionSpecRef)>, LakeError> {
        let Some(base) = self.metadata else { return Ok(None) };
        let spec = self.shape.spec()?;
        let same = base.current_schema().as_struct() == self.shape.schema.as_struct() && same_spec(base, &spec);
        Ok(same.then(|| {
            (
                Arc::clone(base.current_schema()),
                Arc::clone(base.default_partition_spec()),
            )
        }))
    }

    fn builder(&self, seed: u64) -> Result<TableMetadataBuilder, LakeError> {
        let spec = self.shape.spec()?;
        let built = match self.metadata {
            None => {
                let properties = HashMap::from([
                    ("write.parquet.compression-codec".to_owned(), "zstd".to_owned()),
                    ("write.metadata.previous-versions-max".to_owned(), "100".to_owned()),
                ]);
                let location = self.lake.table_location(self.table);
                let order = SortOrder::unsorted_order();
                // The table's own id comes from the seed, but not with the same draw as the file names.
                let uuid = draw_uuid(&mut StdRng::seed_from_u64(seed ^ 0x7461_626c_6500_0000));
                TableMetadataBuilder::new(
                    self.shape.schema.clone(),
                    spec,
                    order,
                    location,
                    FormatVersion::V2,
                    properties,
                )
                .map(|builder| builder.assign_uuid(uuid))
            }
            Some(metadata) => {
                if metadata.format_version() != FormatVersion::V2 {
                    return Err(LakeError::Location {
                        location: metadata.location().to_owned(),
                        reason: format!(
                            "it has Iceberg format {}; only format v2 is written",
                            metadata.format_version()
                        ),
                    });
                }
                let location = self.base.map(|base| base.metadata_location.clone());
                let mut builder = Ok(metadata.clone().into_builder(location));
                // It came from an environment, or goes into one: what is written from here on is beside the rest.
                let own = self.lake.table_location(self.table);
                if metadata.location().trim_end_matches('/') != own {
                    builder = builder.map(|builder| builder.set_location(own));
                }
                if metadata.current_schema().as_struct() != self.shape.schema.as_struct() {
                    builder = builder.and_then(|builder| builder.add_current_schema(self.shape.schema.clone()));
                }
                if !same_spec(metadata, &spec) {
                    builder = builder.and_then(|builder| builder.add_default_partition_spec(spec));
                }
                builder
            }
        };
        built.map_err(|error| refuse(self.table, error))
    }
}

fn same_spec(metadata: &TableMetadata, spec: &UnboundPartitionSpec) -> bool {
    let now: &PartitionSpecRef = metadata.default_partition_spec();
    let own = now.fields().iter().map(|field| (field.source_id, field.transform));
    own.eq(spec.fields().iter().map(|field| (field.source_id, field.transform)))
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

fn operation(added: usize, removed: usize) -> Operation {
    match (added, removed) {
        (_, 0) => Operation::Append,
        (0, _) => Operation::Delete,
        _ => Operation::Overwrite,
    }
}

/// Snapshot properties: who, what changed, and the table's totals after it.
fn properties(
    members: &[&CommitMember],
    purpose: Purpose,
    summary: &SnapshotSummaryCollector,
    parent: Option<&SnapshotRef>,
) -> HashMap<String, String> {
    let mut properties = summary.build();
    let tokens: Vec<String> = match members.len() <= WHOLE_TOKENS {
        true => members.iter().map(|member| member.token.clone()).collect(),
        false => members.iter().map(|member| short_token(&member.token)).collect(),
    };
    let mut runs: Vec<&str> = members.iter().map(|member| member.run.as_str()).collect();
    runs.sort_unstable();
    runs.dedup();
    runs.truncate(WHOLE_TOKENS);
    let before = parent.map(|parent| &parent.summary().additional_properties);
    let number =
        |properties: &HashMap<String, String>, name: &str| properties.get(name).and_then(|n| n.parse::<i64>().ok());
    for (total, added, removed) in [
        ("total-data-files", "added-data-files", "deleted-data-files"),
        ("total-records", "added-records", "deleted-records"),
        ("total-files-size", "added-files-size", "removed-files-size"),
        ("total-delete-files", "added-delete-files", "removed-delete-files"),
        (
            "total-position-deletes",
            "added-position-deletes",
            "removed-position-deletes",
        ),
        (
            "total-equality-deletes",
            "added-equality-deletes",
            "removed-equality-deletes",
        ),
    ] {
        let base = match before {
            None => Some(0),
            Some(before) => number(before, total),
        };
        // Where another writer left no total, there is none to go on from.
        if let Some(base) = base {
            let now = base + number(&properties, added).unwrap_or(0) - number(&properties, removed).unwrap_or(0);
            properties.insert(total.to_owned(), now.to_string());
        }
    }
    if let Some(rule) = &members[0].staged.partitioned_by {
        properties.insert(RULE_PROPERTY.to_owned(), rule.clone());
    }
    if purpose != Purpose::Publish {
        if let Some(parent) = parent {
            let rows_of = before.and_then(|before| before.get(ROWS_OF_PROPERTY).cloned());
            let rows_of = rows_of.unwrap_or_else(|| parent.snapshot_id().to_string());
            properties.insert(ROWS_OF_PROPERTY.to_owned(), rows_of);
        }
        return properties;
    }
    properties.insert(TOKEN_PROPERTY.to_owned(), tokens.join(","));
    properties.insert(RUN_PROPERTY.to_owned(), runs.join(","));
    properties
}
