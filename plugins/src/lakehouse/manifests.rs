//! The manifests of the next snapshot: untouched ones carried as they are, those with replaced partitions rewritten, one for the
//! added files, and many small ones merged.
//!
//! Merging is by tiers of eight: eight manifests of under 8 files become one, and eight of under 64; eight of under 256 become as many
//! as are needed for 512 files each. Larger ones are left alone, and what is written has no more than 512, since all of a manifest is
//! written again when one of its files goes. So n files are in at most 21 + n/256 manifests, and each file's entry is merged at most
//! three times.

use std::sync::Arc;

use ahash::HashSet;
use assets::AssetKey;
use iceberg::io::{OutputFile, Storage};
use iceberg::spec::{
    DataFile, Datum, ManifestContentType, ManifestEntryRef, ManifestFile, ManifestWriter, ManifestWriterBuilder,
    PartitionSpec, PartitionSpecRef, PrimitiveLiteral, SchemaRef, SnapshotRef, SnapshotSummaryCollector, TableMetadata,
};

use super::lake::LoadedManifest;
use super::scan::may_hold;
use super::storage::SealTogether;
use super::table::identity_column;
use super::{Lake, LakeError};

/// Manifests of one tier that are merged into one.
const TIER_WIDTH: usize = 8;
/// Manifests of this many files are not merged any more.
const LARGE: u64 = 256;
/// Most files of a manifest.
const MOST_FILES: usize = 512;

/// What a commit takes away.
pub(crate) enum Removed {
    Nothing,
    /// The files of these partitions.
    Values(Vec<Datum>),
    /// These files.
    Files(HashSet<String>),
    All,
}

/// Where the manifests so far are.
pub(crate) struct ManifestsOf<'a> {
    pub(crate) lake: &'a Lake,
    pub(crate) table: &'a AssetKey,
    pub(crate) metadata: Option<&'a TableMetadata>,
    pub(crate) parent: Option<&'a SnapshotRef>,
}

/// What the next snapshot refers to.
pub(crate) struct NextManifests {
    pub(crate) list: Vec<ManifestFile>,
    /// Locations of new manifests.
    pub(crate) written: Vec<String>,
    pub(crate) removed_files: usize,
}

/// Numbers and writes manifests.
struct Output<'a> {
    waiting: &'a SealTogether,
    stem: &'a str,
    snapshot_id: i64,
    written: Vec<String>,
}

impl Output<'_> {
    fn writer(
        &mut self,
        schema: SchemaRef,
        spec: PartitionSpec,
        content: ManifestContentType,
    ) -> Result<ManifestWriter, LakeError> {
        let location = format!("{}{}.avro", self.stem, self.written.len());
        let output: OutputFile = self
            .waiting
            .new_output(&location)
            .map_err(|error| LakeError::iceberg("write", &location, error))?;
        self.written.push(location);
        let builder = ManifestWriterBuilder::new(output, Some(self.snapshot_id), schema, spec);
        Ok(match content {
            ManifestContentType::Data => builder.build_v2_data(),
            ManifestContentType::Deletes => builder.build_v2_deletes(),
        })
    }

    async fn finish(&self, writer: ManifestWriter) -> Result<ManifestFile, LakeError> {
        writer
            .write_manifest_file()
            .await
            .map_err(|error| LakeError::iceberg("write a manifest below", self.stem, error))
    }
}

