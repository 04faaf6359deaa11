//! `[asset.LAYER.NAME]`: the keys of every asset, and the way to those of its kind.

use std::collections::{BTreeMap, HashMap};

use super::automation::{AUTOMATION, read_automation};
use super::checks::{CHECK, read_checks};
use super::columns::{COLUMNS, SCHEMA, read_contract};
use super::freshness::{FRESHNESS, read_freshness};
use super::inputs::{DeclaredMapping, INPUT, read_inputs};
use super::step_rules::{RETRY, read_rules};
use super::write::{WRITE, read_write};
use super::{Ahead, CompileContext, ReadFiles};
use crate::asset::{PartitionedBy, WriteMode};
use crate::automation::Automation;
use crate::check::Check;
use crate::contract::Contract;
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink, closest};
use crate::files::ProjectFiles;
use crate::freshness::Freshness;
use crate::key::AssetKey;
use crate::kind::{CompiledKind, KindCompiler};
use crate::partition::Partitioning;
use crate::span::{Sources, Span, Spanned};
use crate::step_rules::StepRules;
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

use super::settings::Settings;

/// The keys of every asset.
pub(crate) static ASSET: TableSpec = TableSpec {
    name: "asset",
    doc: "One asset: a table, or a model. Its kind has further keys.",
    fields: &[
        FieldSpec::required("kind", FieldType::Text, "How its rows are made: `ingest`, `sql`, …."),
        FieldSpec::optional("description", FieldType::Text, "What it holds, for people."),
        FieldSpec::optional("owner", FieldType::Text, "Who answers for it."),
        FieldSpec::optional("tags", FieldType::STRINGS, "Free words to select by."),
        FieldSpec::optional(
            "partitions",
            FieldType::Table(&PARTITIONED),
            "How it is cut; left out, it is one whole.",
        ),
        FieldSpec::optional("key", FieldType::STRINGS, "Columns that identify a row."),
        FieldSpec::optional(
            "sort",
            FieldType::STRINGS,
            "Columns by which rows are sorted when `[maintenance]` makes few files of many small ones: queries that ask for a stretch of \
             them read less.",
        ),
        FieldSpec::optional(
            "write",
            WRITE,
            "Whether a step's rows replace those of its partition (the default), are added, or are merged with them by a key. An \
             ingest asset adds or merges the rows of each file once.",
        ),
        FieldSpec::optional(
            "atomic_group",
            FieldType::Text,
            "Assets with the same word here are published together: what a run makes of them for a partition is seen all at once, or not \
             at all.",
        ),
        FieldSpec::optional(
            "columns",
            COLUMNS,
            "What is promised of its columns, each a type or a table: columns.id = { type = \"long\", required = true, description = \
             \"…\" }. Of an ingest asset also the types that its files are read with; those of the others are learned from all rows.",
        ),
        FieldSpec::optional(
            "schema",
            SCHEMA,
            "What becomes of a step with other columns: \"fail\"; \"evolve\", which lets columns be added and types widened; or \
             \"ignore\". Without it, those that are declared are enforced, and others are free as far as the way of writing allows.",
        ),
        FieldSpec::optional(
            "inputs",
            FieldType::Map(&INPUT),
            "Which partitions of an upstream asset a step sees, where that does not follow: inputs.\"layer.name\".",
        ),
        FieldSpec::optional(
            "checks",
            FieldType::List(&FieldType::Table(&CHECK)),
            "What must hold before readers see the rows.",
        ),
        FieldSpec::optional("freshness", FieldType::Table(&FRESHNESS), "How old it may be."),
        FieldSpec::optional(
            "retry",
            RETRY,
            "When a step that failed is tried again: a number of times, or a table; 0 is never.",
        ),
        FieldSpec::optional("timeout", FieldType::Duration, "How long a step may take: `30 min`."),
        FieldSpec::optional(
            "pool",
            FieldType::STRINGS,
            "The pools, declared as `[pool.NAME]`, in which an attempt takes a place while it is under way.",
        ),
        FieldSpec::optional(
            "together",
            FieldType::Boolean,
            "Whether one query, or one start of the program, makes all partitions that a worker takes at a time. Their rows are \
             told apart by the partition column, so those of one partition must not depend on which others are made with it.",
        ),
        FieldSpec::optional(
            "memory",
            FieldType::ByteSize,
            "Memory that the queries of a step may use: `1 GB`.",
        ),
        FieldSpec::optional(
            "automation",
            AUTOMATION,
            "When it is made by itself: \"eager\", \"on_missing\", or a table with a cron or a condition.",
        ),
    ],
};

