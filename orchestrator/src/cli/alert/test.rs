//! `millpond alert test`: a real message, now. The daemon sends it if one runs, since what it finds in its environment is what
//! counts; this process otherwise.

use clap::Args;
use serde_json::json;
use state::alert::AlertMessage;
use state::ids::MessageId;
use state::sqlite::Owner;

use super::super::look::Place;
use super::super::remote::Remote;
use super::super::terminal::Terminal;
use super::super::{Exit, Stop};
use super::named;
use crate::edge::alerts::{Letter, deliver};
use crate::edge::folder::StateFolder;
use crate::edge::{clock, environment};

/// Send a test message of an alert now, and say whether its receiver took it.
#[derive(Args)]
pub struct Test {
    /// The alert.
    name: String,
}

impl Test {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let project = place.project(terminal)?;
        let alert = named(&project.definitions, &self.name)?;
        let folder = StateFolder::of(&project.root);
        let runtime = super::super::runtime()?;
        let (sent, by) = match Owner::of(folder.path()) {
            Some(Owner { url: Some(url), .. }) => {
                let daemon = Remote::new(&url, &folder)?;
                (runtime.block_on(daemon.test_alert(&self.name))?, "the daemon")
            }
            _ => {
                let id = MessageId::from_bits(environment::seed());
                let letter = Letter {
                    project: project.name.clone(),
                    root: project.root.to_path_buf(),
                    timezone: project.settings.timezone.clone(),
                    message: AlertMessage::test(id, &self.name, clock::now()),
                    attempt: 1,
                };
                (runtime.block_on(deliver(alert, &letter)), "this command")
            }
        };
        let to = alert.receiver.words();
        if terminal.json() {
            terminal.answer(&json!({ "alert": self.name, "delivered": sent.is_ok(), "error": sent.as_ref().err() }));
        } else {
            match &sent {
                Ok(()) => terminal.note(format!("the {to} of alert {} took the test message of {by}", self.name)),
                Err(error) => terminal.note(terminal.red(&format!(
                    "the {to} of alert {} did not take the test message of {by}: {error}",
                    self.name
                ))),
            }
        }
        Ok(match sent {
            Ok(()) => Exit::Done,
            Err(_) => Exit::Failed,
        })
    }
}
