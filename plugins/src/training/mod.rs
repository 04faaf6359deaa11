//! The kind `training`: a model, learned from the rows of another asset and judged on those that it has not seen.
//!
//! `split` cuts the rows in time (or by any column with an order): those from `test_from` on judge the model, those before teach
//! it. `metrics` are computed on the test part; `promote` says when a new version takes an alias, which the daemon decides with
//! them. Which columns are features follows from a training set by itself: what is no label column.
//!
//! The artifact lies under its own content's hash in the state folder, so writing it again changes nothing, and the same rows,
//! trainer and seed give the same file. Registering the version and moving aliases is not done here.

mod compile;
mod config;
mod link;
mod materialize;
mod part;
mod rows;
mod settings;
mod spec;
mod store;

pub use config::{Promote, Split, SplitPoint, TrainingConfig};

use assets::AssetKey;
use assets::diagnostic::DiagnosticSink;
use assets::kind::{CompileContext, CompiledKind, OtherAsset};
use assets::outcome::Failure;
use assets::table::{TableReader, TableSpec};
use async_trait::async_trait;

use crate::kind::{Kind, Output};
use crate::step_run::StepContext;

/// `kind = "training"`.
#[derive(Debug, Clone, Copy)]
pub struct Training;

#[async_trait]
impl Kind for Training {
    fn name(&self) -> &'static str {
        "training"
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
        _: &DiagnosticSink,
    ) -> Option<CompiledKind> {
        let mut linked = compiled.clone();
        link::link(&mut linked, others);
        Some(linked)
    }

    /// The rows are let go between batches, the learning between trees: a thread that learns cannot be dropped.
    fn stops_itself(&self) -> bool {
        true
    }

    async fn materialize(&self, context: &StepContext<'_>) -> Result<Output, Failure> {
        materialize::materialize(context).await
    }
}
