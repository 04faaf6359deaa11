//! `/sensors`: what is watched, what each sensor does at the moment, and what became of what it saw.

use askama::Template;
use assets::Sensor;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use state::event::Micros;
use state::sqlite::queries::sensors::{SensorTickRow, all_sensor_ticks, sensor_ticks};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::figures::{Clock, number};
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, encode, query};
use super::ticks::{MOST, ON_A_PAGE, Paused, Press, TickView, refused, run_of, tick_state};
use super::tone::Tone;
use super::{given, read, render};
use crate::core::{Answer, SensorRecord};
use crate::edge::sensors::{Looked, SensorNow};

/// Most events of a test that are named.
const NAMED: usize = 5;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    sensor: Option<String>,
    before: Option<i64>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct SensorsFacts {
    /// The sensors that are declared, by name.
    pub sensors: Vec<SensorFacts>,
    /// Ticks, newest first.
    pub ticks: Vec<SensorTickRow>,
    /// Pass as `before` for the ticks before these.
    pub next: Option<i64>,
}

/// One sensor.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct SensorFacts {
    /// Its name.
    pub sensor: String,
    /// What it is for.
    pub description: Option<String>,
    /// `files`, ….
    pub kind: &'static str,
    /// What it watches.
    pub watches: String,
    /// What it materializes.
    pub select: String,
    /// Whether it is paused, and by whom.
    #[serde(flatten)]
    pub paused: Paused,
    /// How many looks in a row failed.
    pub failures: u32,
    /// Events that were seen and are not told of yet.
    pub lag: u64,
    /// Things that were seen and are not complete yet.
    pub incomplete: u64,
    /// Events that were told of, ever.
    pub told: usize,
    /// Up to where it has read.
    pub cursor: Option<String>,
    /// When the look that is under way began.
    pub looking_since: Option<Micros>,
    /// When the last look ended.
    pub looked_at: Option<Micros>,
    /// When it looks again, unless something wakes it earlier.
    pub next_at: Option<Micros>,
}

struct SensorView {
    facts: SensorFacts,
    state: Markup,
    looked: Markup,
    next: Option<Markup>,
    behind: Option<String>,
    href: String,
    action: String,
}

#[derive(Template)]
#[template(path = "sensors.html")]
struct SensorsPage {
    frame: Frame,
    sensors: Vec<SensorView>,
    only: Option<String>,
    notice: Option<String>,
    ticks: Vec<TickView>,
    first: Option<String>,
    next: Option<String>,
}

/// Sensors as they are, and their ticks.
pub async fn facts(state: &WebState, asked: &Asked) -> Result<SensorsFacts, ErrorPage> {
    let only = given(asked.sensor.clone());
    let (wanted, kept) = (only.clone(), state.engine.sensors().clone());
    let looked = state.engine.driver().ask(move |world, _| {
        let declared = world.definitions().sensors().values();
        declared
            .filter(|sensor| wanted.as_ref().is_none_or(|only| *only == sensor.name))
            .take(MOST)
            .map(|sensor| {
                let now = kept.now(&sensor.name).unwrap_or_default();
                of_sensor(sensor, world.sensor(&sensor.name), now)
            })
            .collect::<Vec<_>>()
    });
    let sensors = looked
        .await
        .ok_or_else(|| ErrorPage::new(StatusCode::SERVICE_UNAVAILABLE, "millpond is stopping"))?;
    if let (Some(only), true) = (&only, sensors.is_empty()) {
        return Err(ErrorPage::not_found(format!("there is no sensor `{only}`")));
    }
    let before = asked.before;
    let page = read(&state.engine, move |store| match &only {
        Some(only) => sensor_ticks(store, only, before, ON_A_PAGE),
        None => all_sensor_ticks(store, before, ON_A_PAGE),
    })
    .await?;
    Ok(SensorsFacts {
        sensors,
        ticks: page.rows,
        next: page.next,
    })
}

fn of_sensor(sensor: &Sensor, record: Option<&SensorRecord>, now: SensorNow) -> SensorFacts {
    let paused = record.and_then(|record| record.paused.clone());
    SensorFacts {
        sensor: sensor.name.clone(),
        description: sensor.description.clone(),
        kind: sensor.kind(),
        watches: sensor.watches(),
        select: sensor.selection.as_str().to_owned(),
        paused: paused.into(),
        failures: record.map_or(0, |record| record.failures),
        lag: record.map_or(0, |record| record.lag),
        incomplete: now.incomplete,
        told: record.map_or(0, SensorRecord::told),
        cursor: record.and_then(|record| record.cursor.clone()),
        looking_since: now.looking_since,
        looked_at: now.looked_at,
        next_at: now.next_at,
    }
}

fn sensor_view(facts: SensorFacts, clock: &Clock) -> SensorView {
    let state = match (facts.paused.state(), facts.failures) {
        (Some(paused), _) => paused,
        (None, 0) => Tone::Good.state("on"),
        (None, 1) => Tone::Bad.state("failed"),
        (None, failures) => Tone::Bad.state(&format!("failed {failures} times")),
    };
    let mut behind = Vec::new();
    if facts.lag > 0 {
        behind.push(format!("{} not told of yet", number(facts.lag)));
    }
    if facts.incomplete > 0 {
        behind.push(format!("{} not complete yet", number(facts.incomplete)));
    }
    SensorView {
        state,
        looked: match (facts.looking_since, facts.looked_at) {
            (Some(since), _) => Markup(format!("{} {}", Tone::Busy.state("since"), clock.when(since))),
            (None, Some(at)) => clock.when(at),
            (None, None) => Markup::default(),
        },
        next: facts
            .next_at
            .filter(|_| !facts.paused.is_paused())
            .map(|at| clock.when(at)),
        behind: (!behind.is_empty()).then(|| behind.join(", ")),
        href: href(&facts.sensor),
        action: format!("/sensors/{}", encode(&facts.sensor)),
        facts,
    }
}

