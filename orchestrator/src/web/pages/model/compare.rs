//! Two versions side by side: metrics, parameters, inputs, importance.

use std::collections::BTreeSet;

use serde_json::Value;
use state::sqlite::queries::models::ModelVersionRow;

use super::super::figures::{NOTHING, figure};
use super::version::{better, detail as of_detail, signed, text_of};

/// Two versions.
pub(super) struct Comparison {
    pub(super) a: u64,
    pub(super) b: u64,
    /// Sections under their names.
    pub(super) parts: Vec<(&'static str, Vec<Line>)>,
}

/// One thing that both have, or one of them.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) a: String,
    pub(super) b: String,
    pub(super) differs: bool,
    /// From the first to the second.
    pub(super) change: String,
    /// `better`, `worse` or nothing.
    pub(super) tone: &'static str,
}

/// Puts the second beside the first.
pub(super) fn compare(a: &ModelVersionRow, b: &ModelVersionRow) -> Comparison {
    let metrics = names(a.metrics.keys(), b.metrics.keys()).into_iter().map(|name| {
        let (was, is) = (a.metrics.get(&name), b.metrics.get(&name));
        let change = was.zip(is).map(|(was, is)| is - was).filter(|change| *change != 0.0);
        let text = |value: Option<&f64>| value.map_or_else(|| NOTHING.to_owned(), |value| figure(*value));
        Line {
            a: text(was),
            b: text(is),
            differs: was != is,
            change: change.map_or_else(String::new, signed),
            tone: change.and_then(|change| better(&name, change)).unwrap_or_default(),
            name,
        }
    });
    let parameters = names(a.parameters.keys(), b.parameters.keys()).into_iter().map(|name| {
        let text = |version: &ModelVersionRow| {
            version
                .parameters
                .get(&name)
                .map_or_else(|| NOTHING.to_owned(), text_of)
        };
        plain(name.replace('_', " "), text(a), text(b))
    });
    let inputs = |version: &ModelVersionRow, asset: &str| {
        let input = version.inputs.iter().find(|input| input.asset.as_str() == asset);
        let snapshot = input
            .and_then(|input| input.table.as_ref())
            .and_then(|table| table.snapshot_id);
        snapshot.map_or_else(|| NOTHING.to_owned(), |id| format!("snapshot {id}"))
    };
    let assets = |version: &ModelVersionRow| -> Vec<String> {
        version.inputs.iter().map(|input| input.asset.to_string()).collect()
    };
    let (of_a, of_b) = (assets(a), assets(b));
    let learned = names(of_a.iter(), of_b.iter()).into_iter().map(|asset| {
        let (was, is) = (inputs(a, &asset), inputs(b, &asset));
        plain(asset, was, is)
    });
    let detail = |version: &ModelVersionRow, name: &str| {
        version
            .details
            .get(name)
            .filter(|value| !value.is_null())
            .map_or_else(|| NOTHING.to_owned(), |value| of_detail(name, value))
    };
    let details: Vec<Line> = ["rows_train", "rows_test", "target", "split"]
        .into_iter()
        .map(|name| plain(name.replace('_', " "), detail(a, name), detail(b, name)))
        .filter(|line| line.a != NOTHING || line.b != NOTHING)
        .collect();
    let code = plain(
        "code".to_owned(),
        a.fingerprint.to_string().chars().take(12).collect(),
        b.fingerprint.to_string().chars().take(12).collect(),
    );
    let shares = |version: &ModelVersionRow| version.details.get("importance").cloned().unwrap_or(Value::Null);
    let (of_a, of_b) = (
        super::version::importance(&shares(a)),
        super::version::importance(&shares(b)),
    );
    let share = |of: &[(String, f64)], name: &str| {
        of.iter()
            .find(|(feature, _)| feature == name)
            .map_or_else(|| NOTHING.to_owned(), |(_, share)| format!("{:.1} %", share * 100.0))
    };
    let mut features: Vec<&String> = of_b.iter().chain(&of_a).map(|(feature, _)| feature).collect();
    let mut seen = BTreeSet::new();
    features.retain(|feature| seen.insert(*feature));
    let importance = features.into_iter().take(15).map(|feature| Line {
        // Shares always differ a little.
        differs: false,
        ..plain(feature.clone(), share(&of_a, feature), share(&of_b, feature))
    });
    let mut parts = vec![
        ("Metrics", metrics.collect::<Vec<_>>()),
        ("Parameters", parameters.collect()),
        ("Learned from", learned.chain(details).chain([code]).collect()),
        ("Importance of features", importance.collect()),
    ];
    parts.retain(|(_, lines)| !lines.is_empty());
    Comparison {
        a: a.version,
        b: b.version,
        parts,
    }
}

fn plain(name: String, a: String, b: String) -> Line {
    Line {
        name,
        differs: a != b,
        a,
        b,
        change: String::new(),
        tone: "",
    }
}

fn names<'n>(a: impl Iterator<Item = &'n String>, b: impl Iterator<Item = &'n String>) -> BTreeSet<String> {
    a.chain(b).cloned().collect()
}
