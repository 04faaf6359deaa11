//! The kind `ingest`: raw files as a table.
//!
//! Files come in through `formats`; here is what makes them an asset: which files feed which partitions (`observe`), columns
//! computed from the raw ones (`derive`), the way of each row to its partition (`route`), and rows that are set aside
//! (`quarantine`). One pass over the files serves all partitions of a batch. The types of the columns are learned from *all*
//! files of the asset, never from those of the wanted partitions alone, so that every partition has the same schema.
//!
//! Not here: cleaning, casting beyond the declared types, anything that looks at other assets. That is the next layer's.

mod added;
mod compile;
mod derive;
mod failure;
mod materialize;
mod observe;
mod options;
mod origins;
mod quarantine;
mod route;
mod spec;

pub use compile::{IngestConfig, PARTITION_PLACEHOLDER};

use assets::Asset;
use assets::kind::{CompileContext, CompiledKind};
use assets::outcome::{Failure, Observation};
use assets::sql::{ColumnOrigins, ColumnsOf};
use assets::table::{TableReader, TableSpec};
use async_trait::async_trait;

use crate::kind::{Batching, Kind, ObserveContext, Output};
use crate::step_run::StepContext;

/// `kind = "ingest"`.
#[derive(Debug, Clone, Copy)]
pub struct Ingest;

#[async_trait]
impl Kind for Ingest {
    fn name(&self) -> &'static str {
        "ingest"
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

    fn batching(&self) -> Batching {
        Batching::Together
    }

    fn column_origins(&self, asset: &Asset, _columns_of: ColumnsOf<'_>) -> Option<ColumnOrigins> {
        origins::column_origins(asset)
    }

    async fn observe(&self, context: ObserveContext<'_>) -> Result<Option<Observation>, Failure> {
        observe::observe(context).await.map(Some)
    }

    async fn materialize(&self, context: &StepContext<'_>) -> Result<Output, Failure> {
        materialize::materialize(context).await
    }
}

/// Runs work that reads files on a thread that may wait. A panic of it goes on here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    joined(tokio::task::spawn_blocking(work)).await
}

/// What a task came to.
async fn joined<T>(task: tokio::task::JoinHandle<Result<T, Failure>>) -> Result<T, Failure> {
    match task.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(crate::step_run::Cancellation::failure()),
    }
}
