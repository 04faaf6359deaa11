//! `/models/{key}`: the versions of a model side by side, where its aliases point, and what each version was trained on.

use std::collections::BTreeSet;
use std::fmt::Write;

use askama::Template;
use assets::AssetKey;
use axum::extract::{Path, Query, State};
use axum::response::Html;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use state::sqlite::queries::models::{AliasMoveRow, ModelVersionRow, alias_moves, versions};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::figures::{Clock, NOTHING, figure};
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, escape, query};
use super::{asset_key, read, render};

const VERSIONS: usize = 30;
const MOVES: usize = 30;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Asked {
    before: Option<u64>,
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub struct ModelFacts {
    /// The model.
    pub model: AssetKey,
    /// Versions, newest first.
    pub versions: Vec<ModelVersionRow>,
    /// Pass as `before` for the versions before these.
    pub next: Option<u64>,
    /// How aliases moved, newest first.
    pub alias_moves: Vec<AliasMoveRow>,
}

/// What is asked of a model.
pub async fn facts(state: &WebState, key: &str, asked: &Asked) -> Result<ModelFacts, ErrorPage> {
    let model = asset_key(key)?;
    let (wanted, before) = (model.clone(), asked.before);
    let (versions, alias_moves) = read(&state.engine, move |store| {
        Ok((
            versions(store, &wanted, before, VERSIONS)?,
            alias_moves(store, &wanted, None, MOVES)?.rows,
        ))
    })
    .await?;
    if versions.rows.is_empty() && before.is_none() {
        return Err(
            ErrorPage::not_found(format!("there is no model `{model}`")).with_help(format!(
                "a training asset registers its first version when it is materialized: millpond materialize +{model}"
            )),
        );
    }
    Ok(ModelFacts {
        model,
        versions: versions.rows,
        next: versions.next,
        alias_moves,
    })
}

/// A metric of one version, beside that of the version before.
struct MetricView {
    value: String,
    change: Option<String>,
}

struct VersionView {
    version: u64,
    aliases: Vec<String>,
    algorithm: String,
    when: Markup,
    run: String,
    metrics: Vec<MetricView>,
    inputs: Vec<(String, String)>,
    parameters: Vec<(String, String)>,
    importance: Vec<(String, String, Markup)>,
    details: Vec<(String, String)>,
    sha256: String,
    artifact: String,
    open: bool,
}

struct MoveView {
    alias: String,
    from: String,
    to: u64,
    when: Markup,
    reason: String,
}

struct Plot {
    name: String,
    drawing: Markup,
    newest: String,
}

#[derive(Template)]
#[template(path = "model.html")]
struct ModelPage {
    frame: Frame,
    key: AssetKey,
    metrics: Vec<String>,
    versions: Vec<VersionView>,
    plots: Vec<Plot>,
    moves: Vec<MoveView>,
    next: Option<String>,
}

/// `GET /models/{key}`
pub async fn page(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, ErrorPage> {
    let facts = facts(&state, &key, &asked).await?;
    let clock = page_clock(&state);
    let names: BTreeSet<String> = facts
        .versions
        .iter()
        .flat_map(|version| version.metrics.keys().cloned())
        .collect();
    let metrics: Vec<String> = names.into_iter().collect();
    let views = facts
        .versions
        .iter()
        .enumerate()
        .map(|(i, version)| version_view(version, facts.versions.get(i + 1), &metrics, i == 0, &clock));
    let plots = metrics.iter().filter_map(|name| {
        let values: Vec<f64> = facts
            .versions
            .iter()
            .rev()
            .filter_map(|version| version.metrics.get(name).copied())
            .collect();
        (values.len() > 1).then(|| Plot {
            name: name.clone(),
            newest: values.last().map_or_else(String::new, |value| figure(*value)),
            drawing: line(&values),
        })
    });
    render(&ModelPage {
        frame: Frame::new(&state, facts.model.as_str(), Section::Models),
        versions: views.collect(),
        plots: plots.collect(),
        moves: facts
            .alias_moves
            .iter()
            .map(|moved| MoveView {
                alias: moved.alias.clone(),
                from: moved.from.map_or_else(|| NOTHING.to_owned(), |from| from.to_string()),
                to: moved.to,
                when: clock.when(moved.at),
                reason: moved.reason.clone(),
            })
            .collect(),
        next: facts.next.map(|next| {
            format!(
                "/models/{}{}",
                facts.model,
                query(&[("before", Some(next.to_string()))])
            )
        }),
        metrics,
        key: facts.model,
    })
}

fn version_view(
    version: &ModelVersionRow,
    before: Option<&ModelVersionRow>,
    metrics: &[String],
    open: bool,
    clock: &Clock,
) -> VersionView {
    let metric = |name: &String| {
        let value = version.metrics.get(name);
        let change = value
            .zip(before.and_then(|before| before.metrics.get(name)))
            .map(|(is, was)| is - was);
        MetricView {
            value: value.map_or_else(|| NOTHING.to_owned(), |value| figure(*value)),
            change: change
                .filter(|change| *change != 0.0)
                .map(|change| format!("{}{}", if change > 0.0 { "+" } else { "−" }, figure(change.abs()))),
        }
    };
    let importance = version.details.get("importance").map(importance).unwrap_or_default();
    let greatest = importance
        .iter()
        .map(|(_, share)| *share)
        .fold(f64::MIN_POSITIVE, f64::max);
    VersionView {
        version: version.version,
        aliases: version.aliases.clone(),
        algorithm: version.algorithm.clone(),
        when: clock.when(version.at),
        run: version.run.to_string(),
        metrics: metrics.iter().map(metric).collect(),
        inputs: version
            .inputs
            .iter()
            .map(|input| {
                let is = match (&input.table, input.model_version) {
                    (_, Some(version)) => format!("version {version}"),
                    (Some(table), None) => table
                        .snapshot_id
                        .map_or_else(|| "empty".to_owned(), |id| format!("snapshot {id}")),
                    (None, None) => "never materialized".to_owned(),
                };
                (input.asset.to_string(), is)
            })
            .collect(),
        parameters: version
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), text_of(value)))
            .collect(),
        importance: importance
            .into_iter()
            .take(20)
            .map(|(name, share)| (name, format!("{:.1} %", share * 100.0), share_bar(share / greatest)))
            .collect(),
        details: match &version.details {
            Value::Object(fields) => fields
                .iter()
                .filter(|(name, value)| *name != "importance" && !value.is_null())
                .map(|(name, value)| (name.replace('_', " "), text_of(value)))
                .collect(),
            _ => Vec::new(),
        },
        sha256: version.sha256.chars().take(16).collect(),
        artifact: version.artifact.clone(),
        open,
    }
}

