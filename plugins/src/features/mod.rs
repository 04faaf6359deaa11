//! The kind `features`: a query whose rows are facts about entities, each known from a point in time on.
//!
//! `entity` names the columns that say what a row is about, `timestamp` the moment from which on the row is known, `ttl` for how
//! long it may serve, `created` (optional) when the row itself was made. The query runs as that of `sql` does; beside the declared
//! checks every entity and timestamp must be there, and no entity may have two rows of the same moment: a point-in-time join
//! could not tell which of them counts.

mod checks;
mod compile;
mod materialize;
mod spec;

pub use compile::FeaturesConfig;

use assets::asset::Asset;
use assets::check::Check;
use assets::kind::{CompileContext, CompiledKind};
use assets::outcome::Failure;
use assets::sql::{ColumnOrigins, ColumnsOf, column_origins};
use assets::table::{TableReader, TableSpec};
use async_trait::async_trait;

use crate::kind::{Kind, Output};
use crate::step_run::StepContext;

/// `kind = "features"`.
#[derive(Debug, Clone, Copy)]
pub struct Features;

#[async_trait]
impl Kind for Features {
    fn name(&self) -> &'static str {
        "features"
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

    fn own_checks(&self, asset: &Asset) -> Vec<Check> {
        checks::own_checks(asset)
    }

    fn column_origins(&self, asset: &Asset, columns_of: ColumnsOf<'_>) -> Option<ColumnOrigins> {
        let config: FeaturesConfig = serde_json::from_value(asset.config.clone()).ok()?;
        column_origins(&config.query.sql, columns_of)
    }

    async fn materialize(&self, context: &StepContext<'_>) -> Result<Output, Failure> {
        materialize::materialize(context).await
    }
}
