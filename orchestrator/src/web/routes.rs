//! Every path, in one list.

use axum::routing::{get, post};
use axum::{Router, middleware};

use super::{WebState, api, guard};

/// All routes, behind the guard.
pub fn all(state: WebState) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/api/v1/events", get(api::events))
        .route("/api/v1/runs", post(api::submit_run))
        .route("/api/v1/runs/{run}/cancel", post(api::cancel_run))
        .route("/api/v1/models/{model}/aliases/{alias}", post(api::move_alias))
        .layer(middleware::from_fn_with_state(state.clone(), guard::check))
        .with_state(state)
}
