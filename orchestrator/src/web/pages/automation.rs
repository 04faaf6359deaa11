//! `/automation`: the assets that are made by themselves, what was requested of each and why; and what an asset's own page says
//! of that.

use askama::Template;
use assets::{Asset, AssetKey};
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use state::event::Micros;
use state::freshness::FreshnessState;
use state::ids::RunId;
use state::sqlite::queries::automation::{AutomationRow, newest_requests};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::figures::{Clock, count};
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, query};
use super::tone::{Tone, run_state};
use super::{asset_key, read, render};
use crate::core::{Answer, Explanation, FreshnessNow, World};
use crate::edge::engine::RequestError;
use crate::evaluation::{EvaluationLine, lines, set};

const ON_A_PAGE: usize = 50;
/// Most automated assets on the page.
const MOST: usize = 2_000;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    before: Option<i64>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct AutomationFacts {
    /// When all automation was paused, if it is.
    pub paused_at: Option<Micros>,
    /// By whom.
    pub paused_by: Option<String>,
    /// The automated assets, upstream first.
    pub assets: Vec<AutomatedAsset>,
    /// What was requested, newest first.
    pub requests: Vec<AutomationRow>,
    /// Pass as `before` for the requests before these.
    pub next: Option<i64>,
}

/// One automated asset.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct AutomatedAsset {
    /// Its key.
    pub asset: AssetKey,
    /// Its rule as declared.
    pub rule: String,
    /// When its automation was paused, on its own, if it is.
    pub paused_at: Option<Micros>,
    /// By whom.
    pub paused_by: Option<String>,
    /// How many of its partitions wait for runs that are under way.
    pub waiting: usize,
    /// How many are left alone since they failed or were canceled.
    pub left_alone: usize,
}

fn automated(world: &World, asset: &Asset) -> Option<AutomatedAsset> {
    let rule = asset.automation.as_ref()?.describe();
    let record = world.automation();
    let paused = record.paused.get(&Some(asset.key.clone())).cloned();
    Some(AutomatedAsset {
        asset: asset.key.clone(),
        rule,
        paused_at: paused.as_ref().map(|(at, _)| *at),
        paused_by: paused.map(|(_, by)| by),
        waiting: world.waiting_for_runs(&asset.key),
        left_alone: record.held.get(&asset.key).map_or(0, std::collections::BTreeMap::len),
    })
}

/// Automation as it is, and what it requested.
pub async fn facts(state: &WebState, asked: &Asked) -> Result<AutomationFacts, ErrorPage> {
    let looked = state.engine.driver().ask(|world, _| {
        let ordered = world.definitions().ordered().iter();
        let assets: Vec<AutomatedAsset> = ordered.filter_map(|asset| automated(world, asset)).take(MOST).collect();
        (world.automation().paused.get(&None).cloned(), assets)
    });
    let (paused, assets) = looked.await.ok_or(RequestError::Stopping)?;
    let before = asked.before;
    let page = read(&state.engine, move |store| newest_requests(store, before, ON_A_PAGE)).await?;
    Ok(AutomationFacts {
        paused_at: paused.as_ref().map(|(at, _)| *at),
        paused_by: paused.map(|(_, by)| by),
        assets,
        requests: page.rows,
        next: page.next,
    })
}

struct AssetView {
    facts: AutomatedAsset,
    state: Markup,
    detail: String,
}

