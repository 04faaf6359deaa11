//! The definitions in force, and a look at those on disk.

use axum::Json;
use axum::extract::State;

use super::super::WebState;
use super::super::pages::definitions::{DefinitionsFacts, facts};

/// `GET /api/v1/definitions`
pub async fn show_definitions(State(state): State<WebState>) -> Json<DefinitionsFacts> {
    Json(facts(&state))
}

/// `POST /api/v1/definitions/look`: reads the files now and answers when what they say is in force or known to be wrong.
pub async fn look_at_definitions(State(state): State<WebState>) -> Json<DefinitionsFacts> {
    state.engine.look_at_definitions().await;
    Json(facts(&state))
}
