//! `/graph`: who reads whom, drawn.

use std::collections::HashMap;
use std::fmt::Write;

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::assets_state::{AssetLine, asset_lines};
use super::frame::{Frame, Section};
use super::graph_layout::lay_out;
use super::markup::{Markup, escape};
use super::render;
use super::tone::{Tone, health_parts, in_words};

/// More than this is a picture that nobody reads.
const MOST_NODES: usize = 400;
const NODE_WIDTH: usize = 192;
const NODE_HEIGHT: usize = 44;
const COLUMN: usize = 248;
const ROW: usize = 62;
const MARGIN: usize = 12;
/// Up to this width a drawing shrinks with the window.
const WIDEST_THAT_FITS: usize = 1700;
/// Characters that fit into a node.
const FITS: usize = 19;

#[derive(Template)]
#[template(path = "graph.html")]
struct GraphPage {
    frame: Frame,
    drawing: Option<Markup>,
    empty: bool,
    legend: Vec<Markup>,
}

/// `GET /graph`
pub async fn page(State(state): State<WebState>) -> Result<Html<String>, ErrorPage> {
    let lines = asset_lines(&state).await?;
    let tones = [
        (Tone::Good, "fresh"),
        (Tone::Warn, "stale"),
        (Tone::Bad, "failed"),
        (Tone::Busy, "running"),
        (Tone::Missing, "never made"),
        (Tone::Idle, "waiting"),
    ];
    render(&GraphPage {
        frame: Frame::new(&state, "Graph", Section::Graph),
        drawing: (lines.len() <= MOST_NODES && !lines.is_empty()).then(|| draw(&lines)),
        empty: lines.is_empty(),
        legend: tones.iter().map(|(tone, word)| tone.state(word)).collect(),
    })
}

/// The graph as SVG: columns from left to right, each asset a link.
fn draw(lines: &[AssetLine]) -> Markup {
    let index: HashMap<_, _> = lines.iter().enumerate().map(|(i, line)| (&line.asset, i)).collect();
    let reads: Vec<Vec<usize>> = lines
        .iter()
        .map(|line| line.reads.iter().filter_map(|key| index.get(key).copied()).collect())
        .collect();
    let layout = lay_out(&reads);
    let mut column_sizes = vec![0; layout.columns];
    for (column, _) in &layout.places {
        column_sizes[*column] += 1;
    }
    // Columns are centred on one line.
    let place = |node: usize| {
        let (column, row) = layout.places[node];
        let above = (layout.rows - column_sizes[column]) * ROW / 2;
        (MARGIN + column * COLUMN, MARGIN + above + row * ROW)
    };
    let width = 2 * MARGIN + (layout.columns.max(1) - 1) * COLUMN + NODE_WIDTH;
    let height = 2 * MARGIN + (layout.rows.max(1) - 1) * ROW + NODE_HEIGHT;
    let mut svg = format!(
        "<svg class=\"graph{}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"group\" \
         aria-label=\"graph of {} assets\">",
        // A little too wide is made to fit; what is wider scrolls.
        if width <= WIDEST_THAT_FITS { " fits" } else { "" },
        lines.len()
    );
    for (node, upstream) in reads.iter().enumerate() {
        let (x, y) = place(node);
        let (x, y) = (x, y + NODE_HEIGHT / 2);
        for above in upstream {
            let (from_x, from_y) = place(*above);
            let (from_x, from_y) = (from_x + NODE_WIDTH, from_y + NODE_HEIGHT / 2);
            // A long edge leaves and arrives as steeply as a short one.
            let bend = ((x - from_x) / 2).min(COLUMN / 2);
            write!(
                svg,
                "<path class=\"edge\" data-from=\"{}\" data-to=\"{}\" d=\"M{from_x} {from_y}C{} {from_y} {} {y} {x} {y}\"/>",
                lines[*above].asset,
                lines[node].asset,
                from_x + bend,
                x - bend,
            )
            .expect("a string takes text");
        }
    }
    for (node, line) in lines.iter().enumerate() {
        let (x, y) = place(node);
        let tone = line.tone();
        let name = line.asset.name();
        let shown = if name.chars().count() > FITS {
            format!("{}…", name.chars().take(FITS - 1).collect::<String>())
        } else {
            name.to_owned()
        };
        let partitions = if line.health.partitions == 1 {
            line.kind.clone()
        } else {
            format!("{} · {}", line.kind, in_words(&health_parts(&line.health)))
        };
        write!(
            svg,
            "<a href=\"/assets/{key}\" data-node=\"{key}\"><title>{key} ({title})</title>\
             <rect class=\"node {class}\" x=\"{x}\" y=\"{y}\" width=\"{NODE_WIDTH}\" height=\"{NODE_HEIGHT}\" rx=\"8\"/>{mark}\
             <text class=\"layer\" x=\"{text}\" y=\"{upper}\">{layer}</text><text class=\"name\" x=\"{text}\" y=\"{lower}\">{shown}</text></a>",
            key = escape(&line.asset),
            title = escape(partitions),
            class = tone.class(),
            mark = tone.drawn_at((x + 13) as f64, (y + 16) as f64),
            text = x + 36,
            upper = y + 17,
            lower = y + 33,
            layer = escape(line.asset.layer()),
            shown = escape(shown),
        )
        .expect("a string takes text");
    }
    svg.push_str("</svg>");
    Markup(svg)
}
