//! `/log`: all that happened, of the daemon and of every run, newest first.
//!
//! Lines that steps write are elsewhere: on the pages of their runs; those that the daemon writes are on `/log/daemon`.

use askama::Template;
use assets::AssetKey;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Html;
use serde::{Deserialize, Serialize};
use state::event::{Event, Micros};
use state::ids::RunId;
use state::sqlite::queries::events::{EventRow, back};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::figures::Clock;
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, query};
use super::run_log::{Choice, choice};
use super::tone::Tone;
use super::{asset_key, given, read, render, run_id};
use crate::happened::{Kind, Level, Told, levels_of_type, words};

const ON_A_PAGE: usize = 100;
/// Most events that are looked through for those of an asset, a run or a level.
const FURTHEST: usize = 50_000;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    asset: Option<String>,
    run: Option<String>,
    /// The least level; without it all of them. The page shows `info` and above then.
    level: Option<String>,
    kind: Option<String>,
    before: Option<i64>,
}

/// The answer: a part of the stream.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct StreamFacts {
    /// Events, newest first.
    pub events: Vec<EventFacts>,
    /// Pass as `before` for the events before these.
    pub next: Option<i64>,
    /// Up to when it was looked through.
    pub looked_back_to: Option<Micros>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct EventFacts {
    /// Its number.
    pub seq: i64,
    /// When it was decided.
    pub at: Micros,
    /// Its type.
    pub r#type: String,
    /// What it is about.
    pub kind: Kind,
    /// The run that it belongs to.
    pub run: Option<RunId>,
    /// It in words.
    #[serde(flatten)]
    pub told: Told,
}

impl EventFacts {
    fn of(row: EventRow) -> Self {
        let event: Option<Event> = row.event.and_then(|event| serde_json::from_value(event).ok());
        let told = event.as_ref().map_or_else(
            // The plan of a large run, thousands of files: its type has to do.
            || Told {
                level: Level::Info,
                asset: None,
                text: row.r#type.replace('_', " "),
            },
            words,
        );
        Self {
            seq: row.seq,
            at: row.at,
            kind: Kind::of_type(&row.r#type),
            r#type: row.r#type,
            run: row.run,
            told,
        }
    }
}

fn known<T: Copy>(text: Option<String>, all: &[T], word: fn(T) -> &'static str) -> Result<Option<T>, ErrorPage> {
    let Some(text) = given(text) else { return Ok(None) };
    let found = all.iter().copied().find(|one| word(*one) == text);
    found.map(Some).ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|one| word(*one)).collect();
        ErrorPage::new(StatusCode::BAD_REQUEST, format!("no event is ever `{text}`"))
            .with_help(format!("choose one of {}", words.join(", ")))
    })
}

