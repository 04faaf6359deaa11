//! The one thread that decides and commits.
//!
//! ```text
//! inputs that waited ─► core::turn for each ─► one Store::commit for all ─► effects, answers, live events
//! ```
//! Nothing is acknowledged, started or shown before the transaction that says so is synced. If a commit is refused because
//! another program moved a table's pointer, the world is loaded again and the same inputs are decided anew.

mod effects;
mod handle;
mod versions;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use assets::AssetPartition;
use assets::outcome::Staged;
use state::event::{Event, Micros, OwnerMode, Recorded};
use state::ids::AttemptId;
use state::sqlite::queries::events::newest;
use state::sqlite::{CommitError, StateError, Store};
use tokio::sync::{broadcast, oneshot, watch};

use super::clock::{self, Stopwatch};
use super::committer::Committer;
use super::folder::StateFolder;
use super::opened::OpenedProject;
use super::pool::PoolHandle;
use super::reserve::Reserve;
use super::retention::Keeping;
use super::write_ahead_log::LogWatch;
use crate::core::{Answer, Effect, Input, RequestId, Turn, World, turn};

pub use effects::quarantine_table;
pub use handle::{DriverHandle, Progress};
use handle::{EndTold, LIVE_EVENTS, Message};

/// Most inputs that are decided before they are committed.
const LARGEST_GROUP: usize = 4096;
/// How long to wait before a commit is tried again after the disk was full or another program held the store.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How long the end of an attempt may wait for something to be committed with.
const LONGEST_HELD: Duration = Duration::from_millis(20);
/// Longest sleep without a look at the time of day, which goes on while a machine sleeps.
const SLICE: Duration = Duration::from_secs(1);

