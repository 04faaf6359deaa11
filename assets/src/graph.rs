//! The graph of assets: who reads whom.
//!
//! Built once from checked assets and never changed: an edit makes a new graph. Edges point from an upstream asset to the
//! assets that read it. petgraph holds them; nothing of petgraph shows outside this file.

use std::collections::HashMap;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::asset::Asset;
use crate::key::AssetKey;

/// Every asset of a project and the edges between them; without cycles.
#[derive(Debug, Default)]
pub struct AssetGraph {
    graph: DiGraph<Arc<Asset>, ()>,
    nodes: HashMap<AssetKey, NodeIndex>,
    /// Upstream before downstream; among independent assets the order of their keys.
    order: Vec<NodeIndex>,
}

/// Why assets do not form a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two assets with one key.
    #[error("asset `{0}` is declared twice")]
    Duplicate(AssetKey),
    /// An asset reads one that does not exist.
    #[error("asset `{reader}` reads `{missing}`, which is not declared")]
    Unknown {
        /// Who reads.
        reader: AssetKey,
        /// What is missing.
        missing: AssetKey,
    },
    /// Assets that wait for each other; each reads the next, the last reads the first.
    #[error("assets read each other in a circle: {}", path(.0))]
    Cycle(Vec<AssetKey>),
}

fn path(cycle: &[AssetKey]) -> String {
    let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(AssetKey::as_str).collect();
    names.join(" -> ")
}

impl AssetGraph {
    /// Connects assets by their inputs. Every problem is reported, not the first alone.
    pub fn new(assets: impl IntoIterator<Item = Asset>) -> Result<Self, Vec<GraphError>> {
        let mut errors = Vec::new();
        let mut assets: Vec<Arc<Asset>> = assets.into_iter().map(Arc::new).collect();
        assets.sort_by(|a, b| a.key.cmp(&b.key));
        let mut graph = DiGraph::with_capacity(assets.len(), assets.len() * 2);
        let mut nodes = HashMap::with_capacity(assets.len());
        for asset in &assets {
            let node = graph.add_node(Arc::clone(asset));
            if nodes.insert(asset.key.clone(), node).is_some() {
                errors.push(GraphError::Duplicate(asset.key.clone()));
            }
        }
        for asset in &assets {
            for input in &asset.inputs {
                match nodes.get(&input.asset) {
                    Some(&upstream) => {
                        graph.update_edge(upstream, nodes[&asset.key], ());
                    }
                    None => errors.push(GraphError::Unknown {
                        reader: asset.key.clone(),
                        missing: input.asset.clone(),
                    }),
                }
            }
        }
        let order = match toposort(&graph, None) {
            Ok(order) => order,
            Err(_) => {
                errors.extend(cycles(&graph));
                Vec::new()
            }
        };
        if errors.is_empty() {
            Ok(Self { graph, nodes, order })
        } else {
            Err(errors)
        }
    }

    /// One asset.
    pub fn get(&self, key: &AssetKey) -> Option<&Arc<Asset>> {
        self.nodes.get(key).map(|node| &self.graph[*node])
    }

    /// How many assets.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Every asset, upstream before downstream.
    pub fn topological(&self) -> impl DoubleEndedIterator<Item = &Arc<Asset>> {
        self.order.iter().map(|node| &self.graph[*node])
    }

    /// The assets that `key` reads, by key. Empty for an unknown key.
    pub fn upstream(&self, key: &AssetKey) -> Vec<&Arc<Asset>> {
        self.neighbors(key, Direction::Incoming)
    }

    /// The assets that read `key`, by key. Empty for an unknown key.
    pub fn downstream(&self, key: &AssetKey) -> Vec<&Arc<Asset>> {
        self.neighbors(key, Direction::Outgoing)
    }

    fn neighbors(&self, key: &AssetKey, direction: Direction) -> Vec<&Arc<Asset>> {
        let Some(node) = self.nodes.get(key) else {
            return Vec::new();
        };
        let mut found: Vec<_> = self
            .graph
            .neighbors_directed(*node, direction)
            .map(|neighbor| &self.graph[neighbor])
            .collect();
        found.sort_by(|a, b| a.key.cmp(&b.key));
        found
    }

