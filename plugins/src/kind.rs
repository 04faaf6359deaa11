//! The asset kinds: what each must be able to do, and the visible list of them.
//!
//! A kind is one folder and one line in [`KINDS`]. It describes its TOML keys, turns a table into a ready configuration and
//! reports every mistake while doing so (`compile`), and makes the rows of one step (`materialize`). Everything around that
//! is the same for all kinds and lives in `step_run`: writing the rows, checks, logs, panics, cancellation, reports. A kind never
//! publishes and never sees the state of the orchestrator.

use std::collections::BTreeMap;

use assets::AssetKey;
use assets::asset::{Asset, PartitionedBy};
use assets::check::Check;
use assets::diagnostic::{Code, Diagnostic, DiagnosticSink};
use assets::kind::{CompileContext, CompiledKind, KindCompiler, KindDescription, OtherAsset};
use assets::outcome::{CheckResult, Failure, Observation, SourceFile, StagedModel};
use assets::sql::{ColumnOrigins, ColumnsOf};
use assets::table::{TableReader, TableSpec};
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::formats::Objects;
use crate::step::ProjectSettings;
use crate::step_run::StepContext;

/// Every kind, in the order shown to people.
pub const KINDS: &[&dyn Kind] = &[
    // Raw files: where most projects begin.
    &crate::ingest::Ingest,
    // Queries over other assets: the middle of most projects.
    &crate::sql::Sql,
    // A query whose rows are facts about entities at points in time.
    &crate::features::Features,
    // Labels, each with the features that were known at its moment.
    &crate::training_set::TrainingSet,
    // A model, learned from rows and judged on others.
    &crate::training::Training,
    // Rows, each with the prediction of one model version.
    &crate::inference::Inference,
    // Any program, over the Dagster Pipes protocol: what the other kinds cannot say.
    &crate::command::Command,
];

/// One kind of asset.
#[async_trait]
pub trait Kind: Send + Sync {
    /// The word in `kind = "…"`.
    fn name(&self) -> &'static str;

    /// One or two sentences for people.
    fn doc(&self) -> &'static str;

    /// Its own keys, beside those of every asset.
    fn spec(&self) -> &'static TableSpec;

    /// Turns a table, already judged by the spec, into what steps need. Reports what else is wrong; `None` after a report.
    fn compile(&self, table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<CompiledKind>;

    /// Completes what `compile` made with what only other assets tell, once all are compiled ([`KindCompiler::link`]).
    fn link<'o>(
        &self,
        _compiled: &CompiledKind,
        _others: &dyn Fn(&AssetKey) -> Option<OtherAsset<'o>>,
        _sink: &DiagnosticSink,
    ) -> Option<CompiledKind> {
        None
    }

    /// Whether the steps of a batch are made one by one or in one go.
    fn batching(&self) -> Batching {
        Batching::Each
    }

    /// Whether assets of a kind that makes its steps one by one may ask that those of a batch be made in one go (`together`).
    fn may_make_together(&self) -> bool {
        self.batching() == Batching::Together
    }

    /// Whether `materialize` answers a request to stop by itself, in bounded time, because it has something to end in good
    /// order. The work of other kinds is dropped where it stands.
    fn stops_itself(&self) -> bool {
        false
    }

    /// Checks that follow from the kind itself; they run beside the declared ones.
    fn own_checks(&self, _asset: &Asset) -> Vec<Check> {
        Vec::new()
    }

    /// Where the columns of its rows come from, read from its declaration. `columns_of` says which columns other assets have.
    /// `None` for kinds whose rows are made by something that nobody can look into.
    fn column_origins(&self, _asset: &Asset, _columns_of: ColumnsOf<'_>) -> Option<ColumnOrigins> {
        None
    }

    /// Looks at what lies outside the lakehouse: `None` for kinds that read nothing there.
    async fn observe(&self, _context: ObserveContext<'_>) -> Result<Option<Observation>, Failure> {
        Ok(None)
    }

    /// Makes the rows (or the model) of the context's partitions.
    async fn materialize(&self, context: &StepContext<'_>) -> Result<Output, Failure>;
}

/// How a kind makes the steps of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batching {
    /// `materialize` once per partition.
    Each,
    /// `materialize` once for all partitions of the batch: their rows come in one stream and are told apart by the partition
    /// column. For kinds that read the same files for many partitions.
    Together,
}

