//! `POST /hooks/{sensor}`: another program tells of an event. Requests are signed as Standard Webhooks says
//! (<https://www.standardwebhooks.com>, version 1): HMAC-SHA256 over id, time and body.
//!
//! ```text
//! webhook-id: msg_1            tells the event from others: sent again, it is the same event
//! webhook-timestamp: 17100504  seconds since 1970; too far from ours, the request is an old one that someone kept
//! webhook-signature: v1,base64 one or more, separated by spaces, while a secret is replaced by another
//! ```
//!
//! | answer | when |
//! |---|---|
//! | 202 | the event is committed, and with it the run that it starts, if it starts one |
//! | 200 | it was told of before: the same id with the same body |
//! | 401 | the signature or the time is not right; nothing more is said |
//! | 404 | no such sensor takes events |
//! | 408 | the request did not come to its end in time |
//! | 409 | the id was used before for something else |
//! | 413 | the body is too long |
//! | 422 | the body does not name the partition that it should |
//! | 429 | too many events in a minute, or too many requests at once; `Retry-After` says when to come again |
//! | 503 | the sensor is paused, its secret or the sources of its selection cannot be looked at, or millpond is stopping |
//!
//! The guard lets these requests in without a token, since they bear a signature. A browser cannot make one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use assets::sensor::{SensorSource, WebhookSource};
use assets::{PartitionKey, Sensor};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::{Digest, Sha256};
use state::event::Micros;
use state::sensor::{SensorEvent, SensorTick};
use state::sqlite::queries::sensors::sensor_event;

use super::WebState;
use super::pages::read;
use crate::core::{Answer, Input, SensorLook, SensorSight};
use crate::edge::sensors::{look_at_sources, partitions_at};
use crate::edge::{clock, secrets};
use crate::wire::ErrorBody;

/// How long a request may take to come to its end.
const LONGEST: Duration = Duration::from_secs(10);
/// Most requests of one sensor that are looked at side by side.
const AT_ONCE: u32 = 16;
/// Longest id.
const LONGEST_ID: usize = 256;
/// Longest text of what an event is.
const SHOWN: usize = 120;
const MINUTE: Micros = 60 * 1_000_000;

/// How busy the sensors are that are told of events.
#[derive(Clone, Default)]
pub struct Hooks(Arc<Mutex<HashMap<String, Busy>>>);

#[derive(Debug, Default)]
struct Busy {
    /// Requests that are looked at.
    at_once: u32,
    /// Events that may come right now.
    left: f64,
    /// When that was counted.
    counted: Option<Micros>,
}

/// A request that is looked at; dropped, it makes room for another.
struct Place<'h> {
    hooks: &'h Hooks,
    sensor: &'h str,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.hooks.with(self.sensor, |busy| busy.at_once -= 1);
    }
}

impl Hooks {
    fn with<T>(&self, sensor: &str, change: impl FnOnce(&mut Busy) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(sensor.to_owned()).or_default())
    }

    fn place<'h>(&'h self, sensor: &'h str) -> Option<Place<'h>> {
        let room = self.with(sensor, |busy| {
            let room = busy.at_once < AT_ONCE;
            busy.at_once += u32::from(room);
            room
        });
        room.then_some(Place { hooks: self, sensor })
    }

    /// Takes one of the events that may come in a minute; otherwise says in how many seconds the next may.
    fn take(&self, sensor: &str, per_minute: u32, at: Micros) -> Result<(), u64> {
        self.with(sensor, |busy| {
            let most = f64::from(per_minute);
            let gone = busy.counted.map_or(MINUTE, |counted| at - counted).clamp(0, MINUTE);
            busy.left = (busy.left + most * gone as f64 / MINUTE as f64).min(most);
            busy.counted = Some(at);
            if busy.left >= 1.0 {
                busy.left -= 1.0;
                return Ok(());
            }
            Err(((1.0 - busy.left) * 60.0 / most).ceil() as u64)
        })
    }
}

