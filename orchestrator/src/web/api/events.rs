//! `GET /api/v1/events`: what was committed after a number; waits for something to happen if asked to.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use state::sqlite::queries::events::{EventRow, newest, since};

use super::super::WebState;
use super::super::reply::ErrorJson;

const MOST: usize = 1000;
const LONGEST_WAIT: u64 = 30;

/// What is asked.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    /// Events after this number.
    #[serde(default)]
    after: i64,
    /// Only the newest event, to know where to begin.
    #[serde(default)]
    newest: bool,
    /// Seconds to wait for an event if there is none.
    #[serde(default)]
    wait: u64,
}

/// The answer.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Events {
    /// In their order.
    rows: Vec<EventRow>,
}

/// `GET /api/v1/events?after=17&wait=20`, `GET /api/v1/events?newest=true`
pub async fn events(State(state): State<WebState>, Query(asked): Query<Asked>) -> Result<Json<Events>, ErrorJson> {
    // Listening begins before the store is read, so that nothing falls between the two.
    let mut live = state.engine.driver().live();
    let mut stopping = state.stopping.clone();
    let reader = state.engine.reader()?;
    if asked.newest {
        let last = newest(&reader)?;
        return Ok(Json(Events {
            rows: since(&reader, last - 1, None, 1)?.rows,
        }));
    }
    let mut rows = since(&reader, asked.after, None, MOST)?.rows;
    drop(reader);
    if rows.is_empty() && asked.wait > 0 {
        let wait = Duration::from_secs(asked.wait.min(LONGEST_WAIT));
        tokio::select! {
            _ = live.recv() => {}
            _ = tokio::time::sleep(wait) => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
        rows = since(&state.engine.reader()?, asked.after, None, MOST)?.rows;
    }
    Ok(Json(Events { rows }))
}
