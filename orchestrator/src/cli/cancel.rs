//! `millpond cancel`: stop a run of the daemon.

use clap::Args;

use super::look::Place;
use super::remote::Remote;
use super::terminal::Terminal;
use super::{Exit, Stop, runs};

/// Stop a run.
///
/// What it has published stays; what runs is stopped, and nothing more is started.
#[derive(Args)]
pub struct Cancel {
    /// The run: run_…
    run: String,
}

impl Cancel {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let run = runs::parse(&self.run)?;
        let remote = Remote::of(place)?;
        super::runtime()?.block_on(remote.cancel(&run))?;
        terminal.note(format!("{run} is being canceled"));
        Ok(Exit::Done)
    }
}
