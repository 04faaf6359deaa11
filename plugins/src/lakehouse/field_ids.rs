//! Finds a file's columns by Iceberg field id, so that a renamed column is still read and a new column that took an old name is
//! not filled with the old one's values. Files without ids (not written by an Iceberg writer) are read by name.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::prune::Columns;

/// Adapts expressions over the table's columns to one file's columns.
#[derive(Debug)]
pub(crate) struct FieldIdAdapterFactory {
    columns: Arc<Columns>,
}

impl FieldIdAdapterFactory {
    pub(crate) fn new(columns: Arc<Columns>) -> Self {
        Self { columns }
    }
}

impl PhysicalExprAdapterFactory for FieldIdAdapterFactory {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let id = |field: &Field| {
            field
                .metadata()
                .get(PARQUET_FIELD_ID_META_KEY)
                .and_then(|id| id.parse::<i32>().ok())
        };
        let mut moved = false;
        let fields: Vec<Arc<Field>> = physical
            .fields()
            .iter()
            .map(|field| {
                let Some(id) = id(field) else { return Arc::clone(field) };
                match self.columns.name(id) {
                    Some(name) if name == field.name() => Arc::clone(field),
                    Some(name) => {
                        moved = true;
                        Arc::new(field.as_ref().clone().with_name(name))
                    }
                    // Not a column of the table (any more): it must not answer to a name that another column took.
                    None if self.columns.id(field.name()).is_some() => {
                        moved = true;
                        Arc::new(field.as_ref().clone().with_name(format!("\u{0}dropped {id}")))
                    }
                    None => Arc::clone(field),
                }
            })
            .collect();
        if !moved {
            return DefaultPhysicalExprAdapterFactory.create(logical, physical);
        }
        let inner = DefaultPhysicalExprAdapterFactory.create(logical, Arc::new(Schema::new(fields)))?;
        Ok(Arc::new(FieldIdAdapter { inner, physical }))
    }
}

#[derive(Debug)]
struct FieldIdAdapter {
    /// Works on the file's schema with the table's names.
    inner: Arc<dyn PhysicalExprAdapter>,
    physical: SchemaRef,
}

impl PhysicalExprAdapter for FieldIdAdapter {
    fn rewrite(&self, expression: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let restore = |expression: Arc<dyn PhysicalExpr>| {
            if let Some(column) = expression.downcast_ref::<Column>() {
                let name = self.physical.field(column.index()).name();
                if name != column.name() {
                    let restored: Arc<dyn PhysicalExpr> = Arc::new(Column::new(name, column.index()));
                    return Ok(Transformed::yes(restored));
                }
            }
            Ok(Transformed::no(expression))
        };
        self.inner.rewrite(expression)?.transform(restore).data()
    }
}
