//! Who talks to the pool, and what is said to it.

use assets::Asset;
use assets::outcome::{Failure, FailureClass, Observation};
use plugins::step::{ProjectSettings, StepOrder};
use state::ids::AttemptId;
use tokio::sync::{mpsc, oneshot};

use super::super::driver::DriverHandle;
use super::super::folder::StateFolder;
use super::super::messages::{FromWorker, TableAnswer, TableQuestion, WorkerSettings};
use super::Pool;

/// What workers may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// At start: warehouse, memory limit, threads.
    pub worker: WorkerSettings,
    /// Resident bytes, beside those that the queries of its order may use, at which a worker is ended.
    pub beside_queries_bytes: u64,
    /// Bytes that queries may use in a worker that has no order of its own to say so (a look at sources).
    pub usual_query_bytes: u64,
}

/// Talks to the pool. Cheap to clone.
#[derive(Clone)]
pub struct PoolHandle {
    messages: mpsc::UnboundedSender<Message>,
}

pub(super) enum Message {
    Work(AttemptId, Box<StepOrder>),
    Cancel(AttemptId),
    Observe {
        asset: Box<Asset>,
        project: ProjectSettings,
        previous: Option<Observation>,
        answer: oneshot::Sender<Result<Option<Observation>, Failure>>,
    },
    Table {
        question: Box<TableQuestion>,
        answer: oneshot::Sender<Result<TableAnswer, Failure>>,
    },
    Said(usize, FromWorker),
    Silent(usize),
    /// A worker that fell silent is gone for good.
    Gone,
    Reconfigure(PoolSettings),
    Stop(oneshot::Sender<()>),
}

impl PoolHandle {
    /// Starts the pool. It ends when every handle is dropped or [`PoolHandle::stop`] was called.
    pub fn start(settings: PoolSettings, folder: StateFolder, driver: DriverHandle) -> Self {
        let (messages, received) = mpsc::unbounded_channel();
        let handle = Self {
            messages: messages.clone(),
        };
        let pool = Pool::new(settings, folder, driver, messages.downgrade());
        tokio::spawn(pool.run(received));
        handle
    }

    /// Gives an order to a worker.
    pub fn work(&self, attempt: AttemptId, order: StepOrder) {
        self.send(Message::Work(attempt, Box::new(order)));
    }

    /// Asks the worker of an attempt to stop.
    pub fn cancel(&self, attempt: AttemptId) {
        self.send(Message::Cancel(attempt));
    }

    /// Looks at an asset's sources, in a worker because files can be hostile.
    pub async fn observe(
        &self,
        asset: Asset,
        project: ProjectSettings,
        previous: Option<Observation>,
    ) -> Result<Option<Observation>, Failure> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Observe {
            asset: Box::new(asset),
            project,
            previous,
            answer,
        });
        answered
            .await
            .unwrap_or_else(|_| Err(Failure::new(FailureClass::Interrupted, "millpond is stopping")))
    }

    /// Looks into a table, in a worker because a query over a user's data may fail in any way.
    pub async fn table(&self, question: TableQuestion) -> Result<TableAnswer, Failure> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Table {
            question: Box::new(question),
            answer,
        });
        answered
            .await
            .unwrap_or_else(|_| Err(Failure::new(FailureClass::Interrupted, "millpond is stopping")))
    }

    /// Workers that start from now on may use this much. Idle ones that may use something else are sent home.
    pub fn reconfigure(&self, settings: PoolSettings) {
        self.send(Message::Reconfigure(settings));
    }

    /// Ends all workers and waits until they are gone.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        self.send(Message::Stop(done));
        stopped.await.ok();
    }

    fn send(&self, message: Message) {
        // The pool ends only when the program does; nobody is left to miss the message.
        self.messages.send(message).ok();
    }
}
