//! The kind `sql`: one SELECT over other assets.
//!
//! The assets that it reads are those that its query names; inside a step such a name means the rows that belong to the
//! step's partition (`step_run::context`). What it returns is the asset's table.

mod compile;
mod materialize;
mod spec;

pub use compile::QueryConfig;
pub(crate) use compile::{compile_query, query_inputs};
pub(crate) use materialize::run_query;
pub(crate) use spec::SQL_FIELD;

use assets::Asset;
use assets::kind::{CompileContext, CompiledKind};
use assets::outcome::Failure;
use assets::sql::{ColumnOrigins, ColumnsOf, column_origins};
use assets::table::{TableReader, TableSpec};
use async_trait::async_trait;

use crate::kind::{Kind, Output};
use crate::step_run::StepContext;

/// `kind = "sql"`.
#[derive(Debug, Clone, Copy)]
pub struct Sql;

#[async_trait]
impl Kind for Sql {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn doc(&self) -> &'static str {
        spec::SPEC.doc
    }

    fn spec(&self) -> &'static TableSpec {
        &spec::SPEC
    }

    fn compile(&self, table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<CompiledKind> {
        compile::compile(table, context)
    }

    fn column_origins(&self, asset: &Asset, columns_of: ColumnsOf<'_>) -> Option<ColumnOrigins> {
        let config: QueryConfig = serde_json::from_value(asset.config.clone()).ok()?;
        column_origins(&config.sql, columns_of)
    }

    fn may_make_together(&self) -> bool {
        true
    }

    async fn materialize(&self, context: &StepContext<'_>) -> Result<Output, Failure> {
        let config: QueryConfig = context.config()?;
        Ok(Output::rows(run_query(&config, context).await?))
    }
}
