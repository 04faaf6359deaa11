//! `/definitions`: what is in force, and the mistakes that keep what is on disk from it.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, Redirect};
use serde::Serialize;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::figures::{count, number};
use super::frame::{Frame, Section, page_clock};
use super::markup::Markup;
use super::render;
use crate::edge::definitions::DefinitionsState;

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct DefinitionsFacts {
    /// The project's name.
    pub project: String,
    /// Changes when any asset's code does.
    pub fingerprint: Option<String>,
    /// `good`, or `degraded` when those on disk are not in force.
    pub status: &'static str,
    /// What is in force, and why not what is on disk.
    #[serde(flatten)]
    pub state: DefinitionsState,
}

/// The facts.
pub fn facts(state: &WebState) -> DefinitionsFacts {
    let project = state.engine.project();
    let definitions = state.engine.definitions_state().borrow().clone();
    DefinitionsFacts {
        project: project.name.clone(),
        fingerprint: project
            .definitions
            .fingerprint()
            .map(|fingerprint| fingerprint.as_str().to_owned()),
        status: if definitions.mistakes.is_some() {
            "degraded"
        } else {
            "good"
        },
        state: definitions,
    }
}

#[derive(Template)]
#[template(path = "definitions.html")]
struct Page {
    frame: Frame,
    assets: String,
    since: Markup,
    swaps: String,
    code: String,
    mistakes: Option<Found>,
}

struct Found {
    number: String,
    since: Markup,
    report: String,
}

/// `GET /definitions`
pub async fn page(State(state): State<WebState>) -> Result<Html<String>, ErrorPage> {
    let clock = page_clock(&state);
    let facts = facts(&state);
    render(&Page {
        frame: Frame::new(&state, "Definitions", Section::Definitions),
        assets: number(facts.state.assets as u64),
        since: clock.when(facts.state.since),
        swaps: number(facts.state.swaps),
        code: facts.fingerprint.unwrap_or_default().chars().take(12).collect(),
        mistakes: facts.state.mistakes.map(|mistakes| Found {
            number: count(mistakes.errors as u64, "mistake", "mistakes"),
            since: clock.when(mistakes.since),
            report: mistakes.report,
        }),
    })
}

/// `POST /definitions/look`
pub async fn look(State(state): State<WebState>) -> Redirect {
    state.engine.look_at_definitions().await;
    Redirect::to("/definitions")
}
