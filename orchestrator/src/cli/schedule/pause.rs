//! `millpond schedule pause`, `resume` and `tick`: asked of the daemon that keeps the schedules.

use clap::Args;
use serde_json::json;
use state::schedule::TickStatus;
use state::sqlite::Owner;

use super::super::look::Place;
use super::super::remote::Remote;
use super::super::terminal::Terminal;
use super::super::{Exit, Stop};
use super::named;
use crate::edge::folder::StateFolder;

/// The schedule to do something to.
#[derive(Args)]
pub struct Named {
    /// The schedule.
    name: String,
}

impl Named {
    /// Pauses it, or resumes it.
    pub fn pause(self, paused: bool, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let daemon = self.daemon(place, terminal)?;
        super::super::runtime()?.block_on(daemon.pause(&self.name, paused))?;
        if terminal.json() {
            terminal.answer(&json!({ "schedule": self.name, "paused": paused }));
        } else {
            let word = if paused { "is paused" } else { "is resumed" };
            terminal.note(format!("schedule {} {word}", self.name));
        }
        Ok(Exit::Done)
    }

    /// Ticks now.
    pub fn tick(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let daemon = self.daemon(place, terminal)?;
        let tick = super::super::runtime()?.block_on(daemon.tick(&self.name))?;
        if terminal.json() {
            terminal.answer(&tick);
        } else {
            let reason = tick.reason.as_deref().unwrap_or_default();
            terminal.note(match &tick.run {
                Some(run) => format!("requested {run}: `millpond logs {run} -f` follows it"),
                None => format!("{}: {reason}", tick.status.as_str()),
            });
        }
        Ok(match tick.status {
            TickStatus::Failed => Exit::Failed,
            TickStatus::Requested | TickStatus::Skipped | TickStatus::Missed => Exit::Done,
        })
    }

    fn daemon(&self, place: &Place, terminal: &Terminal) -> Result<Remote, Stop> {
        let project = place.project(terminal)?;
        named(&project.definitions, &self.name)?;
        let folder = StateFolder::of(&project.root);
        match Owner::of(folder.path()) {
            Some(Owner { url: Some(url), .. }) => Remote::new(&url, &folder),
            _ => Err(Stop::not_found("no daemon keeps this project's schedules").with_help("`millpond up` starts one")),
        }
    }
}
