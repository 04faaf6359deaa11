//! A new snapshot that shows again what an older one showed.
//!
//! Nothing is copied and nothing is lost: the new snapshot lists the manifests of the old one, and what is undone stays in the
//! history, where it can be read and rolled forward to. Moving the `main` ref back instead would take the undone snapshots out
//! of the history, and with them the tokens by which a commit is known to have been made already.
//!
//! As with any commit, what is written here is invisible until somebody moves the pointer.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use assets::outcome::TablePointer;
use assets::{AssetKey, PartitionKey};
use iceberg::spec::{
    DataFile, ManifestContentType, ManifestFile, Operation, PartitionSpecRef, Snapshot, SnapshotRef,
    SnapshotSummaryCollector, Summary, TableMetadataBuilder,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::commit::{refuse, write_manifest_list};
use super::cut::{RULE_PROPERTY, rule_at};
use super::history::{PartitionRows, partition_rows_at};
use super::lake::schema_of;
use super::names::{FreeNames, fresh_snapshot_id};
use super::partition_column::key_of_literal;
use super::storage::SealTogether;
use super::table::identity_column;
use super::{Lake, LakeError, LakeTable, PreparedCommit};

/// Snapshot property with the id of the snapshot whose rows it shows again.
pub const ROLLED_BACK_PROPERTY: &str = "millpond.rolled-back-to";

/// The totals that a snapshot's summary holds: the new one's are those of the old one.
const TOTALS: &[&str] = &[
    "total-data-files",
    "total-records",
    "total-files-size",
    "total-delete-files",
    "total-position-deletes",
    "total-equality-deletes",
];

/// A rollback that nothing points to yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// What was written.
    pub commit: PreparedCommit,
    /// The partitions whose files change, by key; one without key for a table without partitions.
    pub partitions: Vec<ChangedPartition>,
}

/// A partition that a rollback changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPartition {
    /// Its key.
    pub key: Option<PartitionKey>,
    /// What it holds after it; `None` if the older snapshot has no file of it.
    pub after: Option<PartitionRows>,
}

/// What preparing a rollback found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollbackOutcome {
    /// Move the pointer.
    Prepared(Rollback),
    /// The table shows these very files already.
    AlreadyThere,
}

/// Builds the snapshot that takes a table from `base` back to `target`, writes and syncs it.
///
/// After a conflict, call it again with the newer base and another seed. `now_ms` and `seed` are those of a commit.
pub async fn prepare_rollback(
    lake: &Lake,
    table: &AssetKey,
    base: &TablePointer,
    target: i64,
    now_ms: i64,
    seed: u64,
) -> Result<RollbackOutcome, LakeError> {
    let opened = lake.table(table, base).await?;
    let metadata = opened.metadata();
    let current = opened
        .snapshot(None)?
        .ok_or_else(|| LakeError::NeverMaterialized { table: table.clone() })?;
    let target = opened.snapshot(Some(target))?.ok_or_else(|| LakeError::NoSnapshot {
        table: table.clone(),
        snapshot: target,
    })?;
    let difference = Difference::of(&opened, &current, &target).await?;
    let schema = schema_of(metadata, Some(&target))?;
    let same_columns = schema.schema_id() == metadata.current_schema_id();
    if difference.is_empty() && same_columns {
        return Ok(RollbackOutcome::AlreadyThere);
    }

    let mut random = StdRng::seed_from_u64(seed);
    let snapshot_id = fresh_snapshot_id(&mut random, Some(metadata));
    let names = FreeNames::find(lake, table, Some(base), snapshot_id, &mut random).await?;
    let waiting = SealTogether::new(lake.storage().clone());
    let list = lake.manifest_list(&target, metadata.format_version()).await?;
    let live: Vec<ManifestFile> = list
        .entries()
        .iter()
        .filter(|file| file.has_added_files() || file.has_existing_files())
        .cloned()
        .collect();
    let specs: BTreeSet<i32> = live
        .iter()
        .filter(|file| file.content == ManifestContentType::Data)
        .map(|file| file.partition_spec_id)
        .collect();
    let sequence = metadata.next_sequence_number();
    let parent = Some(current.snapshot_id());
    write_manifest_list(&waiting, &names.list, snapshot_id, parent, sequence, live)
        .await
        .map_err(|error| LakeError::iceberg("write", &names.list, error))?;
    let last = metadata.history().last().map_or(0, |entry| entry.timestamp_ms());
    let snapshot = Snapshot::builder()
        .with_snapshot_id(snapshot_id)
        .with_parent_snapshot_id(parent)
        .with_sequence_number(sequence)
        // Never before the version that it is built on, even if the clock was set back.
        .with_timestamp_ms(now_ms.max(metadata.last_updated_ms()).max(last))
        .with_manifest_list(names.list.clone())
        .with_schema_id(schema.schema_id())
        .with_summary(Summary {
            operation: Operation::Overwrite,
            additional_properties: difference.properties(&opened, &target),
        })
        .build();
    let mut builder =
        TableMetadataBuilder::new_from_metadata(metadata.as_ref().clone(), Some(base.metadata_location.clone()))
            .set_branch_snapshot(snapshot, "main")
            .and_then(|builder| builder.set_current_schema(schema.schema_id()));
    // What is written next goes on as the files are cut that it goes on from.
    if let Some(spec) = specs.first().filter(|_| specs.len() == 1) {
        builder = builder.and_then(|builder| builder.set_default_partition_spec(*spec));
    }
    let built = builder
        .and_then(TableMetadataBuilder::build)
        .map_err(|error| refuse(table, error))?
        .metadata;
    let bytes = serde_json::to_vec(&built)
        .map_err(|error| LakeError::Internal(format!("the metadata of {table} has no JSON form: {error}")))?;
    waiting.put(&names.metadata, &bytes)?;
    waiting.seal().await?;
    lake.remember_metadata(&names.metadata, Arc::new(built), bytes.len());

    let after = partition_rows_at(&opened, Some(target.snapshot_id())).await?;
    Ok(RollbackOutcome::Prepared(Rollback {
        commit: PreparedCommit {
            pointer: TablePointer {
                metadata_location: names.metadata.clone(),
                snapshot_id: Some(snapshot_id),
            },
            base: Some(base.clone()),
            snapshot_id,
            written_files: vec![names.list, names.metadata],
            already: Vec::new(),
        },
        partitions: difference
            .partitions()
            .into_iter()
            .map(|key| ChangedPartition {
                after: after.get(&key).copied(),
                key,
            })
            .collect(),
    }))
}

