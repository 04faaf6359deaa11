//! One answer for all who look at the same page at the same moment.
//!
//! After each commit the browsers of everyone who has a page open ask for it again, within a second. What they get is the same as
//! long as nothing was committed since, so it is made once. An answer is shared for a second at most (ages and progress go on without
//! any commit), and only between requests that are the same to the letter, cookies included: nobody sees what another one prefers, nor
//! a form that is another one's. Only pages that many people leave open are shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::OnceCell;

use super::{WebState, live};
use crate::edge::clock::Stopwatch;

/// The pages that are shared, without what is asked of them.
const PAGES: &[&str] = &[
    "/",
    "/assets",
    "/graph",
    "/models",
    "/runs",
    "/backfills",
    "/schedules",
    "/sensors",
    "/automation",
    "/alerts",
];
/// How long an answer is shared.
const LONGEST: Duration = Duration::from_secs(1);
/// Answers that are kept: of that many pages at a time.
const MOST: usize = 64;
/// Longer answers are not pages.
const MOST_BYTES: usize = 4 << 20;

/// The answers of this moment.
#[derive(Clone, Default)]
pub struct Answers(Arc<Mutex<HashMap<Key, Kept>>>);

/// What makes two requests the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    uri: String,
    cookies: Vec<u8>,
    /// The newest event when it was asked.
    seq: i64,
    /// Which definitions are in force, and whether those on disk are.
    definitions: (u64, Option<i64>),
}

struct Kept {
    since: Stopwatch,
    answer: Arc<OnceCell<Option<Answer>>>,
}

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answers {
    /// The place of an answer: made by whoever comes first, awaited by the others.
    fn place(&self, key: Key) -> Arc<OnceCell<Option<Answer>>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, kept| kept.since.elapsed() < LONGEST);
        if let Some(kept) = kept.get(&key) {
            return Arc::clone(&kept.answer);
        }
        let answer = Arc::default();
        if kept.len() < MOST {
            let since = Stopwatch::start();
            let answer = Arc::clone(&answer);
            kept.insert(key, Kept { since, answer });
        }
        answer
    }
}

/// Answers a request, or shares the answer to one that is the same.
pub async fn answer(State(state): State<WebState>, request: Request, next: Next) -> Response {
    if *request.method() != Method::GET || !PAGES.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let cookies = request.headers().get_all(header::COOKIE).iter();
    let definitions = state.engine.definitions_state();
    let definitions = {
        let now = definitions.borrow();
        (now.swaps, now.mistakes.as_ref().map(|mistakes| mistakes.since))
    };
    let key = Key {
        uri: request.uri().to_string(),
        cookies: cookies.flat_map(|cookie| [cookie.as_bytes(), b";"].concat()).collect(),
        seq: live::seen(),
        definitions,
    };
    let place = state.answers.place(key);
    let mut request = Some((request, next));
    let mut own = None;
    let shared = place
        .get_or_init(async || {
            let (request, next) = request.take().expect("an answer is made once");
            let made = next.run(request).await;
            match keep(made).await {
                Ok(answer) => Some(answer),
                Err(made) => {
                    own = Some(made);
                    None
                }
            }
        })
        .await
        .clone();
    match (shared, own, request) {
        (Some(answer), ..) => (answer.status, answer.headers, answer.body).into_response(),
        (None, Some(made), _) => *made,
        // What the first one got is not to be shared.
        (None, None, Some((request, next))) => next.run(request).await,
        (None, None, None) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The answer as it can be given again; what is no page is handed back as it is.
async fn keep(made: Response) -> Result<Answer, Box<Response>> {
    if made.status() != StatusCode::OK {
        return Err(Box::new(made));
    }
    let (parts, body) = made.into_parts();
    match to_bytes(body, MOST_BYTES).await {
        Ok(body) => Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }),
        Err(error) => {
            tracing::warn!(%error, "a page could not be made");
            let failed = (
                StatusCode::INTERNAL_SERVER_ERROR,
                Body::from("the page could not be made"),
            );
            Err(Box::new(failed.into_response()))
        }
    }
}
