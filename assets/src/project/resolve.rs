//! From drafts to assets: names become inputs, inputs get their partition mappings, and everything gets its fingerprint.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::cycles;
use crate::asset::{Asset, AssetInput, InputRole, PartitionedBy};
use crate::declaration::AssetDraft;
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink, closest};
use crate::fingerprint::Fingerprint;
use crate::graph::AssetGraph;
use crate::key::AssetKey;
use crate::kind::{CompiledKind, KindCompiler, OtherAsset};
use crate::partition::{PartitionMapping, Partitioning};
use crate::span::{Sources, Span};

/// An input on its way: what it is, and where it is named.
pub(super) struct Edge {
    pub(super) input: AssetInput,
    pub(super) span: Span,
}

/// What other assets ask of an asset while its own draft is taken apart.
struct Upstream {
    partitioning: Option<Partitioning>,
    partitions_known: bool,
}

/// Lets each kind complete its asset with what the others are.
pub(super) fn link(drafts: &mut [AssetDraft], kinds: &dyn KindCompiler, sink: &DiagnosticSink) {
    // Kinds see each other as compiled: what one links is of no matter to the next, so their order does not count.
    let linked: Vec<(usize, CompiledKind)> = drafts
        .iter()
        .enumerate()
        .filter_map(|(place, draft)| {
            let others = |key: &AssetKey| {
                let place = drafts.binary_search_by(|other| other.key.cmp(key)).ok()?;
                let other = &drafts[place];
                Some(OtherAsset {
                    kind: &other.kind,
                    config: &other.compiled.as_ref()?.config,
                    key_columns: &other.key_columns,
                    partitions: other.partitions.as_ref(),
                })
            };
            let linked = kinds.link(&draft.kind, draft.compiled.as_ref()?, &others, sink)?;
            Some((place, linked))
        })
        .collect();
    for (place, linked) in linked {
        drafts[place].compiled = Some(linked);
    }
}

/// The graph of all drafts, sorted by key; `None` if there is a mistake anywhere. `broken` are the texts of files that could
/// not be read whole: an asset that is named there is not reported as unknown.
pub(super) fn resolve(
    drafts: Vec<AssetDraft>,
    broken: &[Arc<str>],
    sources: &Sources,
    sink: &DiagnosticSink,
) -> Option<AssetGraph> {
    let resolver = Resolver {
        names: drafts.iter().map(|draft| draft.key.clone()).collect(),
        upstream: drafts
            .iter()
            .map(|draft| {
                let partitioning = draft.partitions.as_ref().map(|by| by.partitioning.clone());
                (
                    draft.key.clone(),
                    Upstream {
                        partitioning,
                        partitions_known: draft.partitions_known,
                    },
                )
            })
            .collect(),
        broken,
        sink,
    };
    let edges: Vec<Vec<Edge>> = drafts.iter().map(|draft| resolver.edges(draft)).collect();
    let keys: Vec<&AssetKey> = drafts.iter().map(|draft| &draft.key).collect();
    cycles::report(&keys, &edges, sink);
    for draft in &drafts {
        for (asset, span) in &draft.automation_names {
            resolver.exists(asset, *span);
        }
    }
    if !sink.has_errors() {
        super::conditions::report(&drafts, &edges, sink);
        super::atomic_groups::report(&drafts, &edges, sink);
    }
    if sink.has_errors() {
        return None;
    }
    let assets = drafts
        .into_iter()
        .zip(edges)
        .map(|(draft, edges)| finish(draft, edges, sources));
    let assets = assets.collect::<Option<Vec<Asset>>>()?;
    let graph = AssetGraph::new(assets);
    debug_assert!(graph.is_ok(), "all that a graph refuses was reported: {graph:?}");
    graph.ok()
}

struct Resolver<'r> {
    /// Sorted.
    names: Vec<AssetKey>,
    upstream: HashMap<AssetKey, Upstream>,
    broken: &'r [Arc<str>],
    sink: &'r DiagnosticSink,
}