static PARTITIONED: TableSpec = TableSpec {
    name: "partitioned asset",
    doc: "The set of partitions, and the column that tells a row's partition.",
    fields: &[
        FieldSpec::required("use", FieldType::Text, "A set declared under `[partitions]`."),
        FieldSpec::required("column", FieldType::Text, "The column that tells a row's partition."),
    ],
};

/// An asset as declared, its inputs not resolved yet.
pub(crate) struct AssetDraft {
    pub(crate) key: AssetKey,
    pub(crate) name_span: Span,
    pub(crate) kind: String,
    pub(crate) description: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) partitions: Option<PartitionedBy>,
    pub(crate) key_columns: Vec<String>,
    pub(crate) sort_columns: Vec<String>,
    pub(crate) write: WriteMode,
    pub(crate) contract: Contract,
    pub(crate) mappings: Vec<DeclaredMapping>,
    pub(crate) checks: Vec<Check>,
    /// Assets that checks read, and where they are named.
    pub(crate) check_reads: Vec<(AssetKey, Span)>,
    pub(crate) freshness: Option<Freshness>,
    pub(crate) automation: Option<Automation>,
    /// Assets that its condition names, and where.
    pub(crate) automation_names: Vec<(AssetKey, Span)>,
    pub(crate) rules: StepRules,
    /// Where its atomic group is named, if it is in one.
    pub(crate) atomic_group_span: Option<Span>,
    /// `None` if the kind found something wrong.
    pub(crate) compiled: Option<CompiledKind>,
    /// Values of the parameters that its queries use.
    pub(crate) params: BTreeMap<String, serde_json::Value>,
    /// Whether `partitions` is what the user meant; not so if the set is unknown or wrong.
    pub(crate) partitions_known: bool,
}

/// What an asset is read in: the project, the kinds, the files.
pub(crate) struct Surrounding<'a> {
    pub(crate) settings: &'a Settings,
    /// Declared sets; `None` for one with a mistake.
    pub(crate) partitions: &'a BTreeMap<String, Option<Partitioning>>,
    /// Whether everything in `millpond.toml` could be read.
    pub(crate) project_complete: bool,
    pub(crate) kinds: &'a dyn KindCompiler,
    pub(crate) specs: &'a HashMap<&'static str, &'static TableSpec>,
    pub(crate) files: &'a dyn ProjectFiles,
    /// Queries that other threads read meanwhile.
    pub(crate) ahead: &'a Ahead<'a>,
    pub(crate) sink: &'a DiagnosticSink,
}

