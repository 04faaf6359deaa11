//! Looking at a project without changing anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use assets::{Asset, AssetKey, PartitionKey};
use plugins::lakehouse::Lake;
use plugins::step_run::Cancellation;
use state::event::{Event, Micros, Recorded};
use state::sqlite::{StateError, Store};

use super::terminal::Terminal;
use super::{Exit, Stop};
use crate::core::{World, selected};
use crate::edge::disk::DiskFiles;
use crate::edge::engine::observe_here;
use crate::edge::environments::{self, EnvironmentName};
use crate::edge::folder::{ProjectRoot, StateFolder};
use crate::edge::opened::{OpenedProject, read_project};
use crate::edge::replay::Published;
use crate::edge::{clock, environment};

/// Where the project is.
pub struct Place {
    folder: Option<PathBuf>,
    environment: Option<EnvironmentName>,
}

impl Place {
    /// A folder given on the command line, or the nearest project upwards from here; and one of its environments.
    pub fn new(folder: Option<PathBuf>, environment: Option<EnvironmentName>) -> Self {
        Self { folder, environment }
    }

    /// The folder that holds `millpond.toml`, absolute, and the environment, which is there and can be used.
    pub fn root(&self) -> Result<ProjectRoot, Stop> {
        self.root_at(self.production()?)
    }

    /// A project's folder, with the environment.
    pub fn root_at(&self, folder: PathBuf) -> Result<ProjectRoot, Stop> {
        let root = ProjectRoot::new(folder, self.environment.clone());
        if root.environment().is_some() {
            environments::open(&root)?;
        }
        Ok(root)
    }

    /// The project's folder, for what is about the project itself. An environment that was named all the same is a mistake.
    pub fn production_only(&self) -> Result<ProjectRoot, Stop> {
        if let Some(name) = &self.environment {
            return Err(Stop::new(
                Exit::Usage,
                format!("this is not done in an environment, and `--env {name}` names one"),
            )
            .with_help("leave out `--env`"));
        }
        Ok(ProjectRoot::production(self.production()?))
    }

    fn production(&self) -> Result<PathBuf, Stop> {
        let here = self.folder.clone().unwrap_or_else(|| PathBuf::from("."));
        let here = here
            .canonicalize()
            .map_err(|error| Stop::new(Exit::NotFound, format!("failed to open `{}`: {error}", here.display())))?;
        let found = if self.folder.is_some() {
            here.join("millpond.toml").is_file().then(|| here.clone())
        } else {
            DiskFiles::find(&here).map(|files| files.root().to_owned())
        };
        found.ok_or_else(|| {
            Stop::new(
                Exit::NotFound,
                format!("there is no millpond.toml in `{}` or above it", here.display()),
            )
            .with_help("`millpond init` makes a project; `--project FOLDER` names one elsewhere")
        })
    }

    /// The folder named on the command line, or the current one.
    pub fn folder(&self) -> &Path {
        self.folder.as_deref().unwrap_or(Path::new("."))
    }

    /// The checked project. Its mistakes are printed; any error stops the command.
    pub fn project(&self, terminal: &Terminal) -> Result<OpenedProject, Stop> {
        open(&self.root()?, terminal)
    }
}

/// Reads the project in `root`; if it has errors they are printed.
pub fn open(root: &ProjectRoot, terminal: &Terminal) -> Result<OpenedProject, Stop> {
    let read = read_project(root);
    // Warnings are the business of `check`; here they would stand before every answer.
    if read.project.is_none() && !terminal.json() {
        terminal.note(
            read.diagnostics
                .render(&read.sources, terminal.error_colour())
                .trim_end(),
        );
    }
    read.project.ok_or_else(|| {
        Stop::new(Exit::Mistakes, "the project has mistakes")
            .with_help("`millpond check --json` lists them for programs")
    })
}

/// A project and what is known of it.
pub struct Look {
    /// The project.
    pub project: OpenedProject,
    /// Its state; `None` if nothing was ever materialized.
    pub store: Option<Store>,
    /// The world as of now.
    pub world: World,
    /// Now.
    pub at: Micros,
}

