//! `millpond promote`: point an alias at a model version.

use assets::AssetKey;
use clap::Args;
use state::event::OwnerMode;
use state::sqlite::Owner;

use super::look::Place;
use super::remote::Remote;
use super::terminal::Terminal;
use super::{Exit, Stop};
use crate::core::Answer;
use crate::edge::engine::Engine;
use crate::edge::folder::StateFolder;

/// Point an alias at a model version.
///
/// Predictions that use `model@alias` are stale from then on.
#[derive(Args)]
pub struct Promote {
    /// The model: models.delay
    model: String,
    /// The version: 3
    version: u64,
    /// The alias: champion
    alias: String,
}

impl Promote {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let model: AssetKey = self
            .model
            .parse()
            .map_err(|error: assets::key::KeyError| Stop::new(Exit::Usage, error.to_string()))?;
        let project = place.project(terminal)?;
        let folder = StateFolder::of(&project.root);
        super::runtime()?.block_on(async {
            if let Some(Owner { url: Some(url), .. }) = Owner::of(folder.path()) {
                Remote::new(&url, &folder)?
                    .promote(&model, &self.alias, self.version)
                    .await?;
                return Ok(());
            }
            let engine = Engine::start(project, OwnerMode::Foreground)?;
            let answer = engine
                .handle()
                .promote(model.clone(), self.alias.clone(), self.version, "cli".to_owned())
                .await;
            engine.stop().await?;
            match answer? {
                Answer::Refused { reasons } => Err(Stop::not_found(reasons.join("; "))),
                _ => Ok(()),
            }
        })?;
        terminal.note(format!("{model}@{} is version {}", self.alias, self.version));
        Ok(Exit::Done)
    }
}
