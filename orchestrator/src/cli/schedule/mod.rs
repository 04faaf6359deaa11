//! `millpond schedule …`: what is materialized by the clock. Each verb has a file.

mod list;
mod pause;
mod preview;

use assets::Schedule;
use assets::diagnostic::closest;
use clap::{Args, Subcommand};

use super::look::Place;
use super::terminal::Terminal;
use super::{Exit, Stop};
use crate::core::Definitions;

/// List schedules and their ticks, preview them, pause and resume them.
#[derive(Args)]
pub struct ScheduleCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List schedules: when each is due next, and what became of its last instants.
    List(list::List),
    /// Print the next instants at which schedules are due, and the odd days of the coming year.
    Preview(preview::Preview),
    /// Keep a schedule from starting anything, until it is resumed.
    Pause(pause::Named),
    /// Let a paused schedule start what is due from now on.
    Resume(pause::Named),
    /// Materialize now what a schedule would.
    Tick(pause::Named),
}

impl ScheduleCommand {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        match self.verb {
            Verb::List(command) => command.run(place, terminal),
            Verb::Preview(command) => command.run(place, terminal),
            Verb::Pause(named) => named.pause(true, place, terminal),
            Verb::Resume(named) => named.pause(false, place, terminal),
            Verb::Tick(named) => named.tick(place, terminal),
        }
    }
}

/// The schedule of this name, or a "did you mean".
fn named<'d>(definitions: &'d Definitions, name: &str) -> Result<&'d Schedule, Stop> {
    let schedules = definitions.schedules();
    schedules.get(name).ok_or_else(|| {
        let stop = Stop::not_found(format!("there is no schedule `{name}`"));
        match closest(name, schedules.keys().map(String::as_str)) {
            Some(near) => stop.with_help(format!("did you mean `{near}`?")),
            None if schedules.is_empty() => stop.with_help("declare one: `[schedule.NAME]` with `cron` and `select`"),
            None => stop.with_help("`millpond schedule list` lists them"),
        }
    })
}
