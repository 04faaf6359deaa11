//! `millpond cancel`: stop a run of the daemon.

use clap::Args;
use state::ids::RunId;
use state::sqlite::Owner;

use super::look::Place;
use super::remote::Remote;
use super::terminal::Terminal;
use super::{Exit, Stop};
use crate::edge::folder::StateFolder;

/// Stop a run.
///
/// What it has published stays; what runs is stopped, and nothing more is started.
#[derive(Args)]
pub struct Cancel {
    /// The run: run_…
    run: String,
}

impl Cancel {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let run: RunId = self
            .run
            .parse()
            .map_err(|error: state::ids::IdError| Stop::new(Exit::Usage, error.to_string()))?;
        let folder = StateFolder::of(&place.root()?);
        match Owner::of(folder.path()) {
            Some(Owner { url: Some(url), .. }) => {
                super::runtime()?.block_on(async { Remote::new(&url, &folder)?.cancel(&run).await })?;
                terminal.note(format!("{run} is being canceled"));
                Ok(Exit::Done)
            }
            Some(Owner { pid, .. }) => Err(Stop::new(Exit::Owned, format!("the run belongs to process {pid}"))
                .with_help("press Ctrl-C where `millpond materialize` runs")),
            None => Err(Stop::not_found("no daemon runs, so no run is under way")
                .with_help("`millpond runs` shows how earlier runs ended")),
        }
    }
}
