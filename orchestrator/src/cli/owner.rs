//! Who does what a command asks for: the daemon that owns the project, or, where none runs, an engine of this process that ends with it.

use state::event::OwnerMode;
use state::sqlite::Owner;

use super::Stop;
use super::remote::Remote;
use crate::edge::engine::{Engine, EngineHandle};
use crate::edge::folder::StateFolder;
use crate::edge::opened::OpenedProject;

/// What the daemon answers `there`, or what an engine comes to `here`.
pub(super) fn daemon_or_engine<T>(
    project: OpenedProject,
    there: impl AsyncFnOnce(Remote) -> Result<T, Stop>,
    here: impl AsyncFnOnce(EngineHandle) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let folder = StateFolder::of(&project.root);
    super::runtime()?.block_on(async {
        if let Some(Owner { url: Some(url), .. }) = Owner::of(folder.path()) {
            return there(Remote::new(&url, &folder)?).await;
        }
        let engine = Engine::start(project, OwnerMode::Foreground)?;
        let answer = here(engine.handle()).await;
        engine.stop().await?;
        answer
    })
}
