//! The dashboard and the HTTP interface, on this machine only.
//!
//! Pages are rendered here on the server and work without JavaScript; a small script refreshes what changed, told by
//! server-sent events. Every page has a JSON twin under `/api/v1`. Pages read what is committed, through connections that
//! can only read; whatever changes something goes to the driver and comes back committed.
//!
//! Deliberately absent: templates that hold logic, inline scripts, requests to other hosts, a build step.
//!
//! | file | what |
//! |---|---|
//! | `server` | the listener, its start and end |
//! | `guard` | Host, Origin and token: who may ask |
//! | `hooks` | what other programs tell of, signed |
//! | `routes` | every path, in one list |
//! | `api` | JSON: submit, cancel, promote, events, and the pages' twins |
//! | `live` | server-sent events |
//! | `shared` | one answer for all who look at the same page at the same moment |
//! | `standing` | how every asset stands, kept from one page to the next |
//! | `metrics` | figures for Prometheus |
//! | `pages` | one file per page |
//! | `preferences` | light or dark, and whose clock |
//! | `openapi` | what `/api/v1` is, for programs |

mod api;
mod guard;
mod hooks;
mod live;
mod metrics;
mod openapi;
mod pages;
mod preferences;
mod reply;
mod routes;
mod server;
mod shared;
mod standing;
mod static_files;

pub use server::{Server, Serving};

use std::ops::Deref;
use std::sync::Arc;

use crate::edge::engine::EngineHandle;
use crate::edge::replay::Replays;

/// What every handler gets. The router copies it several times for each request, so there is one for all.
#[derive(Clone)]
pub struct WebState(Arc<Shared>);

/// What all handlers share.
pub struct Shared {
    /// The engine.
    pub engine: EngineHandle,
    /// Who may ask.
    guard: Arc<guard::Guard>,
    /// How every asset stands.
    standing: Arc<standing::Standing>,
    /// Pages as they are at this moment.
    answers: shared::Answers,
    told: live::Told,
    /// How busy the sensors are that are told of events.
    hooks: hooks::Hooks,
    /// Grids of runs that are over.
    grids: pages::run_grid::Kept,
    /// Replays that were asked for.
    replays: Replays,
    /// Room for queries of the console.
    queries: pages::query::Room,
    /// Becomes true when the server stops: streams end then.
    stopping: tokio::sync::watch::Receiver<bool>,
}

impl Deref for WebState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