/// Why a request is not taken.
enum Refusal {
    Unauthorized(&'static str),
    NotFound,
    TooSlow,
    Conflict,
    TooLong(u64),
    Wrong(String),
    TooMany(u64),
    NotNow(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match &self {
            // Whoever guesses learns nothing from it; the log says more.
            Self::Unauthorized(_) => (
                StatusCode::UNAUTHORIZED,
                "the request is not signed as it should be".to_owned(),
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such hook".to_owned()),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the request took too long".to_owned()),
            Self::Conflict => (
                StatusCode::CONFLICT,
                "this `webhook-id` was used before for another event".to_owned(),
            ),
            Self::TooLong(most) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body has more than {most} bytes"),
            ),
            Self::Wrong(what) => (StatusCode::UNPROCESSABLE_ENTITY, what.clone()),
            Self::TooMany(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many events: send it again later".to_owned(),
            ),
            Self::NotNow(why) => (StatusCode::SERVICE_UNAVAILABLE, why.clone()),
        };
        let mut response = (status, Json(ErrorBody { error: text })).into_response();
        let seconds = match self {
            Self::TooMany(seconds) => Some(seconds.max(1)),
            Self::NotNow(_) => Some(60),
            _ => None,
        };
        if let Some(seconds) = seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// `POST /hooks/{sensor}`
pub async fn told(State(state): State<WebState>, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Response {
    match take(&state, &name, &headers, body).await {
        Ok(response) => response,
        Err(refusal) => {
            if let Refusal::Unauthorized(why) = &refusal {
                tracing::warn!(sensor = %name, why, "a webhook was refused");
            }
            refusal.into_response()
        }
    }
}

async fn take(state: &WebState, name: &str, headers: &HeaderMap, body: Body) -> Result<Response, Refusal> {
    let asked = name.to_owned();
    let declared = state.engine.driver().ask(move |world, _| {
        let sensor = world.definitions().sensors().get(&asked)?.clone();
        let record = world.sensor(&asked).filter(|record| record.declared)?;
        Some((sensor, record.paused.is_some()))
    });
    let declared = declared
        .await
        .ok_or_else(|| Refusal::NotNow("millpond is stopping".to_owned()))?;
    let (sensor, paused) = declared.ok_or(Refusal::NotFound)?;
    let SensorSource::Webhook(source) = &sensor.source else {
        return Err(Refusal::NotFound);
    };
    let Some(_place) = state.hooks.place(name) else {
        return Err(Refusal::TooMany(1));
    };
    let signed = Signed::of(headers)?;
    signed.in_time(source, clock::now())?;
    let body = whole(headers, body, source.max_body_bytes).await?;
    let root = state.engine.settings().root.clone();
    let secret = secrets::look_up(&source.secret, root.as_ref()).await;
    let secret = secret.map_err(|error| {
        tracing::error!(sensor = %name, %error, "a webhook cannot be checked");
        Refusal::NotNow("the secret cannot be looked up".to_owned())
    })?;
    signed.verify(&body, secret.value())?;
    if paused {
        return Err(Refusal::NotNow("the sensor is paused".to_owned()));
    }
    let digest = hex::encode(Sha256::digest(&body));
    if let Some(response) = known(state, name, signed.id, &digest).await? {
        return Ok(response);
    }
    let event = event(source, signed.id, &body, digest)?;
    state
        .hooks
        .take(name, source.per_minute, clock::now())
        .map_err(Refusal::TooMany)?;
    tell(state, &sensor, event).await
}

/// What is signed, as it stands in the headers.
struct Signed<'r> {
    id: &'r str,
    timestamp: &'r str,
    signatures: &'r str,
}

impl<'r> Signed<'r> {
    fn of(headers: &'r HeaderMap) -> Result<Self, Refusal> {
        let text = |name: &str| {
            let mut values = headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (Some(one), None) => one.to_str().ok().filter(|text| !text.is_empty()),
                // Twice, it would be a matter of luck which one counts.
                _ => None,
            }
        };
        let signed = Self {
            id: text("webhook-id").ok_or(Refusal::Unauthorized("no `webhook-id`"))?,
            timestamp: text("webhook-timestamp").ok_or(Refusal::Unauthorized("no `webhook-timestamp`"))?,
            signatures: text("webhook-signature").ok_or(Refusal::Unauthorized("no `webhook-signature`"))?,
        };
        match signed.id.len() > LONGEST_ID || signed.id.contains('.') {
            true => Err(Refusal::Unauthorized("a `webhook-id` that cannot be one")),
            false => Ok(signed),
        }
    }

    fn in_time(&self, source: &WebhookSource, now: Micros) -> Result<(), Refusal> {
        let plain = !self.timestamp.is_empty() && self.timestamp.bytes().all(|b| b.is_ascii_digit());
        let seconds: Option<i64> = self.timestamp.parse().ok().filter(|_| plain);
        let seconds = seconds.ok_or(Refusal::Unauthorized("a `webhook-timestamp` that is no number"))?;
        let apart = (now / 1_000_000).abs_diff(seconds);
        match apart > source.tolerance_seconds {
            true => Err(Refusal::Unauthorized(
                "a time that differs too much from ours: the request is old, or a clock is wrong",
            )),
            false => Ok(()),
        }
    }

    fn verify(&self, body: &[u8], secret: &str) -> Result<(), Refusal> {
        let key = match secret.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).unwrap_or_else(|_| secret.as_bytes().to_vec()),
            None => secret.as_bytes().to_vec(),
        };
        let mut mac: Hmac<Sha256> = Hmac::new_from_slice(&key).expect("HMAC takes keys of any length");
        for part in [self.id.as_bytes(), b".", self.timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        let given = self
            .signatures
            .split(' ')
            .filter_map(|signature| signature.strip_prefix("v1,"));
        // Compared in constant time, and to the whole length.
        let right = given
            .filter_map(|given| STANDARD.decode(given).ok())
            .any(|given| mac.clone().verify_slice(&given).is_ok());
        match right {
            true => Ok(()),
            false => Err(Refusal::Unauthorized("no signature that is right")),
        }
    }
}

