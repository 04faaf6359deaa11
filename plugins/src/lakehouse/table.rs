//! One version of a table: its columns, its snapshots, and how to query it.

use std::sync::Arc;

use arrow::datatypes::{Schema as ArrowSchema, SchemaRef as ArrowSchemaRef};
use assets::AssetKey;
use assets::outcome::TablePointer;
use datafusion::catalog::TableProvider;
use iceberg::spec::{PartitionSpec, PrimitiveType, Schema, SnapshotRef, TableMetadata, Transform, Type};

use super::cut::Cut;
use super::lake::{Lake, schema_of};
use super::partition_column::APPENDED;
use super::scan::{LakeScan, ScanFiles};
use super::{LakeError, schema};
use crate::step::Scope;

/// One version of a table, as a pointer names it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LakeTable {
    lake: Lake,
    key: AssetKey,
    metadata: Arc<TableMetadata>,
    pointer: TablePointer,
}

/// What a scan sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanOptions {
    /// A snapshot other than the pointer's; its own columns are seen.
    pub snapshot: Option<i64>,
    /// Rows of all partitions, or of these.
    pub scope: Scope,
    /// The column that `scope` is about; without it, the column by which the table is partitioned.
    pub partition_column: Option<String>,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            snapshot: None,
            scope: Scope::All,
            partition_column: None,
        }
    }
}

impl ScanOptions {
    /// The pointer's snapshot, rows of `scope`.
    pub fn scoped(scope: Scope) -> Self {
        Self {
            scope,
            ..Self::default()
        }
    }
}

impl LakeTable {
    pub(crate) fn new(lake: Lake, key: AssetKey, metadata: Arc<TableMetadata>, pointer: TablePointer) -> Self {
        Self {
            lake,
            key,
            metadata,
            pointer,
        }
    }

    /// The table's name.
    pub fn key(&self) -> &AssetKey {
        &self.key
    }

    /// The version.
    pub fn pointer(&self) -> &TablePointer {
        &self.pointer
    }

    /// The warehouse it is in.
    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    pub(crate) fn metadata(&self) -> &Arc<TableMetadata> {
        &self.metadata
    }

    /// The columns as queries see them (strings as views), without [`APPENDED`].
    pub fn schema(&self) -> Result<ArrowSchemaRef, LakeError> {
        let snapshot = self.snapshot(None)?;
        Ok(schema::query_schema(&schema_of(&self.metadata, snapshot.as_ref())?, &[APPENDED])?.0)
    }

    /// The current columns with the types that files are written with, without [`APPENDED`] and without ids.
    pub fn file_schema(&self) -> Result<ArrowSchemaRef, LakeError> {
        let schema = schema::file_schema(self.metadata.current_schema())?;
        let fields: Vec<_> = schema
            .fields()
            .iter()
            .filter(|field| field.name() != APPENDED)
            .map(|field| field.as_ref().clone().with_metadata(std::collections::HashMap::new()))
            .collect();
        Ok(Arc::new(ArrowSchema::new(fields)))
    }

    /// The column by which the table is partitioned now, if by exactly one column's values.
    pub fn partition_column(&self) -> Option<String> {
        identity_column(self.metadata.default_partition_spec(), self.metadata.current_schema())
            .map(|(column, _)| column.to_owned())
    }

    /// The rule by which the writer fills the column that it appends, where it is known.
    pub(super) fn rule(&self) -> Result<Option<String>, LakeError> {
        let snapshot = self.snapshot(None)?;
        let cut = Cut::of_table(&self.metadata, snapshot.as_ref(), self.metadata.current_schema());
        Ok(cut.and_then(|cut| cut.rule))
    }

    /// Rows in the pointer's snapshot, by its summary; `None` if another writer left no total.
    pub fn rows(&self) -> Option<u64> {
        let Ok(Some(snapshot)) = self.snapshot(None) else {
            return Some(0);
        };
        snapshot
            .summary()
            .additional_properties
            .get("total-records")?
            .parse()
            .ok()
    }

    /// The snapshot with this id, or the pointer's; `None` for a table that was never written.
    pub(crate) fn snapshot(&self, id: Option<i64>) -> Result<Option<SnapshotRef>, LakeError> {
        match id.or(self.pointer.snapshot_id) {
            None => Ok(None),
            Some(id) => match self.metadata.snapshot_by_id(id) {
                Some(snapshot) => Ok(Some(Arc::clone(snapshot))),
                None => Err(LakeError::NoSnapshot {
                    table: self.key.clone(),
                    snapshot: id,
                }),
            },
        }
    }

    /// The URLs of the Parquet files that hold the rows of a scan, for programs that read them without us.
    ///
    /// Refused for a table with delete files: the files alone would show rows that are gone.
    pub async fn file_locations(&self, options: &ScanOptions) -> Result<Vec<String>, LakeError> {
        let snapshot = self.snapshot(options.snapshot)?;
        let schema = schema_of(&self.metadata, snapshot.as_ref())?;
        let files = ScanFiles::Snapshot {
            table: self.clone(),
            snapshot,
            scope: options.scope.clone(),
        };
        LakeScan::new(self.lake.clone(), schema, files)?
            .locations(&self.key)
            .await
    }

    /// A table for queries. Its schema is that of the snapshot; files are chosen when it is scanned.
    pub fn provider(&self, options: &ScanOptions) -> Result<Arc<dyn TableProvider>, LakeError> {
        let snapshot = self.snapshot(options.snapshot)?;
        let schema = schema_of(&self.metadata, snapshot.as_ref())?;
        if let (Scope::Keys(_), Some(column)) = (&options.scope, &options.partition_column) {
            let cut_by = identity_column(self.metadata.default_partition_spec(), &schema).map(|(column, _)| column);
            if snapshot.is_some() && cut_by != Some(column.as_str()) {
                return Err(LakeError::PartitionColumn {
                    table: self.key.clone(),
                    was: cut_by.map_or_else(|| "nothing".to_owned(), |column| format!("`{column}`")),
                    is: format!("`{column}`"),
                });
            }
        }
        let files = ScanFiles::Snapshot {
            table: self.clone(),
            snapshot,
            scope: options.scope.clone(),
        };
        Ok(Arc::new(LakeScan::new(self.lake.clone(), schema, files)?))
    }
}

/// The column and its type if the spec is the identity of one column.
pub(crate) fn identity_column<'a>(spec: &PartitionSpec, schema: &'a Schema) -> Option<(&'a str, &'a PrimitiveType)> {
    match spec.fields() {
        [field] if field.transform == Transform::Identity => {
            let column = schema.field_by_id(field.source_id)?;
            match column.field_type.as_ref() {
                Type::Primitive(primitive) => Some((column.name.as_str(), primitive)),
                _ => None,
            }
        }
        _ => None,
    }
}
