//! A table as DataFusion sees it: Iceberg's file plan handed to DataFusion's own Parquet source.
//!
//! Files are chosen here, from manifests: by the partitions in scope (exact), then by partition summaries and column bounds
//! against the query's filters (`prune`). What is left is read by DataFusion as it reads any Parquet, with columns found by
//! field id (`field_ids`), counts and bounds as statistics, and files spread over its partitions by size. Filters stay with
//! DataFusion: pruning may keep too many files, never too few. Tables with delete files (other writers make them) are read by
//! the Iceberg library instead (`merge_on_read`).

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef as ArrowSchemaRef;
use assets::AssetKey;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result as DataFusionResult};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicate;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use iceberg::spec::{
    DataFileFormat, Datum, ManifestContentType, ManifestEntryRef, ManifestFile, PrimitiveLiteral, PrimitiveType,
    SchemaRef, SnapshotRef,
};
use object_store::ObjectMeta;

use super::field_ids::FieldIdAdapterFactory;
use super::lake::Lake;
use super::partition_column::{APPENDED, datum_of};
use super::prune::{Columns, FileBounds, ManifestBounds, table_statistics};
use super::table::{LakeTable, identity_column};
use super::{LakeError, merge_on_read, schema};
use crate::step::Scope;

/// Where the files of a scan come from.
#[derive(Debug)]
pub(crate) enum ScanFiles {
    /// The manifests of a snapshot (`None`: a table that was never written), restricted to the partitions in scope.
    Snapshot {
        table: LakeTable,
        snapshot: Option<SnapshotRef>,
        scope: Scope,
    },
    /// A fixed list, not (yet) part of any snapshot.
    Listed(Vec<ManifestEntryRef>),
}

/// One version of a table, ready for queries.
#[derive(Debug)]
pub(crate) struct LakeScan {
    lake: Lake,
    /// What queries see.
    schema: ArrowSchemaRef,
    columns: Arc<Columns>,
    files: ScanFiles,
}

/// The files that a scan must read.
struct FilePlan {
    entries: Vec<ManifestEntryRef>,
    /// Whether delete files may apply to them.
    deletes: bool,
}

impl LakeScan {
    pub(crate) fn new(lake: Lake, table_schema: SchemaRef, files: ScanFiles) -> Result<Self, LakeError> {
        let (schema, ids) = schema::query_schema(&table_schema, &[APPENDED])?;
        Ok(Self {
            lake,
            columns: Arc::new(Columns::new(Arc::clone(&schema), ids)),
            schema,
            files,
        })
    }

    /// A scan of a fixed list of files that shows every column, also the one that only tells partitions.
    pub(crate) fn of_all_columns(lake: Lake, table_schema: SchemaRef, files: ScanFiles) -> Result<Self, LakeError> {
        let (schema, ids) = schema::query_schema(&table_schema, &[])?;
        Ok(Self {
            lake,
            columns: Arc::new(Columns::new(Arc::clone(&schema), ids)),
            schema,
            files,
        })
    }

    /// All files of the scan.
    pub(crate) async fn entries(&self, table: &AssetKey) -> Result<Vec<ManifestEntryRef>, LakeError> {
        let plan = self.plan(&[]).await?;
        if plan.deletes {
            return Err(LakeError::Location {
                location: table.to_string(),
                reason: "it has delete files of another writer, so its data files alone show rows that are gone"
                    .to_owned(),
            });
        }
        Ok(plan.entries)
    }

    /// The URLs of all files of the scan, sorted.
    pub(crate) async fn locations(&self, table: &AssetKey) -> Result<Vec<String>, LakeError> {
        let entries = self.entries(table).await?;
        let mut locations: Vec<String> = entries.iter().map(|entry| entry.file_path().to_owned()).collect();
        locations.sort_unstable();
        Ok(locations)
    }

