//! The graph as SVG: each box a link, with the shape and the colour of its state.

use std::collections::HashMap;
use std::fmt::Write;

use super::figures::number;
use super::graph::{GraphFacts, Node};
use super::graph_layout::{Item, Layout};
use super::markup::{Markup, escape};
use crate::core::HealthState;

/// With more boxes than this, boxes are small.
const ROOMY: usize = 120;
/// Up to this width a drawing shrinks with the window.
const WIDEST_THAT_FITS: usize = 1500;
const MARGIN: usize = 12;
/// Room for the names of layers.
const HEAD: usize = 26;

/// Room for edges that pass a column.
const LANE: usize = 9;

/// Measures of boxes.
struct Measures {
    width: usize,
    height: usize,
    column: usize,
    row: usize,
    /// Characters that fit into a box.
    fits: usize,
    /// Whether a box has the layer above the name.
    two_lines: bool,
    /// Whether a box leads to what is around it.
    around: bool,
}

/// Few boxes in columns of many layers.
const TALL: Measures = Measures {
    width: 184,
    height: 44,
    column: 232,
    row: 58,
    fits: 16,
    two_lines: true,
    around: true,
};
/// Few boxes in columns that say their layer.
const ROOMY_ROWS: Measures = Measures {
    width: 178,
    height: 30,
    column: 216,
    row: 40,
    fits: 15,
    two_lines: false,
    around: true,
};
const SMALL: Measures = Measures {
    width: 168,
    height: 22,
    column: 268,
    row: 28,
    fits: 20,
    two_lines: false,
    around: false,
};

/// Where things stand, in pixels.
struct Places {
    boxes: Vec<(usize, usize)>,
    /// By node: column, and the middle of its lane there.
    lanes: HashMap<(usize, usize), usize>,
    width: usize,
    height: usize,
}

impl Places {
    fn of(layout: &Layout, measures: &Measures, head: usize) -> Self {
        let tall = |item: &Item| match item {
            Item::Box(_) => measures.row,
            Item::Lane(_) => LANE,
        };
        let heights: Vec<usize> = layout
            .columns
            .iter()
            .map(|column| column.iter().map(tall).sum())
            .collect();
        let highest = heights.iter().copied().max().unwrap_or(0);
        let mut boxes = vec![(0, 0); layout.places.len()];
        let mut lanes = HashMap::new();
        for (number, column) in layout.columns.iter().enumerate() {
            // Columns are centred on one line.
            let mut y = MARGIN + head + (highest - heights[number]) / 2;
            for item in column {
                match item {
                    Item::Box(node) => {
                        boxes[*node] = (
                            MARGIN + number * measures.column,
                            y + (measures.row - measures.height) / 2,
                        );
                    }
                    Item::Lane(node) => {
                        lanes.insert((*node, number), y + LANE / 2);
                    }
                }
                y += tall(item);
            }
        }
        Self {
            boxes,
            lanes,
            width: 2 * MARGIN + (layout.columns.len().max(1) - 1) * measures.column + measures.width,
            height: 2 * MARGIN + head + highest,
        }
    }
}

/// Draws it; `None` if there is nothing to draw or too much. `unfold` is where a folded layer leads.
pub(super) fn draw(facts: &GraphFacts, unfold: &dyn Fn(&str) -> String) -> Option<Markup> {
    let layout = facts.layout.as_ref().filter(|_| !facts.nodes.is_empty())?;
    let measures = match (facts.nodes.len() <= ROOMY, facts.bands.is_empty()) {
        (true, true) => &TALL,
        (true, false) => &ROOMY_ROWS,
        (false, _) => &SMALL,
    };
    let head = if facts.bands.is_empty() { 0 } else { HEAD };
    let places = Places::of(layout, measures, head);
    let (width, height) = (places.width, places.height);
    let mut svg = format!(
        "<svg class=\"graph{}{}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"group\" \
         aria-label=\"graph of {} assets\">",
        // A little too wide is made to fit; what is wider scrolls.
        if width <= WIDEST_THAT_FITS { " fits" } else { "" },
        if measures.around { "" } else { " small" },
        facts.nodes.iter().map(|node| node.assets).sum::<usize>(),
    );
    for (position, band) in facts.bands.iter().enumerate() {
        let x = MARGIN + band.first * measures.column;
        let wide = (band.columns - 1) * measures.column + measures.width;
        write!(
            svg,
            "<rect class=\"band{}\" x=\"{}\" y=\"4\" width=\"{}\" height=\"{}\" rx=\"10\"/><text class=\"band\" x=\"{}\" y=\"22\">{}</text>",
            if position % 2 == 0 { "" } else { " odd" },
            x.saturating_sub(8),
            wide + 16,
            height - 8,
            x,
            escape(&facts.layers[band.layer].0),
        )
        .expect("a string takes text");
    }
    for (above, node) in &facts.edges {
        draw_edge(&mut svg, layout, measures, &places, *above, *node);
    }
    for (number, node) in facts.nodes.iter().enumerate() {
        draw_node(&mut svg, facts, number, node, places.boxes[number], measures, unfold);
    }
    svg.push_str("</svg>");
    Some(Markup(svg))
}

