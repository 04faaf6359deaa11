//! `/backfills/new`: choose a stretch of partitions, see what would run and how long it would take, then start it.
//!
//! One form: its first button asks for this page again, with the preview; the second starts the backfill.

use std::collections::BTreeMap;

use askama::Template;
use assets::selection::SelectionError;
use assets::{AssetKey, PartitionKey};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Html;
use serde::{Deserialize, Serialize};
use state::event::{Only, OwnerMode, Pace};
use state::sqlite::queries::materializations::cost;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::figures::{count, number};
use super::frame::{Frame, Section};
use super::{given, read, render};
use crate::core::{PlanProblem, PlanRequest, World, plan, selected};
use crate::edge::engine::RequestError;
use crate::estimate::{Estimate, LOOKED_AT, estimate};
use crate::wire::RunBody;

/// Most reasons that are told of one asset.
const REASONS: usize = 3;
/// Most assets that are offered while one types.
const OFFERED: usize = 2_000;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    selection: Option<String>,
    from: Option<String>,
    to: Option<String>,
    /// `stale`, `missing`, `failed` or `all`.
    only: Option<String>,
    newest_first: Option<String>,
    max_in_flight: Option<String>,
    batch: Option<String>,
}

impl Asked {
    /// The request that the form would send; an error is what is wrong with its fields.
    fn body(&self) -> Result<RunBody, String> {
        let key = |text: &Option<String>| {
            let key = given(text.clone()).map(|text| PartitionKey::new(&text)).transpose();
            key.map_err(|error| error.to_string())
        };
        let positive = |text: &Option<String>, what: &str| match given(text.clone()) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(number @ 1_u32..) => Ok(Some(number)),
                _ => Err(format!("`{text}` is no number of partitions {what}: give 1 or more")),
            },
        };
        let only = given(self.only.clone());
        Ok(RunBody {
            selection: self.selection.clone().unwrap_or_default(),
            from: key(&self.from)?,
            to: key(&self.to)?,
            force: only.as_deref() == Some("all"),
            only: match only.as_deref() {
                Some("missing") => Some(Only::Missing),
                Some("failed") => Some(Only::Failed),
                _ => None,
            },
            pace: Pace {
                newest_first: self.newest_first.is_some(),
                max_in_flight: positive(&self.max_in_flight, "in flight")?,
                batch: positive(&self.batch, "to a worker")?,
                priority: None,
            },
            trigger: Some("backfill".to_owned()),
            ..RunBody::default()
        })
    }
}

/// What would run.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct PreviewFacts {
    /// All steps.
    pub steps: u64,
    /// The assets that have some, upstream first.
    pub assets: Vec<PlannedAsset>,
    /// How many wanted partitions are fresh.
    pub fresh: u64,
    /// What was asked for and cannot be run, and why.
    pub problems: Vec<String>,
    /// How long it would take; absent if none of the assets was ever made.
    pub estimate: Option<Estimate>,
}

/// What would run of one asset.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct PlannedAsset {
    /// The asset.
    pub asset: AssetKey,
    /// How many steps.
    pub steps: u64,
    /// The first partition.
    pub first: Option<PartitionKey>,
    /// The last.
    pub last: Option<PartitionKey>,
    /// The reasons that most steps have, with the number of steps.
    pub reasons: Vec<(String, u64)>,
}

/// What a plan comes to, without its steps.
struct Planned {
    assets: Vec<PlannedAsset>,
    fresh: u64,
    problems: Vec<String>,
    slots: usize,
}