/// One request, for tables.
pub struct RequestView {
    /// The asset.
    pub asset: AssetKey,
    /// When.
    pub when: Markup,
    /// Which partitions.
    pub partitions: String,
    /// The run.
    pub run: RunId,
    /// Where it is.
    pub state: Markup,
    /// The condition that held.
    pub lines: Vec<EvaluationLine>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

/// A request as it is shown.
pub fn request_view(row: &AutomationRow, clock: &Clock) -> RequestView {
    let known = state::status::RunStatus::ALL.into_iter();
    let status = known
        .filter(|known| row.run_status.as_deref() == Some(known.as_str()))
        .map(|status| run_state(status, false))
        .next();
    RequestView {
        asset: row.asset.clone(),
        when: clock.when(row.at),
        partitions: set(&row.partitions),
        run: row.run.clone(),
        state: status.unwrap_or_default(),
        lines: lines(&row.evaluation),
        left_out: left_out(&row.left_out),
    }
}

fn left_out(left: &[state::automation::LeftOut]) -> Vec<String> {
    left.iter()
        .map(|left| format!("{}: {}", set(&left.partitions), left.why))
        .collect()
}

/// What an asset's own page says of its automation.
pub struct UpkeepView {
    /// The rule.
    pub rule: String,
    /// On, or paused by whom.
    pub state: Markup,
    /// Whether its own automation is paused.
    pub is_paused: bool,
    /// What automation makes of it now.
    pub verdict: String,
    /// The condition, part by part.
    pub lines: Vec<EvaluationLine>,
    /// What is left out, and why.
    pub left_out: Vec<String>,
    /// When time alone may change that.
    pub next: Option<Markup>,
    /// What was requested.
    pub requests: Vec<RequestView>,
}

/// What an asset's page says of its automation. `one`: of a single partition, or of an asset that has none.
pub fn upkeep_view(now: &Explanation, requests: &[AutomationRow], one: bool, clock: &Clock) -> UpkeepView {
    let state = match &now.paused {
        Some((_, by)) => Tone::Off.state(&format!("paused by {by}")),
        None => Tone::Good.state("on"),
    };
    let verdict = match (one, &now.paused) {
        (true, _) | (false, Some(_)) => now.verdict(),
        (false, None) if now.requested.count > 0 => format!("{} to be made", set(&now.requested)),
        (false, None) => "nothing is to be made".to_owned(),
    };
    UpkeepView {
        rule: now.rule.clone(),
        state,
        is_paused: now.paused.is_some(),
        verdict,
        lines: lines(&now.evaluation),
        left_out: if one { Vec::new() } else { left_out(&now.left_out) },
        next: now.next.filter(|_| now.paused.is_none()).map(|at| clock.when(at)),
        requests: requests.iter().map(|row| request_view(row, clock)).collect(),
    }
}

impl From<FreshnessState> for Tone {
    fn from(state: FreshnessState) -> Self {
        match state {
            FreshnessState::Unknown => Self::Missing,
            FreshnessState::OnTime => Self::Good,
            FreshnessState::Warning => Self::Warn,
            FreshnessState::Late => Self::Bad,
        }
    }
}

/// How an asset stands by its freshness policy.
pub struct FreshnessView {
    /// Shape and word.
    pub state: Markup,
    /// What is asked and what is there.
    pub reason: String,
    /// When it is, or was, late.
    pub late: Option<(&'static str, Markup)>,
}

/// The same, from what is known now.
pub fn freshness_view(now: &FreshnessNow, clock: &Clock) -> FreshnessView {
    let word = if now.state == FreshnessState::Late {
        "late since"
    } else {
        "late"
    };
    FreshnessView {
        state: Tone::from(now.state).state(now.state.words()),
        reason: now.reason.clone(),
        late: now.late_at.map(|at| (word, clock.when(at))),
    }
}

#[derive(Template)]
#[template(path = "automation.html")]
struct AutomationPage {
    frame: Frame,
    assets: Vec<AssetView>,
    paused: Option<String>,
    requests: Vec<RequestView>,
    first: Option<String>,
    next: Option<String>,
}

fn asset_view(facts: AutomatedAsset, all_paused: bool) -> AssetView {
    let state = match (&facts.paused_by, all_paused) {
        (Some(by), _) => Tone::Off.state(&format!("paused by {by}")),
        (None, true) => Tone::Off.state("paused"),
        (None, false) if facts.left_alone > 0 => Tone::Warn.state("left alone"),
        (None, false) if facts.waiting > 0 => Tone::Idle.state("waits"),
        (None, false) => Tone::Good.state("on"),
    };
    let mut details = Vec::new();
    if facts.left_alone > 0 {
        let partitions = count(facts.left_alone as u64, "partition", "partitions");
        details.push(format!(
            "{partitions} left alone: failed or canceled, and nothing changed since"
        ));
    }
    if facts.waiting > 0 {
        let partitions = count(facts.waiting as u64, "partition", "partitions");
        details.push(format!("{partitions} looked at again when runs under way are done"));
    }
    AssetView {
        state,
        detail: details.join("; "),
        facts,
    }
}

/// `GET /automation?before=17`
pub async fn page(State(state): State<WebState>, Query(asked): Query<Asked>) -> Result<Html<String>, ErrorPage> {
    let facts = facts(&state, &asked).await?;
    let clock = page_clock(&state);
    let link = |before: Option<i64>| {
        let pairs = [("before", before.map(|before| before.to_string()))];
        format!("/automation{}", query(&pairs))
    };
    let all_paused = facts.paused_by.is_some();
    render(&AutomationPage {
        frame: Frame::new(&state, "Automation", Section::Automation),
        first: asked.before.map(|_| link(None)),
        next: facts.next.map(|next| link(Some(next))),
        assets: facts
            .assets
            .into_iter()
            .map(|facts| asset_view(facts, all_paused))
            .collect(),
        paused: facts.paused_by,
        requests: facts.requests.iter().map(|row| request_view(row, &clock)).collect(),
    })
}

/// A form without fields, but for the way back.
#[derive(Debug, Deserialize)]
pub struct Press {
    back: Option<String>,
}

/// `POST /automation/pause`
pub async fn pause_all(State(state): State<WebState>, Form(press): Form<Press>) -> Result<Response, ErrorPage> {
    set_paused(&state, None, true, &press).await
}

/// `POST /automation/resume`
pub async fn resume_all(State(state): State<WebState>, Form(press): Form<Press>) -> Result<Response, ErrorPage> {
    set_paused(&state, None, false, &press).await
}

/// `POST /automation/{key}/pause`
pub async fn pause(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Form(press): Form<Press>,
) -> Result<Response, ErrorPage> {
    set_paused(&state, Some(asset_key(&key)?), true, &press).await
}

/// `POST /automation/{key}/resume`
pub async fn resume(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Form(press): Form<Press>,
) -> Result<Response, ErrorPage> {
    set_paused(&state, Some(asset_key(&key)?), false, &press).await
}

async fn set_paused(
    state: &WebState,
    asset: Option<AssetKey>,
    pause: bool,
    press: &Press,
) -> Result<Response, ErrorPage> {
    let back = match (&press.back, &asset) {
        (Some(back), Some(asset)) if back == "asset" => format!("/assets/{asset}#automation"),
        _ => "/automation".to_owned(),
    };
    match state.engine.pause_automation(asset, pause, "page".to_owned()).await? {
        Answer::Automation { .. } => Ok(Redirect::to(&back).into_response()),
        Answer::Refused { reasons } => Err(ErrorPage::not_found(reasons.join("; "))),
        _ => Err(ErrorPage::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "an answer to another question",
        )),
    }
}
