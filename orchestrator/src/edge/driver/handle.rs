//! How everyone else talks to the driver.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use assets::PartitionKey;
use state::event::{Micros, Recorded};
use state::ids::AttemptId;
use state::sqlite::StateError;
use tokio::sync::{broadcast, oneshot, watch};

use super::super::opened::OpenedProject;
use crate::core::{Answer, Input, RequestId, World};
use crate::metrics::Tally;

/// Events that a slow listener may lag behind before it has to read the store again.
pub(super) const LIVE_EVENTS: usize = 4096;

/// A question about the world, answered on the driver's thread between two commits.
pub(super) type Question = Box<dyn FnOnce(&World, Micros) + Send>;

pub(super) enum Message {
    Input(Box<Input>),
    /// Decided and committed together.
    Inputs(Vec<Input>),
    Request(Box<dyn FnOnce(RequestId) -> Input + Send>, oneshot::Sender<Answer>),
    Ask(Question),
    /// The project was read again; answered once it is in force.
    Project(Arc<OpenedProject>, oneshot::Sender<()>),
    /// The store was found to be damaged.
    Damaged(StateError),
    Stop,
}

/// Rows done so far by the steps that run now, by attempt. Not committed: it is gone after a restart, and so are they.
pub type Progress = BTreeMap<AttemptId, (Option<PartitionKey>, u64)>;

/// Talks to the driver. Cheap to clone.
#[derive(Clone)]
pub struct DriverHandle {
    pub(super) messages: Sender<Message>,
    pub(super) live: broadcast::Sender<Arc<Vec<Recorded>>>,
    pub(super) newest: Arc<AtomicI64>,
    pub(super) progress: Arc<Mutex<Progress>>,
    pub(super) trouble: watch::Sender<Option<String>>,
    pub(super) tally: Arc<Mutex<Tally>>,
    pub(super) ended: watch::Sender<bool>,
}

/// Tells that the driver's thread ended, also by a panic.
pub(super) struct EndTold(pub(super) watch::Sender<bool>);

impl Drop for EndTold {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl DriverHandle {
    /// Something happened.
    pub fn send(&self, input: Input) {
        // The driver ends only when the program does; what happens after that is found at the next start.
        self.messages.send(Message::Input(Box::new(input))).ok();
    }

    /// Several things happened at once.
    pub(in crate::edge) fn send_all(&self, inputs: Vec<Input>) {
        self.messages.send(Message::Inputs(inputs)).ok();
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

    /// Puts another version of the project in force, all of it between two commits. Runs in flight keep the one that they
    /// started with. `false`: millpond is stopping.
    pub async fn swap(&self, project: Arc<OpenedProject>) -> bool {
        let (done, swapped) = oneshot::channel();
        self.messages.send(Message::Project(project, done)).is_ok() && swapped.await.is_ok()
    }

    /// Every committed event from now on.
    pub fn live(&self) -> broadcast::Receiver<Arc<Vec<Recorded>>> {
        self.live.subscribe()
    }

    /// The number of the newest committed event; at most a moment old.
    pub fn newest(&self) -> i64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Why commits wait, if they do (a full disk).
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.subscribe()
    }

    /// Comes back when the driver has ended: it was asked to, or nothing can be committed any more.
    pub async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        // It cannot fail: this handle has a sender.
        ended.wait_for(|ended| *ended).await.ok();
    }

    /// Whether the driver has ended.
    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Rows done so far by the steps that run now.
    pub fn progress_now(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(in crate::edge) fn progress(&self, attempt: AttemptId, partition: Option<PartitionKey>, rows: u64) {
        self.progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(attempt, (partition, rows));
    }

    /// Looks at what was counted since the start, or adds to it.
    pub fn tally<T>(&self, look: impl FnOnce(&mut Tally) -> T) -> T {
        look(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The store is damaged: nothing may be committed to it any more.
    pub(in crate::edge) fn damaged(&self, error: StateError) {
        self.messages.send(Message::Damaged(error)).ok();
    }

    /// Lets the driver finish what it has and end.
    pub fn stop(&self) {
        self.messages.send(Message::Stop).ok();
    }
}
