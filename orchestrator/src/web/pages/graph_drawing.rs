//! The graph as SVG: each box a link, with the shape and the colour of its state.

use std::fmt::Write;

use super::figures::number;
use super::graph::{GraphFacts, Node};
use super::graph_layout::Layout;
use super::markup::{Markup, escape};
use crate::core::HealthState;

/// With more boxes than this, boxes are small.
const ROOMY: usize = 120;
/// Up to this width a drawing shrinks with the window.
const WIDEST_THAT_FITS: usize = 1800;
const MARGIN: usize = 12;
/// Room for the names of layers.
const HEAD: usize = 26;

/// Measures of boxes.
struct Measures {
    width: usize,
    height: usize,
    column: usize,
    row: usize,
    /// Characters that fit into a box.
    fits: usize,
    roomy: bool,
}

const LARGE: Measures = Measures {
    width: 184,
    height: 44,
    column: 232,
    row: 60,
    fits: 18,
    roomy: true,
};
const SMALL: Measures = Measures {
    width: 168,
    height: 22,
    column: 220,
    row: 28,
    fits: 20,
    roomy: false,
};

/// Draws it; `None` if there is nothing to draw or too much. `unfold` is where a folded layer leads.
pub(super) fn draw(facts: &GraphFacts, unfold: &dyn Fn(&str) -> String) -> Option<Markup> {
    let layout = facts.layout.as_ref().filter(|_| !facts.nodes.is_empty())?;
    let measures = if facts.nodes.len() <= ROOMY { &LARGE } else { &SMALL };
    let head = if facts.bands.is_empty() { 0 } else { HEAD };
    let width = 2 * MARGIN + (layout.columns.len() - 1) * measures.column + measures.width;
    let height = 2 * MARGIN + head + (layout.rows.max(1) - 1) * measures.row + measures.height;
    let place = |node: usize| place(layout, measures, node, head);
    let mut svg = format!(
        "<svg class=\"graph{}{}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"group\" \
         aria-label=\"graph of {} assets\">",
        // A little too wide is made to fit; what is wider scrolls.
        if width <= WIDEST_THAT_FITS { " fits" } else { "" },
        if measures.roomy { "" } else { " small" },
        facts.nodes.iter().map(|node| node.assets).sum::<usize>(),
    );
    for (position, band) in facts.bands.iter().enumerate() {
        let x = MARGIN + band.first * measures.column;
        let wide = (band.columns - 1) * measures.column + measures.width;
        write!(
            svg,
            "<rect class=\"band{}\" x=\"{}\" y=\"4\" width=\"{}\" height=\"{}\" rx=\"10\"/><text class=\"band\" x=\"{}\" y=\"22\">{}</text>",
            if position % 2 == 0 { "" } else { " odd" },
            x - 8,
            wide + 16,
            height - 8,
            x,
            escape(&facts.layers[band.layer].0),
        )
        .expect("a string takes text");
    }
    for (above, node) in &facts.edges {
        let (x, y) = place(*node);
        let (from_x, from_y) = place(*above);
        let (x, y) = (x, y + measures.height / 2);
        let (from_x, from_y) = (from_x + measures.width, from_y + measures.height / 2);
        // A long edge leaves and arrives as steeply as a short one; one that leads back goes round.
        let bend = if x >= from_x {
            ((x - from_x) / 2).min(measures.column / 2)
        } else {
            measures.column / 2
        };
        write!(
            svg,
            "<path class=\"edge\" data-edge=\"{above} {node}\" d=\"M{from_x} {from_y}C{} {from_y} {} {y} {x} {y}\"/>",
            from_x + bend,
            x.saturating_sub(bend),
        )
        .expect("a string takes text");
    }
    for (number, node) in facts.nodes.iter().enumerate() {
        let (x, y) = place(number);
        draw_node(&mut svg, facts, number, node, (x, y), measures, unfold);
    }
    svg.push_str("</svg>");
    Some(Markup(svg))
}

/// The upper left corner of a box. Columns are centred on one line.
fn place(layout: &Layout, measures: &Measures, node: usize, head: usize) -> (usize, usize) {
    let (column, row) = layout.places[node];
    let above = (layout.rows - layout.columns[column]) * measures.row / 2;
    (
        MARGIN + column * measures.column,
        MARGIN + head + above + row * measures.row,
    )
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
            format!("{} assets", number(node.assets as u64)),
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
    let (text, mark_y) = (
        x + if measures.roomy { 36 } else { 24 },
        if measures.roomy { y + 16 } else { y + 5 },
    );
    write!(
        svg,
        "<a href=\"{}\" data-node=\"{place}\"><title>{}</title>",
        escape(href),
        escape(title),
    )
    .expect("a string takes text");
    if node.asset.is_none() {
        // A pile.
        write!(
            svg,
            "<rect class=\"node {} under\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"8\"/>",
            tone.class(),
            x + 4,
            y + 4,
            measures.width,
            measures.height
        )
        .expect("a string takes text");
    }
    write!(
        svg,
        "<rect class=\"node {}{}\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"{}\"/>{}",
        tone.class(),
        if focused { " focused" } else { "" },
        measures.width,
        measures.height,
        if measures.roomy { 8 } else { 5 },
        tone.drawn_at((x + if measures.roomy { 13 } else { 6 }) as f64, mark_y as f64),
    )
    .expect("a string takes text");
    if measures.roomy {
        write!(
            svg,
            "<text class=\"layer\" x=\"{text}\" y=\"{}\">{}</text><text class=\"name\" x=\"{text}\" y=\"{}\">{}</text></a>",
            y + 17,
            escape(&node.layer),
            y + 33,
            escape(shown),
        )
        .expect("a string takes text");
        if let Some(asset) = &node.asset
            && !focused
        {
            write!(
                svg,
                "<a class=\"around\" href=\"/graph?focus={asset}\" aria-label=\"only what is around {asset}\"><title>only what is around it</title>\
                 <rect x=\"{0}\" y=\"{1}\" width=\"22\" height=\"22\" rx=\"5\"/><path d=\"M{2} {3}m-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0m5-8v4m0 8v4m-8-8h4m8 0h4\"/></a>",
                x + measures.width - 27,
                y + 11,
                x + measures.width - 16,
                y + 22,
            )
            .expect("a string takes text");
        }
    } else {
        write!(
            svg,
            "<text class=\"name\" x=\"{text}\" y=\"{}\">{}</text></a>",
            y + 15,
            escape(shown)
        )
        .expect("a string takes text");
    }
}

fn states_in_words(node: &Node) -> String {
    let words: Vec<String> = node
        .states
        .iter()
        .rev()
        .map(|(state, count)| {
            let word = match state {
                HealthState::Missing => "never made",
                other => other.as_str(),
            };
            format!("{} {word}", number(*count as u64))
        })
        .collect();
    words.join(", ")
}
