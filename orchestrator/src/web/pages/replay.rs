//! `/runs/{id}/replay`: what a run has published, made again from what it was made from and compared row for row.

use askama::Template;
use assets::AssetKey;
use assets::outcome::Sample;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use state::ids::RunId;
use state::sqlite::queries::run::run;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::failures::step_href;
use super::figures::{Clock, count, number};
use super::frame::{Frame, Section, page_clock};
use super::markup::Markup;
use super::tone::{Part, Tone, bar, in_words};
use super::{given, read, render, run_id};
use crate::edge::replay::{ReplayCounts, ReplayFacts, ReplayOrder, Replayed, Verdict, With};

/// Digits of a SHA-256 that are shown.
const SHORT: usize = 12;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ReplayOfRun {
    /// The run.
    pub run: RunId,
    /// Its last replay since the daemon started; `None` if there was none.
    pub replay: Option<ReplayFacts>,
}

/// The last replay of a run.
pub async fn facts(state: &WebState, id: &str) -> Result<ReplayOfRun, ErrorPage> {
    let run = known(state, id).await?;
    let replay = state.replays.of(&run);
    Ok(ReplayOfRun { run, replay })
}

/// Starts a replay of a run.
pub async fn start(state: &WebState, id: &str, with: With) -> Result<ReplayOfRun, ErrorPage> {
    let run = known(state, id).await?;
    let root = state.engine.project().root.clone();
    let order = ReplayOrder {
        environment: root.environment().cloned(),
        project: root.to_path_buf(),
        run: run.clone(),
        with,
    };
    let started = state.replays.start(order);
    started.map_err(|error| ErrorPage::new(StatusCode::CONFLICT, error.to_string()))?;
    let replay = state.replays.of(&run);
    Ok(ReplayOfRun { run, replay })
}

/// Stops the replay of a run.
pub fn cancel(state: &WebState, id: &str) -> Result<RunId, ErrorPage> {
    let run = run_id(id)?;
    if state.replays.cancel(&run) {
        return Ok(run);
    }
    Err(ErrorPage::new(
        StatusCode::CONFLICT,
        format!("no replay of {run} is under way"),
    ))
}

/// The run, if there is one.
async fn known(state: &WebState, id: &str) -> Result<RunId, ErrorPage> {
    let id = run_id(id)?;
    let asked = id.clone();
    if read(&state.engine, move |store| run(store, &asked)).await?.is_some() {
        return Ok(id);
    }
    Err(ErrorPage::not_found(format!("there is no run {id}"))
        .with_help("if there was one, it ended longer ago than [retention] keeps runs, and was removed")
        .with_back("/runs", "The runs that are kept"))
}

/// The boxes that a person ticked.
#[derive(Debug, Deserialize)]
pub struct Ticked {
    code: Option<String>,
    data: Option<String>,
}

/// `POST /runs/{id}/replay`
pub async fn replay(
    State(state): State<WebState>,
    Path(id): Path<String>,
    Form(ticked): Form<Ticked>,
) -> Result<Response, ErrorPage> {
    let with = With {
        current_code: given(ticked.code).is_some(),
        current_data: given(ticked.data).is_some(),
    };
    let started = start(&state, &id, with).await?;
    Ok(Redirect::to(&format!("/runs/{}/replay", started.run)).into_response())
}

/// `POST /runs/{id}/replay/cancel`
pub async fn stop(State(state): State<WebState>, Path(id): Path<String>) -> Result<Response, ErrorPage> {
    let run = cancel(&state, &id)?;
    Ok(Redirect::to(&format!("/runs/{run}/replay")).into_response())
}

#[derive(Template)]
#[template(path = "replay.html")]
struct ReplayPage {
    frame: Frame,
    id: RunId,
    with: With,
    under_way: bool,
    replay: Option<ReplayView>,
}

struct ReplayView {
    state: Markup,
    bar: Markup,
    done: String,
    words: String,
    with: &'static str,
    started: Markup,
    length: String,
    stopped: Option<String>,
    assets: Vec<AssetView>,
    others: Vec<OtherView>,
    more: Option<String>,
}

struct AssetView {
    asset: AssetKey,
    mark: Markup,
    words: String,
    bar: Markup,
    partitions: String,
}

/// A partition that did not come out the same.
struct OtherView {
    step: String,
    href: String,
    state: Markup,
    what: String,
    sample: Option<Sample>,
}