impl Resolver<'_> {
    /// What a draft reads: what its kind found, what `inputs` adds, what its checks read. Each asset and role once.
    fn edges(&self, draft: &AssetDraft) -> Vec<Edge> {
        let mut edges: Vec<Edge> = Vec::new();
        let mut known: HashMap<AssetKey, Vec<InputRole>> = HashMap::new();
        let found = draft.compiled.iter().flat_map(|compiled| &compiled.inputs);
        for input in found {
            let roles = known.entry(input.asset.clone()).or_default();
            if roles.contains(&input.role) || !self.exists(&input.asset, input.span) {
                continue;
            }
            roles.push(input.role.clone());
            let declared = draft.mappings.iter().find(|mapping| mapping.asset == input.asset);
            let rows = input.role == InputRole::Rows;
            let mapping = match (declared, &input.default_mapping) {
                // A model is one version, whatever the partition.
                _ if !rows => Some(PartitionMapping::All),
                (Some(declared), _) => self.fits(draft, &input.asset, &declared.mapping, declared.mapping_span),
                (None, Some(mapping)) => self.fits(draft, &input.asset, mapping, input.span),
                (None, None) => self.inferred(draft, &input.asset, input.span),
            };
            if let Some(mapping) = mapping {
                let span = input.span;
                let input = AssetInput {
                    asset: input.asset.clone(),
                    role: input.role.clone(),
                    mapping,
                    declared: rows && declared.is_some(),
                };
                edges.push(Edge { input, span });
            }
        }
        for declared in &draft.mappings {
            let roles = known.entry(declared.asset.clone()).or_default();
            if roles.contains(&InputRole::Rows) || !self.exists(&declared.asset, declared.asset_span) {
                continue;
            }
            roles.push(InputRole::Rows);
            if let Some(mapping) = self.fits(draft, &declared.asset, &declared.mapping, declared.mapping_span) {
                let input = AssetInput {
                    asset: declared.asset.clone(),
                    role: InputRole::Rows,
                    mapping,
                    declared: true,
                };
                edges.push(Edge {
                    input,
                    span: declared.asset_span,
                });
            }
        }
        for (asset, span) in &draft.check_reads {
            let roles = known.entry(asset.clone()).or_default();
            if roles.contains(&InputRole::Rows) || !self.exists(asset, *span) {
                continue;
            }
            roles.push(InputRole::Rows);
            let mapping = PartitionMapping::All;
            let input = AssetInput {
                asset: asset.clone(),
                role: InputRole::Rows,
                mapping,
                declared: false,
            };
            edges.push(Edge { input, span: *span });
        }
        edges
    }

    fn exists(&self, asset: &AssetKey, span: Span) -> bool {
        if self.upstream.contains_key(asset) {
            return true;
        }
        // It may be declared where the file could not be read.
        if !self.broken.iter().any(|text| text.contains(asset.as_str())) {
            let diagnostic = Diagnostic::new(Code::UnknownAsset, format!("there is no asset `{asset}`"), span);
            let nearest = closest(asset.as_str(), self.names.iter().map(AssetKey::as_str));
            self.sink.report(match nearest {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help(format!("declare it: `[asset.{asset}]`")),
            });
        }
        false
    }

    /// A mapping that was said, if it can be.
    fn fits(
        &self,
        draft: &AssetDraft,
        asset: &AssetKey,
        mapping: &PartitionMapping,
        span: Span,
    ) -> Option<PartitionMapping> {
        let upstream = &self.upstream[asset];
        if !upstream.partitions_known || !draft.partitions_known {
            return None;
        }
        let here = draft.partitions.as_ref().map(|by| &by.partitioning);
        match mapping.validate(here, upstream.partitioning.as_ref()) {
            Ok(()) => Some(mapping.clone()),
            Err(error) => {
                self.sink.report(
                    Diagnostic::new(
                        Code::ImpossibleMapping,
                        format!("`{}` cannot read `{asset}` so: {error}", draft.key),
                        span,
                    )
                    .note(in_words(&draft.key, here), None)
                    .note(in_words(asset, upstream.partitioning.as_ref()), None),
                );
                None
            }
        }
    }

    /// The mapping that follows from the two sets of partitions.
    fn inferred(&self, draft: &AssetDraft, asset: &AssetKey, span: Span) -> Option<PartitionMapping> {
        let upstream = &self.upstream[asset];
        if !upstream.partitions_known || !draft.partitions_known {
            return None;
        }
        let here = draft.partitions.as_ref().map(|by| &by.partitioning);
        let mapping = PartitionMapping::inferred(here, upstream.partitioning.as_ref());
        if mapping.is_none() {
            self.sink.report(
                Diagnostic::new(
                    Code::UnknownMapping,
                    format!("which partitions of `{asset}` belong to one of `{}`?", draft.key),
                    span,
                )
                .note(in_words(&draft.key, here), None)
                .note(in_words(asset, upstream.partitioning.as_ref()), None)
                .help(format!(
                    "say it: inputs.\"{asset}\" = \"all\", \"latest\" or {{ keys = [...] }}"
                )),
            );
        }
        mapping
    }
}

