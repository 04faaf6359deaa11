//! `/runs`: which runs there were, newest first.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Html;
use serde::{Deserialize, Serialize};
use state::ids::RunId;
use state::sqlite::queries::runs::{RunFilter, RunRow, runs};
use state::status::RunStatus;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::figures::{Clock, number};
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, query};
use super::tone::{bar, in_words, run_state, step_parts};
use super::{asset_key, given, read, render};
use crate::core::waits;
use crate::edge::engine::RequestError;
use crate::waiting::WaitFact;

const ON_A_PAGE: usize = 50;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    status: Option<String>,
    asset: Option<String>,
    before: Option<i64>,
}

/// The answer: a part of the list.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct RunsFacts {
    /// Runs, newest first.
    pub runs: Vec<RunRow>,
    /// Pass as `before` for the runs before these.
    pub next: Option<i64>,
    /// What those wait for that are not over and of which nothing runs.
    pub waits: Waits,
}

/// A run as a row of a table.
pub struct RunLine {
    /// Its id.
    pub id: RunId,
    /// Its state, drawn.
    pub state: Markup,
    /// What was asked for.
    pub selection: String,
    /// What asked.
    pub trigger: String,
    /// When.
    pub submitted: Markup,
    /// How long it took, or takes.
    pub length: String,
    /// Its steps, drawn.
    pub bar: Markup,
    /// Its steps in words.
    pub words: String,
    /// How many of its steps are over.
    pub done: String,
    /// What it waits for, if it does and nothing of it runs.
    pub waits: Option<String>,
}

impl RunLine {
    /// A run as shown now.
    pub fn new(run: &RunRow, clock: &Clock) -> Self {
        let parts = step_parts(&run.steps);
        Self {
            id: run.run.clone(),
            state: run_state(run.status, run.paused),
            selection: run.selection.clone(),
            trigger: run.trigger.clone(),
            submitted: clock.when(run.submitted_at),
            length: clock.length(run.started_at, run.ended_at),
            bar: bar(&parts),
            words: in_words(&parts),
            done: format!("{} / {}", number(run.steps.over()), number(run.steps.total())),
            waits: None,
        }
    }

    /// The same with what it waits for.
    #[must_use]
    pub fn waiting(mut self, waits: &Waits) -> Self {
        self.waits = waits.get(&self.id).and_then(|waits| Some(waits.first()?.text.clone()));
        self
    }
}

/// What runs wait for of which nothing runs.
pub type Waits = BTreeMap<RunId, Vec<WaitFact>>;

/// What those of the runs wait for that are not over and have nothing in flight.
pub async fn waits_of_idle(state: &WebState, runs: &[RunRow]) -> Result<Waits, ErrorPage> {
    let idle = |run: &&RunRow| !run.status.is_terminal() && run.steps.running + run.steps.publishing == 0;
    let ids: Vec<RunId> = runs.iter().filter(idle).map(|run| run.run.clone()).collect();
    if ids.is_empty() {
        return Ok(Waits::new());
    }
    let clock = page_clock(state);
    let asked = state.engine.driver().ask(move |world, at| {
        let each = ids.into_iter().map(|id| (waits(world, at, &id), id));
        each.map(|(waits, id)| (id, waits)).collect::<Vec<_>>()
    });
    let told = asked.await.ok_or(RequestError::Stopping)?;
    let facts = told.into_iter().map(|(id, waits)| {
        let facts = waits
            .into_iter()
            .map(|wait| WaitFact::new(wait, |at| clock.time_of_day(at)));
        (id, facts.collect())
    });
    Ok(facts.collect())
}

/// One status to filter by.
struct Choice {
    word: &'static str,
    href: String,
    here: bool,
}

#[derive(Template)]
#[template(path = "runs.html")]
struct RunsPage {
    frame: Frame,
    runs: Vec<RunLine>,
    choices: Vec<Choice>,
    status: Option<String>,
    asset: String,
    filtered: bool,
    first: Option<String>,
    next: Option<String>,
}

/// The runs that are asked for.
pub async fn facts(state: &WebState, asked: &Asked) -> Result<RunsFacts, ErrorPage> {
    let status = given(asked.status.clone()).map(|text| status_of(&text)).transpose()?;
    let asset = given(asked.asset.clone()).map(|text| asset_key(&text)).transpose()?;
    let before = asked.before;
    let page = read(&state.engine, move |store| {
        runs(store, &RunFilter { status, asset }, before, ON_A_PAGE)
    })
    .await?;
    Ok(RunsFacts {
        waits: waits_of_idle(state, &page.rows).await?,
        runs: page.rows,
        next: page.next,
    })
}

fn status_of(text: &str) -> Result<RunStatus, ErrorPage> {
    RunStatus::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| {
            let words: Vec<&str> = RunStatus::ALL.iter().map(|status| status.as_str()).collect();
            ErrorPage::new(StatusCode::BAD_REQUEST, format!("no run is ever `{text}`"))
                .with_help(format!("choose one of {}", words.join(", ")))
        })
}

/// `GET /runs?status=failed&asset=silver.flights&before=17`
pub async fn page(State(state): State<WebState>, Query(asked): Query<Asked>) -> Result<Html<String>, ErrorPage> {
    let facts = facts(&state, &asked).await?;
    let clock = page_clock(&state);
    let (status, asset) = (given(asked.status), given(asked.asset));
    let link = |status: Option<&str>, before: Option<i64>| {
        let pairs = [
            ("status", status.map(str::to_owned)),
            ("asset", asset.clone()),
            ("before", before.map(|before| before.to_string())),
        ];
        format!("/runs{}", query(&pairs))
    };
    let mut choices = vec![Choice {
        word: "all",
        href: link(None, None),
        here: status.is_none(),
    }];
    choices.extend(RunStatus::ALL.into_iter().map(|choice| Choice {
        word: choice.as_str(),
        href: link(Some(choice.as_str()), None),
        here: status.as_deref() == Some(choice.as_str()),
    }));
    render(&RunsPage {
        frame: Frame::new(&state, "Runs", Section::Runs),
        runs: facts
            .runs
            .iter()
            .map(|run| RunLine::new(run, &clock).waiting(&facts.waits))
            .collect(),
        choices,
        filtered: status.is_some() || asset.is_some() || asked.before.is_some(),
        first: asked.before.map(|_| link(status.as_deref(), None)),
        next: facts.next.map(|next| link(status.as_deref(), Some(next))),
        asset: asset.unwrap_or_default(),
        status,
    })
}
