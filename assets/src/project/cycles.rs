//! Circles of assets, each told once with its path.

use std::collections::HashMap;

use super::resolve::Edge;
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink};
use crate::key::AssetKey;

/// How many assets of a circle are named; a longer one is cut in the middle.
const MOST_NAMED: usize = 8;

/// Reports a circle for every group of assets that need each other. `edges[i]` are the inputs of `keys[i]`.
///
/// A depth-first walk with a stack of its own: a chain of assets may be longer than the program's stack is deep.
pub(super) fn report(keys: &[&AssetKey], edges: &[Vec<Edge>], sink: &DiagnosticSink) {
    let index: HashMap<&AssetKey, usize> = keys.iter().enumerate().map(|(at, key)| (*key, at)).collect();
    let mut state = vec![State::New; keys.len()];
    for start in 0..keys.len() {
        if state[start] != State::New {
            continue;
        }
        // Each asset on the way from the start, and which of its inputs is next.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        state[start] = State::OnPath;
        while let Some((at, next)) = path.last_mut() {
            let Some(edge) = edges[*at].get(*next) else {
                if state[*at] == State::OnPath {
                    state[*at] = State::Done;
                }
                path.pop();
                continue;
            };
            *next += 1;
            let Some(&upstream) = index.get(&edge.input.asset) else {
                continue;
            };
            match state[upstream] {
                State::New => {
                    state[upstream] = State::OnPath;
                    path.push((upstream, 0));
                }
                State::OnPath => {
                    let from = path
                        .iter()
                        .position(|(asset, _)| *asset == upstream)
                        .expect("it is on the path");
                    // The input of each that leads to the next was the last one looked at.
                    let circle: Vec<(&AssetKey, &Edge)> = path[from..]
                        .iter()
                        .map(|(asset, next)| (keys[*asset], &edges[*asset][next - 1]))
                        .collect();
                    sink.report(told(&circle));
                    for (asset, _) in &path[from..] {
                        state[*asset] = State::Told;
                    }
                }
                State::Done | State::Told => {}
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    OnPath,
    Done,
    /// Part of a circle that was reported.
    Told,
}

/// Each asset of the circle with the input that leads to the next; the last leads to the first.
fn told(circle: &[(&AssetKey, &Edge)]) -> Diagnostic {
    let (first, edge) = circle[0];
    if circle.len() == 1 {
        return Diagnostic::new(Code::Cycle, format!("`{first}` reads itself"), edge.span)
            .label("its own rows, which this step is to make")
            .help("an asset is made from others; split it in two");
    }
    let mut names: Vec<String> = circle.iter().map(|(key, _)| key.to_string()).collect();
    if names.len() > MOST_NAMED {
        let left_out = names.len() - MOST_NAMED;
        names.splice(
            MOST_NAMED / 2..MOST_NAMED / 2 + left_out,
            [format!("({left_out} more)")],
        );
    }
    names.push(first.to_string());
    let mut diagnostic = Diagnostic::new(
        Code::Cycle,
        format!("assets read each other in a circle: {}", names.join(" -> ")),
        edge.span,
    )
    .label(format!("`{first}` reads `{}` here", edge.input.asset))
    .help("one of them has to do without the other");
    for (key, edge) in circle.iter().skip(1).take(MOST_NAMED - 1) {
        diagnostic = diagnostic.note(format!("`{key}` reads `{}` here", edge.input.asset), Some(edge.span));
    }
    diagnostic
}
