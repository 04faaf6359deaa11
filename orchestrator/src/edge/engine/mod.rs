//! A running Millpond: the owner of a project's state folder, with its driver and its workers.
//!
//! `millpond up` keeps one and serves it; `millpond materialize` makes one for a single run when no daemon is there.

mod handle;
mod moving;
mod repartition;
mod staged;
mod tables;

use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use plugins::lakehouse::LakeError;
use state::event::OwnerMode;
use state::sqlite::queries::attempts::open_attempts;
use state::sqlite::{OpenMode, Owner, OwnerLock, StateError, Store};
use tokio::sync::{mpsc, watch};

use super::alerts::Teller;
use super::committer::Committer;
use super::definitions::{DefinitionsState, LiveDefinitions, Look, Mistakes};
use super::driver::{DriverError, DriverHandle, DriverParts, DriverSeat};
use super::folder::StateFolder;
use super::kept_files::KeptFiles;
use super::lineage::Lineage;
use super::maintenance::Tender;
use super::opened::OpenedProject;
use super::pool::PoolHandle;
use super::processes::end_left_behind;
use super::sensors::{SensorKeeper, SensorsHandle};
use super::ticker::Ticker;
use super::{clock, environment, process_figures, warehouse};
use crate::core::Input;

pub use handle::{EngineHandle, RequestError, observe_here};
pub use moving::NextVersion;
pub use repartition::never_cut_anew;
pub use tables::TableError;

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The driver.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The warehouse.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A folder could not be made or emptied.
    #[error("failed to prepare the state folder: {0}")]
    Io(#[from] std::io::Error),
}

/// The owner of a state folder.
pub struct Engine {
    handle: EngineHandle,
    driver: JoinHandle<Result<Store, DriverError>>,
    /// Schedules are a daemon's.
    ticker: Option<Ticker>,
    /// So are alerts.
    teller: Option<Teller>,
    /// And lineage.
    lineage: Option<Lineage>,
    /// And maintenance.
    tender: Option<Tender>,
    /// Where requests to look at the definitions arrive, until someone keeps them live.
    looks: Option<mpsc::UnboundedReceiver<Look>>,
    definitions: Option<LiveDefinitions>,
    /// Sensors too.
    sensors: Option<SensorKeeper>,
    lock: OwnerLock,
    owner: Owner,
}

impl Engine {
    /// Takes the project's state folder over, carries on (or ends) what an earlier owner left, and is ready for requests.
    /// Must be called inside a tokio runtime.
    pub fn start(project: OpenedProject, mode: OwnerMode) -> Result<Self, EngineError> {
        process_figures::started();
        let project = Arc::new(project);
        let folder = StateFolder::of(&project.root);
        let seed = environment::seed();
        let boot = format!("{seed:016x}");
        let owner = Owner {
            pid: std::process::id(),
            url: None,
            boot: boot.clone(),
        };
        let lock = OwnerLock::acquire(folder.path(), &owner)?;
        write_gitignore(&folder)?;
        let mut store = Store::open(&folder.database(), OpenMode::Writer)?;
        store.remember_project(&project.name)?;
        // What an owner that was killed had started goes on by itself, and must not work beside the next try.
        end_left_behind(&open_attempts(&store)?);
        if mode == OwnerMode::Daemon {
            store.remember_definitions(&project.files.version(), &project.files.copy())?;
        }
        // Spill files of attempts that a dead process left.
        match std::fs::remove_dir_all(folder.scratch_root()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let lake = Arc::new(warehouse::open(&project.settings)?);
        let seat = DriverSeat::new();
        let driver = seat.handle();
        let pool = PoolHandle::start(project.pool.clone(), folder.clone(), driver.clone());
        let parts = DriverParts {
            folder: folder.clone(),
            project: Arc::clone(&project),
            mode,
            committer: Committer::new(Arc::clone(&lake), tokio::runtime::Handle::current(), seed),
            seed,
        };
        if store.needs_check() {
            check_beside(driver.clone(), folder.clone());
        }
        let thread = seat.start(store, pool.clone(), parts)?;
        driver.send(Input::DefinitionsLoaded(Arc::clone(&project.definitions)));
        driver.send(Input::Recover { boot, mode });
        let (ask_for_look, looks) = mpsc::unbounded_channel();
        let handle = EngineHandle {
            driver,
            pool,
            folder,
            definitions: watch::Sender::new(DefinitionsState {
                since: clock::now(),
                assets: project.definitions.ordered().len(),
                swaps: 0,
                mistakes: None,
            }),
            project: watch::Sender::new(Arc::clone(&project)),
            looks: ask_for_look,
            draining: watch::Sender::new(false),
            lake,
            sensors: SensorsHandle::default(),
            tending: Arc::default(),
            idle_readers: Arc::default(),
        };
        // In an environment nothing begins by itself, and nobody is told.
        let by_itself = mode == OwnerMode::Daemon && project.root.environment().is_none();
        let ticker = by_itself.then(|| Ticker::start(handle.clone()));
        let teller = by_itself.then(|| Teller::start(handle.clone()));
        let tender = by_itself.then(|| Tender::start(handle.clone()));
        let declared = project.openlineage.clone().filter(|_| by_itself);
        let lineage = declared.map(|declared| Lineage::start(handle.clone(), declared));
        let sensors = by_itself.then(|| SensorKeeper::start(handle.clone()));
        Ok(Self {
            handle,
            driver: thread,
            ticker,
            teller,
            tender,
            lineage,
            looks: Some(looks),
            definitions: None,
            sensors,
            lock,
            owner,
        })
    }

    /// From now on edited files of the project are taken up. `files` are those that were read from disk at the start, and
    /// `mistakes` what keeps them from being in force, if they are not.
    pub fn keep_definitions_live(&mut self, files: Arc<KeptFiles>, mistakes: Option<Mistakes>) {
        self.handle.definitions.send_modify(|state| state.mistakes = mistakes);
        let handle = self.handle();
        self.definitions = self
            .looks
            .take()
            .map(|looks| LiveDefinitions::start(handle, files, looks));
    }

    /// Talks to it.
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }

