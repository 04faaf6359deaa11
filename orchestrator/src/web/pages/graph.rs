//! `/graph`: who reads whom, drawn: layers from left to right, and all of it, what is around one asset, or layers folded into
//! one box each.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use askama::Template;
use assets::AssetKey;
use axum::extract::{Query, State};
use axum::response::Html;
use serde::{Deserialize, Serialize};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::assets_state::{AssetLine, kept_lines};
use super::frame::{Frame, Section};
use super::graph_drawing::draw;
use super::graph_layout::{Band, Layout, by_distance, by_layer, lay_out};
use super::markup::{Markup, query};
use super::tone::Tone;
use super::{asset_key, given, render};
use crate::core::HealthState;

/// With more assets than this, layers are folded unless somebody asks otherwise.
const MOST_AT_ONCE: usize = 300;
/// With more boxes than this there is no picture: nobody reads it, and a browser takes its time.
const MOST_NODES: usize = 2000;
/// How far around an asset one looks at once, and at most.
const AROUND: usize = 2;
const MOST_AROUND: usize = 50;

/// What is asked. Empty fields of a form are no values.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    /// Only what is around this asset.
    focus: Option<String>,
    /// How many steps back, and ahead.
    up: Option<String>,
    down: Option<String>,
    /// Layers that are one box, with commas between; `none` for none.
    fold: Option<String>,
    /// `layer`, or `distance` from the sources.
    columns: Option<String>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct GraphFacts {
    /// Boxes, upstream first.
    pub nodes: Vec<Node>,
    /// Pairs of places in `nodes`: what is read, and what reads it.
    pub edges: Vec<(usize, usize)>,
    /// All layers, with the number of their assets.
    pub layers: Vec<(String, usize)>,
    /// Those that are folded.
    pub folded: BTreeSet<String>,
    /// How many assets there are in all.
    pub total: usize,
    /// The asset that one looks around.
    pub focus: Option<AssetKey>,
    /// How far back.
    pub up: usize,
    /// How far ahead.
    pub down: usize,
    /// What stands in which columns, where columns are layers.
    #[serde(skip)]
    pub(super) bands: Vec<Band>,
    #[serde(skip)]
    pub(super) layout: Option<Layout>,
}

/// One box.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Node {
    /// The layer.
    pub layer: String,
    /// The asset; `None` for a folded layer.
    pub asset: Option<AssetKey>,
    /// How many assets it stands for.
    pub assets: usize,
    /// How many of them are in each state.
    pub states: BTreeMap<HealthState, usize>,
    /// The kind of the asset.
    pub kind: Option<String>,
    /// Whether a worker has a part of it now.
    pub running: bool,
    /// How many partitions are in each state, in words; only of an asset with partitions.
    #[serde(skip)]
    pub(super) partitions: Option<String>,
    /// Column and row in the drawing.
    pub place: (usize, usize),
}

impl Node {
    /// The worst state in it.
    pub(super) fn tone(&self) -> Tone {
        if self.running {
            return Tone::Busy;
        }
        self.states
            .keys()
            .next_back()
            .map_or(Tone::Idle, |state| Tone::from(*state))
    }
}

fn distance(text: &Option<String>) -> usize {
    given(text.clone())
        .and_then(|text| {
            if text == "all" {
                Some(MOST_AROUND)
            } else {
                text.parse().ok()
            }
        })
        .unwrap_or(AROUND)
        .min(MOST_AROUND)
}

/// The graph as it is asked for.
pub async fn facts(state: &WebState, asked: &Asked) -> Result<GraphFacts, ErrorPage> {
    let lines = kept_lines(state).await?;
    let focus = given(asked.focus.clone()).map(|text| asset_key(&text)).transpose()?;
    if let Some(focus) = &focus
        && !lines.iter().any(|line| line.asset == *focus)
    {
        let nearest = state
            .engine
            .definitions()
            .await?
            .graph()
            .nearest(focus.as_str())
            .cloned();
        let page = ErrorPage::not_found(format!("there is no asset `{focus}`"));
        return Err(match nearest {
            Some(nearest) => page.with_help(format!("did you mean `{nearest}`?")),
            None => page,
        });
    }
    Ok(gather(&lines, focus, asked))
}