    async fn plan(&self, predicates: &[PruningPredicate]) -> Result<FilePlan, LakeError> {
        let mut plan = match &self.files {
            ScanFiles::Listed(entries) => FilePlan {
                entries: entries.clone(),
                deletes: false,
            },
            ScanFiles::Snapshot { snapshot: None, .. } => FilePlan {
                entries: Vec::new(),
                deletes: false,
            },
            ScanFiles::Snapshot {
                table,
                snapshot: Some(snapshot),
                scope,
            } => self.plan_snapshot(table, snapshot, scope, predicates).await?,
        };
        if !predicates.is_empty() && !plan.entries.is_empty() {
            let bounds = FileBounds {
                columns: &self.columns,
                entries: &plan.entries,
            };
            let mut keep = vec![true; plan.entries.len()];
            for predicate in predicates {
                // A predicate that cannot be evaluated keeps every file.
                if let Ok(wanted) = predicate.prune(&bounds) {
                    keep.iter_mut().zip(wanted).for_each(|(keep, wanted)| *keep &= wanted);
                }
            }
            let mut keep = keep.into_iter();
            plan.entries.retain(|_| keep.next().unwrap_or(true));
        }
        Ok(plan)
    }

    async fn plan_snapshot(
        &self,
        table: &LakeTable,
        snapshot: &SnapshotRef,
        scope: &Scope,
        predicates: &[PruningPredicate],
    ) -> Result<FilePlan, LakeError> {
        let metadata = table.metadata();
        let list = self.lake.manifest_list(snapshot, metadata.format_version()).await?;
        let has_live = |file: &ManifestFile| file.has_added_files() || file.has_existing_files();
        let deletes = list
            .entries()
            .iter()
            .any(|file| file.content == ManifestContentType::Deletes && has_live(file));
        let manifests: Vec<&ManifestFile> = list
            .entries()
            .iter()
            .filter(|file| file.content == ManifestContentType::Data && has_live(file))
            .collect();
        let keep = ManifestBounds::new(&self.columns, metadata, &manifests).keep(predicates);
        let mut entries = Vec::new();
        for (file, _) in manifests.into_iter().zip(keep).filter(|(_, keep)| *keep) {
            match scope {
                Scope::All => entries.extend(self.lake.manifest(file).await?.alive().cloned()),
                Scope::Keys(keys) => {
                    let spec = metadata.partition_spec_by_id(file.partition_spec_id).ok_or_else(|| {
                        LakeError::Internal(format!("{} names an unknown partition spec", file.manifest_path))
                    })?;
                    let Some((_, column_type)) = identity_column(spec, metadata.current_schema()) else {
                        return Err(LakeError::PartitionColumn {
                            table: table.key().clone(),
                            was: "nothing, or by more than one column".to_owned(),
                            is: "the column that its readers select partitions by".to_owned(),
                        });
                    };
                    let values: HashSet<PrimitiveLiteral> = keys
                        .iter()
                        .filter_map(|key| datum_of(key, column_type))
                        .filter(|value| may_hold(file, column_type, value))
                        .map(|value| value.literal().clone())
                        .collect();
                    if !values.is_empty() {
                        let loaded = self.lake.manifest(file).await?;
                        let chosen = values.iter().flat_map(|value| loaded.of_partition(value));
                        entries.extend(chosen.cloned());
                    }
                }
            }
        }
        Ok(FilePlan { entries, deletes })
    }

    /// Turns filters into pruning predicates, one by one; one that cannot be turned is left out.
    fn predicates(&self, state: &dyn Session, filters: &[Expr]) -> Vec<PruningPredicate> {
        let Ok(schema) = DFSchema::try_from(Arc::clone(&self.schema)) else {
            return Vec::new();
        };
        filters
            .iter()
            .filter_map(|filter| {
                let physical = state.create_physical_expr(filter.clone(), &schema).ok()?;
                let predicate = PruningPredicate::try_new(physical, Arc::clone(&self.schema)).ok()?;
                (!predicate.always_true()).then_some(predicate)
            })
            .collect()
    }

    /// Whether a filter looks at a float column in which some of the files hold NaN: Parquet's bounds leave NaN out, while
    /// queries order it above all numbers, so reading must not skip by those bounds.
    fn nan_in_filters(&self, filters: &[Expr], entries: &[ManifestEntryRef]) -> bool {
        filters
            .iter()
            .flat_map(Expr::column_refs)
            .any(|column| self.columns.may_hold_nan(&column.name, entries))
    }
}