/// The whole body, if it is not too long and comes in time.
async fn whole(headers: &HeaderMap, body: Body, most: u64) -> Result<Vec<u8>, Refusal> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > most) {
        return Err(Refusal::TooLong(most));
    }
    let limit = usize::try_from(most).unwrap_or(usize::MAX);
    match tokio::time::timeout(LONGEST, axum::body::to_bytes(body, limit)).await {
        Err(_) => Err(Refusal::TooSlow),
        // Of what can go wrong with a body that is read, only its length is the sender's to be told; who broke off hears
        // nothing anyway.
        Ok(Err(_)) => Err(Refusal::TooLong(most)),
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
    }
}

/// The answer to an event that was told of before.
async fn known(state: &WebState, name: &str, id: &str, digest: &str) -> Result<Option<Response>, Refusal> {
    let (name, id) = (name.to_owned(), id.to_owned());
    let found = read(&state.engine, move |store| sensor_event(store, &name, &id)).await;
    let found = found.map_err(|_| Refusal::NotNow("the state cannot be read".to_owned()))?;
    match found {
        None => Ok(None),
        Some(found) if found.payload.as_deref() == Some(digest) => {
            let answer = json!({ "answer": "known", "tick": found.tick, "run": found.run });
            Ok(Some((StatusCode::OK, Json(answer)).into_response()))
        }
        Some(_) => Err(Refusal::Conflict),
    }
}

fn event(source: &WebhookSource, id: &str, body: &[u8], digest: String) -> Result<SensorEvent, Refusal> {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let partitions: Vec<PartitionKey> = match &source.partition {
        None => Vec::new(),
        Some(pointer) => {
            let json = json
                .as_ref()
                .ok_or_else(|| Refusal::Wrong("the body is no JSON".to_owned()))?;
            partitions_at(json, pointer).map_err(Refusal::Wrong)?
        }
    };
    // What the senders of Standard Webhooks call the kind of an event.
    let kind = json
        .as_ref()
        .and_then(|json| json.get("type")?.as_str().map(str::to_owned));
    let what = match kind {
        Some(kind) => format!("{} {id}", kind.chars().take(SHOWN).collect::<String>()),
        None => id.to_owned(),
    };
    Ok(SensorEvent {
        key: id.to_owned(),
        what,
        partitions,
        payload: Some(digest),
    })
}

async fn tell(state: &WebState, sensor: &Sensor, event: SensorEvent) -> Result<Response, Refusal> {
    let (id, digest) = (event.key.clone(), event.payload.clone().unwrap_or_default());
    let unseen = look_at_sources(&state.engine, sensor).await;
    let look = Box::new(SensorLook {
        after: None,
        sight: Ok(SensorSight {
            events: vec![event],
            ..SensorSight::default()
        }),
        unseen,
    });
    let name = sensor.name.clone();
    let request = state.engine.driver().request(move |request| Input::SensorLooked {
        request: Some(request),
        sensor: name,
        look,
        by: None,
    });
    match request.await {
        Some(Answer::SensorTicked { tick: Some(tick) }) if tick.is_to_be_repeated() => {
            Err(Refusal::NotNow(tick.reason.unwrap_or_default()))
        }
        Some(Answer::SensorTicked { tick: Some(tick) }) => {
            Ok((StatusCode::ACCEPTED, Json(accepted(&tick))).into_response())
        }
        // The same event came twice at once, or the sensor was paused meanwhile.
        Some(Answer::SensorTicked { tick: None }) => match known(state, &sensor.name, &id, &digest).await? {
            Some(response) => Ok(response),
            None => Err(Refusal::NotNow("the sensor is paused".to_owned())),
        },
        Some(Answer::Refused { .. }) => Err(Refusal::NotFound),
        Some(_) | None => Err(Refusal::NotNow("millpond is stopping".to_owned())),
    }
}

fn accepted(tick: &SensorTick) -> serde_json::Value {
    json!({
        "answer": "accepted",
        "tick": tick.number,
        "status": tick.status,
        "reason": tick.reason,
        "run": tick.run,
    })
}
