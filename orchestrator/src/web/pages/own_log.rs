//! `/log/daemon`: the newest lines of the daemon's own log, since it started.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Html;
use serde::{Deserialize, Serialize};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, query};
use super::run_log::{Choice, choice};
use super::stream::tone;
use super::{given, render};
use crate::edge::kept_lines::{KeptLine, lines};
use crate::edge::log;
use crate::happened::Level;

const ON_A_PAGE: usize = 200;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    /// The least level; without it all of them.
    level: Option<String>,
    /// Lines before this number.
    before: Option<u64>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct OwnLogFacts {
    /// What is worth a line now.
    pub worth_a_line: String,
    /// Lines, newest first.
    pub lines: Vec<KeptLine>,
    /// Pass as `before` for the lines before these.
    pub next: Option<u64>,
}

struct LineView {
    number: u64,
    when: Markup,
    state: Markup,
    target: String,
    text: String,
}

#[derive(Template)]
#[template(path = "own_log.html")]
struct OwnLogPage {
    frame: Frame,
    levels: Vec<Choice>,
    filtered: bool,
    worth_a_line: String,
    lines: Vec<LineView>,
    first: Option<String>,
    next: Option<String>,
}

/// The lines that are asked for.
pub fn facts(asked: &Asked) -> Result<OwnLogFacts, ErrorPage> {
    let least = match given(asked.level.clone()) {
        None => Level::Debug,
        Some(text) => {
            let known = Level::ALL.into_iter().find(|level| level.as_str() == text);
            known.ok_or_else(|| ErrorPage::new(StatusCode::BAD_REQUEST, format!("no line has the level `{text}`")))?
        }
    };
    let (lines, next) = lines(asked.before, least, ON_A_PAGE);
    Ok(OwnLogFacts {
        worth_a_line: log::level(),
        lines,
        next,
    })
}

/// `GET /log/daemon?level=warn&before=17`
pub async fn page(State(state): State<WebState>, Query(asked): Query<Asked>) -> Result<Html<String>, ErrorPage> {
    let facts = facts(&asked)?;
    let clock = page_clock(&state);
    let level = given(asked.level);
    let link = |before: Option<u64>| {
        let pairs = [
            ("level", level.clone()),
            ("before", before.map(|before| before.to_string())),
        ];
        format!("/log/daemon{}", query(&pairs))
    };
    let shown = facts.lines.into_iter().map(|line| LineView {
        number: line.number,
        when: clock.when(line.at),
        state: tone(line.level).state(line.level.as_str()),
        target: line.target,
        text: line.text,
    });
    render(&OwnLogPage {
        frame: Frame::new(&state, "The daemon's own log", Section::Log),
        levels: Level::ALL
            .map(|one| choice(one.as_str(), one.as_str(), level.as_deref()))
            .into(),
        filtered: level.is_some() || asked.before.is_some(),
        worth_a_line: facts.worth_a_line,
        lines: shown.collect(),
        first: asked.before.map(|_| link(None)),
        next: facts.next.map(|next| link(Some(next))),
    })
}
