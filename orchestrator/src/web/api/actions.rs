//! Requests that change something. Each is answered once it is committed.

use assets::AssetKey;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use state::event::OwnerMode;
use state::ids::RunId;

use super::super::WebState;
use super::super::pages::read;
use super::super::reply::ErrorJson;
use crate::core::Answer;
use crate::edge::environments::{self, BadEnvironmentName, EnvironmentError, EnvironmentName, MergedEnvironment};
use crate::edge::maintenance::{MaintenanceError, tend};
use crate::edge::retry::{Retry, retry};
use crate::wire::{AliasBody, GcAnswer, GcBody, MergeBody, PublishBody, PublishedStaged, RunAnswer, RunBody, moved_by};

/// `POST /api/v1/runs`
pub async fn submit_run(
    State(state): State<WebState>,
    Json(body): Json<RunBody>,
) -> Result<Json<RunAnswer>, ErrorJson> {
    let request = body
        .request(OwnerMode::Daemon, "api")
        .map_err(|error| ErrorJson::new(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    Ok(Json(state.engine.submit(request).await?.into()))
}

/// `POST /api/v1/runs/{run}/retry`
pub async fn retry_run(State(state): State<WebState>, Path(run): Path<String>) -> Result<Json<RunAnswer>, ErrorJson> {
    let id: RunId = run
        .parse()
        .map_err(|error: state::ids::IdError| ErrorJson::not_found(error.to_string()))?;
    let asked = id.clone();
    let conflict = |message: String| Err(ErrorJson::new(StatusCode::CONFLICT, message));
    let body = match read(&state.engine, move |store| retry(store, &asked)).await? {
        Retry::NoRun => return Err(ErrorJson::not_found(format!("there is no run {id}"))),
        Retry::NotOver => return conflict(format!("{id} is not over yet")),
        Retry::NothingLeft => return conflict(format!("every step of {id} succeeded")),
        Retry::Of(body) => *body,
    };
    let request = body
        .request(OwnerMode::Daemon, "api")
        .map_err(|error| ErrorJson::new(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    Ok(Json(state.engine.submit(request).await?.into()))
}

/// `POST /api/v1/runs/{run}/cancel`
pub async fn cancel_run(State(state): State<WebState>, Path(run): Path<String>) -> Result<Json<Value>, ErrorJson> {
    let run: RunId = run
        .parse()
        .map_err(|error: state::ids::IdError| ErrorJson::not_found(error.to_string()))?;
    match state.engine.cancel(run).await? {
        Answer::Canceling { run } => Ok(Json(json!({ "canceling": run }))),
        Answer::Refused { reasons } => Err(ErrorJson::not_found(reasons.join("; "))),
        _ => Err(ErrorJson::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "an answer to another question",
        )),
    }
}

/// `POST /api/v1/runs/{run}/pause`
pub async fn pause_run(State(state): State<WebState>, Path(run): Path<String>) -> Result<Json<Value>, ErrorJson> {
    pause(&state, &run, true).await
}

/// `POST /api/v1/runs/{run}/resume`
pub async fn resume_run(State(state): State<WebState>, Path(run): Path<String>) -> Result<Json<Value>, ErrorJson> {
    pause(&state, &run, false).await
}

async fn pause(state: &WebState, run: &str, pause: bool) -> Result<Json<Value>, ErrorJson> {
    let run: RunId = run
        .parse()
        .map_err(|error: state::ids::IdError| ErrorJson::not_found(error.to_string()))?;
    match state.engine.pause_run(run, pause).await? {
        Answer::Paused { run, paused } => Ok(Json(json!({ "run": run, "paused": paused }))),
        Answer::Refused { reasons } => Err(ErrorJson::not_found(reasons.join("; "))),
        _ => Err(ErrorJson::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "an answer to another question",
        )),
    }
}

/// `POST /api/v1/gc`
pub async fn collect_garbage(
    State(state): State<WebState>,
    Json(body): Json<GcBody>,
) -> Result<Json<GcAnswer>, ErrorJson> {
    // A caller that goes away does not stop it half-way.
    let engine = state.engine.clone();
    let task = tokio::spawn(async move { tend(&engine, &body, "api").await });
    match task.await {
        Ok(Ok(answer)) => Ok(Json(answer)),
        Ok(Err(MaintenanceError::Request(error))) => Err(error.into()),
        Ok(Err(error @ MaintenanceError::InEnvironment(_))) => {
            Err(ErrorJson::new(StatusCode::CONFLICT, error.to_string()))
        }
        Ok(Err(
            error @ (MaintenanceError::State(_)
            | MaintenanceError::Environment(_)
            | MaintenanceError::KeptStaged(_)
            | MaintenanceError::Readers(_)),
        )) => Err(ErrorJson::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        Err(error) => Err(ErrorJson::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// `POST /api/v1/environments/{name}/merge`
pub async fn merge_environment(
    State(state): State<WebState>,
    Path(name): Path<String>,
    Json(body): Json<MergeBody>,
) -> Result<Json<MergedEnvironment>, ErrorJson> {
    let name: EnvironmentName = name
        .parse()
        .map_err(|error: BadEnvironmentName| ErrorJson::not_found(error.to_string()))?;
    // A caller that goes away does not stop it half-way.
    let engine = state.engine.clone();
    let by = body.by.unwrap_or_else(|| "api".to_owned());
    let task = tokio::spawn(async move { environments::merge(&engine, &name, &by).await });
    match task.await {
        Ok(Ok(answer)) => Ok(Json(answer)),
        Ok(Err(error)) => Err(match error {
            EnvironmentError::Missing(_) => ErrorJson::not_found(error.to_string()),
            EnvironmentError::Refused { .. } | EnvironmentError::Busy { .. } => {
                ErrorJson::new(StatusCode::CONFLICT, error.to_string())
            }
            EnvironmentError::Request(error) => error.into(),
            error => ErrorJson::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }),
        Err(error) => Err(ErrorJson::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// `POST /api/v1/runs/{run}/staged/publish`
pub async fn publish_staged(
    State(state): State<WebState>,
    Path(run): Path<String>,
    Json(body): Json<PublishBody>,
) -> Result<Json<PublishedStaged>, ErrorJson> {
    let run: RunId = run
        .parse()
        .map_err(|error: state::ids::IdError| ErrorJson::not_found(error.to_string()))?;
    let note = body.note.trim().to_owned();
    if note.is_empty() {
        return Err(ErrorJson::new(
            StatusCode::BAD_REQUEST,
            "the note is empty: say why the rows are right all the same",
        ));
    }
    // A caller that goes away does not stop it half-way.
    let engine = state.engine.clone();
    let by = body.by.unwrap_or_else(|| "api".to_owned());
    let task = tokio::spawn(async move { engine.publish_staged(&run, body.asset.as_ref(), &note, &by).await });
    match task.await {
        Ok(answer) => Ok(Json(answer?)),
        Err(error) => Err(ErrorJson::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// `POST /api/v1/models/{model}/aliases/{alias}`
pub async fn move_alias(
    State(state): State<WebState>,
    Path((model, alias)): Path<(String, String)>,
    Json(body): Json<AliasBody>,
) -> Result<Json<Value>, ErrorJson> {
    let model: AssetKey = model
        .parse()
        .map_err(|error: assets::key::KeyError| ErrorJson::not_found(error.to_string()))?;
    match state
        .engine
        .promote(
            model.clone(),
            alias.clone(),
            body.version,
            moved_by("api", body.reason.as_deref()),
        )
        .await?
    {
        Answer::Promoted { from } => Ok(Json(
            json!({ "model": model, "alias": alias, "from": from, "to": body.version }),
        )),
        Answer::Refused { reasons } => Err(ErrorJson::not_found(reasons.join("; "))),
        _ => Err(ErrorJson::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "an answer to another question",
        )),
    }
}
