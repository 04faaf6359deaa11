//! `/models/{key}`: the versions of a model, where its aliases point, what each version was trained on and what it predicted.
//!
//! | file | what |
//! |---|---|
//! | `version` | one version as the page shows it |
//! | `compare` | two versions side by side |
//! | `promote` | the question before an alias is moved, and the answer |

mod compare;
pub mod promote;
mod version;

use std::collections::BTreeSet;

use askama::Template;
use assets::{AssetKey, InputRole, ModelReference};
use axum::extract::{Path, Query, State};
use axum::response::Html;
use serde::{Deserialize, Serialize};
use state::sqlite::queries::asset_history::{PredictedBy, predicted_by};
use state::sqlite::queries::models::{AliasMoveRow, ModelVersionRow, alias_moves, versions};

use self::compare::{Comparison, compare};
use self::version::{VersionView, version_view};
use super::super::WebState;
use super::super::reply::ErrorPage;
use super::figures::{NOTHING, count, figure, number};
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, query};
use super::plots::{Plot, Point, line};
use super::{asset_key, read, render};
use crate::edge::engine::RequestError;

const VERSIONS: usize = 30;
const MOVES: usize = 30;
/// Newest partitions of predictions whose versions are counted.
const PARTITIONS: usize = 5000;

/// What is asked. Empty fields of a form are no values.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    before: Option<u64>,
    /// Two versions to compare.
    a: Option<u64>,
    b: Option<u64>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ModelFacts {
    /// The model.
    pub model: AssetKey,
    /// Versions, newest first.
    pub versions: Vec<ModelVersionRow>,
    /// Pass as `before` for the versions before these.
    pub next: Option<u64>,
    /// How aliases moved, newest first.
    pub alias_moves: Vec<AliasMoveRow>,
    /// What it learns from.
    pub learns_from: Vec<AssetKey>,
    /// Who predicts with it, and by which versions.
    pub predictions: Vec<Predictions>,
    /// The two versions that were asked for.
    pub compared: Option<(ModelVersionRow, ModelVersionRow)>,
}

/// An asset of predictions.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Predictions {
    /// The asset.
    pub asset: AssetKey,
    /// The alias or version that it asks for.
    pub by: String,
    /// Which versions made its newest partitions.
    pub versions: Vec<PredictedBy>,
}

