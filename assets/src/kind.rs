//! What the loader asks of the asset kinds. They are implemented in `plugins`; here are the words between the two.
//!
//! A kind gets its table already judged by its spec, reports what else is wrong, and returns what a step will need. Nothing
//! here opens data: a kind sees the files of the project through [`CompileContext`] alone.

use serde_json::Value;

use crate::asset::{InputRole, PartitionedBy};
use crate::diagnostic::DiagnosticSink;
use crate::key::AssetKey;
use crate::partition::PartitionMapping;
use crate::span::Span;
use crate::table::{TableReader, TableSpec};

pub use crate::declaration::CompileContext;

/// All kinds of assets that a program knows.
pub trait KindCompiler: Sync {
    /// The kinds, in the order shown to people.
    fn kinds(&self) -> Vec<KindDescription>;

    /// Turns an asset's table into what its steps need. `None` after a report.
    ///
    /// `table` was judged by the common keys and by the kind's spec; getters return `None` for what is wrong already.
    fn compile(&self, kind: &str, table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<CompiledKind>;

    /// Completes what `compile` made with what only other assets tell, once all of them are compiled: a training set learns
    /// the entities of its features. What goes into `code` becomes part of the fingerprint. Mistakes are reported at the
    /// places of the inputs. `others` knows every asset that its own kind found nothing wrong with. `None`: there is nothing to
    /// complete.
    #[expect(
        unused_variables,
        reason = "most kinds have nothing to link; the names say what there would be"
    )]
    fn link<'o>(
        &self,
        kind: &str,
        compiled: &CompiledKind,
        others: &dyn Fn(&AssetKey) -> Option<OtherAsset<'o>>,
        sink: &DiagnosticSink,
    ) -> Option<CompiledKind> {
        None
    }
}

/// What a kind sees of another asset while it links.
#[derive(Debug, Clone, Copy)]
pub struct OtherAsset<'o> {
    /// Its kind.
    pub kind: &'o str,
    /// What its own kind made of it, before it was linked itself.
    pub config: &'o Value,
    /// The columns that identify its rows, if declared.
    pub key_columns: &'o [String],
    /// How it is cut.
    pub partitions: Option<&'o PartitionedBy>,
}

/// One kind of asset.
#[derive(Debug, Clone, Copy)]
pub struct KindDescription {
    /// The word in `kind = "…"`.
    pub name: &'static str,
    /// One or two sentences.
    pub doc: &'static str,
    /// Its own keys, beside those of every asset.
    pub spec: &'static TableSpec,
}

/// A kind's part of an asset, ready to run.
#[derive(Debug, Clone)]
pub struct CompiledKind {
    /// The kind's own form; must round-trip through JSON. Objects sort their keys.
    pub config: Value,
    /// What makes the code: parts of the fingerprint, in a fixed order. Queries in their reduced form
    /// ([`crate::sql::Query::code`]), so that comments and white space do not matter.
    pub code: Vec<String>,
    /// What it reads.
    pub inputs: Vec<DeclaredInput>,
}

/// An upstream asset, as the kind found it in its table or its query.
#[derive(Debug, Clone)]
pub struct DeclaredInput {
    /// The upstream asset.
    pub asset: AssetKey,
    /// Rows or a model.
    pub role: InputRole,
    /// Where it is named.
    pub span: Span,
    /// How its partitions belong to this asset's, if the kind knows better than the two partitionings; an entry in `inputs`
    /// goes before it.
    pub default_mapping: Option<PartitionMapping>,
}
