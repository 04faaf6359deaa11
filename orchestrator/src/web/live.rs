//! `GET /live`: server-sent events that tell pages when to look again.
//!
//! After commits a small message says which runs and assets they touched; pages that show one of them fetch themselves. At
//! most about four messages a second, whatever the number of commits. Every message is derived from the store, so one that
//! a browser missed (it sends `Last-Event-ID`) is made up for by the next. Between commits, a message a second while rows
//! are written or compared by a replay, so that figures of progress move.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use futures::Stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use state::sqlite::queries::events::{EventRow, newest, since};
use tokio::sync::OnceCell;
use tokio::sync::broadcast::error::RecvError;

use super::WebState;
use super::pages::read;
use super::reply::ErrorPage;
use crate::edge::definitions::DefinitionsState;
use crate::edge::driver::Progress;

tokio::task_local! {
    static SEEN: i64;
}

/// Notes the newest event before a page reads anything: what is committed while it is made, or before its browser listens, is
/// told then.
pub async fn noted(State(state): State<WebState>, request: Request, next: Next) -> Response {
    SEEN.scope(state.engine.driver().newest(), next.run(request)).await
}

/// Every event up to this one is on the page that is being made.
pub fn seen() -> i64 {
    SEEN.try_with(|seq| *seq).unwrap_or_default()
}

/// Commits within this time share a message.
const TOGETHER: Duration = Duration::from_millis(250);
/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(1);
/// A connection that is dead is noticed by the write that fails.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// So many stretches of events are remembered: listeners who lag are few.
const LATELY: usize = 16;
/// More events than this are told as "everything".
const MOST: usize = 1000;

