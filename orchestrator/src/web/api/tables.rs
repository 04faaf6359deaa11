//! Changes of tables: rollbacks, tags and other partitions. Each is answered once it is committed.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use plugins::lakehouse::TagName;

use super::super::WebState;
use super::super::pages::asset_key;
use super::super::reply::ErrorJson;
use crate::wire::{RepartitionAnswer, RepartitionBody, RollbackAnswer, RollbackBody, TagAnswer, TagBody};

/// `POST /api/v1/assets/{key}/rollback`
pub async fn roll_back(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Json(body): Json<RollbackBody>,
) -> Result<Json<RollbackAnswer>, ErrorJson> {
    let asset = asset_key(&key)?;
    let by = body.by.as_deref().filter(|by| *by == "cli").unwrap_or("api");
    Ok(Json(
        state
            .engine
            .roll_back(&asset, &body.to, body.note.as_deref(), by)
            .await?,
    ))
}

/// `POST /api/v1/assets/{key}/repartition`
pub async fn repartition(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Json(body): Json<RepartitionBody>,
) -> Result<Json<RepartitionAnswer>, ErrorJson> {
    let asset = asset_key(&key)?;
    let by = body.by.as_deref().filter(|by| *by == "cli").unwrap_or("api");
    Ok(Json(state.engine.repartition(&asset, body.dry_run, by).await?))
}

/// `POST /api/v1/assets/{key}/tags/{tag}`
pub async fn change_tag(
    State(state): State<WebState>,
    Path((key, tag)): Path<(String, String)>,
    Json(body): Json<TagBody>,
) -> Result<Json<TagAnswer>, ErrorJson> {
    let asset = asset_key(&key)?;
    let tag: TagName = tag.parse().map_err(|error: plugins::lakehouse::TagNameError| {
        ErrorJson::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
    })?;
    let to = body.to.as_deref().unwrap_or("current");
    let to = if body.drop { None } else { Some(to) };
    Ok(Json(state.engine.tag(&asset, &tag, to).await?))
}