/// What a kind may look at to observe its sources.
#[derive(Clone, Copy)]
pub struct ObserveContext<'a> {
    /// The asset.
    pub asset: &'a Asset,
    /// The project.
    pub project: &'a ProjectSettings,
    /// How objects are reached.
    pub objects: &'a Objects,
    /// What was seen the last time: a file of the same size and time need not be read again.
    pub previous: Option<&'a Observation>,
}

/// What `materialize` made.
pub struct Output {
    /// The thing itself.
    pub product: Product,
    /// What is known once the last row was read: awaited after the stream has ended.
    pub extras: BoxFuture<'static, Result<Extras, Failure>>,
}

/// The thing that a step makes.
pub enum Product {
    /// Rows for the asset's table. The stream's schema is the table's.
    Rows(SendableRecordBatchStream),
    /// A model.
    Model(StagedModel),
    /// No rows: what it made lies elsewhere.
    Nothing,
}

/// What a step tells beside its rows.
#[derive(Default)]
pub struct Extras {
    /// Numbers to plot over time and other things worth keeping, by name.
    pub metadata: BTreeMap<String, Value>,
    /// Results of checks that the kind made itself.
    pub checks: Vec<CheckResult>,
    /// Rows that could not be taken, for the table `layer.name__quarantine`. If the asset is partitioned they have a column
    /// [`QUARANTINE_PARTITION`] that tells the partition key of each.
    pub quarantine: Option<SendableRecordBatchStream>,
    /// The files that the rows came from. For several partitions at once each file says which of them it holds.
    pub sources: Vec<SourceFile>,
    /// A version of the data that the step's own program reported.
    pub data_version: Option<String>,
}

/// What the name of an asset's quarantine table has after the asset's own.
pub const QUARANTINE_SUFFIX: &str = "__quarantine";

/// Column of a quarantine table that holds the partition key of the step, as text.
pub const QUARANTINE_PARTITION: &str = "partition_key";

/// How the quarantine table of an asset is cut whose rows are cut `by`.
pub fn quarantined_by(by: &PartitionedBy) -> PartitionedBy {
    PartitionedBy {
        column: QUARANTINE_PARTITION.to_owned(),
        ..by.clone()
    }
}

impl Output {
    /// Rows and nothing beside them.
    pub fn rows(rows: SendableRecordBatchStream) -> Self {
        Self::new(Product::Rows(rows), Extras::default())
    }

    /// A product, and what is known of it already.
    pub fn new(product: Product, extras: Extras) -> Self {
        Self {
            product,
            extras: futures::future::ready(Ok(extras)).boxed(),
        }
    }
}

/// The kinds as the loader of projects sees them.
#[derive(Clone, Copy)]
pub struct KindSet(pub &'static [&'static dyn Kind]);

impl KindSet {
    /// All kinds of this program.
    pub const fn all() -> Self {
        Self(KINDS)
    }

    /// The kind with this name.
    pub fn get(&self, name: &str) -> Option<&'static dyn Kind> {
        self.0.iter().copied().find(|kind| kind.name() == name)
    }
}

impl KindCompiler for KindSet {
    fn kinds(&self) -> Vec<KindDescription> {
        let describe = |kind: &&'static dyn Kind| KindDescription {
            name: kind.name(),
            doc: kind.doc(),
            spec: kind.spec(),
        };
        self.0.iter().map(describe).collect()
    }

    fn compile(&self, kind: &str, table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<CompiledKind> {
        let kind = self.get(kind)?;
        if table.boolean("together") == Some(true) && !kind.may_make_together() {
            let message = format!("an asset of the kind `{}` makes its partitions one by one", kind.name());
            table.report(
                Diagnostic::new(Code::InvalidValue, message, table.key_span("together"))
                    .help("`together` is for `sql` and `command`; `ingest` does so in any case"),
            );
        }
        kind.compile(table, context)
    }

    fn link<'o>(
        &self,
        kind: &str,
        compiled: &CompiledKind,
        others: &dyn Fn(&AssetKey) -> Option<OtherAsset<'o>>,
        sink: &DiagnosticSink,
    ) -> Option<CompiledKind> {
        self.get(kind)?.link(compiled, others, sink)
    }
}