/// A line from box to box, through its lanes.
fn draw_edge(svg: &mut String, layout: &Layout, measures: &Measures, places: &Places, above: usize, node: usize) {
    let (from_x, from_y) = places.boxes[above];
    let (x, y) = places.boxes[node];
    let (mut at_x, mut at_y) = (from_x + measures.width, from_y + measures.height / 2);
    write!(
        svg,
        "<path class=\"edge\" data-edge=\"{above} {node}\" d=\"M{at_x} {at_y}"
    )
    .expect("a string takes text");
    let bend = (measures.column - measures.width) / 2;
    let mut curve = |svg: &mut String, to_x: usize, to_y: usize| {
        if to_y == at_y && to_x >= at_x {
            write!(svg, "H{to_x}").expect("a string takes text");
        } else {
            // One that leads back goes round.
            let bend = if to_x > at_x { bend } else { measures.column / 2 };
            write!(
                svg,
                "C{} {at_y} {} {to_y} {to_x} {to_y}",
                at_x + bend,
                to_x.saturating_sub(bend)
            )
            .expect("a string takes text");
        }
        (at_x, at_y) = (to_x, to_y);
    };
    let (first, last) = (layout.places[above].0, layout.places[node].0);
    for column in first + 1..last {
        if let Some(lane) = places.lanes.get(&(above, column)) {
            let left = MARGIN + column * measures.column;
            curve(svg, left, *lane);
            curve(svg, left + measures.width, *lane);
        }
    }
    curve(svg, x, y + measures.height / 2);
    svg.push_str("\"/>");
}

fn draw_node(
    svg: &mut String,
    facts: &GraphFacts,
    place: usize,
    node: &Node,
    (x, y): (usize, usize),
    measures: &Measures,
    unfold: &dyn Fn(&str) -> String,
) {
    let tone = node.tone();
    let (name, href, title) = match &node.asset {
        Some(asset) => {
            let details = match (&node.kind, &node.partitions) {
                (Some(kind), Some(partitions)) => format!("{kind} · {partitions}"),
                (Some(kind), None) => kind.clone(),
                _ => String::new(),
            };
            (
                asset.name().to_owned(),
                format!("/assets/{asset}"),
                format!("{asset} ({details})"),
            )
        }
        None => (
            match measures.two_lines || !facts.bands.is_empty() {
                true => pile_in_words(node),
                false => format!("{}: {}", node.layer, number(node.assets as u64)),
            },
            unfold(&node.layer),
            format!("{}: {}", node.layer, states_in_words(node)),
        ),
    };
    let shown = if name.chars().count() > measures.fits {
        format!("{}…", name.chars().take(measures.fits - 1).collect::<String>())
    } else {
        name
    };
    let focused = node.asset.is_some() && node.asset == facts.focus;
    write!(
        svg,
        "<a href=\"{}\" data-node=\"{place}\"><title>{}</title>",
        escape(href),
        escape(title),
    )
    .expect("a string takes text");
    let corner = if measures.around { 8 } else { 5 };
    if node.asset.is_none() {
        // A pile.
        write!(
            svg,
            "<rect class=\"node {} under\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{corner}\"/>",
            tone.class(),
            x + 4,
            y + 4,
            measures.width,
            measures.height
        )
        .expect("a string takes text");
    }
    let middle = y + measures.height / 2;
    write!(
        svg,
        "<rect class=\"node {}{}\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"{corner}\"/>{}",
        tone.class(),
        if focused { " focused" } else { "" },
        measures.width,
        measures.height,
        tone.drawn_at((x + if measures.around { 11 } else { 6 }) as f64, (middle - 6) as f64),
    )
    .expect("a string takes text");
    let text = x + if measures.around { 31 } else { 24 };
    if measures.two_lines {
        write!(
            svg,
            "<text class=\"layer\" x=\"{text}\" y=\"{}\">{}</text><text class=\"name\" x=\"{text}\" y=\"{}\">{}</text></a>",
            middle - 5,
            escape(&node.layer),
            middle + 11,
            escape(shown),
        )
        .expect("a string takes text");
    } else {
        write!(
            svg,
            "<text class=\"name\" x=\"{text}\" y=\"{}\">{}</text></a>",
            middle + 4,
            escape(shown)
        )
        .expect("a string takes text");
    }
    if let (Some(asset), true, false) = (&node.asset, measures.around, focused) {
        let x = x + measures.width - 14;
        write!(
            svg,
            "<a class=\"around\" href=\"/graph?focus={asset}\" aria-label=\"only what is around {asset}\"><title>only what is around it</title>\
             <rect x=\"{}\" y=\"{}\" width=\"22\" height=\"22\" rx=\"5\"/><path d=\"M{x} {middle}m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0m4-7v4m0 6v4m-7-7h4m6 0h4\"/></a>",
            x - 11,
            middle - 11,
        )
        .expect("a string takes text");
    }
}

/// `200 assets`, or how many of them are in the worst state, where not all are: `3 of 200 stale`.
fn pile_in_words(node: &Node) -> String {
    let all = number(node.assets as u64);
    match node.states.last_key_value() {
        Some((worst, count)) if *count < node.assets => format!("{} of {all} {}", number(*count as u64), word(*worst)),
        _ => format!("{all} assets"),
    }
}

fn word(state: HealthState) -> &'static str {
    match state {
        HealthState::Missing => "never made",
        other => other.as_str(),
    }
}

fn states_in_words(node: &Node) -> String {
    let words: Vec<String> = node
        .states
        .iter()
        .rev()
        .map(|(state, count)| format!("{} {}", number(*count as u64), word(*state)))
        .collect();
    words.join(", ")
}
