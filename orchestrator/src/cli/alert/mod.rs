//! `millpond alert …`: who is told of what went wrong. Each verb has a file.

mod list;
mod test;

use assets::Alert;
use assets::diagnostic::closest;
use clap::{Args, Subcommand};

use super::look::Place;
use super::terminal::Terminal;
use super::{Exit, Stop};
use crate::core::Definitions;

/// List alerts, what is wrong now and what was told; try whether a message arrives.
#[derive(Args)]
pub struct AlertCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List alerts: what each is on, what is open, and what became of its last message.
    List(list::List),
    /// Send a test message of an alert now, and say whether its receiver took it.
    Test(test::Test),
}

impl AlertCommand {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        match self.verb {
            Verb::List(command) => command.run(place, terminal),
            Verb::Test(command) => command.run(place, terminal),
        }
    }
}

/// The alert of this name, or a "did you mean".
fn named<'d>(definitions: &'d Definitions, name: &str) -> Result<&'d Alert, Stop> {
    let alerts = definitions.alerts();
    alerts.get(name).ok_or_else(|| {
        let stop = Stop::not_found(format!("there is no alert `{name}`"));
        match closest(name, alerts.keys().map(String::as_str)) {
            Some(near) => stop.with_help(format!("did you mean `{near}`?")),
            None if alerts.is_empty() => {
                stop.with_help("declare one: `[alert.NAME]` with one of `webhook`, `mail` and `command`")
            }
            None => stop.with_help("`millpond alert list` lists them"),
        }
    })
}