impl Look {
    /// Reads the project and its state.
    pub fn new(place: &Place, terminal: &Terminal) -> Result<Self, Stop> {
        let project = place.project(terminal)?;
        let store = match Store::open_reader(&StateFolder::of(&project.root).database()) {
            Ok(store) => Some(store),
            Err(StateError::Missing(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let world = match &store {
            Some(store) => World::from_loaded(store.load()?, Arc::clone(&project.definitions), environment::seed()),
            None => {
                let mut world = World::new(environment::seed());
                world.set_definitions(Arc::clone(&project.definitions));
                world
            }
        };
        Ok(Self {
            project,
            store,
            world,
            at: clock::now(),
        })
    }

    /// What is published, to be made again.
    pub fn published<'a>(&'a self, store: &'a Store, lake: &'a Lake) -> Published<'a> {
        Published {
            project: &self.project,
            store,
            world: &self.world,
            at: self.at,
            lake,
            cancel: Cancellation::new(),
        }
    }

    /// The state, or the answer that there is none yet.
    pub fn store(&self) -> Result<&Store, Stop> {
        self.store.as_ref().ok_or_else(|| {
            Stop::not_found("nothing of this project was materialized yet").with_help("`millpond materialize` does it")
        })
    }

    /// The assets that a selection means.
    pub fn select(&self, text: &str) -> Result<Vec<AssetKey>, Stop> {
        let found = selected(&self.world, self.at, text)?;
        let ordered = self.project.definitions.ordered().iter().map(|asset| &asset.key);
        Ok(ordered.filter(|key| found.contains(*key)).cloned().collect())
    }

    /// Looks at the sources of ingest assets, so that new files count. Nothing of it is remembered.
    pub fn observe(&mut self, keys: &[AssetKey]) -> Result<(), Stop> {
        let runtime = super::runtime()?;
        let assets: Vec<Arc<Asset>> = keys
            .iter()
            .filter_map(|key| self.project.definitions.get(key))
            .filter(|asset| asset.kind == "ingest")
            .cloned()
            .collect();
        for asset in assets {
            let previous = self
                .world
                .asset(&asset.key)
                .and_then(|record| record.observation.clone());
            let seen = runtime
                .block_on(observe_here(&asset, &self.project.settings, previous.as_ref()))
                .map_err(|failure| {
                    let stop = Stop::new(
                        Exit::Failed,
                        format!("failed to look at the sources of `{}`: {failure}", asset.key),
                    );
                    match failure.help {
                        Some(help) => stop.with_help(help),
                        None => stop,
                    }
                })?;
            if let Some(observation) = seen {
                let event = Event::SourceObserved {
                    asset: asset.key.clone(),
                    observation,
                };
                self.world
                    .apply(&Recorded { at: self.at, event })
                    .map_err(|broken| Stop::broken(broken.to_string()))?;
            }
        }
        Ok(())
    }

    /// The asset, and the partition if one is named: `silver.flights@2013-03-01`.
    pub fn step(&self, text: &str) -> Result<(Arc<Asset>, Option<PartitionKey>), Stop> {
        let (name, key) = match text.split_once('@') {
            Some((name, key)) => (name, Some(key)),
            None => (text, None),
        };
        let asset = self.asset(name)?;
        let partition = match (key, &asset.partitions) {
            (Some(key), Some(by)) => {
                let key = PartitionKey::new(key).map_err(|error| Stop::new(Exit::Usage, error.to_string()))?;
                if !by.partitioning.contains(&key) {
                    return Err(Stop::not_found(format!("{} has no partition `{key}`", asset.key))
                        .with_help(format!("its partitions are {}", by.partitioning.describe())));
                }
                Some(key)
            }
            (Some(_), None) => return Err(Stop::not_found(format!("{} has no partitions", asset.key))),
            (None, _) => None,
        };
        Ok((asset, partition))
    }

    /// The asset with this name, or a "did you mean".
    pub fn asset(&self, text: &str) -> Result<Arc<Asset>, Stop> {
        let graph = self.project.definitions.graph();
        if let Some(asset) = text.parse::<AssetKey>().ok().and_then(|key| graph.get(&key).cloned()) {
            return Ok(asset);
        }
        let stop = Stop::not_found(format!("there is no asset `{text}`"));
        Err(match graph.nearest(text) {
            Some(near) => stop.with_help(format!("did you mean `{near}`?")),
            None => stop.with_help("`millpond check` lists the assets"),
        })
    }
}
