//! `millpond backup FILE`: the state of this moment in one file.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use state::sqlite::Store;

use super::look::Place;
use super::terminal::{Terminal, bytes, count, start_log};
use super::{Exit, Stop};
use crate::edge::backup::{BackupError, back_up};
use crate::edge::folder::StateFolder;

/// Write the state and the models to one file, while the daemon goes on.
///
/// The tables are not in it: copy the warehouse after the backup, with whatever copies files. The file appears under its name
/// only when it is whole.
#[derive(Args)]
pub struct Backup {
    /// The file to write; it must not exist.
    file: PathBuf,
}

impl Backup {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        start_log("warn");
        let root = place.production_only()?;
        let folder = StateFolder::of(&root);
        if self.file.exists() {
            return Err(
                Stop::new(Exit::Usage, format!("`{}` exists already", self.file.display()))
                    .with_help("name each backup after its day: `millpond backup flights-$(date +%F).tar`"),
            );
        }
        let store = Store::open_reader(&folder.database())?;
        let project = store.project()?.unwrap_or_default();
        let manifest = back_up(&store, folder.path(), &project, &self.file)?;
        let size = std::fs::metadata(&self.file)?.len();
        if terminal.json() {
            terminal.answer(&json!({ "file": self.file, "bytes": size, "manifest": manifest }));
        } else {
            terminal.say(format!(
                "wrote `{}`: {}, {}, {}",
                self.file.display(),
                bytes(size),
                count(manifest.last_event as u64, "event", "events"),
                count(manifest.tables.len() as u64, "table", "tables"),
            ));
            terminal.note("the tables' own files are in the warehouse: copy that too, after this");
        }
        Ok(Exit::Done)
    }
}

impl From<BackupError> for Stop {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::State(error) => error.into(),
            error @ (BackupError::Foreign { .. } | BackupError::Newer { .. }) => {
                Self::new(Exit::Usage, error.to_string())
            }
            error @ BackupError::Damaged { .. } => {
                Self::new(Exit::Unsound, error.to_string()).with_help("take another backup")
            }
            error @ BackupError::Io { .. } => Self::broken(error.to_string()),
        }
    }
}
