//! What is asked of schedules: pause, resume, tick now.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use state::schedule::Tick;

use super::super::WebState;
use super::super::reply::ErrorJson;
use crate::core::Answer;

/// `POST /api/v1/schedules/{schedule}/pause`
pub async fn pause_schedule(
    State(state): State<WebState>,
    Path(schedule): Path<String>,
) -> Result<Json<Value>, ErrorJson> {
    pause(&state, schedule, true).await
}

/// `POST /api/v1/schedules/{schedule}/resume`
pub async fn resume_schedule(
    State(state): State<WebState>,
    Path(schedule): Path<String>,
) -> Result<Json<Value>, ErrorJson> {
    pause(&state, schedule, false).await
}

async fn pause(state: &WebState, schedule: String, paused: bool) -> Result<Json<Value>, ErrorJson> {
    let name = schedule.clone();
    match state.engine.pause(schedule, paused, "api".to_owned()).await? {
        Answer::Schedule { paused } => Ok(Json(json!({ "schedule": name, "paused": paused }))),
        Answer::Refused { reasons } => Err(ErrorJson::not_found(reasons.join("; "))),
        _ => Err(another_question()),
    }
}

/// `POST /api/v1/schedules/{schedule}/tick`
pub async fn tick_schedule(
    State(state): State<WebState>,
    Path(schedule): Path<String>,
) -> Result<Json<Tick>, ErrorJson> {
    match state.engine.tick(schedule, "api".to_owned()).await? {
        Answer::Ticked { tick } => Ok(Json(tick)),
        Answer::Refused { reasons } => Err(ErrorJson::not_found(reasons.join("; "))),
        _ => Err(another_question()),
    }
}

fn another_question() -> ErrorJson {
    ErrorJson::new(StatusCode::INTERNAL_SERVER_ERROR, "an answer to another question")
}