/// Why the driver ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The store refuses.
    #[error("{0}")]
    Commit(#[from] CommitError),
    /// The store cannot be read.
    #[error("{0}")]
    State(#[from] StateError),
    /// A promise of the core's was broken.
    #[error("{0}; this is a bug: nothing of the last decision was committed; start again and report it")]
    Broken(#[from] crate::core::Broken),
}

/// What a driver needs besides its store.
pub struct DriverParts {
    /// State folder.
    pub folder: StateFolder,
    /// The project as it was read at the start.
    pub project: Arc<OpenedProject>,
    /// Builds commits.
    pub committer: Committer,
    /// Only a daemon removes what is too old.
    pub mode: OwnerMode,
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
            newest: Arc::default(),
            progress: Arc::default(),
            trouble: watch::Sender::new(None),
            tally: Arc::default(),
            ended: watch::Sender::new(false),
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
        pool: PoolHandle,
        parts: DriverParts,
    ) -> Result<JoinHandle<Result<Store, DriverError>>, DriverError> {
        let parts_mode = parts.mode;
        let reserve = Reserve::new(&parts.folder, parts.mode);
        let log = LogWatch::new(&parts.folder);
        let mut driver = Driver {
            world: World::new(parts.seed),
            projects: vec![Arc::clone(&parts.project)],
            handle: self.handle,
            pool,
            parts,
            store,
            staged: HashMap::new(),
            requests: HashMap::new(),
            next_request: 0,
            last_at: 0,
            alarm: None,
            retention: Keeping::new(parts_mode),
            reserve,
            log,
            received: self.received,
            put_off: VecDeque::new(),
            held: Held::default(),
        };
        driver.load()?;
        driver.handle.newest.store(newest(&driver.store)?, Ordering::Release);
        driver.drop_versions();
        let thread = std::thread::Builder::new().name("driver".to_owned());
        Ok(thread
            .spawn(move || {
                let _told = EndTold(driver.handle.ended.clone());
                let result = driver.run();
                if let Err(error) = &result {
                    tracing::error!(%error, "the driver ended: nothing is acknowledged or started any more");
                }
                result
            })
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
    /// The versions of the project that some run still needs; the last one is in force.
    projects: Vec<Arc<OpenedProject>>,
    handle: DriverHandle,
    pool: PoolHandle,
    parts: DriverParts,
    store: Store,
    /// What workers staged and is not published yet.
    staged: HashMap<AttemptId, HashMap<AssetPartition, Box<Staged>>>,
    requests: HashMap<RequestId, oneshot::Sender<Answer>>,
    next_request: RequestId,
    last_at: Micros,
    alarm: Option<Alarm>,
    retention: Keeping,
    reserve: Reserve,
    log: LogWatch,
    received: Receiver<Message>,
    /// What arrived while a commit waited for space.
    put_off: VecDeque<Message>,
    held: Held,
}

/// What the world knows and the store does not yet: that steps were staged and attempts ended, of which nobody hears before it is
/// committed. It need not be synced by itself, since what was staged is about to be published; and after a crash before that the step is
/// done again either way.
#[derive(Default)]
struct Held {
    /// To decide them again should the world have to be loaded again.
    inputs: Vec<Input>,
    events: Vec<Recorded>,
    since: Option<Stopwatch>,
}

/// The first wait for a retry that ends.
#[derive(Debug, Clone, Copy)]
struct Alarm {
    due: Micros,
    set: Stopwatch,
    wait: Duration,
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
            return self.adopt(loaded);
        }
        self.adopt(loaded)
    }

    /// The time for the next decision: never before an earlier one, even if the clock is set back.
    fn at(&mut self) -> Micros {
        self.last_at = self.last_at.max(clock::now());
        self.last_at
    }

    /// How long it is until the first wait for a retry is over; zero once it is.
    fn until_retry(&mut self) -> Option<(Micros, Duration)> {
        let Some(due) = self.world.next_retry() else {
            self.alarm = None;
            return None;
        };
        let at = self.at();
        let alarm = match self.alarm {
            Some(alarm) if alarm.due == due => alarm,
            _ => *self.alarm.insert(Alarm {
                due,
                set: Stopwatch::start(),
                wait: Duration::from_micros((due - at).max(0).unsigned_abs()),
            }),
        };
        // Whichever comes first: a clock that is set back makes no wait longer, a machine that slept has waited.
        let left = alarm.wait.saturating_sub(alarm.set.elapsed());
        Some(if clock::now() >= due {
            (due, Duration::ZERO)
        } else {
            (due, left)
        })
    }

    /// The next message, or that a wait for a retry is over. Until it comes, what is too old is removed.
    fn next(&mut self) -> Result<Option<Message>, DriverError> {
        if let Some(message) = self.put_off.pop_front() {
            return Ok(Some(message));
        }
        loop {
            // Before what is said: a daemon that always has something to do keeps its waits too.
            let retry = self.until_retry();
            if let Some((until, _)) = retry.filter(|(_, left)| left.is_zero()) {
                self.alarm = None;
                return Ok(Some(Message::Input(Box::new(Input::RetriesDue { until }))));
            }
            match self.received.try_recv() {
                Ok(message) => return Ok(Some(message)),
                Err(TryRecvError::Disconnected) => {
                    self.let_go()?;
                    return Ok(None);
                }
                Err(TryRecvError::Empty) => {}
            }
            if let Some(since) = self.held.since {
                match self.received.recv_timeout(LONGEST_HELD.saturating_sub(since.elapsed())) {
                    Ok(message) => return Ok(Some(message)),
                    Err(_) => self.let_go()?,
                }
            }
            let at = self.at();
            let wait = self.retention.turn(
                at,
                &self
                    .projects
                    .last()
                    .expect("the one of the start was put there")
                    .retention,
                &mut self.store,
                &self.parts.folder,
            )?;
            let wait = retry.map_or(wait, |(_, left)| wait.min(left).min(SLICE));
            match self.received.recv_timeout(wait) {
                Ok(message) => return Ok(Some(message)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn run(mut self) -> Result<Store, DriverError> {
        while let Some(first) = self.next()? {
            let mut inputs = Vec::new();
            let mut next = Some(first);
            let mut stop = false;
            let mut questions = Vec::new();
            let mut swapped = Vec::new();
            while let Some(message) = next {
                match message {
                    Message::Input(input) => inputs.push(*input),
                    Message::Inputs(several) => inputs.extend(several),
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
                    Message::Project(project, done) => {
                        inputs.push(Input::DefinitionsLoaded(Arc::clone(&project.definitions)));
                        self.swap(project);
                        swapped.push(done);
                    }
                    Message::Damaged(error) => return Err(error.into()),
                    Message::Stop => {
                        stop = true;
                        break;
                    }
                }
                next = if inputs.len() < LARGEST_GROUP {
                    self.put_off.pop_front().or_else(|| self.received.try_recv().ok())
                } else {
                    None
                };
            }
            self.take(inputs)?;
            if stop || !questions.is_empty() || !swapped.is_empty() {
                self.let_go()?;
            }
            if !swapped.is_empty() {
                self.drop_versions();
            }
            for done in swapped {
                // Who asked may have gone in the meantime.
                done.send(()).ok();
            }
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
        self.held.inputs.extend(inputs.iter().cloned());
        match self.decide_and_commit(inputs) {
            Err(DriverError::Commit(CommitError::PointerConflict { table, .. })) => {
                tracing::warn!(%table, "another program wrote this table; its newest version is taken as the base");
                let again = std::mem::take(&mut self.held).inputs;
                self.load()?;
                for input in again {
                    if let Err(DriverError::Commit(CommitError::PointerConflict { .. })) =
                        self.decide_and_commit(vec![input.clone()])
                    {
                        self.held = Held::default();
                        self.load()?;
                        self.decide_and_commit(vec![input])?;
                    }
                    self.let_go()?;
                }
                Ok(())
            }
            result => result,
        }
    }

    fn decide_and_commit(&mut self, inputs: Vec<Input>) -> Result<(), DriverError> {
        let mut decided = Turn::default();
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
            let at = self.at();
            let later = turn(&mut self.world, at, input)?;
            decided.join(&self.world, later);
        }
        let Turn { events, effects } = decided;
        let can_wait =
            |recorded: &Recorded| matches!(recorded.event, Event::AttemptEnded { .. } | Event::StepStaged { .. });
        let goes_before = |effect: &Effect| matches!(effect, Effect::Prepare { .. });
        let told = if !events.is_empty() && events.iter().all(can_wait) && effects.iter().all(goes_before) {
            self.held.events.extend(events);
            self.held.since.get_or_insert_with(Stopwatch::start);
            Vec::new()
        } else {
            let events = [std::mem::take(&mut self.held.events), events].concat();
            self.commit(&events)?;
            self.held = Held::default();
            self.forget(&events);
            events
        };
        for effect in effects {
            self.act(effect);
        }
        self.tell(told);
        Ok(())
    }

    /// Commits what was held.
    fn let_go(&mut self) -> Result<(), DriverError> {
        let held = std::mem::take(&mut self.held);
        if held.events.is_empty() {
            return Ok(());
        }
        // Neither moves a table's pointer, so nothing can refuse them.
        self.commit(&held.events)?;
        self.forget(&held.events);
        self.tell(held.events);
        Ok(())
    }

    fn tell(&self, events: Vec<Recorded>) {
        if !events.is_empty() {
            // Nobody may be listening.
            self.handle.live.send(Arc::new(events)).ok();
        }
    }

    /// Commits; waits while there is no space, and answers questions meanwhile.
    fn commit(&mut self, events: &[Recorded]) -> Result<(), DriverError> {
        if events.is_empty() {
            return Ok(());
        }
        // What was committed so far, for questions: the world is ahead of it.
        let mut committed = None;
        loop {
            let watch = clock::Stopwatch::start();
            match self.store.commit(events) {
                Ok(_) => {
                    // Before anyone is answered: who asks for a page then must not get one of before.
                    self.handle.newest.store(newest(&self.store)?, Ordering::Release);
                    self.handle.tally(|tally| tally.committed(events, watch.elapsed()));
                    self.handle.trouble.send_if_modified(|trouble| trouble.take().is_some());
                    let at = self.last_at;
                    self.reserve.fill_up(at);
                    self.log.look(at);
                    return Ok(());
                }
                Err(CommitError::DiskFull) if self.reserve.give_up() => {
                    tracing::error!(
                        error = %CommitError::DiskFull,
                        "the disk is full: what was kept in reserve is used to store how steps under way end"
                    );
                }
                Err(error @ (CommitError::DiskFull | CommitError::Busy)) => {
                    tracing::error!(%error, "nothing is committed until this ends; trying again");
                    let text = Some(error.to_string());
                    self.handle.trouble.send_if_modified(|trouble| {
                        let other = *trouble != text;
                        *trouble = text;
                        other
                    });
                    if !self.answer_for(TRY_AGAIN, &mut committed)? {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Answers questions for so long from what is committed, and puts everything else off. `false`: it is time to end.
    fn answer_for(&mut self, longest: Duration, committed: &mut Option<World>) -> Result<bool, DriverError> {
        let started = clock::Stopwatch::start();
        while let Some(left) = longest.checked_sub(started.elapsed()) {
            match self.received.recv_timeout(left) {
                Ok(Message::Ask(question)) => {
                    if committed.is_none() {
                        *committed = Some(self.seen(self.store.load()?));
                    }
                    let at = self.at();
                    question(committed.as_ref().expect("it was just loaded"), at);
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Ok(message) => self.put_off.push_back(message),
                Err(RecvTimeoutError::Timeout) => return Ok(true),
            }
        }
        Ok(true)
    }
}