fn planned(world: &World, at: i64, selection: &str, request: PlanRequest) -> Result<Planned, SelectionError> {
    let assets = selected(world, at, selection)?;
    let plan = plan(world, at, &PlanRequest { assets, ..request });
    let mut found: Vec<(PlannedAsset, BTreeMap<String, u64>)> = Vec::new();
    for step in &plan.steps {
        if found.last().is_none_or(|(asset, _)| asset.asset != step.step.asset) {
            let asset = PlannedAsset {
                asset: step.step.asset.clone(),
                steps: 0,
                first: step.step.partition.clone(),
                last: None,
                reasons: Vec::new(),
            };
            found.push((asset, BTreeMap::new()));
        }
        let (asset, reasons) = found.last_mut().expect("one was just put there");
        asset.steps += 1;
        asset.last.clone_from(&step.step.partition);
        // Most steps of a large plan have the same few reasons; past them no more are told apart.
        let reason = step.reason.to_string();
        if reasons.len() < 1_000 || reasons.contains_key(&reason) {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    let assets = found.into_iter().map(|(mut asset, reasons)| {
        asset.reasons = reasons.into_iter().collect();
        asset.reasons.sort_by_key(|(_, steps)| std::cmp::Reverse(*steps));
        asset.reasons.truncate(REASONS);
        asset
    });
    Ok(Planned {
        assets: assets.collect(),
        fresh: plan.fresh.values().sum::<usize>() as u64,
        problems: plan.problems.iter().map(PlanProblem::to_string).collect(),
        slots: world.definitions().settings.slots,
    })
}

/// What would run. Source files are looked at when it starts, not here: looking changes nothing.
pub async fn preview(state: &WebState, asked: &Asked) -> Result<PreviewFacts, ErrorPage> {
    let wrong = |message: String| ErrorPage::new(StatusCode::UNPROCESSABLE_ENTITY, message);
    let body = asked.body().map_err(wrong)?;
    let max_in_flight = body.pace.max_in_flight;
    let request = body.request(OwnerMode::Daemon, "backfill").map_err(wrong)?;
    let selection = request.selection.clone();
    let wanted = PlanRequest {
        assets: std::collections::BTreeSet::new(),
        force: request.runs_fresh(),
        partitions: request.partitions,
        only: request.only,
        alone: false,
    };
    let found = state
        .engine
        .driver()
        .ask(move |world, at| planned(world, at, &selection, wanted));
    let found = found.await.ok_or(RequestError::Stopping)?;
    let found = found.map_err(|error| ErrorPage::from(RequestError::Selection(error)))?;
    let steps: BTreeMap<AssetKey, u64> = found
        .assets
        .iter()
        .map(|asset| (asset.asset.clone(), asset.steps))
        .collect();
    let keys: Vec<AssetKey> = steps.keys().cloned().collect();
    let costs = read(&state.engine, move |store| {
        let mut costs = BTreeMap::new();
        for key in keys {
            if let Some(cost) = cost(store, &key, LOOKED_AT)? {
                costs.insert(key, cost);
            }
        }
        Ok(costs)
    })
    .await?;
    let workers = (found.slots as u64).min(max_in_flight.map_or(u64::MAX, u64::from));
    Ok(PreviewFacts {
        steps: steps.values().sum(),
        estimate: estimate(&steps, &costs, workers),
        assets: found.assets,
        fresh: found.fresh,
        problems: found.problems,
    })
}

struct AssetView {
    asset: AssetKey,
    steps: String,
    stretch: String,
    reasons: Vec<String>,
}

struct PreviewView {
    summary: String,
    estimate: Option<String>,
    assets: Vec<AssetView>,
    problems: Vec<String>,
    nothing: bool,
}

fn view(facts: PreviewFacts) -> PreviewView {
    let fresh = match facts.fresh {
        0 => String::new(),
        fresh => format!("; {} fresh already", count(fresh, "partition is", "partitions are")),
    };
    let assets = facts.assets.into_iter().map(|asset| AssetView {
        steps: number(asset.steps),
        stretch: match (&asset.first, &asset.last) {
            (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
            (Some(first), _) => first.to_string(),
            (None, _) => "whole".to_owned(),
        },
        reasons: asset
            .reasons
            .into_iter()
            .map(|(reason, steps)| format!("{}: {reason}", number(steps)))
            .collect(),
        asset: asset.asset,
    });
    let assets: Vec<AssetView> = assets.collect();
    PreviewView {
        summary: format!(
            "{} of {}{fresh}",
            count(facts.steps, "step", "steps"),
            count(assets.len() as u64, "asset", "assets")
        ),
        estimate: facts.estimate.as_ref().map(Estimate::words),
        nothing: facts.steps == 0,
        assets,
        problems: facts.problems,
    }
}

#[derive(Template)]
#[template(path = "backfill_new.html")]
struct BackfillNewPage {
    frame: Frame,
    selection: String,
    from: String,
    to: String,
    only: Vec<(&'static str, &'static str, bool)>,
    newest_first: bool,
    max_in_flight: String,
    batch: String,
    offered: Vec<AssetKey>,
    preview: Option<PreviewView>,
    command: String,
    wrong: Option<String>,
    notice: Option<String>,
}

/// The same on a terminal.
fn command(asked: &Asked) -> String {
    let mut words = vec!["millpond backfill".to_owned()];
    let quoted = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:+@/,".contains(c);
        match text.chars().all(plain) {
            true => text.to_owned(),
            false => format!("'{}'", text.replace('\'', "'\\''")),
        }
    };
    words.extend(asked.selection.as_deref().map(quoted));
    let options = [
        ("--from", &asked.from),
        ("--to", &asked.to),
        ("--max-in-flight", &asked.max_in_flight),
        ("--batch", &asked.batch),
    ];
    for (option, value) in options {
        words.extend(value.as_deref().map(|value| format!("{option} {}", quoted(value))));
    }
    match asked.only.as_deref() {
        Some("all") => words.push("--force".to_owned()),
        Some(only @ ("missing" | "failed")) => words.push(format!("--only {only}")),
        _ => {}
    }
    if asked.newest_first.is_some() {
        words.push("--newest-first".to_owned());
    }
    words.push("--detach".to_owned());
    words.join(" ")
}

/// What the page is asked for, and what it says of a button that was pressed.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PageAsked {
    selection: Option<String>,
    from: Option<String>,
    to: Option<String>,
    only: Option<String>,
    newest_first: Option<String>,
    max_in_flight: Option<String>,
    batch: Option<String>,
    notice: Option<String>,
}

/// `GET /backfills/new?selection=silver.flights&from=…&to=…&only=missing`
pub async fn page(State(state): State<WebState>, Query(page): Query<PageAsked>) -> Result<Html<String>, ErrorPage> {
    let notice = given(page.notice);
    let asked = Asked {
        selection: given(page.selection),
        from: given(page.from),
        to: given(page.to),
        only: given(page.only),
        newest_first: page.newest_first,
        max_in_flight: given(page.max_in_flight),
        batch: given(page.batch),
    };
    let (preview, wrong) = match &asked.selection {
        None => (None, None),
        Some(_) => match preview(&state, &asked).await {
            Ok(facts) => (Some(view(facts)), None),
            Err(error) => (None, Some(error.into_message())),
        },
    };
    let definitions = state.engine.definitions().await?;
    let offered = definitions
        .ordered()
        .iter()
        .take(OFFERED)
        .map(|asset| asset.key.clone());
    let chosen = asked.only.clone().unwrap_or_else(|| "stale".to_owned());
    let choices = [
        ("stale", "what is not fresh"),
        ("missing", "only what was never made"),
        ("failed", "only what failed last"),
        ("all", "all of it, fresh or not"),
    ];
    render(&BackfillNewPage {
        frame: Frame::new(&state, "New backfill", Section::Backfills),
        command: command(&asked),
        only: choices.map(|(value, word)| (value, word, value == chosen)).to_vec(),
        selection: asked.selection.unwrap_or_default(),
        from: asked.from.unwrap_or_default(),
        to: asked.to.unwrap_or_default(),
        newest_first: asked.newest_first.is_some(),
        max_in_flight: asked.max_in_flight.unwrap_or_default(),
        batch: asked.batch.unwrap_or_default(),
        offered: offered.collect(),
        preview,
        wrong,
        notice,
    })
}
