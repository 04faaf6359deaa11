//! For whoever runs the daemon: is it well, and what does it log.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::super::WebState;
use super::super::reply::ErrorJson;
use crate::edge::{log, write_ahead_log};
use crate::wire::LevelBody;

/// A driver that does not answer for so long is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// The answer of `/readyz`. It needs no token, so it names nothing of the project.
#[derive(Debug, Serialize)]
struct Ready {
    /// Whether what is asked for now will be done now.
    ready: bool,
    /// `writable`, or `waiting` when nothing can be committed.
    state: &'static str,
    /// `alive`, `silent` when it does not answer, or `ended`.
    driver: &'static str,
    /// `good`, or `degraded` when the files on disk have mistakes and the last good ones are in force.
    definitions: &'static str,
    /// `small`, or `large` when some program reads the state and does not end, which fills the disk in time.
    write_ahead_log: &'static str,
    /// Whether it is about to end.
    draining: bool,
}

/// `GET /healthz`: whether the process does its work; `draining` while it is about to end.
pub async fn healthz(State(state): State<WebState>) -> Response {
    if state.engine.driver().has_ended() {
        (StatusCode::SERVICE_UNAVAILABLE, "the driver has ended\n").into_response()
    } else if state.engine.is_draining() {
        "draining\n".into_response()
    } else {
        "ok\n".into_response()
    }
}

/// `GET /readyz`: whether it takes work; 503 if not.
pub async fn readyz(State(state): State<WebState>) -> Response {
    let driver = state.engine.driver();
    let writable = driver.trouble().borrow().is_none();
    // While commits wait for space, so does every question.
    let alive = match writable {
        true => matches!(
            tokio::time::timeout(PATIENCE, driver.ask(|_, _| ())).await,
            Ok(Some(()))
        ),
        false => !driver.has_ended(),
    };
    let draining = state.engine.is_draining();
    let degraded = state.engine.definitions_state().borrow().mistakes.is_some();
    let answer = Ready {
        ready: writable && alive && !draining,
        state: if writable { "writable" } else { "waiting" },
        driver: match (alive, driver.has_ended()) {
            (true, _) => "alive",
            (false, false) => "silent",
            (false, true) => "ended",
        },
        definitions: if degraded { "degraded" } else { "good" },
        write_ahead_log: match write_ahead_log::is_large(state.engine.folder()) {
            true => "large",
            false => "small",
        },
        draining,
    };
    let status = match answer.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(answer)).into_response()
}

/// `GET /api/v1/log-level`
pub async fn log_level() -> Json<LevelBody> {
    Json(LevelBody { level: log::level() })
}

/// `POST /api/v1/log-level`
pub async fn set_log_level(Json(body): Json<LevelBody>) -> Result<Json<LevelBody>, ErrorJson> {
    log::set_level(&body.level).map_err(|error| ErrorJson::new(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    tracing::info!(from_now_on = body.level, "what is worth a line in this log was changed");
    Ok(log_level().await)
}