/// Writes what is new (unsealed, into `waiting`) and lists what the next snapshot holds.
#[allow(
    clippy::too_many_arguments,
    reason = "called once; the parts come from different steps of the commit"
)]
pub(crate) async fn next_manifests(
    from: ManifestsOf<'_>,
    (schema, spec): (&SchemaRef, &PartitionSpecRef),
    removed: &Removed,
    added: Vec<DataFile>,
    snapshot_id: i64,
    stem: &str,
    waiting: &SealTogether,
    summary: &mut SnapshotSummaryCollector,
) -> Result<NextManifests, LakeError> {
    let mut output = Output {
        waiting,
        stem,
        snapshot_id,
        written: Vec::new(),
    };
    let mut list = Vec::new();
    let mut removed_files = 0;
    let mut added = added.into_iter().peekable();
    while added.peek().is_some() {
        let mut writer = output.writer(Arc::clone(schema), spec.as_ref().clone(), ManifestContentType::Data)?;
        for file in added.by_ref().take(MOST_FILES) {
            // A negative number: the sequence number is inherited from the manifest list.
            writer
                .add_file(file, -1)
                .map_err(|error| LakeError::iceberg("add a file to", from.table, error))?;
        }
        list.push(output.finish(writer).await?);
    }
    let mut carried = Vec::new();
    if let (Some(metadata), Some(parent)) = (from.metadata, from.parent) {
        let before = from.lake.manifest_list(parent, metadata.format_version()).await?;
        for file in before.entries() {
            if !file.has_added_files() && !file.has_existing_files() {
                continue; // It only told the last snapshot what that one removed.
            }
            match from.touched(metadata, file, removed).await? {
                None => carried.push(file.clone()),
                Some(loaded) => {
                    removed_files += rewrite(&mut output, &loaded, file, removed, summary, &mut list).await?;
                }
            }
        }
    }
    merge(&from, &mut output, carried, spec.spec_id(), &mut list).await?;
    Ok(NextManifests {
        list,
        written: output.written,
        removed_files,
    })
}

impl ManifestsOf<'_> {
    /// The manifest, if it holds live files that are to be removed.
    async fn touched(
        &self,
        metadata: &TableMetadata,
        file: &ManifestFile,
        removed: &Removed,
    ) -> Result<Option<Arc<LoadedManifest>>, LakeError> {
        let values = match removed {
            Removed::Nothing => return Ok(None),
            Removed::All => return Ok(Some(self.lake.manifest(file).await?)),
            Removed::Files(paths) => {
                let loaded = self.lake.manifest(file).await?;
                let hit = loaded.alive().any(|entry| paths.contains(entry.file_path()));
                return Ok(hit.then_some(loaded));
            }
            Removed::Values(values) => values,
        };
        let spec = metadata
            .partition_spec_by_id(file.partition_spec_id)
            .ok_or_else(|| LakeError::Internal(format!("{} names an unknown partition spec", file.manifest_path)))?;
        let Some((_, column_type)) = identity_column(spec, metadata.current_schema()) else {
            // Files cut in another way: which of their rows belong to the partition is not known from here.
            return Err(LakeError::PartitionColumn {
                table: self.table.clone(),
                was: "another rule for some of its files".to_owned(),
                is: "one column".to_owned(),
            });
        };
        let possible: Vec<&Datum> = values
            .iter()
            .filter(|value| may_hold(file, column_type, value))
            .collect();
        if possible.is_empty() {
            return Ok(None);
        }
        let loaded = self.lake.manifest(file).await?;
        let hit = possible
            .iter()
            .any(|value| loaded.of_partition(value.literal()).next().is_some());
        Ok(hit.then_some(loaded))
    }
}

