//! `millpond log-level`: what is worth a line in the log of the daemon.

use clap::Args;

use super::Stop;
use super::exit::Exit;
use super::look::Place;
use super::remote::Remote;
use super::terminal::{Terminal, start_log};

/// Show or change what is worth a line in the daemon's log, until it ends.
#[derive(Args)]
pub struct LogLevel {
    /// error, warn, info, debug or trace; more finely `info,orchestrator::edge=debug`. Shows the present one if left out.
    level: Option<String>,
}

impl LogLevel {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        start_log("warn");
        let remote = Remote::of(place)?;
        let level = super::runtime()?.block_on(remote.log_level(self.level.as_deref()))?;
        if terminal.json() {
            terminal.answer(&serde_json::json!({ "level": level }));
        } else {
            terminal.say(level);
        }
        Ok(Exit::Done)
    }
}
