//! What can be asked of a running engine.

use std::sync::{Arc, PoisonError};

use assets::outcome::{Failure, Observation};
use assets::selection::{Selection, SelectionError};
use assets::{Asset, AssetKey};
use futures::future::join_all;
use plugins::lakehouse::Lake;
use plugins::step::ProjectSettings;
use state::alert::AlertMessage;
use state::event::RunRequest;
use state::ids::{MessageId, RunId};
use state::sqlite::{StateError, Store};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};

use super::super::alerts::{Letter, deliver};
use super::super::definitions::{DefinitionsState, Look};
use super::super::driver::DriverHandle;
use super::super::environment;
use super::super::folder::StateFolder;
use super::super::messages::{TableAnswer, TableQuestion};
use super::super::opened::OpenedProject;
use super::super::pool::PoolHandle;
use super::super::sensors::{Looked, SensorsHandle};
use super::super::warehouse::LakeSettings;
use crate::core::{Answer, Definitions, Input, SensorLook, SensorSight, selected};

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

/// Talks to a running engine. Cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    pub(super) driver: DriverHandle,
    pub(super) pool: PoolHandle,
    pub(super) folder: StateFolder,
    pub(super) project: watch::Sender<Arc<OpenedProject>>,
    pub(super) definitions: watch::Sender<DefinitionsState>,
    pub(super) looks: mpsc::UnboundedSender<Look>,
    pub(super) draining: watch::Sender<bool>,
    pub(super) lake: Arc<Lake>,
    pub(super) sensors: SensorsHandle,
    pub(super) tending: Arc<Mutex<()>>,
    pub(super) idle_readers: IdleReaders,
}

/// Open connections to the state that nobody uses at the moment.
pub(super) type IdleReaders = Arc<std::sync::Mutex<Vec<Store>>>;

/// Most connections that are kept open: more than a machine of this size answers questions at once.
const MOST_READERS: usize = 8;

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

    pub(in crate::edge) fn tell_definitions(&self, state: DefinitionsState) {
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

    /// Held by whoever rids tables of old versions: one at a time.
    pub(in crate::edge) fn tending(&self) -> &Mutex<()> {
        &self.tending
    }

    /// The driver.
    pub fn driver(&self) -> &DriverHandle {
        &self.driver
    }

    /// The state, to read.
    pub fn reader(&self) -> Result<Store, StateError> {
        Store::open_reader(&self.folder.database())
    }

    /// Asks the state. To open it takes longer than most questions, so a few connections are kept; none of them reads meanwhile, so
    /// none keeps the write-ahead log from being emptied.
    pub fn ask_store<T>(&self, question: impl FnOnce(&Store) -> Result<T, StateError>) -> Result<T, StateError> {
        let idle = || self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let store = match kept {
            Some(store) => store,
            None => self.reader()?,
        };
        let answer = question(&store);
        // One that failed may be what is wrong.
        if answer.is_ok() {
            let mut idle = idle();
            if idle.len() < MOST_READERS {
                idle.push(store);
            }
        }
        answer
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
        objects: &LakeSettings::of(project).objects(),
        previous,
    })
    .await
}