/// Reads one asset.
pub(crate) fn read_asset(
    key: Spanned<AssetKey>,
    table: TableReader<'_>,
    surrounding: &Surrounding<'_>,
    read: &mut ReadFiles,
    sources: &mut Sources,
) -> AssetDraft {
    let before = surrounding.sink.count();
    let kind = table.string("kind");
    let spec = kind.and_then(|kind| surrounding.specs.get(kind.value));
    let table = match spec {
        Some(spec) => {
            let table = table.with_more_keys(spec);
            table.check();
            table
        }
        None => {
            table.check_known_keys();
            if let Some(kind) = kind {
                report_unknown_kind(kind, surrounding);
            }
            table
        }
    };
    let (partitions, partitions_known) = read_partitioned(&table, surrounding);
    let text = |name| table.string(name).map(|text| text.value.to_owned());
    let texts = |name| {
        table
            .strings(name)
            .into_iter()
            .map(|text| text.value.to_owned())
            .collect::<Vec<_>>()
    };
    let mut key_columns = texts("key");
    let write = read_write(&table, kind.map_or("", |kind| kind.value), &mut key_columns);
    let mut context = CompileContext {
        asset: &key.value,
        partitions: partitions.as_ref(),
        key_columns: &key_columns,
        timezone: &surrounding.settings.timezone,
        params: &surrounding.settings.params,
        params_complete: surrounding.project_complete,
        used: std::collections::BTreeSet::new(),
        files: surrounding.files,
        ahead: surrounding.ahead,
        read,
        sources,
        sink: surrounding.sink,
    };
    let mut checks = read_checks(&table, &mut context);
    let contract = read_contract(
        &table,
        kind.map_or("", |kind| kind.value),
        &key_columns,
        partitions.as_ref().map(|by| by.column.as_str()),
        &mut checks.checks,
    );
    // A kind may count on keys of the right type; what is only missing it sees as `None`.
    let compiled = match (kind, spec) {
        (Some(kind), Some(_)) => {
            let compiled = surrounding.kinds.compile(kind.value, &table, &mut context);
            if compiled.is_none() && surrounding.sink.count() == before {
                let message = format!("`{}` could not be compiled and its kind does not say why", key.value);
                table.report(Diagnostic::new(Code::InvalidValue, message, key.span));
            }
            compiled
        }
        _ => None,
    };
    let freshness = read_freshness(&table, &surrounding.settings.timezone, context.sources);
    let mut automation_names = Vec::new();
    let automation = read_automation(
        &table,
        partitions.as_ref(),
        partitions_known,
        &surrounding.settings.timezone,
        context.sources,
        &mut automation_names,
    );
    let params = context
        .used
        .iter()
        .filter_map(|name| Some((name.clone(), surrounding.settings.params.get(name)?.clone())))
        .collect();
    AssetDraft {
        name_span: key.span,
        kind: kind.map_or_else(String::new, |kind| kind.value.to_owned()),
        description: text("description"),
        owner: text("owner"),
        tags: texts("tags"),
        write,
        contract,
        mappings: read_inputs(&table),
        checks: checks.checks,
        check_reads: checks.reads,
        freshness,
        automation,
        automation_names,
        rules: read_rules(
            &table,
            &surrounding.settings.execution.rules,
            &surrounding.settings.pools,
            surrounding.project_complete,
        ),
        atomic_group_span: table.has("atomic_group").then(|| table.span_of("atomic_group")),
        compiled,
        params,
        partitions_known,
        partitions,
        key_columns,
        sort_columns: texts("sort"),
        key: key.value,
    }
}

fn report_unknown_kind(kind: Spanned<&str>, surrounding: &Surrounding<'_>) {
    let names: Vec<&str> = surrounding.kinds.kinds().iter().map(|kind| kind.name).collect();
    let diagnostic = Diagnostic::new(
        Code::UnknownKind,
        format!("there is no kind `{}`", kind.value),
        kind.span,
    );
    surrounding
        .sink
        .report(match closest(kind.value, names.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(format!(
                "the kinds are {}",
                names
                    .iter()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
        });
}

/// How the asset is cut, and whether that is what the user meant.
fn read_partitioned(table: &TableReader<'_>, surrounding: &Surrounding<'_>) -> (Option<PartitionedBy>, bool) {
    if !table.has("partitions") {
        return (None, true);
    }
    let Some(partitions) = table.table("partitions") else {
        return (None, false);
    };
    let Some(name) = partitions.string("use") else {
        return (None, false);
    };
    let column = partitions.string("column");
    match (surrounding.partitions.get(name.value), column) {
        (Some(Some(partitioning)), Some(column)) => {
            let by = PartitionedBy {
                name: name.value.to_owned(),
                column: column.value.to_owned(),
                partitioning: partitioning.clone(),
            };
            (Some(by), true)
        }
        (Some(_), _) => (None, false),
        (None, _) => {
            if surrounding.project_complete {
                let message = format!("no partitions are called `{}`", name.value);
                let names = surrounding.partitions.keys().map(String::as_str);
                table.report(
                    Diagnostic::new(Code::UnknownPartitions, message, name.span)
                        .help(format!("declare them in millpond.toml: `[partitions.{}]`", name.value))
                        .did_you_mean(name.value, names),
                );
            }
            (None, false)
        }
    }
}
