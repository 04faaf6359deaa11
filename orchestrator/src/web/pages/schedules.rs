//! `/schedules`: what starts by the clock, when it does next, and what became of the instants before.

use askama::Template;
use assets::Schedule;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use state::event::Micros;
use state::sqlite::queries::schedules::{TickRow, all_ticks, ticks};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::figures::{Clock, number};
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, encode, query};
use super::ticks::{MOST, ON_A_PAGE, Paused, Press, TickView, refused, run_of, tick_state};
use super::tone::Tone;
use super::{given, read, render};
use crate::core::Answer;

/// How many instants to come are shown of each schedule.
const TO_COME: usize = 3;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    schedule: Option<String>,
    before: Option<i64>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct SchedulesFacts {
    /// The schedules that are declared, by name.
    pub schedules: Vec<ScheduleFacts>,
    /// Ticks, newest first.
    pub ticks: Vec<TickRow>,
    /// Pass as `before` for the ticks before these.
    pub next: Option<i64>,
}

/// One schedule.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ScheduleFacts {
    /// Its name.
    pub schedule: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its crons.
    pub cron: Vec<String>,
    /// The zone of their local time.
    pub timezone: String,
    /// What it materializes.
    pub select: String,
    /// `skip`, `latest` or `all`.
    pub catch_up: &'static str,
    /// `skip`, `queue` or `cancel_previous`.
    pub overlap: &'static str,
    /// Whether it is paused, and by whom.
    #[serde(flatten)]
    pub paused: Paused,
    /// The next instants at which it is due; none while it is paused.
    pub next: Vec<Micros>,
}

struct ScheduleView {
    facts: ScheduleFacts,
    preview: String,
    state: Markup,
    next: Vec<Markup>,
    href: String,
    action: String,
}

#[derive(Template)]
#[template(path = "schedules.html")]
struct SchedulesPage {
    frame: Frame,
    schedules: Vec<ScheduleView>,
    only: Option<String>,
    notice: Option<String>,
    ticks: Vec<TickView>,
    first: Option<String>,
    next: Option<String>,
}

/// Schedules as they are, and their ticks.
pub async fn facts(state: &WebState, asked: &Asked) -> Result<SchedulesFacts, ErrorPage> {
    let only = given(asked.schedule.clone());
    let wanted = only.clone();
    let looked = state.engine.driver().ask(move |world, at| {
        let declared = world.definitions().schedules().values();
        declared
            .filter(|schedule| wanted.as_ref().is_none_or(|only| *only == schedule.name))
            .take(MOST)
            .map(|schedule| {
                let record = world.schedule(&schedule.name);
                let paused = record.and_then(|record| record.paused.clone());
                let due = world.due(&schedule.name);
                of_schedule(schedule, paused, due.map(|due| due.instant), at)
            })
            .collect::<Vec<_>>()
    });
    let schedules = looked.await.ok_or_else(stopping)?;
    if let (Some(only), true) = (&only, schedules.is_empty()) {
        return Err(ErrorPage::not_found(format!("there is no schedule `{only}`")));
    }
    let before = asked.before;
    let page = read(&state.engine, move |store| match &only {
        Some(only) => ticks(store, only, before, ON_A_PAGE),
        None => all_ticks(store, before, ON_A_PAGE),
    })
    .await?;
    Ok(SchedulesFacts {
        schedules,
        ticks: page.rows,
        next: page.next,
    })
}

fn stopping() -> ErrorPage {
    ErrorPage::new(StatusCode::SERVICE_UNAVAILABLE, "millpond is stopping")
}

fn of_schedule(
    schedule: &Schedule,
    paused: Option<(Micros, String)>,
    due: Option<Micros>,
    at: Micros,
) -> ScheduleFacts {
    let first = due.filter(|_| paused.is_none());
    // What is overdue is told once; the instants after it lie ahead.
    let from = jiff::Timestamp::from_microsecond(first.unwrap_or(at).max(at)).unwrap_or(jiff::Timestamp::MAX);
    let later = schedule.timetable.after(from).map(|tick| tick.at.as_microsecond());
    let next: Vec<Micros> = match first {
        Some(first) => std::iter::once(first).chain(later).take(TO_COME).collect(),
        None => Vec::new(),
    };
    ScheduleFacts {
        schedule: schedule.name.clone(),
        description: schedule.description.clone(),
        cron: schedule.crons(),
        timezone: schedule.zone.clone(),
        select: schedule.selection.as_str().to_owned(),
        catch_up: schedule.catch_up.policy.as_str(),
        overlap: schedule.overlap.as_str(),
        paused: paused.into(),
        next,
    }
}

