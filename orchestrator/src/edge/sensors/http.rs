//! An address that is polled. What it answered last is the cursor: its validators, so that an answer without news is short, and
//! a digest of what counts of it, so that an answer which is only dressed differently is no news.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use assets::PartitionKey;
use assets::sensor::HttpSource;
use reqwest::header::{self, HeaderMap};
use reqwest::{Client, StatusCode, Url, redirect};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use state::sensor::SensorEvent;

use super::super::engine::EngineHandle;
use super::super::secrets;
use super::addresses::{PublicOnly, refused};
use super::look::Sight;
use super::task::Known;
use crate::core::SensorSight;

/// Most redirects that are followed.
const REDIRECTS: usize = 3;
/// Longest text of a value that is shown of an event.
const SHOWN: usize = 80;
/// Most partitions that one event may name.
const PARTITIONS: usize = 10_000;

/// What was answered last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Answered {
    /// `ETag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// `Last-Modified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
    /// SHA-256 of what counts of it, hex.
    digest: String,
    /// How often that changed so far.
    changes: u64,
}

/// Asks; what is answered otherwise than last time is an event.
pub(super) async fn look(known: &Known, source: &HttpSource, engine: &EngineHandle) -> Result<Sight, String> {
    let before: Option<Answered> = known.cursor.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let url: Url = source
        .url
        .parse()
        .map_err(|error| format!("`url` is no address: {error}"))?;
    if !source.allow_private
        && let Some(why) = refused(&url)
    {
        return Err(why);
    }
    let mut request = client(source.allow_private)?.get(url);
    for (name, value) in &source.headers {
        request = request.header(name, value);
    }
    if let Some(token) = &source.token {
        let root = engine.settings().root.clone();
        let token = secrets::look_up(token, root.as_ref()).await;
        request = request.bearer_auth(token.map_err(|error| error.to_string())?.value());
    }
    if let Some(before) = &before {
        if let Some(etag) = &before.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        if let Some(modified) = &before.modified {
            request = request.header(header::IF_MODIFIED_SINCE, modified);
        }
    }
    let deadline = Duration::from_secs(known.sensor.deadline_seconds);
    let response = request.timeout(deadline).send().await.map_err(|error| told(&error))?;
    if let (StatusCode::NOT_MODIFIED, Some(_)) = (response.status(), &before) {
        return Ok(unchanged(known.cursor.clone()));
    }
    if response.status() != StatusCode::OK {
        return Err(format!("it answered {}", response.status()));
    }
    let (etag, modified) = (
        text_of(response.headers(), header::ETAG),
        text_of(response.headers(), header::LAST_MODIFIED),
    );
    let body = body_of(response, source.max_body_bytes).await?;
    let Counts {
        digest,
        what,
        partitions,
    } = counts(&body, source)?;
    let is_new = before.as_ref().is_none_or(|before| before.digest != digest);
    let answered = Answered {
        etag,
        modified,
        changes: before.map_or(0, |before| before.changes) + u64::from(is_new),
        digest,
    };
    let cursor = Some(serde_json::to_string(&answered).expect("texts and a number are JSON"));
    if !is_new {
        return Ok(unchanged(cursor));
    }
    let scope = known.sensor.scope();
    let event = SensorEvent {
        // What was answered before and is answered again is a change too, so its number is part of the key.
        key: format!("{} {} {}", scope.as_str(), answered.changes, answered.digest),
        what,
        partitions,
        payload: None,
    };
    Ok(Sight {
        sight: SensorSight {
            events: vec![event],
            cursor,
            lag: 0,
            ..SensorSight::default()
        },
        ..Sight::default()
    })
}

fn unchanged(cursor: Option<String>) -> Sight {
    Sight {
        sight: SensorSight {
            cursor,
            ..SensorSight::default()
        },
        ..Sight::default()
    }
}

