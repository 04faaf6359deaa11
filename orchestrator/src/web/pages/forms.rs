//! What the buttons of pages do: POST, then a redirect to the page that shows what came of it. The guard has checked the
//! form's token before any of this.

use assets::PartitionKey;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use state::event::{Only, OwnerMode, Pace};
use state::ids::RunId;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::markup::query;
use super::{given, read, run_id};
use crate::core::Answer;
use crate::edge::retry::{Retry, retry as again};
use crate::wire::{RunAnswer, RunBody};

/// What to materialize.
#[derive(Debug, Deserialize)]
pub struct Materialize {
    selection: String,
    partition: Option<String>,
    from: Option<String>,
    to: Option<String>,
    /// A list of keys in JSON.
    these: Option<String>,
    force: Option<String>,
    /// `stale`, `missing`, `failed`, or `all`: fresh or not.
    only: Option<String>,
    newest_first: Option<String>,
    max_in_flight: Option<String>,
    batch: Option<String>,
    /// `backfill`, where a form for that was filled in.
    trigger: Option<String>,
    /// The page to come back to if there is nothing to do.
    back: Option<String>,
}

/// `POST /runs`
pub async fn materialize(State(state): State<WebState>, Form(form): Form<Materialize>) -> Result<Response, ErrorPage> {
    let body = RunBody {
        selection: form.selection,
        partition: partition_key(form.partition)?,
        from: partition_key(form.from)?,
        to: partition_key(form.to)?,
        these: these(form.these)?,
        force: form.force.is_some() || form.only.as_deref() == Some("all"),
        only: only(form.only.as_deref())?,
        pace: Pace {
            newest_first: form.newest_first.is_some(),
            max_in_flight: number(form.max_in_flight)?,
            batch: number(form.batch)?,
            priority: None,
        },
        trigger: form.trigger.filter(|trigger| trigger == "backfill"),
        ..RunBody::default()
    };
    let home = if body.trigger.is_some() { "backfills" } else { "runs" };
    let request = body
        .request(OwnerMode::Daemon, "page")
        .map_err(|message| ErrorPage::new(StatusCode::UNPROCESSABLE_ENTITY, message))?;
    match RunAnswer::from(state.engine.submit(request).await?) {
        RunAnswer::Accepted { run, problems, .. } => {
            let left_out = (!problems.is_empty()).then(|| problems.join("; "));
            Ok(Redirect::to(&format!("/{home}/{run}{}", query(&[("left_out", left_out)]))).into_response())
        }
        RunAnswer::NothingToDo { problems, .. } => {
            // Only paths of our own: a form can be made by anyone, an open redirect need not be.
            let back = form
                .back
                .filter(|back| (back.starts_with("/assets/") || back == "/backfills/new") && !back.contains("//"))
                .unwrap_or_else(|| "/".to_owned());
            let notice = if problems.is_empty() {
                "everything asked for is fresh already".to_owned()
            } else {
                problems.join("; ")
            };
            Ok(Redirect::to(&format!("{back}{}", query(&[("notice", Some(notice))]))).into_response())
        }
        RunAnswer::Refused { reasons } => Err(ErrorPage::new(StatusCode::UNPROCESSABLE_ENTITY, reasons.join("; "))),
    }
}

/// The page that a button of a run comes back to.
#[derive(Debug, Default, Deserialize)]
pub struct Back {
    back: Option<String>,
}

impl Back {
    fn to(&self, run: &RunId, pairs: &[(&str, Option<String>)]) -> Response {
        let home = match self.back.as_deref() {
            Some("backfills") => "backfills",
            _ => "runs",
        };
        Redirect::to(&format!("/{home}/{run}{}", query(pairs))).into_response()
    }
}

