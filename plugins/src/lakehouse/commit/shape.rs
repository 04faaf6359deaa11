//! Columns and partitions of the next version of a table, from what its members staged.

use ahash::HashSet;
use assets::AssetKey;
use assets::outcome::{ColumnChanges, Replace};
use iceberg::spec::{Schema, SnapshotRef, TableMetadata, Transform, UnboundPartitionSpec};

use super::{CommitMember, Purpose};
use crate::lakehouse::cut::{Cut, check_cut};
use crate::lakehouse::manifests::Removed;
use crate::lakehouse::partition_column::datum_of;
use crate::lakehouse::schema::join_staged;
use crate::lakehouse::staging::staged_schema;
use crate::lakehouse::{LakeError, SchemaDifference};

/// Columns and partition column of the next version.
pub(super) struct Shape {
    pub(super) schema: Schema,
    pub(super) partition_column: Option<String>,
    whole: bool,
}

impl Shape {
    pub(super) fn of(
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

    pub(super) fn spec(&self) -> Result<UnboundPartitionSpec, LakeError> {
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
    pub(super) fn removed(&self, members: &[&CommitMember], schema: &Schema) -> Result<Removed, LakeError> {
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
                differences: vec![SchemaDifference {
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
pub(super) fn check_ids(table: &AssetKey, ours: &Schema, theirs: &Schema) -> Result<(), LakeError> {
    if ours.as_struct() == theirs.as_struct() {
        Ok(())
    } else {
        Err(LakeError::Internal(format!(
            "the columns of {table} were numbered differently in its files"
        )))
    }
}