/// Features and their shares, greatest first; from a list of `{feature, share}` or an object of numbers.
fn importance(value: &Value) -> Vec<(String, f64)> {
    let mut found: Vec<(String, f64)> = match value {
        Value::Array(items) => items
            .iter()
            .filter_map(|item| Some((item.get("feature")?.as_str()?.to_owned(), item.get("share")?.as_f64()?)))
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .filter_map(|(name, share)| Some((name.clone(), share.as_f64()?)))
            .collect(),
        _ => Vec::new(),
    };
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found
}

/// A value in one line.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(value) if !number.is_u64() && !number.is_i64() => figure(value),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn share_bar(share: f64) -> Markup {
    let width = (share * 100.0).clamp(0.5, 100.0);
    Markup(format!(
        "<svg class=\"share\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{width:.1}\" height=\"8\"/></svg>"
    ))
}

/// A line through the values, oldest first.
fn line(values: &[f64]) -> Markup {
    const WIDTH: f64 = 220.0;
    const HEIGHT: f64 = 48.0;
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(*value), high.max(*value))
    });
    let span = if high > low { high - low } else { 1.0 };
    let at = |i: usize, value: f64| {
        let x = 5.0 + i as f64 / (values.len() - 1).max(1) as f64 * (WIDTH - 10.0);
        (x, HEIGHT - 6.0 - (value - low) / span * (HEIGHT - 12.0))
    };
    let mut path = String::new();
    let mut dots = String::new();
    for (i, value) in values.iter().enumerate() {
        let (x, y) = at(i, *value);
        write!(path, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' }).expect("a string takes text");
        write!(
            dots,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"><title>{}</title></circle>",
            escape(figure(*value))
        )
        .expect("a string takes text");
    }
    let words = format!(
        "from {} to {} over {} versions",
        figure(values[0]),
        figure(values[values.len() - 1]),
        values.len()
    );
    Markup(format!(
        "<svg class=\"line\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\"><path d=\"{path}\"/>{dots}</svg>",
        escape(words)
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn importance_is_read_in_both_forms() {
        let listed =
            json!([{ "feature": "distance", "share": 0.1 }, { "feature": "hour", "share": 0.6 }, { "odd": 1 }]);
        assert_eq!(
            importance(&listed),
            [("hour".to_owned(), 0.6), ("distance".to_owned(), 0.1)]
        );
        assert_eq!(importance(&json!({ "a": 0.2, "b": 0.8 }))[0].0, "b");
        assert!(importance(&json!(null)).is_empty());
    }

    #[test]
    fn equal_values_are_a_level_line() {
        let drawn = line(&[0.5, 0.5, 0.5]).0;
        assert!(
            !drawn.contains("NaN") && drawn.matches("<circle").count() == 3,
            "{drawn}"
        );
    }
}
