//! The versions of the project: the one in force, and those that open runs were planned with.

use std::sync::Arc;

use state::event::OwnerMode;
use state::ids::RunId;

use super::super::kept_files::KeptFiles;
use super::super::opened::{OpenedProject, read_kept};
use super::{Driver, DriverError};
use crate::core::World;

impl Driver {
    /// Takes over what the store has. Runs that were open before keep their definitions.
    pub(super) fn adopt(&mut self, loaded: state::Loaded) -> Result<(), DriverError> {
        self.find_versions(&loaded)?;
        let draining = self.world.is_draining();
        self.world = self.seen(loaded);
        if draining {
            self.world.drain();
        }
        Ok(())
    }

    /// The world as it was loaded, each run seen through the definitions that it was planned with.
    pub(super) fn seen(&self, loaded: state::Loaded) -> World {
        let kept = self.projects.iter().filter_map(|project| {
            let definitions = &project.definitions;
            Some((definitions.version()?.clone(), Arc::clone(definitions)))
        });
        let in_force = Arc::clone(&self.project().definitions);
        World::from_loaded_with(loaded, in_force, &kept.collect(), self.parts.seed)
    }

    /// The project in force.
    pub(super) fn project(&self) -> &Arc<OpenedProject> {
        self.projects.last().expect("the one of the start was put there")
    }

    /// The project that a run started with.
    pub(super) fn project_of(&self, run: &RunId) -> &Arc<OpenedProject> {
        let definitions = self.world.run(run).map(|run| &run.definitions);
        let found = definitions.and_then(|definitions| {
            self.projects
                .iter()
                .find(|project| Arc::ptr_eq(&project.definitions, definitions))
        });
        found.unwrap_or_else(|| self.project())
    }

    /// Puts a version of the project in force as far as the edge goes; the core takes its definitions as an input.
    pub(super) fn swap(&mut self, project: Arc<OpenedProject>) {
        self.pool.reconfigure(project.pool.clone());
        self.remember(&project);
        self.projects.push(project);
    }

    /// Keeps a copy of the files, for a start that finds mistakes in those on disk.
    fn remember(&mut self, project: &OpenedProject) {
        let (version, copy) = (project.files.version(), project.files.copy());
        if let Err(error) = self.store.remember_definitions(&version, &copy) {
            tracing::warn!(%error, "failed to keep a copy of the definitions: a restart will need good files");
        }
    }

    /// Lets go of the versions that no open run needs, here and in the state.
    pub(super) fn drop_versions(&mut self) {
        let world = &self.world;
        let in_force = Arc::clone(self.project());
        self.projects.retain(|project| {
            let mut runs = world.open_runs();
            Arc::ptr_eq(project, &in_force) || runs.any(|run| Arc::ptr_eq(&run.definitions, &project.definitions))
        });
        match self.store.drop_definitions() {
            Ok(0) => {}
            Ok(dropped) => tracing::debug!(dropped, "definitions that no run needs any more were dropped"),
            // They are found again at the next occasion, and do no harm.
            Err(error) => tracing::warn!(%error, "failed to drop definitions that no run needs any more"),
        }
    }

    /// Reads the versions again that open runs were planned with and that are not at hand: after a start, or none.
    fn find_versions(&mut self, loaded: &state::Loaded) -> Result<(), DriverError> {
        for run in &loaded.runs {
            // A command's run ends with its process.
            let Some(version) = run
                .definitions
                .as_ref()
                .filter(|_| run.request.owner == OwnerMode::Daemon)
            else {
                continue;
            };
            let known = |project: &Arc<OpenedProject>| project.definitions.version() == Some(version);
            if self.projects.iter().any(known) {
                continue;
            }
            let copy = self.store.definitions_of(version)?;
            let files: Option<KeptFiles> = copy.and_then(|copy| serde_json::from_str(&copy).ok());
            match files.and_then(|files| read_kept(&self.parts.project.root, files).project) {
                // Before the one that is in force.
                Some(project) => self.projects.insert(0, Arc::new(project)),
                None => tracing::warn!(
                    run = %run.run,
                    "the definitions that a run was planned with cannot be read any more: it goes on with those in force"
                ),
            }
        }
        Ok(())
    }
}
