//! `millpond automation …`: assets that are made by themselves. Each verb has a file.

mod list;
mod pause;

pub use list::tree;

use clap::{Args, Subcommand};

use super::look::Place;
use super::terminal::Terminal;
use super::{Exit, Stop};

/// List the assets that are made by themselves and why, pause and resume their automation.
#[derive(Args)]
pub struct AutomationCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List automated assets: their rules, what was requested last, what is left out and why.
    List(list::List),
    /// Keep automation from requesting anything, of one asset or of all, until it is resumed.
    Pause(pause::Whose),
    /// Let automation go on: what happened meanwhile counts.
    Resume(pause::Whose),
}

impl AutomationCommand {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        match self.verb {
            Verb::List(command) => command.run(place, terminal),
            Verb::Pause(whose) => whose.pause(true, place, terminal),
            Verb::Resume(whose) => whose.pause(false, place, terminal),
        }
    }
}
