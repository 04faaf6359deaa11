//! The facts of each page as JSON, for programs.

use axum::Json;
use axum::extract::{Path, Query, State};

use super::super::WebState;
use super::super::pages::{
    alerts, asset, assets, automation, backfill, backfill_new, backfills, graph, log, model, models, overview, own_log,
    run, runs, schedules, sensors, stream,
};
use super::super::reply::ErrorJson;

/// `GET /api/v1/overview`
pub async fn overview(State(state): State<WebState>) -> Result<Json<overview::OverviewFacts>, ErrorJson> {
    Ok(Json(overview::facts(&state).await?))
}

/// `GET /api/v1/assets?q=…&state=…&layer=…&kind=…&owner=…&tag=…&sort=…&after=…&limit=…`
pub async fn list_assets(
    State(state): State<WebState>,
    Query(asked): Query<assets::Asked>,
) -> Result<Json<assets::AssetsFacts>, ErrorJson> {
    Ok(Json(assets::facts(&state, &asked).await?))
}

/// `GET /api/v1/assets/{key}?partition=…&before=…`
pub async fn show_asset(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Query(asked): Query<asset::Asked>,
) -> Result<Json<asset::AssetFacts>, ErrorJson> {
    Ok(Json(asset::facts(&state, &key, &asked).await?))
}

/// `GET /api/v1/assets/{key}/columns?column=…&partition=…&snapshot=…`
pub async fn show_columns(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Query(asked): Query<asset::columns::Asked>,
) -> Result<Json<asset::columns::ColumnsFacts>, ErrorJson> {
    Ok(Json(asset::columns::facts(&state, &key, &asked).await?))
}

/// `GET /api/v1/assets/{key}/rows?partition=…&snapshot=…&skip=…`
pub async fn show_rows(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Query(asked): Query<asset::rows::Asked>,
) -> Result<Json<asset::rows::RowsFacts>, ErrorJson> {
    Ok(Json(asset::rows::facts(&state, &key, &asked).await?))
}

/// `GET /api/v1/assets/{key}/snapshots?snapshot=…&since=…&before=…`
pub async fn show_snapshots(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Query(asked): Query<asset::snapshots::Asked>,
) -> Result<Json<asset::snapshots::SnapshotsFacts>, ErrorJson> {
    Ok(Json(asset::snapshots::facts(&state, &key, &asked).await?))
}

/// `GET /api/v1/assets/{key}/checks?check=…&before=…`
pub async fn show_checks(
    State(state): State<WebState>,
    Path(key): Path<String>,
    Query(asked): Query<asset::checks::Asked>,
) -> Result<Json<asset::checks::ChecksFacts>, ErrorJson> {
    Ok(Json(asset::checks::facts(&state, &key, &asked).await?))
}

/// `GET /api/v1/graph?focus=…&up=…&down=…&fold=…&columns=…`
pub async fn show_graph(
    State(state): State<WebState>,
    Query(asked): Query<graph::Asked>,
) -> Result<Json<graph::GraphFacts>, ErrorJson> {
    Ok(Json(graph::facts(&state, &asked).await?))
}

/// `GET /api/v1/runs?status=…&asset=…&before=…`
pub async fn list_runs(
    State(state): State<WebState>,
    Query(asked): Query<runs::Asked>,
) -> Result<Json<runs::RunsFacts>, ErrorJson> {
    Ok(Json(runs::facts(&state, &asked).await?))
}

/// `GET /api/v1/runs/{run}?asset=…&status=…&after_asset=…&after_partition=…`
pub async fn show_run(
    State(state): State<WebState>,
    Path(run): Path<String>,
    Query(asked): Query<run::Asked>,
) -> Result<Json<run::RunFacts>, ErrorJson> {
    Ok(Json(run::facts(&state, &run, &asked).await?))
}

/// `GET /api/v1/runs/{run}/log?attempt=…&offset=…&level=…&find=…`
pub async fn show_log(
    State(state): State<WebState>,
    Path(run): Path<String>,
    Query(asked): Query<log::Asked>,
) -> Result<Json<log::LogFacts>, ErrorJson> {
    Ok(Json(log::facts(&state, &run, &asked).await?))
}

/// `GET /api/v1/backfills?state=open&before=…`
pub async fn list_backfills(
    State(state): State<WebState>,
    Query(asked): Query<backfills::Asked>,
) -> Result<Json<backfills::BackfillsFacts>, ErrorJson> {
    Ok(Json(backfills::facts(&state, &asked).await?))
}

/// `GET /api/v1/backfills/{run}?from=…&to=…&partition=…`
pub async fn show_backfill(
    State(state): State<WebState>,
    Path(run): Path<String>,
    Query(asked): Query<backfill::Asked>,
) -> Result<Json<backfill::BackfillFacts>, ErrorJson> {
    Ok(Json(backfill::facts(&state, &run, &asked).await?))
}

/// `GET /api/v1/backfills/preview?selection=…&from=…&to=…&only=…`
pub async fn preview_backfill(
    State(state): State<WebState>,
    Query(asked): Query<backfill_new::Asked>,
) -> Result<Json<backfill_new::PreviewFacts>, ErrorJson> {
    Ok(Json(backfill_new::preview(&state, &asked).await?))
}

/// `GET /api/v1/log?asset=…&run=…&level=…&kind=…&before=…`
pub async fn show_stream(
    State(state): State<WebState>,
    Query(asked): Query<stream::Asked>,
) -> Result<Json<stream::StreamFacts>, ErrorJson> {
    Ok(Json(stream::facts(&state, &asked).await?))
}

/// `GET /api/v1/log/daemon?level=…&before=…`
pub async fn show_own_log(Query(asked): Query<own_log::Asked>) -> Result<Json<own_log::OwnLogFacts>, ErrorJson> {
    Ok(Json(own_log::facts(&asked)?))
}

/// `GET /api/v1/models`
pub async fn list_models(State(state): State<WebState>) -> Result<Json<models::ModelsFacts>, ErrorJson> {
    Ok(Json(models::facts(&state).await?))
}

/// `GET /api/v1/alerts?alert=…&open_before=…&before=…`
pub async fn list_alerts(
    State(state): State<WebState>,
    Query(asked): Query<alerts::Asked>,
) -> Result<Json<alerts::AlertsFacts>, ErrorJson> {
    Ok(Json(alerts::facts(&state, &asked).await?))
}

/// `GET /api/v1/schedules?schedule=…&before=…`
pub async fn list_schedules(
    State(state): State<WebState>,
    Query(asked): Query<schedules::Asked>,
) -> Result<Json<schedules::SchedulesFacts>, ErrorJson> {
    Ok(Json(schedules::facts(&state, &asked).await?))
}

/// `GET /api/v1/automation?before=…`
pub async fn list_automation(
    State(state): State<WebState>,
    Query(asked): Query<automation::Asked>,
) -> Result<Json<automation::AutomationFacts>, ErrorJson> {
    Ok(Json(automation::facts(&state, &asked).await?))
}

/// `GET /api/v1/sensors?sensor=…&before=…`
pub async fn list_sensors(
    State(state): State<WebState>,
    Query(asked): Query<sensors::Asked>,
) -> Result<Json<sensors::SensorsFacts>, ErrorJson> {
    Ok(Json(sensors::facts(&state, &asked).await?))
}

/// `GET /api/v1/models/{model}?before=…`
pub async fn show_model(
    State(state): State<WebState>,
    Path(model): Path<String>,
    Query(asked): Query<model::Asked>,
) -> Result<Json<model::ModelFacts>, ErrorJson> {
    Ok(Json(model::facts(&state, &model, &asked).await?))
}