    /// The key most like `text`, for "did you mean".
    pub fn nearest(&self, text: &str) -> Option<&AssetKey> {
        self.nodes
            .keys()
            .map(|key| (strsim::damerau_levenshtein(key.as_str(), text), key))
            .filter(|(distance, key)| *distance <= 1 + key.as_str().len() / 4)
            .min()
            .map(|(_, key)| key)
    }
}

/// One circle for each group of assets that wait for each other.
fn cycles(graph: &DiGraph<Arc<Asset>, ()>) -> Vec<GraphError> {
    let mut found = Vec::new();
    for group in tarjan_scc(graph) {
        let start = *group
            .iter()
            .min_by_key(|node| &graph[**node].key)
            .expect("a group has a member");
        if group.len() == 1 && !graph.contains_edge(start, start) {
            continue;
        }
        // Breadth first along "reads", inside the group, back to the start: a shortest circle.
        let mut came_from: HashMap<NodeIndex, NodeIndex> = HashMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        'search: while let Some(node) = queue.pop_front() {
            let mut next: Vec<_> = graph
                .neighbors_directed(node, Direction::Incoming)
                .filter(|n| group.contains(n))
                .collect();
            next.sort_by(|a, b| graph[*a].key.cmp(&graph[*b].key));
            for upstream in next {
                if upstream == start {
                    let mut circle = vec![node];
                    while let Some(before) = came_from.get(circle.last().expect("not empty")) {
                        circle.push(*before);
                    }
                    circle.reverse();
                    found.push(GraphError::Cycle(
                        circle.into_iter().map(|n| graph[n].key.clone()).collect(),
                    ));
                    break 'search;
                }
                if upstream != start && !came_from.contains_key(&upstream) {
                    came_from.insert(upstream, node);
                    queue.push_back(upstream);
                }
            }
        }
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::asset::{AssetInput, InputRole, Location, WriteMode};
    use crate::fingerprint::Fingerprint;
    use crate::partition::PartitionMapping;

    /// A plain asset that reads `inputs`.
    pub(crate) fn asset(key: &str, inputs: &[&str]) -> Asset {
        Asset {
            key: key.parse().unwrap(),
            kind: "sql".into(),
            description: None,
            owner: None,
            tags: vec![],
            partitions: None,
            key_columns: vec![],
            sort_columns: Vec::new(),
            write: WriteMode::Replace,
            contract: crate::Contract::default(),
            inputs: inputs
                .iter()
                .map(|input| AssetInput {
                    asset: input.parse().unwrap(),
                    role: InputRole::Rows,
                    mapping: PartitionMapping::All,
                    declared: false,
                })
                .collect(),
            checks: vec![],
            freshness: None,
            automation: None,
            rules: crate::StepRules::default(),
            config: serde_json::Value::Null,
            fingerprint: Fingerprint::of([key]),
            declared_at: Location {
                file: "assets/a.toml".into(),
                line: 1,
                column: 1,
            },
        }
    }

    #[test]
    fn upstream_comes_first() {
        let graph =
            AssetGraph::new([asset("c.c", &["b.b", "a.a"]), asset("b.b", &["a.a"]), asset("a.a", &[])]).unwrap();
        let order: Vec<_> = graph.topological().map(|a| a.key.as_str().to_owned()).collect();
        assert_eq!(order, ["a.a", "b.b", "c.c"]);
        assert_eq!(graph.downstream(&"a.a".parse().unwrap()).len(), 2);
        assert_eq!(graph.nearest("a.b").map(AssetKey::as_str), Some("a.a"));
    }

    #[test]
    fn every_problem_is_named() {
        let errors = AssetGraph::new([
            asset("a.a", &["b.b"]),
            asset("b.b", &["c.c"]),
            asset("c.c", &["a.a"]),
            asset("d.d", &["d.d", "x.x"]),
        ])
        .unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "asset `d.d` reads `x.x`, which is not declared",
                "assets read each other in a circle: a.a -> b.b -> c.c -> a.a",
                "assets read each other in a circle: d.d -> d.d",
            ]
        );
    }
}
