//! `millpond pause` and `millpond resume`: hold a run of the daemon, and let it go on.

use clap::Args;

use super::look::Place;
use super::remote::Remote;
use super::terminal::Terminal;
use super::{Exit, Stop, runs};

/// Let a run start nothing more for now.
///
/// What it has started goes on to its end. The pause outlives a restart of the daemon.
#[derive(Args)]
pub struct Pause {
    /// The run: run_…
    run: String,
}

/// Let a paused run go on.
#[derive(Args)]
pub struct Resume {
    /// The run: run_…
    run: String,
}

impl Pause {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        pause(&self.run, true, place, terminal)
    }
}

impl Resume {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        pause(&self.run, false, place, terminal)
    }
}

fn pause(run: &str, pause: bool, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
    let run = runs::parse(run)?;
    let remote = Remote::of(place)?;
    super::runtime()?.block_on(remote.pause_run(&run, pause))?;
    let words = if pause {
        "starts nothing more until it is resumed"
    } else {
        "goes on"
    };
    terminal.note(format!("{run} {words}"));
    Ok(Exit::Done)
}
