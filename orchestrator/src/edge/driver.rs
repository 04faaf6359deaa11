//! The one thread that decides and commits.
//!
//! ```text
//! inputs that waited ─► core::turn for each ─► one Store::commit for all ─► effects, answers, live events
//! ```
//! Nothing is acknowledged, started or shown before the transaction that says so is synced. If a commit is refused because
//! another program moved a table's pointer, the world is loaded again and the same inputs are decided anew.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use assets::outcome::{Staged, TablePointer};
use assets::{AssetKey, AssetPartition, PartitionKey};
use plugins::step::ProjectSettings;
use state::event::{Event, Micros, Recorded};
use state::ids::AttemptId;
use state::sqlite::{CommitError, Store};
use tokio::sync::{broadcast, oneshot, watch};

use super::clock;
use super::committer::Committer;
use super::folder::StateFolder;
use super::order::{OrderSettings, order};
use super::pool::PoolHandle;
use crate::core::{Answer, Definitions, Effect, Input, RequestId, World, turn};
use crate::metrics::Tally;

/// Most inputs that are decided before they are committed.
const LARGEST_GROUP: usize = 4096;
/// How long to wait before a commit is tried again after the disk was full or another program held the store.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Events that a slow listener may lag behind before it has to read the store again.
const LIVE_EVENTS: usize = 4096;

/// A question about the world, answered on the driver's thread between two commits.
type Question = Box<dyn FnOnce(&World, Micros) + Send>;

enum Message {
    Input(Box<Input>),
    Request(Box<dyn FnOnce(RequestId) -> Input + Send>, oneshot::Sender<Answer>),
    Ask(Question),
    Stop,
}

/// Rows done so far by the steps that run now, by attempt. Not committed: it is gone after a restart, and so are they.
pub type Progress = BTreeMap<AttemptId, (Option<PartitionKey>, u64)>;

/// Talks to the driver. Cheap to clone.
#[derive(Clone)]
pub struct DriverHandle {
    messages: Sender<Message>,
    live: broadcast::Sender<Arc<Vec<Recorded>>>,
    progress: Arc<Mutex<Progress>>,
    trouble: watch::Sender<Option<String>>,
    tally: Arc<Mutex<Tally>>,
}

impl DriverHandle {
    /// Something happened.
    pub fn send(&self, input: Input) {
        // The driver ends only when the program does; what happens after that is found at the next start.
        self.messages.send(Message::Input(Box::new(input))).ok();
    }

    /// Asks for something and waits for the answer, which comes after the commit that says so. `None`: millpond is stopping.
    pub async fn request(&self, input: impl FnOnce(RequestId) -> Input + Send + 'static) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        self.messages.send(Message::Request(Box::new(input), answer)).ok()?;
        answered.await.ok()
    }

