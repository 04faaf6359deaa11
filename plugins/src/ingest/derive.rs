//! Columns computed from the raw ones.
//!
//! Expressions are evaluated batch by batch on the thread that reads, not by a query: so each computed value stays beside the
//! line of its row.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use assets::outcome::{Failure, FailureClass};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;

use super::failure::of_derived;

/// The computed columns of one set of raw columns.
pub(super) struct Derived {
    expressions: Vec<(String, Arc<dyn PhysicalExpr>)>,
    /// The raw columns, then the computed ones.
    schema: SchemaRef,
}

/// A batch, or a row of it, for which a column cannot be computed.
pub(super) struct Uncomputed {
    /// Which column.
    pub(super) column: String,
    /// Why.
    pub(super) error: DataFusionError,
}

impl Uncomputed {
    pub(super) fn failure(self) -> Failure {
        of_derived(&self.column, self.error)
    }
}

impl Derived {
    /// Binds the expressions to the raw columns.
    pub(super) fn bind(derive: &[(String, String)], raw: &SchemaRef) -> Result<Self, Failure> {
        let context = engine();
        let mut fields: Vec<Arc<Field>> = raw.fields().iter().cloned().collect();
        let mut expressions = Vec::with_capacity(derive.len());
        for (name, text) in derive {
            if raw.index_of(name).is_ok() {
                let message = format!("compute the column `{name}`: the files have a column of this name");
                return Err(
                    Failure::new(FailureClass::Declaration, message).with_help("give the computed column another name")
                );
            }
            let refuse = |error| of_derived(name, error);
            let columns = DFSchema::try_from(Arc::clone(raw)).map_err(refuse)?;
            let logical = context.parse_sql_expr(text, &columns).map_err(refuse)?;
            let physical = context.create_physical_expr(logical, &columns).map_err(refuse)?;
            let data_type = physical.data_type(raw).map_err(refuse)?;
            fields.push(Arc::new(Field::new(name, data_type, true)));
            expressions.push((name.clone(), physical));
        }
        Ok(Self {
            expressions,
            schema: Arc::new(Schema::new(fields)),
        })
    }

    /// The raw columns, then the computed ones.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Adds the computed columns to raw rows.
    pub(super) fn compute(&self, raw: &RecordBatch) -> Result<RecordBatch, Uncomputed> {
        if self.expressions.is_empty() {
            return Ok(raw.clone());
        }
        let mut columns = raw.columns().to_vec();
        for (name, expression) in &self.expressions {
            let value = expression
                .evaluate(raw)
                .and_then(|value| value.into_array(raw.num_rows()))
                .map_err(|error| Uncomputed {
                    column: name.clone(),
                    error,
                })?;
            columns.push(value);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|error| Uncomputed {
            column: self.expressions[0].0.clone(),
            error: error.into(),
        })
    }
}

/// The raw columns that an expression reads.
pub(super) fn columns_of(name: &str, text: &str, raw: &SchemaRef) -> Result<BTreeSet<String>, Failure> {
    let refuse = |error| of_derived(name, error);
    let columns = DFSchema::try_from(Arc::clone(raw)).map_err(refuse)?;
    let logical: Expr = engine().parse_sql_expr(text, &columns).map_err(refuse)?;
    Ok(logical
        .column_refs()
        .into_iter()
        .map(|column| column.name.clone())
        .collect())
}

/// The functions of the engine, and no tables.
fn engine() -> SessionContext {
    SessionContext::new_with_state(SessionStateBuilder::new().with_default_features().build())
}
