//! `millpond sensor pause` and `resume`: asked of the daemon that keeps the sensors.

use clap::Args;
use serde_json::json;

use super::super::look::Place;
use super::super::terminal::Terminal;
use super::super::{Exit, Stop};
use super::daemon;

/// The sensor to do something to.
#[derive(Args)]
pub struct Named {
    /// The sensor.
    name: String,
}

impl Named {
    /// Pauses it, or resumes it.
    pub fn pause(self, paused: bool, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let (daemon, _) = daemon(&self.name, place, terminal)?;
        super::super::runtime()?.block_on(daemon.pause_sensor(&self.name, paused))?;
        if terminal.json() {
            terminal.answer(&json!({ "sensor": self.name, "paused": paused }));
        } else {
            let word = if paused { "is paused" } else { "is resumed" };
            terminal.note(format!("sensor {} {word}", self.name));
        }
        Ok(Exit::Done)
    }
}