fn gather(lines: &[AssetLine], focus: Option<AssetKey>, asked: &Asked) -> GraphFacts {
    let index: HashMap<&AssetKey, usize> = lines.iter().enumerate().map(|(i, line)| (&line.asset, i)).collect();
    let reads: Vec<Vec<usize>> = lines
        .iter()
        .map(|line| line.reads.iter().filter_map(|key| index.get(key).copied()).collect())
        .collect();
    let (up, down) = (distance(&asked.up), distance(&asked.down));
    let shown: Vec<usize> = match focus.as_ref().and_then(|focus| index.get(focus)) {
        Some(focus) => around(*focus, &reads, up, down).into_iter().collect(),
        None => (0..lines.len()).collect(),
    };
    let mut layers: Vec<(String, usize)> = Vec::new();
    for line in lines {
        match layers.iter_mut().find(|(layer, _)| layer == line.asset.layer()) {
            Some((_, count)) => *count += 1,
            None => layers.push((line.asset.layer().to_owned(), 1)),
        }
    }
    let folded: BTreeSet<String> = match given(asked.fold.clone()).as_deref() {
        Some("none") => BTreeSet::new(),
        Some(list) => list
            .split(',')
            .filter(|layer| layers.iter().any(|(known, _)| known == layer))
            .map(str::to_owned)
            .collect(),
        None if shown.len() > MOST_AT_ONCE => layers.iter().map(|(layer, _)| layer.clone()).collect(),
        None => BTreeSet::new(),
    };
    let mut nodes: Vec<Node> = Vec::new();
    let mut node_of: HashMap<usize, usize> = HashMap::new();
    let mut folded_nodes: HashMap<&str, usize> = HashMap::new();
    for place in &shown {
        let line = &lines[*place];
        let layer = line.asset.layer();
        // What one looks around stays to be seen.
        let fold = folded.contains(layer) && focus.as_ref() != Some(&line.asset);
        let known = folded_nodes.get(layer).copied().filter(|_| fold);
        let node = known.unwrap_or_else(|| {
            nodes.push(Node {
                layer: layer.to_owned(),
                asset: (!fold).then(|| line.asset.clone()),
                assets: 0,
                states: BTreeMap::new(),
                kind: (!fold).then(|| line.kind.clone()),
                running: false,
                partitions: (!fold && line.partitioned.is_some())
                    .then(|| super::tone::in_words(&super::tone::health_parts(&line.health))),
                place: (0, 0),
            });
            if fold {
                folded_nodes.insert(layer, nodes.len() - 1);
            }
            nodes.len() - 1
        });
        nodes[node].assets += 1;
        nodes[node].running |= line.running;
        *nodes[node].states.entry(line.state).or_default() += 1;
        node_of.insert(*place, node);
    }
    let mut reads_of: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); nodes.len()];
    for place in &shown {
        let node = node_of[place];
        let above = reads[*place].iter().filter_map(|above| node_of.get(above).copied());
        reads_of[node].extend(above.filter(|above| *above != node));
    }
    let reads_of: Vec<Vec<usize>> = reads_of.into_iter().map(|reads| reads.into_iter().collect()).collect();
    let mut bands = Vec::new();
    let mut layout = None;
    if nodes.len() <= MOST_NODES {
        let column_of = if given(asked.columns.clone()).as_deref() == Some("distance") {
            by_distance(&reads_of)
        } else {
            let number = |node: &Node| layers.iter().position(|(layer, _)| *layer == node.layer).unwrap_or(0);
            let numbers: Vec<usize> = nodes.iter().map(number).collect();
            let (column_of, found) = by_layer(&reads_of, &numbers);
            bands = found;
            column_of
        };
        let found = lay_out(&reads_of, &column_of);
        for (node, place) in nodes.iter_mut().zip(&found.places) {
            node.place = *place;
        }
        layout = Some(found);
    }
    let edges = reads_of
        .iter()
        .enumerate()
        .flat_map(|(node, reads)| reads.iter().map(move |above| (*above, node)));
    GraphFacts {
        edges: edges.collect(),
        nodes,
        layers,
        folded,
        total: lines.len(),
        focus,
        up,
        down,
        bands,
        layout,
    }
}

/// The places of what is at most so many steps away.
fn around(focus: usize, reads: &[Vec<usize>], up: usize, down: usize) -> BTreeSet<usize> {
    let mut read_by: Vec<Vec<usize>> = vec![Vec::new(); reads.len()];
    for (node, upstream) in reads.iter().enumerate() {
        for above in upstream {
            read_by[*above].push(node);
        }
    }
    let mut found = BTreeSet::from([focus]);
    for (neighbours, farthest) in [(reads, up), (read_by.as_slice(), down)] {
        let mut seen = BTreeSet::from([focus]);
        let mut waiting = VecDeque::from([(focus, 0)]);
        while let Some((node, distance)) = waiting.pop_front() {
            if distance == farthest {
                continue;
            }
            for other in &neighbours[node] {
                if seen.insert(*other) {
                    waiting.push_back((*other, distance + 1));
                }
            }
        }
        found.extend(seen);
    }
    found
}

