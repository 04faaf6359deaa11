//! A running Millpond: the owner of a project's state folder, with its driver and its workers.
//!
//! `millpond up` keeps one and serves it; `millpond materialize` makes one for a single run when no daemon is there.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use assets::outcome::{Failure, Observation};
use assets::selection::{Selection, SelectionError};
use assets::{Asset, AssetKey};
use futures::future::join_all;
use plugins::lakehouse::{Lake, LakeError};
use plugins::step::ProjectSettings;
use state::alert::AlertMessage;
use state::event::{OwnerMode, RunRequest};
use state::ids::{MessageId, RunId};
use state::sqlite::queries::attempts::open_attempts;
use state::sqlite::{OpenMode, Owner, OwnerLock, StateError, Store};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::alerts::{Letter, Teller, deliver};
use super::clock;
use super::committer::Committer;
use super::definitions::{DefinitionsState, LiveDefinitions, Look, Mistakes};
use super::driver::{DriverError, DriverHandle, DriverParts, DriverSeat};
use super::environment;
use super::folder::StateFolder;
use super::kept_files::KeptFiles;
use super::lineage::Lineage;
use super::messages::{TableAnswer, TableQuestion};
use super::opened::OpenedProject;
use super::pool::PoolHandle;
use super::process_figures;
use super::processes::end_left_behind;
use super::sensors::{Looked, SensorKeeper, SensorsHandle};
use super::ticker::Ticker;
use crate::core::{Answer, Definitions, Input, SensorLook, SensorSight, selected};

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

/// Why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The selection is wrong.
    #[error("{}", .0.render())]
    Selection(#[from] SelectionError),
    /// The sources of an ingest asset cannot be seen.
    #[error("failed to look at the sources of `{asset}`: {failure}")]
    Sources {
        /// The asset.
        asset: AssetKey,
        /// Why.
        failure: Failure,
    },
    /// The engine is stopping.
    #[error("millpond is stopping; ask again when it is back")]
    Stopping,
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
    /// Where requests to look at the definitions arrive, until someone keeps them live.
    looks: Option<mpsc::UnboundedReceiver<Look>>,
    definitions: Option<LiveDefinitions>,
    /// Sensors too.
    sensors: Option<SensorKeeper>,
    lock: OwnerLock,
    owner: Owner,
}

