//! The kind `training_set`: labels, each with the features that were known at its moment and nothing later.
//!
//! `labels` names the asset of the labels, the column with the moment of each, and the columns to carry along; `features` names
//! assets of the kind `features`, whole or by columns. What a row of those is about, from when on it is known and for how long it
//! serves is said where they are declared; `link` takes it from there, so that it is part of the fingerprint here. The join
//! itself is [`crate::point_in_time`]. A training set without outcome is what a model scores: the same kind serves both.
//!
//! Columns, in this order: the entity columns of all features (taken from the labels), the moment, the carried columns, then the
//! columns of each feature asset. A feature column whose name is also that of another becomes `<asset name>__column`.

mod compile;
mod config;
mod link;
mod materialize;
mod origins;
mod output;
mod spec;

pub use config::{FeatureColumns, JoinedBy, Labels, TrainingSetConfig};
pub(crate) use link::label_columns;

use assets::diagnostic::DiagnosticSink;
use assets::kind::{CompileContext, CompiledKind, OtherAsset};
use assets::outcome::Failure;
use assets::sql::{ColumnOrigins, ColumnsOf};
use assets::table::{TableReader, TableSpec};
use assets::{Asset, AssetKey};
use async_trait::async_trait;

use crate::kind::{Kind, Output};
use crate::step_run::StepContext;

/// `kind = "training_set"`.
#[derive(Debug, Clone, Copy)]
pub struct TrainingSet;

#[async_trait]
impl Kind for TrainingSet {
    fn name(&self) -> &'static str {
        "training_set"
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

    fn link<'o>(
        &self,
        compiled: &CompiledKind,
        others: &dyn Fn(&AssetKey) -> Option<OtherAsset<'o>>,
        sink: &DiagnosticSink,
    ) -> Option<CompiledKind> {
        let mut linked = compiled.clone();
        link::link(&mut linked, others, sink);
        Some(linked)
    }

    fn column_origins(&self, asset: &Asset, columns_of: ColumnsOf<'_>) -> Option<ColumnOrigins> {
        origins::column_origins(asset, columns_of)
    }

    async fn materialize(&self, context: &StepContext<'_>) -> Result<Output, Failure> {
        materialize::materialize(context).await
    }
}
