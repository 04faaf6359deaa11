//! What is asked of automation: pause and resume.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::WebState;
use super::super::reply::ErrorJson;
use crate::core::Answer;

/// `POST /api/v1/automation/pause`
pub async fn pause_all(State(state): State<WebState>) -> Result<Json<Value>, ErrorJson> {
    pause(&state, None, true).await
}

/// `POST /api/v1/automation/resume`
pub async fn resume_all(State(state): State<WebState>) -> Result<Json<Value>, ErrorJson> {
    pause(&state, None, false).await
}

/// `POST /api/v1/automation/{key}/pause`
pub async fn pause_asset(State(state): State<WebState>, Path(key): Path<String>) -> Result<Json<Value>, ErrorJson> {
    pause(&state, Some(key), true).await
}

/// `POST /api/v1/automation/{key}/resume`
pub async fn resume_asset(State(state): State<WebState>, Path(key): Path<String>) -> Result<Json<Value>, ErrorJson> {
    pause(&state, Some(key), false).await
}

async fn pause(state: &WebState, key: Option<String>, pause: bool) -> Result<Json<Value>, ErrorJson> {
    let asset = match &key {
        Some(key) => match key.parse() {
            Ok(asset) => Some(asset),
            Err(_) => return Err(ErrorJson::not_found(format!("there is no asset `{key}`"))),
        },
        None => None,
    };
    match state.engine.pause_automation(asset, pause, "api".to_owned()).await? {
        Answer::Automation { paused } => Ok(Json(json!({ "asset": key, "paused": paused }))),
        Answer::Refused { reasons } => Err(ErrorJson::not_found(reasons.join("; "))),
        _ => Err(ErrorJson::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "an answer to another question",
        )),
    }
}