fn schedule_view(facts: ScheduleFacts, clock: &Clock) -> ScheduleView {
    ScheduleView {
        state: facts.paused.state().unwrap_or_else(|| Tone::Good.state("on")),
        next: facts.next.iter().map(|at| clock.when(*at)).collect(),
        href: href(&facts.schedule),
        preview: format!("/backfills/new{}", query(&[("selection", Some(facts.select.clone()))])),
        action: format!("/schedules/{}", encode(&facts.schedule)),
        facts,
    }
}

fn href(schedule: &str) -> String {
    format!("/schedules{}", query(&[("schedule", Some(schedule.to_owned()))]))
}

fn tick_view(tick: TickRow, clock: &Clock) -> TickView {
    let more = |more: u64| format!("and {} more up to {}", number(more), clock.plain(tick.last));
    TickView {
        seq: tick.seq,
        href: href(&tick.schedule),
        name: tick.schedule,
        when: clock.when(tick.instant),
        stretch: (tick.count > 1).then(|| more(tick.count - 1)),
        state: tick_state(tick.status),
        run: run_of(tick.run, tick.run_status.as_deref()),
        seen: Vec::new(),
        more: None,
        reason: tick.reason.unwrap_or_default(),
    }
}

/// What a page is asked for, and what it says of a button that was pressed.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PageAsked {
    schedule: Option<String>,
    before: Option<i64>,
    notice: Option<String>,
}

/// `GET /schedules?schedule=nightly&before=17`
pub async fn page(State(state): State<WebState>, Query(asked): Query<PageAsked>) -> Result<Html<String>, ErrorPage> {
    let notice = given(asked.notice);
    let asked = Asked {
        schedule: asked.schedule,
        before: asked.before,
    };
    let facts = facts(&state, &asked).await?;
    let clock = page_clock(&state);
    let only = given(asked.schedule);
    let link = |before: Option<i64>| {
        let pairs = [
            ("schedule", only.clone()),
            ("before", before.map(|before| before.to_string())),
        ];
        format!("/schedules{}", query(&pairs))
    };
    render(&SchedulesPage {
        frame: Frame::new(&state, "Schedules", Section::Schedules),
        first: asked.before.map(|_| link(None)),
        next: facts.next.map(|next| link(Some(next))),
        schedules: facts
            .schedules
            .into_iter()
            .map(|facts| schedule_view(facts, &clock))
            .collect(),
        ticks: facts.ticks.into_iter().map(|tick| tick_view(tick, &clock)).collect(),
        only,
        notice,
    })
}

/// `POST /schedules/{schedule}/pause`
pub async fn pause(
    State(state): State<WebState>,
    Path(schedule): Path<String>,
    Form(_): Form<Press>,
) -> Result<Response, ErrorPage> {
    set_paused(&state, schedule, true).await
}

/// `POST /schedules/{schedule}/resume`
pub async fn resume(
    State(state): State<WebState>,
    Path(schedule): Path<String>,
    Form(_): Form<Press>,
) -> Result<Response, ErrorPage> {
    set_paused(&state, schedule, false).await
}

async fn set_paused(state: &WebState, schedule: String, paused: bool) -> Result<Response, ErrorPage> {
    match state.engine.pause(schedule, paused, "page".to_owned()).await? {
        Answer::Schedule { .. } => Ok(Redirect::to("/schedules").into_response()),
        answer => Err(refused(answer)),
    }
}

/// `POST /schedules/{schedule}/tick`
pub async fn tick(
    State(state): State<WebState>,
    Path(schedule): Path<String>,
    Form(_): Form<Press>,
) -> Result<Response, ErrorPage> {
    match state.engine.tick(schedule, "page".to_owned()).await? {
        Answer::Ticked { tick } => match tick.run {
            Some(run) => Ok(Redirect::to(&format!("/runs/{run}")).into_response()),
            None => {
                let notice = format!(
                    "{} {}: {}",
                    tick.schedule,
                    tick.status.as_str(),
                    tick.reason.unwrap_or_default()
                );
                Ok(Redirect::to(&format!("/schedules{}", query(&[("notice", Some(notice))]))).into_response())
            }
        },
        answer => Err(refused(answer)),
    }
}