    /// Tells other processes where this one serves.
    pub fn announce(&mut self, url: &str) -> Result<(), StateError> {
        self.owner.url = Some(url.to_owned());
        self.lock.announce(&self.owner)
    }

    /// Starts nothing more and waits until what runs is over, at most for so long. Schedules rest; requests are accepted and
    /// wait for the next start. Says how many attempts were still under way.
    pub async fn drain(&mut self, longest: Duration) -> usize {
        let mut live = self.handle.driver.live();
        self.handle.draining.send_replace(true);
        if let Some(ticker) = self.ticker.take() {
            ticker.stop().await;
        }
        self.handle.driver.send(Input::Drain);
        let deadline = tokio::time::sleep(longest);
        tokio::pin!(deadline);
        loop {
            let busy = self.handle.driver.ask(|world, _| world.busy_attempts()).await;
            let Some(busy @ 1..) = busy else { return 0 };
            tokio::select! {
                events = live.recv() => {
                    if matches!(events, Err(tokio::sync::broadcast::error::RecvError::Closed)) {
                        return busy;
                    }
                }
                () = &mut deadline => return busy,
            }
        }
    }

    /// Stops the workers, lets the driver commit what it has, and leaves the state in good order. Steps under way are not
    /// waited for: the next owner finds and settles them.
    pub async fn stop(self) -> Result<(), EngineError> {
        if let Some(definitions) = self.definitions {
            definitions.stop().await;
        }
        if let Some(ticker) = self.ticker {
            ticker.stop().await;
        }
        if let Some(teller) = self.teller {
            teller.stop().await;
        }
        if let Some(tender) = self.tender {
            tender.stop().await;
        }
        if let Some(lineage) = self.lineage {
            lineage.stop().await;
        }
        if let Some(sensors) = self.sensors {
            sensors.stop().await;
        }
        self.handle.driver.stop();
        let driver = self.driver;
        let ended = tokio::task::spawn_blocking(move || driver.join());
        let store = match ended.await {
            Ok(Ok(result)) => result?,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => return Err(std::io::Error::other(error).into()),
        };
        self.handle.pool.stop().await;
        // The last connection that closes empties the write-ahead log.
        self.handle
            .idle_readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        store.close()?;
        drop(self.lock);
        Ok(())
    }
}

/// Checks a large state that was not closed, while work goes on.
fn check_beside(driver: DriverHandle, folder: StateFolder) {
    // A thread that nobody waits for: the end of the process is not put off by it.
    std::thread::spawn(move || {
        let checked = Store::open_reader(&folder.database()).and_then(|store| store.quick_check());
        if let Err(error) = checked {
            driver.damaged(error);
        }
    });
}

/// The state folder is not for version control.
fn write_gitignore(folder: &StateFolder) -> std::io::Result<()> {
    let path = folder.path().join(".gitignore");
    if path.exists() {
        Ok(())
    } else {
        std::fs::write(path, "*\n")
    }
}
