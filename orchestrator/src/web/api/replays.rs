//! Replays of runs: begin one, see how far it is, stop it.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::super::WebState;
use super::super::pages::replay::{self, ReplayOfRun};
use super::super::reply::ErrorJson;
use crate::edge::replay::With;

/// `GET /api/v1/runs/{run}/replay`
pub async fn show_replay(
    State(state): State<WebState>,
    Path(run): Path<String>,
) -> Result<Json<ReplayOfRun>, ErrorJson> {
    Ok(Json(replay::facts(&state, &run).await?))
}

/// `POST /api/v1/runs/{run}/replay`
pub async fn start_replay(
    State(state): State<WebState>,
    Path(run): Path<String>,
    Json(with): Json<With>,
) -> Result<Json<ReplayOfRun>, ErrorJson> {
    Ok(Json(replay::start(&state, &run, with).await?))
}

/// `POST /api/v1/runs/{run}/replay/cancel`
pub async fn cancel_replay(State(state): State<WebState>, Path(run): Path<String>) -> Result<Json<Value>, ErrorJson> {
    let run = replay::cancel(&state, &run)?;
    Ok(Json(json!({ "canceling": run })))
}