/// What is asked of a model.
pub async fn facts(state: &WebState, key: &str, asked: &Asked) -> Result<ModelFacts, ErrorPage> {
    let model = asset_key(key)?;
    let wanted = model.clone();
    let (learns_from, readers) = state
        .engine
        .driver()
        .ask(move |world, _| {
            let definitions = world.definitions();
            let learns_from: Vec<AssetKey> = definitions.get(&wanted).map_or_else(Vec::new, |asset| {
                asset.inputs.iter().map(|input| input.asset.clone()).collect()
            });
            let mut readers = Vec::new();
            for reader in definitions.graph().downstream(&wanted) {
                for input in reader.inputs.iter().filter(|input| input.asset == wanted) {
                    let by = match &input.role {
                        InputRole::Model(ModelReference::Alias(alias)) => alias.clone(),
                        InputRole::Model(ModelReference::Version(version)) => format!("version {version}"),
                        InputRole::Rows => continue,
                    };
                    readers.push((reader.key.clone(), by));
                }
            }
            (learns_from, readers)
        })
        .await
        .ok_or(RequestError::Stopping)?;
    let (wanted, asked) = (model.clone(), asked.clone());
    let (before, pair) = (asked.before, asked.a.zip(asked.b));
    let (versions, alias_moves, predictions, compared) = read(&state.engine, move |store| {
        let predictions = readers
            .into_iter()
            .map(|(asset, by)| {
                let versions = predicted_by(store, &asset, PARTITIONS)?;
                Ok(Predictions { asset, by, versions })
            })
            .collect::<Result<Vec<_>, state::sqlite::StateError>>()?;
        let one = |number: u64| state::sqlite::queries::models::version(store, &wanted, number);
        let compared = match pair {
            Some((a, b)) => one(a)?.zip(one(b)?),
            None => None,
        };
        Ok((
            versions(store, &wanted, before, VERSIONS)?,
            alias_moves(store, &wanted, None, MOVES)?.rows,
            predictions,
            compared,
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
    if let (Some((a, b)), None) = (pair, &compared) {
        return Err(ErrorPage::not_found(format!(
            "{model} has no versions {a} and {b} to compare"
        )));
    }
    Ok(ModelFacts {
        model,
        versions: versions.rows,
        next: versions.next,
        alias_moves,
        learns_from,
        predictions,
        compared,
    })
}

struct MoveView {
    alias: String,
    from: String,
    to: u64,
    when: Markup,
    reason: String,
}

struct PredictionsView {
    asset: AssetKey,
    by: String,
    versions: Vec<(u64, String)>,
}

/// An alias: its version, and the one before it, to roll back to.
struct AliasView {
    alias: String,
    version: u64,
    back: Option<(u64, String)>,
}

#[derive(Template)]
#[template(path = "model.html")]
struct ModelPage {
    frame: Frame,
    key: AssetKey,
    metrics: Vec<String>,
    versions: Vec<VersionView>,
    aliases: Vec<AliasView>,
    plots: Vec<Plot>,
    moves: Vec<MoveView>,
    learns_from: Vec<AssetKey>,
    predictions: Vec<PredictionsView>,
    comparison: Option<Comparison>,
    next: Option<String>,
}

/// `GET /models/{key}?a=2&b=3`
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
        let points: Vec<Point> = facts
            .versions
            .iter()
            .rev()
            .filter_map(|version| {
                let value = *version.metrics.get(name)?;
                Some(Point {
                    value,
                    label: format!("version {}: {}", version.version, figure(value)),
                    href: Some(format!("#version-{}", version.version)),
                })
            })
            .collect();
        line(name, &points, &figure)
    });
    let mut aliases: Vec<AliasView> = Vec::new();
    for moved in &facts.alias_moves {
        if aliases.iter().any(|known| known.alias == moved.alias) {
            continue;
        }
        let back = moved.from.map(|from| {
            let pairs = [
                ("alias", Some(moved.alias.clone())),
                ("version", Some(from.to_string())),
            ];
            (from, format!("/models/{}/promote{}", facts.model, query(&pairs)))
        });
        aliases.push(AliasView {
            alias: moved.alias.clone(),
            version: moved.to,
            back,
        });
    }
    aliases.sort_by(|a, b| a.alias.cmp(&b.alias));
    render(&ModelPage {
        frame: Frame::new(&state, facts.model.as_str(), Section::Models),
        versions: views.collect(),
        aliases,
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
        predictions: facts
            .predictions
            .iter()
            .map(|predictions| PredictionsView {
                asset: predictions.asset.clone(),
                by: predictions.by.clone(),
                versions: predictions
                    .versions
                    .iter()
                    .map(|by| (by.version, predicted(by)))
                    .collect(),
            })
            .collect(),
        comparison: facts.compared.as_ref().map(|(a, b)| compare(a, b)),
        next: facts.next.map(|next| {
            format!(
                "/models/{}{}",
                facts.model,
                query(&[("before", Some(next.to_string()))])
            )
        }),
        learns_from: facts.learns_from,
        metrics,
        key: facts.model,
    })
}

/// `31 partitions, 2013-12-01 … 2013-12-31, 28,135 rows`
fn predicted(by: &PredictedBy) -> String {
    let rows = count(by.rows, "row", "rows");
    match (&by.first, &by.last) {
        (Some(first), Some(last)) if first == last => format!("{first}, {rows}"),
        (Some(first), Some(last)) => format!("{} partitions, {first} … {last}, {rows}", number(by.partitions)),
        _ => rows,
    }
}
