//! `millpond promote`: point an alias at a model version.

use assets::AssetKey;
use clap::Args;
use state::sqlite::Store;
use state::sqlite::queries::models::alias_moves;

use super::look::Place;
use super::owner::daemon_or_engine;
use super::terminal::Terminal;
use super::{Exit, Stop};
use crate::core::Answer;
use crate::edge::folder::StateFolder;
use crate::wire::{AliasBody, moved_by};

/// The word for the version that an alias pointed to before.
const PREVIOUS: &str = "previous";

/// Point an alias at a model version, or back at the one before.
///
/// Predictions that use `model@alias` are stale from then on.
#[derive(Args)]
pub struct Promote {
    /// The model: models.delay
    model: String,
    /// The version: 3, or `previous` to roll back to where the alias pointed before
    version: String,
    /// The alias: champion
    alias: String,
    /// Why, for the record.
    #[arg(long)]
    reason: Option<String>,
}

impl Promote {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let model: AssetKey = self
            .model
            .parse()
            .map_err(|error: assets::key::KeyError| Stop::new(Exit::Usage, error.to_string()))?;
        let project = place.project(terminal)?;
        let folder = StateFolder::of(&project.root);
        let version = match self.version.parse::<u64>() {
            Ok(version) => version,
            Err(_) if self.version == PREVIOUS => previous(&folder, &model, &self.alias)?,
            Err(_) => {
                let message = format!("`{}` is neither a version nor `{PREVIOUS}`", self.version);
                return Err(Stop::new(Exit::Usage, message).with_help("`millpond models` lists the versions"));
            }
        };
        daemon_or_engine(
            project,
            async |daemon| {
                let body = AliasBody {
                    version,
                    reason: self.reason.clone(),
                };
                daemon.promote(&model, &self.alias, &body).await?;
                Ok(())
            },
            async |engine| {
                let by = moved_by("cli", self.reason.as_deref());
                match engine.promote(model.clone(), self.alias.clone(), version, by).await? {
                    Answer::Refused { reasons } => Err(Stop::not_found(reasons.join("; "))),
                    _ => Ok(()),
                }
            },
        )?;
        terminal.note(format!("{model}@{} is version {version}", self.alias));
        Ok(Exit::Done)
    }
}

/// Where an alias pointed before it was moved last.
fn previous(folder: &StateFolder, model: &AssetKey, alias: &str) -> Result<u64, Stop> {
    let store = Store::open_reader(&folder.database())?;
    let mut before = None;
    loop {
        let page = alias_moves(&store, model, before, 100)?;
        if let Some(moved) = page.rows.iter().find(|moved| moved.alias == alias) {
            return moved.from.ok_or_else(|| {
                Stop::not_found(format!("{model}@{alias} pointed nowhere before version {}", moved.to))
            });
        }
        before = page.next;
        if before.is_none() {
            return Err(Stop::not_found(format!("{model}@{alias} was never moved"))
                .with_help("`millpond models` lists models and their aliases"));
        }
    }
}
