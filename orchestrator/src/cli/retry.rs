//! `millpond retry`: run again what a run left undone.

use clap::Args;
use serde_json::json;
use state::sqlite::Store;

use super::look::Place;
use super::materialize::here_or_there;
use super::terminal::{Terminal, start_log};
use super::{Exit, Stop, runs};
use crate::edge::folder::StateFolder;
use crate::edge::retry::{Retry as Again, retry};

/// Run again what failed, was skipped or was canceled in a run.
///
/// A new run of those steps alone, at the same pace. What is fresh by now is left out, unless the run was one with --force.
#[derive(Args)]
pub struct Retry {
    /// The run: run_…
    run: String,
}

impl Retry {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        start_log("warn");
        let id = runs::parse(&self.run)?;
        let root = place.root()?;
        let store = Store::open_reader(&StateFolder::of(&root).database())?;
        let body = match retry(&store, &id)? {
            Again::NoRun => return Err(runs::missing(&id)),
            Again::NotOver => {
                return Err(Stop::not_found(format!("{id} is not over yet"))
                    .with_help(format!("wait for it, or stop it: millpond cancel {id}")));
            }
            Again::NothingLeft => {
                if terminal.json() {
                    terminal.answer(&json!({ "run": null, "fresh": 0, "problems": [] }));
                } else {
                    terminal.note(format!("nothing to do: every step of {id} succeeded"));
                }
                return Ok(Exit::Done);
            }
            Again::Of(body) => *body,
        };
        drop(store);
        here_or_there(place, body, terminal)
    }
}