/// One client for all sensors that may ask the public internet, one for those that may ask anyone.
fn client(allow_private: bool) -> Result<&'static Client, String> {
    static CLIENTS: [OnceLock<Result<Client, String>>; 2] = [OnceLock::new(), OnceLock::new()];
    let made = CLIENTS[usize::from(allow_private)].get_or_init(|| {
        let policy = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS {
                return attempt.error(format!("more than {REDIRECTS} redirects"));
            }
            if !matches!(attempt.url().scheme(), "http" | "https") {
                return attempt.error("a redirect that leaves the web");
            }
            match refused(attempt.url()).filter(|_| !allow_private) {
                Some(why) => attempt.error(why),
                None => attempt.follow(),
            }
        });
        // A proxy of the environment would look names up by itself.
        let builder = Client::builder().no_proxy().redirect(policy).user_agent("millpond");
        let builder = match allow_private {
            true => builder,
            false => builder.dns_resolver(Arc::new(PublicOnly)),
        };
        builder.build().map_err(|error| error.to_string())
    });
    made.as_ref().map_err(Clone::clone)
}

/// An error with its causes, without the address: that may hold a key.
fn told(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        causes.push(next.to_string());
        cause = next.source();
    }
    match causes.last() {
        Some(last) => format!("it cannot be asked: {last}"),
        None => "it cannot be asked".to_owned(),
    }
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

async fn body_of(mut response: reqwest::Response, most: u64) -> Result<Vec<u8>, String> {
    let too_long = || format!("its answer has more than {most} bytes: raise `max_body` if that is meant to be");
    if response.content_length().is_some_and(|length| length > most) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| told(&error))? {
        if (body.len() + chunk.len()) as u64 > most {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What counts of an answer.
struct Counts {
    digest: String,
    what: String,
    partitions: Vec<PartitionKey>,
}

fn counts(body: &[u8], source: &HttpSource) -> Result<Counts, String> {
    let plain = format!("{} bytes", body.len());
    if source.pointer.is_none() && source.partition.is_none() {
        return Ok(Counts {
            digest: hex::encode(Sha256::digest(body)),
            what: plain,
            partitions: Vec::new(),
        });
    }
    let json: Value = serde_json::from_slice(body).map_err(|error| format!("its answer is no JSON: {error}"))?;
    let partitions = match &source.partition {
        Some(pointer) => partitions_at(&json, pointer)?,
        None => Vec::new(),
    };
    let Some(pointer) = &source.pointer else {
        return Ok(Counts {
            digest: hex::encode(Sha256::digest(body)),
            what: plain,
            partitions,
        });
    };
    let value = json
        .pointer(pointer)
        .ok_or_else(|| format!("its answer has nothing at `{pointer}`"))?;
    // Keys come in one order, so that the same value has the same text.
    let text = value.to_string();
    let shown: String = match value {
        Value::String(text) => text.chars().take(SHOWN).collect(),
        _ => text.chars().take(SHOWN).collect(),
    };
    Ok(Counts {
        digest: hex::encode(Sha256::digest(&text)),
        what: format!("{pointer} is {shown}"),
        partitions,
    })
}

/// The partitions that a document names: a text or number, or a list of them.
pub fn partitions_at(json: &Value, pointer: &str) -> Result<Vec<PartitionKey>, String> {
    let found = json
        .pointer(pointer)
        .ok_or_else(|| format!("there is no partition at `{pointer}`"))?;
    let values = match found {
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    if values.len() > PARTITIONS {
        return Err(format!("more than {PARTITIONS} partitions are named at `{pointer}`"));
    }
    let key = |value: &Value| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err(format!("what stands at `{pointer}` is no partition")),
        };
        PartitionKey::new(&text).map_err(|error| error.to_string())
    };
    values.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_texts_numbers_or_lists_of_them() {
        let json = serde_json::json!({ "day": "2013-01-01", "days": ["a", 7], "none": null, "deep": { "x~y": [] } });
        let at = |pointer: &str| {
            partitions_at(&json, pointer).map(|keys| keys.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(at("/day").unwrap(), ["2013-01-01"]);
        assert_eq!(at("/days").unwrap(), ["a", "7"]);
        assert!(at("/deep/x~0y").unwrap().is_empty());
        for wrong in ["/none", "/missing", "/deep"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }
}