/// Whether the manifest's summary allows files with this partition value.
pub(crate) fn may_hold(file: &ManifestFile, column_type: &PrimitiveType, value: &Datum) -> bool {
    let Some([summary]) = file.partitions.as_deref() else {
        return true;
    };
    let bound = |bytes: Option<&[u8]>| Datum::try_from_bytes(bytes?, column_type.clone()).ok();
    bound(summary.lower_bound.as_ref().map(|bytes| bytes.as_slice())).is_none_or(|lower| lower <= *value)
        && bound(summary.upper_bound.as_ref().map(|bytes| bytes.as_slice())).is_none_or(|upper| *value <= upper)
}

#[async_trait]
impl TableProvider for LakeScan {
    fn schema(&self) -> ArrowSchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let output = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => Arc::clone(&self.schema),
        };
        let plan = self.plan(&self.predicates(state, filters)).await?;
        if plan.entries.is_empty() {
            return Ok(Arc::new(EmptyExec::new(output)));
        }
        let partitions = state.config().target_partitions().max(1);
        if plan.deletes
            && let ScanFiles::Snapshot {
                table,
                snapshot: Some(snapshot),
                ..
            } = &self.files
        {
            let ids = self.columns.ids(projection);
            return merge_on_read::scan(table, snapshot, &plan.entries, output, &ids, partitions, limit).await;
        }

        let url = match self.lake.storage().object_store() {
            None => ObjectStoreUrl::local_filesystem(),
            Some((root, store)) => {
                let url = ObjectStoreUrl::parse(root)?;
                state.runtime_env().register_object_store(url.as_ref(), store);
                url
            }
        };
        let store = state.runtime_env().object_store(&url)?;
        let readers = CachedParquetFileReaderFactory::new(store, self.lake.footers());
        let mut options = state.default_table_options().parquet;
        if self.nan_in_filters(filters, &plan.entries) {
            options.global.pruning = false;
            options.global.enable_page_index = false;
        }
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(readers));
        let statistics = table_statistics(&self.columns, &plan.entries, filters.is_empty());
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups(&self.lake, &plan.entries, partitions)?)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .with_expr_adapter(Some(Arc::new(FieldIdAdapterFactory::new(Arc::clone(&self.columns)))))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// Spreads files over at most `partitions` groups, biggest first to the least loaded; DataFusion splits further by bytes. A single
/// group has them in the order in which they come.
fn groups(lake: &Lake, entries: &[ManifestEntryRef], partitions: usize) -> Result<Vec<FileGroup>, LakeError> {
    let mut by_size: Vec<&ManifestEntryRef> = entries.iter().collect();
    if partitions > 1 {
        by_size.sort_by_key(|entry| Reverse(entry.file_size_in_bytes()));
    }
    let mut groups: Vec<(u64, Vec<PartitionedFile>)> = vec![(0, Vec::new()); partitions.min(by_size.len())];
    for entry in by_size {
        let lightest = groups
            .iter_mut()
            .min_by_key(|(bytes, _)| *bytes)
            .expect("there is a file, so there is a group");
        lightest.0 += entry.file_size_in_bytes();
        lightest.1.push(partitioned_file(lake, entry)?);
    }
    Ok(groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect())
}

fn partitioned_file(lake: &Lake, entry: &ManifestEntryRef) -> Result<PartitionedFile, LakeError> {
    let path = entry.file_path();
    if entry.file_format() != DataFileFormat::Parquet {
        return Err(LakeError::Location {
            location: path.to_owned(),
            reason: format!("its format is {:?}; only Parquet is read", entry.file_format()),
        });
    }
    let location = lake.storage().path_in_store(path)?;
    Ok(PartitionedFile::new_from_meta(ObjectMeta {
        location,
        // Data files never change; a fixed time lets their footers be found in the cache again.
        last_modified: std::time::UNIX_EPOCH.into(),
        size: entry.file_size_in_bytes(),
        e_tag: None,
        version: None,
    }))
}