/// `GET /runs/{id}/replay`
pub async fn page(State(state): State<WebState>, Path(id): Path<String>) -> Result<Html<String>, ErrorPage> {
    let facts = facts(&state, &id).await?;
    let clock = page_clock(&state);
    render(&ReplayPage {
        frame: Frame::new(&state, format!("Replay of {}", facts.run), Section::Runs),
        with: facts.replay.as_ref().map(|replay| replay.with).unwrap_or_default(),
        under_way: facts.replay.as_ref().is_some_and(|replay| replay.ended_at.is_none()),
        replay: facts.replay.as_ref().map(|replay| ReplayView::of(replay, &clock)),
        id: facts.run,
    })
}

impl ReplayView {
    fn of(replay: &ReplayFacts, clock: &Clock) -> Self {
        let done = replay.counts.all();
        let under_way = replay.ended_at.is_none();
        let left = replay.partitions.map_or(0, |all| all.saturating_sub(done));
        let not_same = replay.counts.differ + replay.counts.not_made;
        let other = |verdict: &Verdict| OtherView {
            step: verdict.step.to_string(),
            href: step_href(&verdict.step),
            state: match verdict.compared {
                Some(_) => Tone::Warn.state("differs"),
                None => Tone::Bad.state("not made"),
            },
            what: what(verdict),
            sample: match &verdict.compared {
                Some(Replayed::Rows(rows)) => rows.sample.clone(),
                Some(Replayed::Model { .. }) | None => None,
            },
        };
        Self {
            state: match (under_way, &replay.stopped) {
                (true, _) => Tone::Busy.state("under way"),
                (false, Some(_)) => Tone::Off.state("stopped"),
                (false, None) if not_same > 0 => Tone::Warn.state("not the same"),
                (false, None) => Tone::Good.state("the same"),
            },
            bar: bar(&with_left(&replay.counts, left)),
            done: match replay.partitions {
                Some(all) => format!("{} of {}", number(done), count(all, "partition", "partitions")),
                None if under_way => "Reading the project".to_owned(),
                None => "Nothing was made again".to_owned(),
            },
            words: match done {
                0 => String::new(),
                _ => in_words(&parts(&replay.counts)),
            },
            with: match (replay.with.current_code, replay.with.current_data) {
                (false, false) => "the code and the inputs of then",
                (true, false) => "the code of today, the inputs of then",
                (false, true) => "the code of then, the inputs of today",
                (true, true) => "the code and the inputs of today",
            },
            started: clock.when(replay.started_at),
            length: clock.length(Some(replay.started_at), replay.ended_at),
            stopped: replay.stopped.clone(),
            assets: replay
                .assets
                .iter()
                .map(|(asset, counts)| asset_view(asset, counts))
                .collect(),
            more: match not_same.saturating_sub(replay.others.len() as u64) {
                0 => None,
                more => Some(format!("{} more are not listed", number(more))),
            },
            others: replay.others.iter().map(other).collect(),
        }
    }
}

fn asset_view(asset: &AssetKey, counts: &ReplayCounts) -> AssetView {
    let tone = match counts {
        ReplayCounts { not_made: 1.., .. } => Tone::Bad,
        ReplayCounts { differ: 1.., .. } => Tone::Warn,
        _ => Tone::Good,
    };
    AssetView {
        asset: asset.clone(),
        mark: tone.mark(),
        words: in_words(&parts(counts)),
        bar: bar(&parts(counts)),
        partitions: number(counts.all()),
    }
}

fn parts(counts: &ReplayCounts) -> [Part; 3] {
    [
        (Tone::Good, counts.same, "the same"),
        (Tone::Warn, counts.differ, "not the same"),
        (Tone::Bad, counts.not_made, "not made again"),
    ]
}

fn with_left(counts: &ReplayCounts, left: u64) -> [Part; 4] {
    let [same, differ, not_made] = parts(counts);
    [same, differ, not_made, (Tone::Idle, left, "to be made")]
}

/// What came out otherwise, in words.
fn what(verdict: &Verdict) -> String {
    match &verdict.compared {
        None => verdict.error.clone().unwrap_or_default(),
        Some(Replayed::Model { then, now }) => {
            let short = |sha: &str| sha.get(..SHORT).unwrap_or(sha).to_owned();
            format!("another model: {} then, {} now", short(then), short(now))
        }
        Some(Replayed::Rows(rows)) if !rows.columns.is_empty() => {
            format!("other columns: {}", rows.columns.join("; "))
        }
        Some(Replayed::Rows(rows)) => format!(
            "{} only then, {} only now, of {} and {}",
            number(rows.only_then),
            number(rows.only_now),
            count(rows.rows_then, "row", "rows"),
            number(rows.rows_now)
        ),
    }
}