/// Where to begin.
#[derive(Debug, Deserialize)]
pub struct Asked {
    /// After this event, if there is no `Last-Event-ID`.
    after: Option<i64>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
struct Touched {
    /// The newest event.
    seq: i64,
    /// Runs.
    runs: BTreeSet<String>,
    /// Assets.
    assets: BTreeSet<String>,
    /// Too much to tell: everything may have changed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    all: bool,
    /// Rows were written, or a replay came on; nothing was committed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    progress: bool,
}

impl Touched {
    fn by(rows: &[EventRow]) -> Self {
        let mut touched = Self {
            seq: rows.last().map_or(0, |row| row.seq),
            ..Self::default()
        };
        for row in rows {
            touched.runs.extend(row.run.as_ref().map(ToString::to_string));
            let Some(event) = &row.event else {
                touched.all = true;
                continue;
            };
            for path in [
                "/asset",
                "/step/asset",
                "/materialization/step/asset",
                "/model",
                "/table",
            ] {
                touched
                    .assets
                    .extend(event.pointer(path).and_then(Value::as_str).map(str::to_owned));
            }
        }
        touched
    }
}

/// What goes on between two messages of one listener.
struct Listener {
    state: WebState,
    seq: i64,
    live: tokio::sync::broadcast::Receiver<Arc<Vec<state::event::Recorded>>>,
    progress: Progress,
    /// Up to which news of replays was told.
    replays: u64,
    /// What every page shows above its content.
    definitions: tokio::sync::watch::Receiver<DefinitionsState>,
    trouble: tokio::sync::watch::Receiver<Option<String>>,
    draining: tokio::sync::watch::Receiver<bool>,
    /// Something may have been committed since `seq`.
    behind: bool,
}

/// `GET /live`
pub async fn live(
    State(state): State<WebState>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, ErrorPage> {
    // Listening begins before the store is read, so that nothing falls between the two.
    let live = state.engine.driver().live();
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.trim().parse().ok())
        .or(asked.after);
    let seq = match last {
        Some(seq) => seq,
        None => read(&state.engine, newest).await?,
    };
    let listener = Listener {
        seq,
        live,
        progress: Progress::new(),
        replays: state.replays.news(),
        definitions: state.engine.definitions_state(),
        trouble: state.engine.driver().trouble(),
        draining: state.engine.draining(),
        state,
        behind: last.is_some(),
    };
    let stream = futures::stream::unfold(listener, |mut listener| async move {
        let touched = listener.next().await?;
        let text = serde_json::to_string(&touched).expect("texts and numbers have a JSON form");
        Some((Ok(Message::default().id(touched.seq.to_string()).data(text)), listener))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

impl Listener {
    /// The next message; `None` when the server stops.
    async fn next(&mut self) -> Option<Touched> {
        let mut stopping = self.state.stopping.clone();
        loop {
            if *stopping.borrow() {
                return None;
            }
            if std::mem::take(&mut self.behind) {
                // What else is committed in the next moment is told along.
                tokio::select! {
                    () = tokio::time::sleep(TOGETHER) => {}
                    _ = stopping.wait_for(|stop| *stop) => return None,
                }
                self.drain();
                if let Some(touched) = self.touched().await {
                    self.seq = touched.seq;
                    return Some(touched);
                }
            }
            tokio::select! {
                committed = self.live.recv() => match committed {
                    Ok(_) | Err(RecvError::Lagged(_)) => self.behind = true,
                    Err(RecvError::Closed) => return None,
                },
                Ok(()) = self.definitions.changed() => return Some(self.all()),
                Ok(()) = self.trouble.changed() => return Some(self.all()),
                Ok(()) = self.draining.changed() => return Some(self.all()),
                () = tokio::time::sleep(PROGRESS) => {
                    let now = self.state.engine.driver().progress_now();
                    let replays = self.state.replays.news();
                    if now != self.progress || replays != self.replays {
                        self.progress = now;
                        self.replays = replays;
                        return Some(Touched { seq: self.seq, progress: true, ..Touched::default() });
                    }
                }
                _ = stopping.wait_for(|stop| *stop) => return None,
            }
        }
    }

    /// Something changed that is on every page.
    fn all(&self) -> Touched {
        Touched {
            seq: self.seq,
            all: true,
            ..Touched::default()
        }
    }

    /// Forgets the notices that waited: the store has what they are about.
    fn drain(&mut self) {
        use tokio::sync::broadcast::error::TryRecvError;
        while matches!(self.live.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
    }

    /// What was committed after the last message; `None` if nothing was, or the store cannot be read now.
    async fn touched(&self) -> Option<Touched> {
        let after = self.seq;
        let until = self.state.engine.driver().newest();
        if until <= after {
            return None;
        }
        let place = self.state.told.place((after, until));
        let read = place.get_or_try_init(async || {
            let read = read(&self.state.engine, move |store| {
                let page = since(store, after, None, MOST)?;
                if page.next.is_none() {
                    return Ok(Touched::by(&page.rows));
                }
                Ok(Touched {
                    seq: newest(store)?,
                    all: true,
                    ..Touched::default()
                })
            });
            read.await
        });
        let touched = read.await.ok()?;
        (touched.seq > after).then(|| touched.clone())
    }
}

/// What was told lately. All who heard the same before are told the same next, so it is read for one of them.
#[derive(Clone, Default)]
pub struct Told(Arc<Mutex<VecDeque<(Stretch, Place)>>>);

/// From the event after this one to that one.
type Stretch = (i64, i64);
type Place = Arc<OnceCell<Touched>>;

impl Told {
    /// Where what was touched in a stretch is, or will be when the first who asks has read it.
    fn place(&self, stretch: Stretch) -> Place {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, place)) = lately.iter().find(|(known, _)| *known == stretch) {
            return Arc::clone(place);
        }
        if lately.len() == LATELY {
            lately.pop_front();
        }
        let place = Place::default();
        lately.push_back((stretch, Arc::clone(&place)));
        place
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(seq: i64, run: Option<u64>, event: Option<Value>) -> EventRow {
        EventRow {
            seq,
            at: 0,
            r#type: String::new(),
            run: run.map(state::ids::RunId::from_bits),
            event,
        }
    }

    #[test]
    fn a_message_names_what_was_touched_once() {
        let step = json!({ "asset": "silver.flights", "partition": "2013-01-01" });
        let rows = [
            row(4, Some(1), Some(json!({ "type": "step_staged", "step": step }))),
            row(
                5,
                Some(1),
                Some(json!({ "type": "step_succeeded", "materialization": { "step": step } })),
            ),
            row(6, None, Some(json!({ "type": "alias_moved", "model": "models.delay" }))),
        ];
        let touched = Touched::by(&rows);
        let text = serde_json::to_string(&touched).unwrap();
        assert_eq!(
            text,
            r#"{"seq":6,"runs":["run_000000000001"],"assets":["models.delay","silver.flights"]}"#
        );
        assert!(Touched::by(&[row(7, Some(2), None)]).all, "a large event is not read");
    }
}