    /// Looks at the world as it is between two commits. `None`: millpond is stopping.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&World, Micros) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let question: Question = Box::new(move |world, at| {
            // Who asked may have gone in the meantime.
            answer.send(question(world, at)).ok();
        });
        self.messages.send(Message::Ask(question)).ok()?;
        answered.await.ok()
    }

    /// Every committed event from now on.
    pub fn live(&self) -> broadcast::Receiver<Arc<Vec<Recorded>>> {
        self.live.subscribe()
    }

    /// Why commits wait, if they do (a full disk).
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.subscribe()
    }

    /// Rows done so far by the steps that run now.
    pub fn progress_now(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn progress(&self, attempt: AttemptId, partition: Option<PartitionKey>, rows: u64) {
        self.progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(attempt, (partition, rows));
    }

    /// Looks at what was counted since the start, or adds to it.
    pub fn tally<T>(&self, look: impl FnOnce(&mut Tally) -> T) -> T {
        look(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets the driver finish what it has and end.
    pub fn stop(&self) {
        self.messages.send(Message::Stop).ok();
    }
}

/// Why the driver ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The store refuses.
    #[error("{0}")]
    Commit(#[from] CommitError),
    /// The store cannot be read.
    #[error("{0}")]
    State(#[from] state::sqlite::StateError),
    /// A promise of the core's was broken.
    #[error("{0}; this is a bug: nothing of the last decision was committed; start again and report it")]
    Broken(#[from] crate::core::Broken),
}

/// What a driver needs besides its store.
pub struct DriverParts {
    /// State folder.
    pub folder: StateFolder,
    /// Project settings for orders.
    pub project: ProjectSettings,
    /// Per-step limits for orders.
    pub orders: OrderSettings,
    /// Builds commits.
    pub committer: Committer,
    /// Seed of ids.
    pub seed: u64,
}

/// A channel to a driver that is yet to be started: the pool and the driver need each other.
pub struct DriverSeat {
    handle: DriverHandle,
    received: Receiver<Message>,
}

impl DriverSeat {
    /// A new channel.
    pub fn new() -> Self {
        let (messages, received) = channel();
        let handle = DriverHandle {
            messages,
            live: broadcast::Sender::new(LIVE_EVENTS),
            progress: Arc::default(),
            trouble: watch::Sender::new(None),
            tally: Arc::default(),
        };
        Self { handle, received }
    }

    /// Talks to the driver once it is started; what is said before waits.
    pub fn handle(&self) -> DriverHandle {
        self.handle.clone()
    }

    /// Starts the driver's thread on a store that this process owns.
    pub fn start(
        self,
        store: Store,
        definitions: Arc<Definitions>,
        pool: PoolHandle,
        parts: DriverParts,
    ) -> Result<JoinHandle<Result<Store, DriverError>>, DriverError> {
        let mut driver = Driver {
            world: World::new(parts.seed),
            definitions,
            handle: self.handle,
            pool,
            parts,
            store,
            staged: HashMap::new(),
            requests: HashMap::new(),
            next_request: 0,
            last_at: 0,
        };
        driver.load()?;
        let received = self.received;
        let thread = std::thread::Builder::new().name("driver".to_owned());
        Ok(thread
            .spawn(move || driver.run(&received))
            .expect("a thread can be started at the start of the program"))
    }
}

impl Default for DriverSeat {
    fn default() -> Self {
        Self::new()
    }
}

struct Driver {
    world: World,
    definitions: Arc<Definitions>,
    handle: DriverHandle,
    pool: PoolHandle,
    parts: DriverParts,
    store: Store,
    /// What workers staged and is not published yet.
    staged: HashMap<AttemptId, HashMap<AssetPartition, Box<Staged>>>,
    requests: HashMap<RequestId, oneshot::Sender<Answer>>,
    next_request: RequestId,
    last_at: Micros,
}

impl Driver {
    fn load(&mut self) -> Result<(), DriverError> {
        let loaded = self.store.load()?;
        self.last_at = self.last_at.max(loaded.last_at.unwrap_or(0));
        if !loaded.moved_outside.is_empty() {
            // Another program (PyIceberg, say) wrote these tables: what it made is the base from now on.
            let events = self.parts.committer.adopt(&loaded.moved_outside, &loaded.pointers);
            let at = self.at();
            let events: Vec<Recorded> = events.into_iter().map(|event| Recorded { at, event }).collect();
            self.commit(&events)?;
            let loaded = self.store.load()?;
            self.world = World::from_loaded(loaded, Arc::clone(&self.definitions), self.parts.seed);
            return Ok(());
        }
        self.world = World::from_loaded(loaded, Arc::clone(&self.definitions), self.parts.seed);
        Ok(())
    }

    /// The time for the next decision: never before an earlier one, even if the clock is set back.
    fn at(&mut self) -> Micros {
        self.last_at = self.last_at.max(clock::now());
        self.last_at
    }

    fn run(mut self, received: &Receiver<Message>) -> Result<Store, DriverError> {
        while let Ok(first) = received.recv() {
            let mut inputs = Vec::new();
            let mut next = Some(first);
            let mut stop = false;
            let mut questions = Vec::new();
            while let Some(message) = next {
                match message {
                    Message::Input(input) => inputs.push(*input),
                    Message::Request(input, answer) => {
                        self.next_request += 1;
                        self.requests.insert(self.next_request, answer);
                        inputs.push(input(self.next_request));
                    }
                    // A question is answered by the world that the inputs before it made.
                    Message::Ask(question) => {
                        questions.push(question);
                        break;
                    }
                    Message::Stop => {
                        stop = true;
                        break;
                    }
                }
                next = if inputs.len() < LARGEST_GROUP {
                    received.try_recv().ok()
                } else {
                    None
                };
            }
            self.take(inputs)?;
            let at = self.at();
            for question in questions {
                question(&self.world, at);
            }
            if stop {
                break;
            }
        }
        Ok(self.store)
    }

    /// Decides a group of inputs, commits once, acts.
    fn take(&mut self, inputs: Vec<Input>) -> Result<(), DriverError> {
        if inputs.is_empty() {
            return Ok(());
        }
        let again = inputs.clone();
        match self.decide_and_commit(inputs) {
            Err(DriverError::Commit(CommitError::PointerConflict { table, .. })) => {
                tracing::warn!(%table, "another program wrote this table; its newest version is taken as the base");
                self.load()?;
                for input in again {
                    if let Err(DriverError::Commit(CommitError::PointerConflict { .. })) =
                        self.decide_and_commit(vec![input.clone()])
                    {
                        self.load()?;
                        self.decide_and_commit(vec![input])?;
                    }
                }
                Ok(())
            }
            result => result,
        }
    }

    fn decide_and_commit(&mut self, inputs: Vec<Input>) -> Result<(), DriverError> {
        let mut events = Vec::new();
        let mut effects = Vec::new();
        for input in inputs {
            if let Input::Staged { attempt, staged } = &input {
                let asset = self.world.attempt(attempt).map(|attempt| attempt.asset.clone());
                if let Some(asset) = asset {
                    let step = AssetPartition::new(asset, staged.partition.clone());
                    self.staged
                        .entry(attempt.clone())
                        .or_default()
                        .insert(step, staged.clone());
                }
            }
            if let Input::DefinitionsLoaded(definitions) = &input {
                self.definitions = Arc::clone(definitions);
            }
            let at = self.at();
            let decided = turn(&mut self.world, at, input)?;
            events.extend(decided.events);
            effects.extend(decided.effects);
        }
        self.commit(&events)?;
        self.forget(&events);
        for effect in effects {
            self.act(effect);
        }
        if !events.is_empty() {
            // Nobody may be listening.
            self.handle.live.send(Arc::new(events)).ok();
        }
        Ok(())
    }

    /// Commits; waits while there is no space.
    fn commit(&mut self, events: &[Recorded]) -> Result<(), DriverError> {
        if events.is_empty() {
            return Ok(());
        }
        loop {
            let watch = clock::Stopwatch::start();
            match self.store.commit(events) {
                Ok(_) => {
                    self.handle.tally(|tally| tally.committed(events, watch.elapsed()));
                    self.handle.trouble.send_if_modified(|trouble| trouble.take().is_some());
                    return Ok(());
                }
                Err(error @ (CommitError::DiskFull { .. } | CommitError::Busy { .. })) => {
                    tracing::error!(%error, "nothing is committed until this ends; trying again");
                    self.handle.trouble.send_replace(Some(error.to_string()));
                    std::thread::park_timeout(TRY_AGAIN);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Drops what is kept beside the world for steps and attempts that are over.
    fn forget(&mut self, events: &[Recorded]) {
        for recorded in events {
            match &recorded.event {
                Event::StepSucceeded {
                    attempt,
                    materialization,
                    ..
                } => self.unstage(attempt, &materialization.step),
                Event::StepFailed {
                    attempt: Some(attempt),
                    step,
                    ..
                } => self.unstage(attempt, step),
                Event::AttemptEnded { attempt, .. } => {
                    self.handle
                        .progress
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(attempt);
                    let scratch = self.parts.folder.scratch(attempt.as_str());
                    if let Err(error) = std::fs::remove_dir_all(&scratch)
                        && error.kind() != std::io::ErrorKind::NotFound
                    {
                        tracing::warn!(%error, folder = %scratch.display(), "failed to empty a scratch folder");
                    }
                }
                Event::RunEnded { .. } => {
                    let world = &self.world;
                    self.staged.retain(|attempt, _| world.attempt(attempt).is_some());
                }
                _ => {}
            }
        }
    }

    fn unstage(&mut self, attempt: &AttemptId, step: &AssetPartition) {
        if let Some(steps) = self.staged.get_mut(attempt) {
            steps.remove(step);
            if steps.is_empty() {
                self.staged.remove(attempt);
            }
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Start(start) => {
                let attempt = start.attempt.clone();
                let quarantine = self.world.pointer(&quarantine_table(&start.asset.key)).cloned();
                let order = order(
                    *start,
                    quarantine,
                    &self.parts.project,
                    &self.parts.folder,
                    &self.parts.orders,
                );
                self.pool.work(attempt, order);
            }
            Effect::CancelAttempt { attempt } => self.pool.cancel(attempt),
            Effect::Prepare { asset, members } => {
                let pointers: BTreeMap<AssetKey, TablePointer> = [asset.clone(), quarantine_table(&asset)]
                    .into_iter()
                    .filter_map(|table| Some((table.clone(), self.world.pointer(&table)?.clone())))
                    .collect();
                let staged = members
                    .iter()
                    .map(|member| {
                        let staged = self
                            .staged
                            .get(&member.attempt)
                            .and_then(|steps| steps.get(&member.step));
                        (member.clone(), staged.cloned())
                    })
                    .collect();
                self.parts
                    .committer
                    .prepare(asset, staged, pointers, self.last_at, self.handle.clone());
            }
            Effect::Reply { request, answer } => {
                if let Some(asked) = self.requests.remove(&request) {
                    // Who asked may have gone in the meantime.
                    asked.send(answer).ok();
                }
            }
        }
    }
}

/// The table that holds the rows which an ingest asset could not take.
pub fn quarantine_table(asset: &AssetKey) -> AssetKey {
    let name = format!("{}{}", asset.name(), plugins::kind::QUARANTINE_SUFFIX);
    // A name so long that it leaves no room for the suffix has no quarantine table; a step that needs one fails and says so.
    AssetKey::new(asset.layer(), &name).unwrap_or_else(|_| asset.clone())
}
