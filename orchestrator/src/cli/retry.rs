//! `millpond retry`: run again what a run left undone.

use clap::Args;
use state::event::PartitionChoice;
use state::sqlite::queries::run;

use super::look::{Look, Place};
use super::materialize::here_or_there;
use super::terminal::{Terminal, start_log};
use super::{Exit, Stop, runs};
use crate::wire::RunBody;

/// Run again what failed, was skipped or was canceled in a run.
///
/// A new run of the same selection, partitions and pace: what succeeded since, or needs no run any more, is left out.
#[derive(Args)]
pub struct Retry {
    /// The run: run_…
    run: String,
}

impl Retry {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        start_log("warn");
        let id = runs::parse(&self.run)?;
        let body = {
            let look = Look::new(place, terminal)?;
            let detail = run::run(look.store()?, &id)?.ok_or_else(|| runs::missing(&id))?;
            if !detail.row.status.is_terminal() {
                return Err(Stop::not_found(format!("{id} is not over yet"))
                    .with_help(format!("wait for it, or stop it: millpond cancel {id}")));
            }
            let request = detail.request;
            let (partition, from, to, these) = match request.partitions {
                None => (None, None, None, Vec::new()),
                Some(PartitionChoice::One(key)) => (Some(key), None, None, Vec::new()),
                Some(PartitionChoice::Range(from, to)) => (None, Some(from), Some(to), Vec::new()),
                Some(PartitionChoice::These(keys)) => (None, None, None, keys),
            };
            RunBody {
                selection: request.selection,
                partition,
                from,
                to,
                these,
                // What succeeded is fresh now, and a second run of it is not what was asked for.
                force: false,
                only: None,
                pace: request.pace,
                trigger: Some(format!("retry of {id}")),
            }
        };
        here_or_there(place, body, terminal)
    }
}