fn in_words(asset: &AssetKey, partitioning: Option<&Partitioning>) -> String {
    match partitioning {
        Some(partitioning) => format!("`{asset}` is partitioned: {}", partitioning.describe()),
        None => format!("`{asset}` has no partitions"),
    }
}

/// The asset of a draft; `None` if its kind found something wrong (and reported it).
fn finish(draft: AssetDraft, edges: Vec<Edge>, sources: &Sources) -> Option<Asset> {
    let mut compiled = draft.compiled?;
    let inputs: Vec<AssetInput> = edges.into_iter().map(|edge| edge.input).collect();
    let fingerprint = Fingerprint::of(
        fingerprint_parts(
            &draft.kind,
            &compiled.code,
            &draft.params,
            &draft.key_columns,
            draft.partitions.as_ref(),
            draft.write,
            &inputs,
        )
        .iter()
        .map(String::as_str),
    );
    compiled.config.sort_all_objects();
    Some(Asset {
        declared_at: sources.location(draft.name_span),
        key: draft.key,
        kind: draft.kind,
        description: draft.description,
        owner: draft.owner,
        tags: draft.tags,
        partitions: draft.partitions,
        key_columns: draft.key_columns,
        sort_columns: draft.sort_columns,
        write: draft.write,
        contract: draft.contract,
        inputs,
        checks: draft.checks,
        freshness: draft.freshness,
        automation: draft.automation,
        rules: draft.rules,
        config: compiled.config,
        fingerprint,
    })
}

/// What makes two versions of an asset compute the same: each list is preceded by its name and length. The range of a set of
/// partitions is no part of it (a day more leaves the other days as they are), its grain and zone are.
fn fingerprint_parts(
    kind: &str,
    code: &[String],
    params: &BTreeMap<String, serde_json::Value>,
    key_columns: &[String],
    partitions: Option<&PartitionedBy>,
    write: crate::asset::WriteMode,
    inputs: &[AssetInput],
) -> Vec<String> {
    let mut parts = vec![kind.to_owned(), format!("code {}", code.len())];
    parts.extend(code.iter().cloned());
    parts.push(format!("params {}", params.len()));
    parts.extend(params.iter().map(|(name, value)| format!("{name} = {value}")));
    parts.push(format!("key {}", key_columns.len()));
    parts.extend(key_columns.iter().cloned());
    parts.push(match partitions {
        None => "whole".to_owned(),
        Some(by) => match &by.partitioning {
            Partitioning::Time(time) => format!("by {} every {} in {}", by.column, json(&time.grain), time.zone),
            Partitioning::Fixed(_) => format!("by {}", by.column),
        },
    });
    parts.push(json(&write));
    parts.push(format!("inputs {}", inputs.len()));
    parts.extend(
        inputs
            .iter()
            .map(|input| format!("{} {} {}", input.asset, json(&input.role), json(&input.mapping))),
    );
    parts
}

/// The text of a plain enum, as it is written to the store.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain enums serialize")
}