fn href(sensor: &str) -> String {
    format!("/sensors{}", query(&[("sensor", Some(sensor.to_owned()))]))
}

fn tick_view(tick: SensorTickRow, clock: &Clock) -> TickView {
    let more = tick.events.saturating_sub(tick.examples.len() as u64);
    let mut reasons: Vec<String> = tick
        .asked_by
        .map(|by| format!("asked for by {by}"))
        .into_iter()
        .collect();
    if tick.lag > 0 {
        reasons.push(format!("{} more to come", number(tick.lag)));
    }
    reasons.extend(tick.reason);
    TickView {
        seq: tick.seq,
        href: href(&tick.sensor),
        name: tick.sensor,
        when: clock.when(tick.at),
        stretch: None,
        state: tick_state(tick.status),
        run: run_of(tick.run, tick.run_status.as_deref()),
        seen: tick.examples,
        more: (more > 0).then(|| format!("and {} more", number(more))),
        reason: reasons.join("; "),
    }
}

/// What a page is asked for, and what it says of a button that was pressed.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PageAsked {
    sensor: Option<String>,
    before: Option<i64>,
    notice: Option<String>,
}

/// `GET /sensors?sensor=landing&before=17`
pub async fn page(State(state): State<WebState>, Query(asked): Query<PageAsked>) -> Result<Html<String>, ErrorPage> {
    let notice = given(asked.notice);
    let asked = Asked {
        sensor: asked.sensor,
        before: asked.before,
    };
    let facts = facts(&state, &asked).await?;
    let clock = page_clock(&state);
    let only = given(asked.sensor);
    let link = |before: Option<i64>| {
        let pairs = [
            ("sensor", only.clone()),
            ("before", before.map(|before| before.to_string())),
        ];
        format!("/sensors{}", query(&pairs))
    };
    render(&SensorsPage {
        frame: Frame::new(&state, "Sensors", Section::Sensors),
        first: asked.before.map(|_| link(None)),
        next: facts.next.map(|next| link(Some(next))),
        sensors: facts
            .sensors
            .into_iter()
            .map(|facts| sensor_view(facts, &clock))
            .collect(),
        ticks: facts.ticks.into_iter().map(|tick| tick_view(tick, &clock)).collect(),
        only,
        notice,
    })
}

/// `POST /sensors/{sensor}/pause`
pub async fn pause(
    State(state): State<WebState>,
    Path(sensor): Path<String>,
    Form(_): Form<Press>,
) -> Result<Response, ErrorPage> {
    set_paused(&state, sensor, true).await
}

/// `POST /sensors/{sensor}/resume`
pub async fn resume(
    State(state): State<WebState>,
    Path(sensor): Path<String>,
    Form(_): Form<Press>,
) -> Result<Response, ErrorPage> {
    set_paused(&state, sensor, false).await
}

async fn set_paused(state: &WebState, sensor: String, paused: bool) -> Result<Response, ErrorPage> {
    match state.engine.pause_sensor(sensor, paused, "page".to_owned()).await? {
        Answer::Sensor { .. } => Ok(Redirect::to("/sensors").into_response()),
        answer => Err(refused(answer)),
    }
}

/// Whether the button was the one that only tests.
#[derive(Debug, Default, Deserialize)]
pub struct Look {
    #[serde(default)]
    test: bool,
}

/// `POST /sensors/{sensor}/tick?test=true`
pub async fn tick(
    State(state): State<WebState>,
    Path(sensor): Path<String>,
    Query(look): Query<Look>,
    Form(_): Form<Press>,
) -> Result<Response, ErrorPage> {
    let notice = match state.engine.look(sensor.clone(), "page".to_owned(), look.test).await? {
        Looked::Decided(Answer::SensorTicked { tick: Some(tick) }) => {
            if let Some(run) = tick.run {
                return Ok(Redirect::to(&format!("/runs/{run}")).into_response());
            }
            format!("{sensor} {}: {}", tick.status.as_str(), tick.reason.unwrap_or_default())
        }
        Looked::Decided(Answer::SensorTicked { tick: None }) => {
            format!("{sensor}: another look came between; what it saw is in its ticks")
        }
        Looked::Decided(answer) => return Err(refused(answer)),
        Looked::Tested(Err(reason)) => format!("{sensor} would fail: {reason}"),
        Looked::Tested(Ok(sight)) => {
            let total = sight.events.len() as u64 + sight.lag;
            let mut named: Vec<String> = sight
                .events
                .iter()
                .take(NAMED)
                .map(|event| event.what.clone())
                .collect();
            if total > named.len() as u64 {
                named.push(format!("and {} more", number(total - named.len() as u64)));
            }
            let what = match total {
                0 => "nothing new".to_owned(),
                1 => format!("1 event: {}", named.join(", ")),
                total => format!("{} events: {}", number(total), named.join(", ")),
            };
            let remark = sight.remark.map(|remark| format!(" ({remark})")).unwrap_or_default();
            format!("{sensor} sees {what}{remark}; nothing was started")
        }
    };
    let pairs = [("sensor", Some(sensor)), ("notice", Some(notice))];
    Ok(Redirect::to(&format!("/sensors{}", query(&pairs))).into_response())
}
