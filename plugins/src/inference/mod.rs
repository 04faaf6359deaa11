//! The kind `inference`: rows, each with the prediction of one model version.
//!
//! `model` names the version: what an alias points to when the step starts (`models.delay@champion`), or a fixed one
//! (`models.delay@3`). Every row of `from` comes out with the columns to keep, its `prediction`, and the `model_version` that made
//! it, so that predictions can be judged by version later. Rows stream through; the step's order pins the artifact.

mod compile;
mod materialize;
mod origins;
mod spec;

pub use compile::InferenceConfig;

use assets::diagnostic::DiagnosticSink;
use assets::kind::{CompileContext, CompiledKind, OtherAsset};
use assets::outcome::Failure;
use assets::sql::{ColumnOrigins, ColumnsOf};
use assets::table::{TableReader, TableSpec};
use assets::{Asset, AssetKey};
use async_trait::async_trait;

use crate::kind::{Kind, Output};
use crate::step_run::StepContext;

/// The column of the predictions.
pub const PREDICTION: &str = "prediction";
/// The column with the version that predicted.
pub const MODEL_VERSION: &str = "model_version";

/// `kind = "inference"`.
#[derive(Debug, Clone, Copy)]
pub struct Inference;

#[async_trait]
impl Kind for Inference {
    fn name(&self) -> &'static str {
        "inference"
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
        compile::link(&mut linked, others, sink);
        Some(linked)
    }

    fn column_origins(&self, asset: &Asset, _columns_of: ColumnsOf<'_>) -> Option<ColumnOrigins> {
        origins::column_origins(asset)
    }

    async fn materialize(&self, context: &StepContext<'_>) -> Result<Output, Failure> {
        materialize::materialize(context).await
    }
}
