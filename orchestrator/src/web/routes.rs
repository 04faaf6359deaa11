//! Every path, in one list.

use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};

use super::reply::{ErrorJson, ErrorPage, readable};
use super::{WebState, api, guard, hooks, live, metrics, openapi, pages, preferences, shared, static_files};

/// All routes, behind the guard. Only `/healthz`, `/readyz`, `/static`, `/login` and `/hooks` answer without a token, and the guard
/// says so.
pub fn all(state: WebState) -> Router {
    Router::new()
        // Pages.
        .route("/", get(pages::overview::page))
        .route("/assets", get(pages::assets::page))
        .route("/assets/{key}", get(pages::asset::page))
        .route("/assets/{key}/columns", get(pages::asset::columns::page))
        .route("/assets/{key}/rows", get(pages::asset::rows::page))
        .route("/assets/{key}/snapshots", get(pages::asset::snapshots::page))
        .route("/assets/{key}/checks", get(pages::asset::checks::page))
        .route("/assets/{key}/rollback", post(pages::asset::snapshots::roll_back))
        .route("/assets/{key}/repartition", post(pages::asset::snapshots::repartition))
        .route("/assets/{key}/tag", post(pages::asset::snapshots::tag))
        .route("/graph", get(pages::graph::page))
        .route("/runs", get(pages::runs::page).post(pages::forms::materialize))
        .route("/runs/{run}", get(pages::run::page))
        .route("/runs/{run}/cancel", post(pages::forms::cancel))
        .route("/runs/{run}/pause", post(pages::forms::pause))
        .route("/runs/{run}/resume", post(pages::forms::resume))
        .route("/runs/{run}/retry", post(pages::forms::retry))
        .route(
            "/runs/{run}/replay",
            get(pages::replay::page).post(pages::replay::replay),
        )
        .route("/runs/{run}/replay/cancel", post(pages::replay::stop))
        .route("/runs/{run}/log/{attempt}", get(pages::log::download))
        .route("/backfills", get(pages::backfills::page))
        .route("/backfills/new", get(pages::backfill_new::page))
        .route("/backfills/{run}", get(pages::backfill::page))
        .route("/query", get(pages::query::page).post(pages::query::run))
        .route("/query/csv", post(pages::query::csv))
        .route("/query/parquet", post(pages::query::parquet))
        .route("/log", get(pages::stream::page))
        .route("/log/daemon", get(pages::own_log::page))
        .route("/preferences", post(preferences::choose))
        .route("/models", get(pages::models::page))
        .route("/models/{key}", get(pages::model::page))
        .route(
            "/models/{key}/promote",
            get(pages::model::promote::ask).post(pages::model::promote::promote),
        )
        .route("/schedules", get(pages::schedules::page))
        .route("/schedules/{schedule}/pause", post(pages::schedules::pause))
        .route("/schedules/{schedule}/resume", post(pages::schedules::resume))
        .route("/schedules/{schedule}/tick", post(pages::schedules::tick))
        .route("/automation", get(pages::automation::page))
        .route("/automation/pause", post(pages::automation::pause_all))
        .route("/automation/resume", post(pages::automation::resume_all))
        .route("/automation/{key}/pause", post(pages::automation::pause))
        .route("/automation/{key}/resume", post(pages::automation::resume))
        .route("/alerts", get(pages::alerts::page))
        .route("/alerts/{alert}/test", post(pages::alerts::test))
        .route("/definitions", get(pages::definitions::page))
        .route("/definitions/look", post(pages::definitions::look))
        .route("/sensors", get(pages::sensors::page))
        .route("/sensors/{sensor}/pause", post(pages::sensors::pause))
        .route("/sensors/{sensor}/resume", post(pages::sensors::resume))
        .route("/sensors/{sensor}/tick", post(pages::sensors::tick))
        .route("/live", get(live::live))
        .route("/static/{hash}/{name}", get(static_files::serve))
        // JSON.
        .route("/api/v1/overview", get(api::overview))
        .route("/api/v1/assets", get(api::list_assets))
        .route("/api/v1/assets/{key}", get(api::show_asset))
        .route("/api/v1/assets/{key}/columns", get(api::show_columns))
        .route("/api/v1/assets/{key}/rows", get(api::show_rows))
        .route("/api/v1/assets/{key}/snapshots", get(api::show_snapshots))
        .route("/api/v1/assets/{key}/checks", get(api::show_checks))
        .route("/api/v1/assets/{key}/rollback", post(api::roll_back))
        .route("/api/v1/assets/{key}/repartition", post(api::repartition))
        .route("/api/v1/assets/{key}/tags/{tag}", post(api::change_tag))
        .route("/api/v1/graph", get(api::show_graph))
        .route("/api/v1/runs", get(api::list_runs).post(api::submit_run))
        .route("/api/v1/runs/{run}", get(api::show_run))
        .route("/api/v1/runs/{run}/log", get(api::show_log))
        .route("/api/v1/runs/{run}/cancel", post(api::cancel_run))
        .route("/api/v1/runs/{run}/pause", post(api::pause_run))
        .route("/api/v1/runs/{run}/resume", post(api::resume_run))
        .route("/api/v1/runs/{run}/retry", post(api::retry_run))
        .route(
            "/api/v1/runs/{run}/replay",
            get(api::show_replay).post(api::start_replay),
        )
        .route("/api/v1/runs/{run}/replay/cancel", post(api::cancel_replay))
        .route("/api/v1/backfills", get(api::list_backfills))
        .route("/api/v1/backfills/preview", get(api::preview_backfill))
        .route("/api/v1/backfills/{run}", get(api::show_backfill))
        .route("/api/v1/query", post(pages::query::twin))
        .route("/api/v1/query/names", get(pages::query::names))
        .route("/api/v1/log", get(api::show_stream))
        .route("/api/v1/log/daemon", get(api::show_own_log))
        .route("/api/v1/openapi.json", get(openapi::serve))
        .route("/api/v1/gc", post(api::collect_garbage))
        .route("/api/v1/runs/{run}/staged/publish", post(api::publish_staged))
        .route("/api/v1/environments/{name}/merge", post(api::merge_environment))
        .route("/api/v1/models", get(api::list_models))
        .route("/api/v1/models/{model}", get(api::show_model))
        .route("/api/v1/models/{model}/aliases/{alias}", post(api::move_alias))
        .route("/api/v1/schedules", get(api::list_schedules))
        .route("/api/v1/schedules/{schedule}/pause", post(api::pause_schedule))
        .route("/api/v1/schedules/{schedule}/resume", post(api::resume_schedule))
        .route("/api/v1/schedules/{schedule}/tick", post(api::tick_schedule))
        .route("/api/v1/automation", get(api::list_automation))
        .route("/api/v1/automation/pause", post(api::pause_all))
        .route("/api/v1/automation/resume", post(api::resume_all))
        .route("/api/v1/automation/{key}/pause", post(api::pause_asset))
        .route("/api/v1/automation/{key}/resume", post(api::resume_asset))
        .route("/api/v1/alerts", get(api::list_alerts))
        .route("/api/v1/alerts/{alert}/test", post(api::test_alert))
        .route("/api/v1/sensors", get(api::list_sensors))
        .route("/api/v1/sensors/{sensor}/events", get(api::sensor_events))
        .route("/api/v1/sensors/{sensor}/pause", post(api::pause_sensor))
        .route("/api/v1/sensors/{sensor}/resume", post(api::resume_sensor))
        .route("/api/v1/sensors/{sensor}/tick", post(api::tick_sensor))
        .route("/api/v1/events", get(api::events))
        .route("/api/v1/definitions", get(api::show_definitions))
        .route("/api/v1/definitions/look", post(api::look_at_definitions))
        // Machines.
        .route("/metrics", get(metrics::metrics))
        .route("/api/v1/log-level", get(api::log_level).post(api::set_log_level))
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz))
        .route("/hooks/{sensor}", post(hooks::told))
        .fallback(nothing_here)
        .layer(middleware::from_fn_with_state(state.clone(), shared::answer))
        .layer(middleware::from_fn_with_state(state.clone(), guard::check))
        // Around the guard too: programs read why they are refused.
        .layer(middleware::from_fn(readable))
        .layer(middleware::from_fn_with_state(state.clone(), live::noted))
        .layer(middleware::from_fn(preferences::known))
        .with_state(state)
}

async fn nothing_here(uri: Uri) -> Response {
    let message = format!("there is nothing at {}", uri.path());
    if uri.path().starts_with("/api/") {
        ErrorJson::not_found(message).into_response()
    } else {
        ErrorPage::not_found(message).into_response()
    }
}
