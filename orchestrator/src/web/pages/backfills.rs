//! `/backfills`: runs over stretches of partitions, how far each is and when it will be over.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use serde::{Deserialize, Serialize};
use state::sqlite::queries::runs::{BackfillRow, backfills};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::figures::{Clock, count, duration, number};
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, query};
use super::request::asked_for;
use super::runs::{Waits, waits_of_idle};
use super::tone::{bar, in_words, run_state, step_parts};
use super::{given, read, render};
use crate::rate::Rate;

const ON_A_PAGE: usize = 50;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    /// `open`: only those that are not over.
    state: Option<String>,
    before: Option<i64>,
}

/// The answer: a part of the list.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct BackfillsFacts {
    /// Backfills, newest first.
    pub backfills: Vec<BackfillFacts>,
    /// What those wait for that are not over and of which nothing runs.
    pub waits: Waits,
    /// Pass as `before` for the backfills before these.
    pub next: Option<i64>,
}

/// One backfill.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct BackfillFacts {
    /// The run, and what was asked for.
    #[serde(flatten)]
    pub backfill: BackfillRow,
    /// How fast it goes, once that can be said.
    pub rate: Option<Rate>,
}

/// The backfills that are asked for.
pub async fn facts(state: &WebState, asked: &Asked) -> Result<BackfillsFacts, ErrorPage> {
    let (open, before) = (given(asked.state.clone()).as_deref() == Some("open"), asked.before);
    let page = read(&state.engine, move |store| backfills(store, open, before, ON_A_PAGE)).await?;
    let now = page_clock(state).now();
    let rows: Vec<_> = page.rows.iter().map(|backfill| backfill.row.clone()).collect();
    Ok(BackfillsFacts {
        waits: waits_of_idle(state, &rows).await?,
        backfills: page
            .rows
            .into_iter()
            .map(|backfill| BackfillFacts {
                rate: Rate::of(&backfill.row, now),
                backfill,
            })
            .collect(),
        next: page.next,
    })
}

struct Line {
    id: String,
    state: Markup,
    selection: String,
    asked_for: String,
    bar: Markup,
    words: String,
    done: String,
    share: String,
    pace: String,
    end: Markup,
    submitted: Markup,
    by: String,
}

fn line(facts: &BackfillFacts, waits: &Waits, clock: &Clock) -> Line {
    let row = &facts.backfill.row;
    let parts = step_parts(&row.steps);
    let (over, total) = (row.steps.over(), row.steps.total());
    let pace = match (&facts.rate, waits.get(&row.run).and_then(|waits| waits.first())) {
        (Some(rate), _) => rate.pace(),
        (None, Some(wait)) => wait.text.clone(),
        (None, None) if row.ended_at.is_some() => format!("took {}", clock.length(row.started_at, row.ended_at)),
        (None, None) => String::new(),
    };
    Line {
        id: row.run.to_string(),
        state: run_state(row.status, row.paused),
        selection: row.selection.clone(),
        asked_for: asked_for(&facts.backfill.request),
        bar: bar(&parts),
        words: in_words(&parts),
        done: format!("{} of {}", number(over), count(total, "step", "steps")),
        // Rounded down: what is not over is never 100 %.
        share: match total {
            0 => String::new(),
            total => format!("{} %", over * 100 / total),
        },
        pace,
        end: match (row.ended_at, &facts.rate) {
            (Some(at), _) => clock.when(at),
            (None, Some(rate)) => Markup(format!(
                "{} <span class=\"dim\">about {} left</span>",
                clock.when(rate.expected_end),
                duration(rate.expected_end - clock.now())
            )),
            (None, None) => clock.when_known(None),
        },
        submitted: clock.when(row.submitted_at),
        by: row.owner.clone(),
    }
}

#[derive(Template)]
#[template(path = "backfills.html")]
struct BackfillsPage {
    frame: Frame,
    lines: Vec<Line>,
    open: bool,
    filtered: bool,
    first: Option<String>,
    next: Option<String>,
    notice: Option<String>,
}

/// What the page is asked for, and what it says of a button that was pressed.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PageAsked {
    state: Option<String>,
    before: Option<i64>,
    notice: Option<String>,
}

/// `GET /backfills?state=open&before=17`
pub async fn page(State(state): State<WebState>, Query(asked): Query<PageAsked>) -> Result<Html<String>, ErrorPage> {
    let notice = given(asked.notice);
    let asked = Asked {
        state: asked.state,
        before: asked.before,
    };
    let facts = facts(&state, &asked).await?;
    let clock = page_clock(&state);
    let chosen = given(asked.state);
    let link = |before: Option<i64>| {
        let pairs = [
            ("state", chosen.clone()),
            ("before", before.map(|before| before.to_string())),
        ];
        format!("/backfills{}", query(&pairs))
    };
    render(&BackfillsPage {
        frame: Frame::new(&state, "Backfills", Section::Backfills),
        lines: facts
            .backfills
            .iter()
            .map(|backfill| line(backfill, &facts.waits, &clock))
            .collect(),
        open: chosen.as_deref() == Some("open"),
        filtered: chosen.is_some() || asked.before.is_some(),
        first: asked.before.map(|_| link(None)),
        next: facts.next.map(|next| link(Some(next))),
        notice,
    })
}