/// The events that are asked for.
pub async fn facts(state: &WebState, asked: &Asked) -> Result<StreamFacts, ErrorPage> {
    let asset = given(asked.asset.clone()).map(|text| asset_key(&text)).transpose()?;
    let run = given(asked.run.clone()).map(|text| run_id(&text)).transpose()?;
    let level = known(asked.level.clone(), &Level::ALL, Level::as_str)?;
    let kind = known(asked.kind.clone(), &Kind::ALL, Kind::as_str)?;
    let before = asked.before;
    let found = read(&state.engine, move |store| {
        let by_type = |r#type: &str, of: Option<&str>| {
            kind.is_none_or(|kind| kind == Kind::of_type(r#type))
                && level.is_none_or(|level| level <= levels_of_type(r#type).1)
                && run.as_ref().is_none_or(|run| of == Some(run.as_str()))
        };
        let by_text = |r#type: &str, json: Option<&str>| {
            let Some(json) = json else {
                // Only runs and sources are so large, and neither fails with it.
                return asset.is_none() && level.is_none_or(|level| level <= Level::Info);
            };
            let named = |asset: &AssetKey| json.contains(&format!("\"{asset}\""));
            if !asset.as_ref().is_none_or(named) {
                return false;
            }
            let least = level.filter(|level| *level > levels_of_type(r#type).0);
            let Some(least) = least else { return true };
            let event: Option<Event> = serde_json::from_str(json).ok();
            event.map_or_else(|| !r#type.is_empty(), |event| words(&event).level >= least)
        };
        back(store, before, ON_A_PAGE, FURTHEST, by_type, by_text)
    })
    .await?;
    Ok(StreamFacts {
        events: found.rows.into_iter().map(EventFacts::of).collect(),
        next: found.next,
        looked_back_to: found.looked_back_to,
    })
}

struct Line {
    /// What follows the name of the asset, if it stands first.
    rest: Option<String>,
    seq: i64,
    when: Markup,
    state: Markup,
    kind: &'static str,
    run: Option<RunId>,
    asset: Option<AssetKey>,
    text: String,
}

/// The shape and colour of a level.
pub fn tone(level: Level) -> Tone {
    match level {
        Level::Debug => Tone::Missing,
        Level::Info => Tone::Good,
        Level::Warn => Tone::Warn,
        Level::Error => Tone::Bad,
    }
}

fn line(facts: EventFacts, clock: &Clock) -> Line {
    let name = facts.told.asset.as_ref().map(AssetKey::as_str);
    Line {
        rest: name
            .and_then(|name| facts.told.text.strip_prefix(name))
            .map(str::to_owned),
        seq: facts.seq,
        when: clock.when(facts.at),
        state: tone(facts.told.level).state(facts.told.level.as_str()),
        kind: facts.kind.as_str(),
        run: facts.run,
        asset: facts.told.asset,
        text: facts.told.text,
    }
}

#[derive(Template)]
#[template(path = "stream.html")]
struct StreamPage {
    frame: Frame,
    lines: Vec<Line>,
    levels: Vec<Choice>,
    kinds: Vec<Choice>,
    asset: String,
    run: String,
    filtered: bool,
    looked: Option<Markup>,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /log?asset=silver.flights&run=run_…&level=warn&kind=step&before=17`
pub async fn page(State(state): State<WebState>, Query(mut asked): Query<Asked>) -> Result<Html<String>, ErrorPage> {
    let chosen_level = given(asked.level.clone());
    // Each attempt and each row that is staged is more than one wants to read at first.
    asked.level = Some(chosen_level.clone().unwrap_or_else(|| Level::Info.as_str().to_owned()));
    let facts = facts(&state, &asked).await?;
    let clock = page_clock(&state);
    let (asset, run) = (given(asked.asset), given(asked.run));
    let (level, kind) = (given(asked.level), given(asked.kind));
    let link = |before: Option<i64>| {
        let pairs = [
            ("asset", asset.clone()),
            ("run", run.clone()),
            ("level", level.clone()),
            ("kind", kind.clone()),
            ("before", before.map(|before| before.to_string())),
        ];
        format!("/log{}", query(&pairs))
    };
    let full = facts.events.len() == ON_A_PAGE;
    let chosen = |words: &[&'static str], here: Option<&str>| -> Vec<Choice> {
        words.iter().map(|word| choice(word, word, here)).collect()
    };
    render(&StreamPage {
        frame: Frame::new(&state, "Log", Section::Log),
        levels: chosen(&Level::ALL.map(Level::as_str), level.as_deref()),
        kinds: chosen(&Kind::ALL.map(Kind::as_str), kind.as_deref()),
        filtered: [&asset, &run, &chosen_level, &kind].iter().any(|one| one.is_some()) || asked.before.is_some(),
        looked: facts
            .looked_back_to
            .filter(|_| !full && facts.next.is_some())
            .map(|at| clock.when(at)),
        first: asked.before.map(|_| link(None)),
        next: facts.next.map(|next| link(Some(next))),
        lines: facts.events.into_iter().map(|event| line(event, &clock)).collect(),
        asset: asset.unwrap_or_default(),
        run: run.unwrap_or_default(),
    })
}