/// A step that can be chosen: the value, its word, whether it is chosen.
type Step = (String, String, bool);

#[derive(Template)]
#[template(path = "graph.html")]
struct GraphPage {
    frame: Frame,
    drawing: Option<Markup>,
    empty: bool,
    legend: Vec<Markup>,
    focus: String,
    ups: Vec<Step>,
    downs: Vec<Step>,
    fold: String,
    columns: String,
    /// Layers: name, number of assets, where a click leads, whether it is folded.
    layers: Vec<(String, usize, String, bool)>,
    unfold_all: Option<String>,
    fold_all: Option<String>,
    by_layer: String,
    by_distance: String,
    is_by_distance: bool,
    shown: usize,
    total: usize,
}

/// `GET /graph?focus=silver.flights&up=2&down=2&fold=bronze,gold&columns=distance`
pub async fn page(State(state): State<WebState>, Query(asked): Query<Asked>) -> Result<Html<String>, ErrorPage> {
    let facts = facts(&state, &asked).await?;
    let tones = [
        (Tone::Good, "fresh"),
        (Tone::Warn, "stale"),
        (Tone::Bad, "failed"),
        (Tone::Busy, "running"),
        (Tone::Missing, "never made"),
        (Tone::Idle, "waiting"),
    ];
    let address = |fold: Option<String>, columns: Option<String>| {
        let around = |given: usize| facts.focus.as_ref().map(|_| given.to_string());
        let pairs = [
            ("focus", facts.focus.as_ref().map(ToString::to_string)),
            ("up", around(facts.up)),
            ("down", around(facts.down)),
            ("fold", fold),
            ("columns", columns),
        ];
        format!("/graph{}", query(&pairs))
    };
    let columns = given(asked.columns.clone());
    let folding = |layers: &BTreeSet<String>| {
        let list = layers.iter().cloned().collect::<Vec<_>>().join(",");
        Some(if list.is_empty() { "none".to_owned() } else { list })
    };
    let now = given(asked.fold.clone());
    let layers = facts.layers.iter().map(|(layer, count)| {
        let folded = facts.folded.contains(layer);
        let mut other = facts.folded.clone();
        if folded {
            other.remove(layer);
        } else {
            other.insert(layer.clone());
        }
        (layer.clone(), *count, address(folding(&other), columns.clone()), folded)
    });
    let everything: BTreeSet<String> = facts.layers.iter().map(|(layer, _)| layer.clone()).collect();
    let steps = |chosen: usize| -> Vec<Step> {
        let mut values = vec![0, 1, 2, 3, 5, 10, MOST_AROUND];
        if !values.contains(&chosen) {
            values.push(chosen);
            values.sort_unstable();
        }
        let word = |value: usize| {
            if value == MOST_AROUND {
                "all".to_owned()
            } else {
                value.to_string()
            }
        };
        values
            .into_iter()
            .map(|value| (value.to_string(), word(value), value == chosen))
            .collect()
    };
    render(&GraphPage {
        frame: Frame::new(&state, "Graph", Section::Graph),
        layers: layers.collect(),
        unfold_all: (!facts.folded.is_empty()).then(|| address(folding(&BTreeSet::new()), columns.clone())),
        fold_all: (facts.folded.len() < facts.layers.len()).then(|| address(folding(&everything), columns.clone())),
        by_layer: address(now.clone(), None),
        by_distance: address(now.clone(), Some("distance".to_owned())),
        is_by_distance: columns.as_deref() == Some("distance"),
        drawing: draw(&facts, &|layer| {
            let mut other = facts.folded.clone();
            other.remove(layer);
            address(folding(&other), columns.clone())
        }),
        empty: facts.total == 0,
        legend: tones.iter().map(|(tone, word)| tone.state(word)).collect(),
        focus: facts.focus.as_ref().map_or_else(String::new, ToString::to_string),
        ups: steps(facts.up),
        downs: steps(facts.down),
        fold: now.unwrap_or_default(),
        columns: columns.clone().unwrap_or_default(),
        shown: facts.nodes.iter().map(|node| node.assets).sum(),
        total: facts.total,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_an_asset_is_above_and_below_it() {
        // 0 -> 1 -> 2 -> 3, and 4 -> 2, 1 -> 5.
        let reads = [vec![], vec![0], vec![1, 4], vec![2], vec![], vec![1]];
        let found = |up, down| around(2, &reads, up, down).into_iter().collect::<Vec<_>>();
        assert_eq!(found(0, 0), [2]);
        assert_eq!(found(1, 0), [1, 2, 4]);
        assert_eq!(
            found(9, 9),
            [0, 1, 2, 3, 4],
            "not 5, which only shares a source with it"
        );
    }
}