/// `POST /runs/{run}/retry`
pub async fn retry(
    State(state): State<WebState>,
    Path(run): Path<String>,
    Query(back): Query<Back>,
) -> Result<Response, ErrorPage> {
    let id = run_id(&run)?;
    let asked = id.clone();
    let conflict = |message: String| Err(ErrorPage::new(StatusCode::CONFLICT, message));
    let body = match read(&state.engine, move |store| again(store, &asked)).await? {
        Retry::NoRun => return Err(ErrorPage::not_found(format!("there is no run {id}"))),
        Retry::NotOver => return conflict(format!("{id} is not over yet")),
        Retry::NothingLeft => return conflict(format!("nothing to do: every step of {id} succeeded")),
        Retry::Of(body) => *body,
    };
    let request = body
        .request(OwnerMode::Daemon, "page")
        .map_err(|message| ErrorPage::new(StatusCode::UNPROCESSABLE_ENTITY, message))?;
    match RunAnswer::from(state.engine.submit(request).await?) {
        RunAnswer::Accepted { run, problems, .. } => {
            let left_out = (!problems.is_empty()).then(|| problems.join("; "));
            Ok(back.to(&run, &[("left_out", left_out)]))
        }
        RunAnswer::NothingToDo { .. } => conflict(format!("nothing to do: what {id} left undone is fresh by now")),
        RunAnswer::Refused { reasons } => Err(ErrorPage::new(StatusCode::UNPROCESSABLE_ENTITY, reasons.join("; "))),
    }
}

fn only(text: Option<&str>) -> Result<Option<Only>, ErrorPage> {
    match text {
        None | Some("" | "stale" | "all") => Ok(None),
        Some("missing") => Ok(Some(Only::Missing)),
        Some("failed") => Ok(Some(Only::Failed)),
        Some(other) => Err(ErrorPage::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("`{other}` is neither stale, missing, failed nor all"),
        )),
    }
}

/// The number that a person typed.
fn number(text: Option<String>) -> Result<Option<u32>, ErrorPage> {
    let Some(text) = given(text) else { return Ok(None) };
    match text.trim().parse() {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(ErrorPage::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("`{text}` is no number of partitions: give 1 or more"),
        )),
    }
}

/// The partition keys that a form of ours carries.
fn these(text: Option<String>) -> Result<Vec<PartitionKey>, ErrorPage> {
    let Some(text) = given(text) else {
        return Ok(Vec::new());
    };
    serde_json::from_str(&text).map_err(|error| ErrorPage::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}

/// The partition key that a person typed.
fn partition_key(text: Option<String>) -> Result<Option<PartitionKey>, ErrorPage> {
    let key = given(text).map(|text| PartitionKey::new(&text)).transpose();
    key.map_err(|error| ErrorPage::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}

/// `POST /runs/{run}/cancel`
pub async fn cancel(
    State(state): State<WebState>,
    Path(run): Path<String>,
    Query(back): Query<Back>,
) -> Result<Response, ErrorPage> {
    let run = run_id(&run)?;
    match state.engine.cancel(run.clone()).await? {
        Answer::Canceling { .. } => Ok(back.to(&run, &[])),
        Answer::Refused { reasons } => Err(ErrorPage::new(StatusCode::CONFLICT, reasons.join("; "))),
        _ => Err(ErrorPage::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "an answer to another question",
        )),
    }
}

/// `POST /runs/{run}/pause`
pub async fn pause(
    State(state): State<WebState>,
    Path(run): Path<String>,
    Query(back): Query<Back>,
) -> Result<Response, ErrorPage> {
    paused(&state, &run, true, &back).await
}

/// `POST /runs/{run}/resume`
pub async fn resume(
    State(state): State<WebState>,
    Path(run): Path<String>,
    Query(back): Query<Back>,
) -> Result<Response, ErrorPage> {
    paused(&state, &run, false, &back).await
}

async fn paused(state: &WebState, run: &str, pause: bool, back: &Back) -> Result<Response, ErrorPage> {
    let run = run_id(run)?;
    match state.engine.pause_run(run.clone(), pause).await? {
        Answer::Paused { .. } => Ok(back.to(&run, &[])),
        Answer::Refused { reasons } => Err(ErrorPage::new(StatusCode::CONFLICT, reasons.join("; "))),
        _ => Err(ErrorPage::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "an answer to another question",
        )),
    }
}