/// Talks to a running engine. Cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    driver: DriverHandle,
    pool: PoolHandle,
    folder: StateFolder,
    project: watch::Sender<Arc<OpenedProject>>,
    definitions: watch::Sender<DefinitionsState>,
    looks: mpsc::UnboundedSender<Look>,
    draining: watch::Sender<bool>,
    lake: Arc<Lake>,
    sensors: SensorsHandle,
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
            let copy = serde_json::to_string(&*project.files).expect("texts have a JSON form");
            store.remember_definitions(&copy)?;
        }
        // Spill files of attempts that a dead process left.
        match std::fs::remove_dir_all(folder.scratch_root()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let lake = Arc::new(Lake::open(&project.settings.warehouse)?);
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
        };
        let ticker = (mode == OwnerMode::Daemon).then(|| Ticker::start(handle.clone()));
        let teller = (mode == OwnerMode::Daemon).then(|| Teller::start(handle.clone()));
        let declared = project.openlineage.clone().filter(|_| mode == OwnerMode::Daemon);
        let lineage = declared.map(|declared| Lineage::start(handle.clone(), declared));
        let sensors = (mode == OwnerMode::Daemon).then(|| SensorKeeper::start(handle.clone()));
        Ok(Self {
            handle,
            driver: thread,
            ticker,
            teller,
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
            let busy = self.handle.driver.ask(|world, _| world.attempts().count()).await;
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

impl EngineHandle {
    /// The project in force.
    pub fn project(&self) -> Arc<OpenedProject> {
        Arc::clone(&self.project.borrow())
    }

    /// The project in force, and a word whenever another version of it is.
    pub fn projects(&self) -> watch::Receiver<Arc<OpenedProject>> {
        self.project.subscribe()
    }

    /// The project's name.
    pub fn project_name(&self) -> String {
        self.project.borrow().name.clone()
    }

    /// What steps know of the project in force.
    pub fn settings(&self) -> ProjectSettings {
        self.project.borrow().settings.clone()
    }

    /// Puts another version of the project in force. `false`: millpond is stopping.
    pub async fn swap(&self, project: Arc<OpenedProject>) -> bool {
        let swapped = self.driver.swap(Arc::clone(&project)).await;
        if swapped {
            self.project.send_replace(project);
        }
        swapped
    }

    /// Whether the definitions in force are those on disk, and a word whenever that changes.
    pub fn definitions_state(&self) -> watch::Receiver<DefinitionsState> {
        self.definitions.subscribe()
    }

    /// Whether nothing is started any more.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// A word when nothing is started any more.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    pub(super) fn tell_definitions(&self, state: DefinitionsState) {
        self.definitions.send_if_modified(|known| {
            let other = *known != state;
            *known = state;
            other
        });
    }

    /// Looks at the files of the project now, and comes back when what they say is in force or known to be wrong. Where
    /// nobody keeps the definitions live, nothing is looked at.
    pub async fn look_at_definitions(&self) {
        let (done, looked) = oneshot::channel();
        if self.looks.send(done).is_ok() {
            // Dropped unanswered only when millpond stops.
            looked.await.ok();
        }
    }

    /// The state folder.
    pub fn folder(&self) -> &StateFolder {
        &self.folder
    }

    /// The lake.
    pub fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }

    /// The driver.
    pub fn driver(&self) -> &DriverHandle {
        &self.driver
    }

    /// The state, to read.
    pub fn reader(&self) -> Result<Store, StateError> {
        Store::open_reader(&self.folder.database())
    }

    /// The definitions in force.
    pub async fn definitions(&self) -> Result<Arc<Definitions>, RequestError> {
        self.driver
            .ask(|world, _| Arc::clone(world.definitions()))
            .await
            .ok_or(RequestError::Stopping)
    }

    /// Looks at the sources of what is selected, then asks for a run. A source that cannot be seen (no file, a corrupt one) is
    /// an answer at once and not a failed run.
    pub async fn submit(&self, run: RunRequest) -> Result<Answer, RequestError> {
        let selection = Selection::parse(&run.selection)?;
        self.observe(&selection).await?;
        self.driver
            .request(|request| Input::Submit { request, run })
            .await
            .ok_or(RequestError::Stopping)
    }

    /// Looks at the sources of the selected ingest assets and remembers what is there.
    pub async fn observe(&self, selection: &Selection) -> Result<(), RequestError> {
        let selection = selection.clone();
        let wanted = self
            .driver
            .ask(move |world, at| {
                let keys = selected(world, at, selection.as_str())?;
                let definitions = world.definitions();
                let sources = keys
                    .iter()
                    .filter_map(|key| definitions.get(key))
                    .filter(|asset| asset.kind == "ingest");
                Ok::<_, SelectionError>(
                    sources
                        .map(|asset| {
                            (
                                Asset::clone(asset),
                                world.asset(&asset.key).and_then(|record| record.observation.clone()),
                            )
                        })
                        .collect::<Vec<_>>(),
                )
            })
            .await
            .ok_or(RequestError::Stopping)??;
        let looks = wanted.into_iter().map(|(asset, previous)| async move {
            let key = asset.key.clone();
            let seen = self.pool.observe(asset, self.settings(), previous.clone()).await;
            (key, previous, seen)
        });
        for (asset, previous, seen) in join_all(looks).await {
            match seen {
                Err(failure) => return Err(RequestError::Sources { asset, failure }),
                Ok(Some(observation)) if previous.as_ref() != Some(&observation) => {
                    self.driver.send(Input::Observed { asset, observation });
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Asks to stop a run.
    pub async fn cancel(&self, run: RunId) -> Result<Answer, RequestError> {
        self.driver
            .request(|request| Input::CancelRun { request, run })
            .await
            .ok_or(RequestError::Stopping)
    }

    /// Asks that a run start nothing more for now (`pause`), or go on.
    pub async fn pause_run(&self, run: RunId, pause: bool) -> Result<Answer, RequestError> {
        self.driver
            .request(move |request| Input::PauseRun { request, run, pause })
            .await
            .ok_or(RequestError::Stopping)
    }

    /// Looks at the sources of a schedule, then asks for a tick of it now.
    pub async fn tick(&self, schedule: String, by: String) -> Result<Answer, RequestError> {
        let name = schedule.clone();
        let selection = self.driver.ask(move |world, _| {
            let declared = world.definitions().schedules().get(&name);
            declared.map(|declared| declared.selection.clone())
        });
        if let Some(selection) = selection.await.ok_or(RequestError::Stopping)? {
            match self.observe(&selection).await {
                // A selection that means nothing now is told by the tick.
                Ok(()) | Err(RequestError::Selection(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.driver
            .request(|request| Input::TickSchedule { request, schedule, by })
            .await
            .ok_or(RequestError::Stopping)
    }

    /// Pauses a schedule, or resumes it.
    pub async fn pause(&self, schedule: String, paused: bool, by: String) -> Result<Answer, RequestError> {
        self.driver
            .request(move |request| match paused {
                true => Input::PauseSchedule { request, schedule, by },
                false => Input::ResumeSchedule { request, schedule, by },
            })
            .await
            .ok_or(RequestError::Stopping)
    }

    /// Pauses automation, or lets it go on: of one asset, or all of it.
    pub async fn pause_automation(
        &self,
        asset: Option<AssetKey>,
        pause: bool,
        by: String,
    ) -> Result<Answer, RequestError> {
        self.driver
            .request(move |request| Input::PauseAutomation {
                request,
                asset,
                pause,
                by,
            })
            .await
            .ok_or(RequestError::Stopping)
    }

    /// Sends a test message of an alert now: whether its receiver took it, or why not. `None`: no such alert is declared.
    pub async fn test_alert(&self, name: &str) -> Result<Option<Result<(), String>>, RequestError> {
        let wanted = name.to_owned();
        let alert = self.driver.ask(move |world, at| {
            let alert = world.definitions().alerts().get(&wanted)?;
            Some((alert.clone(), at))
        });
        let Some((alert, at)) = alert.await.ok_or(RequestError::Stopping)? else {
            return Ok(None);
        };
        let message = AlertMessage::test(MessageId::from_bits(environment::seed()), name, at);
        Ok(Some(deliver(&alert, &Letter::new(self, message, 1)).await))
    }

    /// Looks into a table, in a worker. At most two do so at a time, so that a page that is loaded again and again holds up nobody
    /// else.
    pub async fn table(&self, question: TableQuestion) -> Result<TableAnswer, Failure> {
        static TWO_AT_A_TIME: Semaphore = Semaphore::const_new(2);
        let _turn = TWO_AT_A_TIME.acquire().await.expect("the semaphore is never closed");
        self.pool.table(question).await
    }

    /// The sensors that are kept.
    pub fn sensors(&self) -> &SensorsHandle {
        &self.sensors
    }

    /// Asks a sensor to look now; with `test` only to see what it would tell of.
    pub async fn look(&self, sensor: String, by: String, test: bool) -> Result<Looked, RequestError> {
        if let Some(looked) = self.sensors.look(&sensor, by.clone(), test).await? {
            return Ok(looked);
        }
        // The core says why there is none.
        let look = Box::new(SensorLook {
            after: Some(u64::MAX),
            sight: Ok(SensorSight::default()),
            unseen: None,
        });
        let request = self.driver.request(|request| Input::SensorLooked {
            request: Some(request),
            sensor,
            look,
            by: Some(by),
        });
        request.await.map(Looked::Decided).ok_or(RequestError::Stopping)
    }

    /// Pauses a sensor, or resumes it.
    pub async fn pause_sensor(&self, sensor: String, pause: bool, by: String) -> Result<Answer, RequestError> {
        let request = self.driver.request(move |request| Input::PauseSensor {
            request,
            sensor,
            pause,
            by,
        });
        request.await.ok_or(RequestError::Stopping)
    }

    /// Points an alias at a model version.
    pub async fn promote(
        &self,
        model: AssetKey,
        alias: String,
        version: u64,
        by: String,
    ) -> Result<Answer, RequestError> {
        self.driver
            .request(move |request| Input::Promote {
                request,
                model,
                alias,
                version,
                by,
            })
            .await
            .ok_or(RequestError::Stopping)
    }
}

/// Looks at sources in this process, for commands that change nothing.
pub async fn observe_here(
    asset: &Asset,
    project: &ProjectSettings,
    previous: Option<&Observation>,
) -> Result<Option<Observation>, Failure> {
    let kind = plugins::kind::KindSet::all()
        .get(&asset.kind)
        .expect("the asset was compiled by one of these kinds");
    kind.observe(plugins::kind::ObserveContext {
        asset,
        project,
        previous,
    })
    .await
}
