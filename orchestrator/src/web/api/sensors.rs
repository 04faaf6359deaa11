//! What is asked of sensors: pause, resume, look now, what a tick told of.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use state::sqlite::queries::Page;
use state::sqlite::queries::sensors::{self, SensorEventRow};

use super::super::WebState;
use super::super::pages::read;
use super::super::reply::ErrorJson;
use crate::core::Answer;
use crate::edge::sensors::Looked;
use crate::wire::SensorLooked;

/// Events of a tick in one answer.
const EVENTS: usize = 500;

/// `POST /api/v1/sensors/{sensor}/pause`
pub async fn pause_sensor(State(state): State<WebState>, Path(sensor): Path<String>) -> Result<Json<Value>, ErrorJson> {
    pause(&state, sensor, true).await
}

/// `POST /api/v1/sensors/{sensor}/resume`
pub async fn resume_sensor(
    State(state): State<WebState>,
    Path(sensor): Path<String>,
) -> Result<Json<Value>, ErrorJson> {
    pause(&state, sensor, false).await
}

async fn pause(state: &WebState, sensor: String, paused: bool) -> Result<Json<Value>, ErrorJson> {
    let name = sensor.clone();
    match state.engine.pause_sensor(sensor, paused, "api".to_owned()).await? {
        Answer::Sensor { paused } => Ok(Json(json!({ "sensor": name, "paused": paused }))),
        Answer::Refused { reasons } => Err(ErrorJson::not_found(reasons.join("; "))),
        _ => Err(another_question()),
    }
}

/// How to look.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
pub struct Look {
    /// Only to see what it would tell of.
    #[serde(default)]
    test: bool,
}

/// `POST /api/v1/sensors/{sensor}/tick?test=true`
pub async fn tick_sensor(
    State(state): State<WebState>,
    Path(sensor): Path<String>,
    Query(look): Query<Look>,
) -> Result<Json<SensorLooked>, ErrorJson> {
    match state.engine.look(sensor, "api".to_owned(), look.test).await? {
        Looked::Decided(Answer::SensorTicked { tick }) => Ok(Json(SensorLooked::Ticked { tick })),
        Looked::Decided(Answer::Refused { reasons }) => Err(ErrorJson::not_found(reasons.join("; "))),
        Looked::Decided(_) => Err(another_question()),
        Looked::Tested(Ok(sight)) => Ok(Json(SensorLooked::Seen {
            events: sight.events,
            lag: sight.lag,
            cursor: sight.cursor,
            remark: sight.remark,
        })),
        Looked::Tested(Err(reason)) => Ok(Json(SensorLooked::Blind { reason })),
    }
}

/// Which events.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub struct Events {
    tick: u64,
    after: Option<String>,
}

/// `GET /api/v1/sensors/{sensor}/events?tick=3&after=KEY`
pub async fn sensor_events(
    State(state): State<WebState>,
    Path(sensor): Path<String>,
    Query(asked): Query<Events>,
) -> Result<Json<Page<SensorEventRow, String>>, ErrorJson> {
    let page = read(&state.engine, move |store| {
        sensors::sensor_events(store, &sensor, asked.tick, asked.after.as_deref(), EVENTS)
    });
    Ok(Json(page.await?))
}

fn another_question() -> ErrorJson {
    ErrorJson::new(StatusCode::INTERNAL_SERVER_ERROR, "an answer to another question")
}
