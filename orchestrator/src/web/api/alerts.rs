//! What is asked of alerts: a test message now.

use axum::Json;
use axum::extract::{Path, State};

use super::super::WebState;
use super::super::reply::ErrorJson;
use crate::wire::TestAnswer;

/// `POST /api/v1/alerts/{alert}/test`
pub async fn test_alert(
    State(state): State<WebState>,
    Path(alert): Path<String>,
) -> Result<Json<TestAnswer>, ErrorJson> {
    match state.engine.test_alert(&alert).await? {
        Some(sent) => Ok(Json(TestAnswer {
            delivered: sent.is_ok(),
            error: sent.err(),
            alert,
        })),
        None => Err(ErrorJson::not_found(format!("there is no alert `{alert}`"))),
    }
}