/// Files that only one of two snapshots has.
struct Difference {
    added: Vec<File>,
    removed: Vec<File>,
}

struct File {
    data: DataFile,
    spec: PartitionSpecRef,
    key: Option<PartitionKey>,
}

impl Difference {
    async fn of(table: &LakeTable, current: &SnapshotRef, target: &SnapshotRef) -> Result<Self, LakeError> {
        let (lake, version) = (table.lake(), table.metadata().format_version());
        let now = lake.manifest_list(current, version).await?;
        let then = lake.manifest_list(target, version).await?;
        let names = |list: &iceberg::spec::ManifestList| -> HashSet<String> {
            list.entries().iter().map(|file| file.manifest_path.clone()).collect()
        };
        // A manifest that both list has the same files in both.
        let (of_now, of_then) = (names(&now), names(&then));
        let mut before = Self::files(table, &now, &of_then).await?;
        let mut after = Self::files(table, &then, &of_now).await?;
        let both: Vec<String> = before
            .keys()
            .filter(|path| after.contains_key(*path))
            .cloned()
            .collect();
        for path in both {
            before.remove(&path);
            after.remove(&path);
        }
        Ok(Self {
            added: after.into_values().collect(),
            removed: before.into_values().collect(),
        })
    }

    async fn files(
        table: &LakeTable,
        list: &iceberg::spec::ManifestList,
        without: &HashSet<String>,
    ) -> Result<BTreeMap<String, File>, LakeError> {
        let metadata = table.metadata();
        let mut found = BTreeMap::new();
        for manifest in list.entries() {
            if without.contains(&manifest.manifest_path) {
                continue;
            }
            let loaded = table.lake().manifest(manifest).await?;
            let about = loaded.manifest.metadata();
            let spec: PartitionSpecRef = Arc::new(about.partition_spec().clone());
            // Named by the columns of the manifest's own time: the partition column may be another one now.
            let column_type = identity_column(&spec, about.schema())
                .or_else(|| identity_column(&spec, metadata.current_schema()))
                .map(|(_, column_type)| column_type.clone());
            for entry in loaded.alive() {
                let value = entry.data_file().partition().fields().first().and_then(Option::as_ref);
                let key = column_type
                    .as_ref()
                    .and_then(|column_type| key_of_literal(value, column_type));
                let file = File {
                    data: entry.data_file().clone(),
                    spec: Arc::clone(&spec),
                    key,
                };
                found.insert(entry.file_path().to_owned(), file);
            }
        }
        Ok(found)
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    fn partitions(&self) -> BTreeSet<Option<PartitionKey>> {
        let all = self.added.iter().chain(&self.removed);
        all.map(|file| file.key.clone()).collect()
    }

    /// The summary: what comes and goes, the totals of the older snapshot, and which it is.
    fn properties(&self, table: &LakeTable, target: &SnapshotRef) -> HashMap<String, String> {
        let schema = table.metadata().current_schema();
        let mut summary = SnapshotSummaryCollector::default();
        for file in &self.added {
            summary.add_file(&file.data, Arc::clone(schema), Arc::clone(&file.spec));
        }
        for file in &self.removed {
            summary.remove_file(&file.data, Arc::clone(schema), Arc::clone(&file.spec));
        }
        let mut properties = summary.build();
        let then = &target.summary().additional_properties;
        for total in TOTALS {
            if let Some(value) = then.get(*total) {
                properties.insert((*total).to_owned(), value.clone());
            }
        }
        if let Some(rule) = rule_at(table.metadata(), target) {
            properties.insert(RULE_PROPERTY.to_owned(), rule);
        }
        properties.insert(ROLLED_BACK_PROPERTY.to_owned(), target.snapshot_id().to_string());
        properties
    }
}