/// Writes the manifest again, as several if it is large: live files stay as they are, those of removed partitions are marked as deleted.
/// Says how many are.
async fn rewrite(
    output: &mut Output<'_>,
    loaded: &LoadedManifest,
    file: &ManifestFile,
    removed: &Removed,
    summary: &mut SnapshotSummaryCollector,
    list: &mut Vec<ManifestFile>,
) -> Result<usize, LakeError> {
    let about = loaded.manifest.metadata();
    let (schema, spec) = (Arc::clone(about.schema()), about.partition_spec().clone());
    let values: HashSet<&PrimitiveLiteral> = match removed {
        Removed::Values(values) => values.iter().map(Datum::literal).collect(),
        Removed::All | Removed::Nothing | Removed::Files(_) => HashSet::default(),
    };
    let goes = |entry: &ManifestEntryRef| match removed {
        Removed::All => true,
        Removed::Nothing => false,
        Removed::Files(paths) => paths.contains(entry.file_path()),
        Removed::Values(_) => {
            let value = entry.data_file().partition().fields().first().and_then(Option::as_ref);
            value
                .and_then(|value| value.as_primitive_literal())
                .is_some_and(|value| values.contains(&value))
        }
    };
    let mut count = 0;
    let spec_ref: PartitionSpecRef = Arc::new(spec.clone());
    let mut alive = loaded.alive().peekable();
    while alive.peek().is_some() {
        let mut writer = output.writer(Arc::clone(&schema), spec.clone(), file.content)?;
        for entry in alive.by_ref().take(MOST_FILES) {
            let refuse = |error| LakeError::iceberg("rewrite", &file.manifest_path, error);
            if goes(entry) {
                summary.remove_file(entry.data_file(), Arc::clone(&schema), Arc::clone(&spec_ref));
                let sequence = entry.sequence_number().unwrap_or_default();
                writer
                    .add_delete_file(entry.data_file().clone(), sequence, entry.file_sequence_number)
                    .map_err(refuse)?;
                count += 1;
            } else {
                keep(&mut writer, entry).map_err(refuse)?;
            }
        }
        list.push(output.finish(writer).await?);
    }
    Ok(count)
}

fn keep(writer: &mut ManifestWriter, entry: &ManifestEntryRef) -> iceberg::Result<()> {
    writer.add_existing_file(
        entry.data_file().clone(),
        entry.snapshot_id().unwrap_or_default(),
        entry.sequence_number().unwrap_or_default(),
        entry.file_sequence_number,
    )
}

/// Appends the carried manifests to `list`, full tiers of small ones as one manifest each.
async fn merge(
    from: &ManifestsOf<'_>,
    output: &mut Output<'_>,
    carried: Vec<ManifestFile>,
    spec_id: i32,
    list: &mut Vec<ManifestFile>,
) -> Result<(), LakeError> {
    let mut tiers: [Vec<ManifestFile>; 3] = Default::default();
    for file in carried {
        match tier(&file) {
            Some(tier) if file.content == ManifestContentType::Data && file.partition_spec_id == spec_id => {
                tiers[tier].push(file);
            }
            _ => list.push(file),
        }
    }
    for tier in tiers {
        if tier.len() < TIER_WIDTH {
            list.extend(tier);
            continue;
        }
        for together in fitting(tier) {
            if let [alone] = together.as_slice() {
                list.push(alone.clone());
                continue;
            }
            let mut loaded = Vec::new();
            for file in &together {
                loaded.push(from.lake.manifest(file).await?);
            }
            let about = loaded[0].manifest.metadata();
            // All have one spec; the partition's type is read off a schema that knows its column.
            let mut writer = output.writer(
                Arc::clone(about.schema()),
                about.partition_spec().clone(),
                ManifestContentType::Data,
            )?;
            for (manifest, file) in loaded.iter().zip(&together) {
                for entry in manifest.alive() {
                    keep(&mut writer, entry)
                        .map_err(|error| LakeError::iceberg("merge", &file.manifest_path, error))?;
                }
            }
            list.push(output.finish(writer).await?);
        }
    }
    Ok(())
}

/// Manifests that fit into one, one after the other. All but the last are too large for any tier once they are one.
fn fitting(tier: Vec<ManifestFile>) -> Vec<Vec<ManifestFile>> {
    let mut groups: Vec<(u64, Vec<ManifestFile>)> = Vec::new();
    for file in tier {
        let live = live_files(&file).unwrap_or_default();
        match groups.last_mut() {
            Some((sum, group)) if *sum + live <= MOST_FILES as u64 => {
                *sum += live;
                group.push(file);
            }
            _ => groups.push((live, vec![file])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn live_files(file: &ManifestFile) -> Option<u64> {
    Some(u64::from(file.added_files_count?) + u64::from(file.existing_files_count?))
}

/// 0 for under 8 live files, 1 for under 64, 2 for under 256; `None` for more or an unknown number.
fn tier(file: &ManifestFile) -> Option<usize> {
    match live_files(file)? {
        0..8 => Some(0),
        8..64 => Some(1),
        64..LARGE => Some(2),
        _ => None,
    }
}
