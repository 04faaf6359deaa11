//! `millpond automation pause` and `resume`: asked of the daemon that keeps automation.

use clap::Args;
use serde_json::json;
use state::sqlite::Owner;

use super::super::look::Place;
use super::super::remote::Remote;
use super::super::terminal::Terminal;
use super::super::{Exit, Stop};
use crate::edge::folder::StateFolder;

/// Whose automation.
#[derive(Args)]
pub struct Whose {
    /// The asset; all automation if left out.
    asset: Option<String>,
}

impl Whose {
    /// Pauses it, or resumes it.
    pub fn pause(self, pause: bool, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let folder = StateFolder::of(&place.root()?);
        let daemon = match Owner::of(folder.path()) {
            Some(Owner { url: Some(url), .. }) => Remote::new(&url, &folder)?,
            _ => {
                return Err(
                    Stop::not_found("no daemon keeps this project's automation").with_help("`millpond up` starts one")
                );
            }
        };
        super::super::runtime()?.block_on(daemon.pause_automation(self.asset.as_deref(), pause))?;
        if terminal.json() {
            terminal.answer(&json!({ "asset": self.asset, "paused": pause }));
            return Ok(Exit::Done);
        }
        let word = if pause { "is paused" } else { "is resumed" };
        terminal.note(match self.asset {
            Some(asset) => format!("automation of {asset} {word}"),
            None => format!("all automation {word}"),
        });
        Ok(Exit::Done)
    }
}
