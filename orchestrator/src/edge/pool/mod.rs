//! The workers of one daemon: started when there is work, kept warm, replaced when they die.
//!
//! One task owns them all and is talked to by messages, so nothing here is locked. For each order it promises the driver
//! exactly one end: `AttemptEnded` when the worker said so, or `WorkerLost` with the class of its death.

mod handle;

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use assets::outcome::{Failure, FailureClass, Observation};
use assets::{Asset, PartitionKey};
use plugins::kind::{Kind, KindSet};
use plugins::step::{ProjectSettings, StepOrder, StepReport};
use state::ids::AttemptId;
use tokio::process::ChildStdout;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::handle::Message;
pub use self::handle::{PoolHandle, PoolSettings};
use super::driver::DriverHandle;
use super::folder::StateFolder;
use super::messages::{FromWorker, TableAnswer, TableQuestion, ToWorker};
use super::processes::end_marked;
use super::worker_process::WorkerProcess;
use super::{clock, frame};
use crate::core::Input;

/// How often the memory of busy workers is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_millis(100);
/// After so long without work a worker is sent home, so that an idle daemon holds no memory for nothing.
const KEPT_WARM: Duration = Duration::from_secs(20);
/// How long a canceled order may take to say `Ended` before its worker is killed, where there is something to end in good
/// order: a program gets an interrupt, then a request to end, then is killed, and this is past that.
const CANCEL_GRACE: Duration = Duration::from_secs(30);
/// The same for all other work, which is dropped where it stands. A join that is far from its next row does not notice, and
/// a worker is soon replaced.
const CANCEL_GRACE_OF_ROWS: Duration = Duration::from_secs(3);

/// How long a worker may look into a table for a page before it is ended: nobody waits longer for a page.
const TABLE_TAKEN: Duration = Duration::from_secs(20);

/// How long a worker may take to take an order in: one that does not read is stuck, and must not hold up the others.
const ORDER_TAKEN: Duration = Duration::from_secs(10);

struct Worker {
    process: WorkerProcess,
    job: Job,
    /// Since when it has nothing to do, or when a canceled order has to be over.
    since: Instant,
    /// Which settings it was started with.
    generation: u64,
}

enum Job {
    Idle,
    Steps {
        attempt: AttemptId,
        working_on: Option<Option<PartitionKey>>,
        /// How long it may take to stop once it is asked to.
        grace: Duration,
        deadline: Option<Instant>,
        /// How long it may take over one step, and since when it works on the one it turned to last.
        limit: Option<Duration>,
        turned: Instant,
        /// It took longer, and the core knows.
        overdue: bool,
        /// Resident bytes at which it is ended.
        resident_limit_bytes: u64,
    },
    Observation(oneshot::Sender<Result<Option<Observation>, Failure>>),
    Table {
        answer: oneshot::Sender<Result<TableAnswer, Failure>>,
        deadline: Instant,
    },
}

struct Pool {
    settings: PoolSettings,
    folder: StateFolder,
    driver: DriverHandle,
    messages: mpsc::WeakUnboundedSender<Message>,
    workers: HashMap<usize, Worker>,
    next: usize,
    dying: usize,
    /// Counts the changes of the settings.
    generation: u64,
}

impl Pool {
    fn new(
        settings: PoolSettings,
        folder: StateFolder,
        driver: DriverHandle,
        messages: mpsc::WeakUnboundedSender<Message>,
    ) -> Self {
        Self {
            settings,
            folder,
            driver,
            messages,
            workers: HashMap::new(),
            next: 0,
            dying: 0,
            generation: 0,
        }
    }

    async fn run(mut self, mut received: mpsc::UnboundedReceiver<Message>) {
        let mut look = tokio::time::interval(MEMORY_INTERVAL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut stopping: Option<oneshot::Sender<()>> = None;
        loop {
            let message = if self.workers.is_empty() && self.dying == 0 {
                if let Some(done) = stopping.take() {
                    done.send(()).ok();
                    return;
                }
                // Nothing to watch: sleep until someone speaks, so that an idle daemon costs nothing.
                received.recv().await
            } else {
                tokio::select! {
                    message = received.recv() => message,
                    _ = look.tick() => {
                        self.watch();
                        continue;
                    }
                }
            };
            match message {
                None => return,
                Some(Message::Work(attempt, order)) => self.work(attempt, *order).await,
                Some(Message::Cancel(attempt)) => self.cancel(&attempt).await,
                Some(Message::Observe {
                    asset,
                    project,
                    previous,
                    answer,
                }) => {
                    self.observe(asset, project, previous, answer).await;
                }
                Some(Message::Table { question, answer }) => self.table(question, answer).await,
                Some(Message::Said(id, said)) => self.said(id, said),
                Some(Message::Silent(id)) => self.silent(id),
                Some(Message::Gone) => self.dying -= 1,
                Some(Message::Reconfigure(settings)) => self.reconfigure(settings),
                Some(Message::Stop(done)) => {
                    stopping = Some(done);
                    for worker in self.workers.values_mut() {
                        if let Job::Steps { attempt, .. } = &worker.job {
                            end_marked(attempt.as_str());
                        }
                        worker.process.kill();
                    }
                }
            }
        }
    }

    fn reconfigure(&mut self, settings: PoolSettings) {
        if self.settings == settings {
            return;
        }
        self.settings = settings;
        self.generation += 1;
        for worker in self.workers.values_mut() {
            if matches!(worker.job, Job::Idle) {
                worker.process.kill();
            }
        }
    }

    /// An idle worker, or a new one.
    async fn take(&mut self) -> io::Result<usize> {
        if let Some((id, _)) = self
            .workers
            .iter()
            .filter(|(_, worker)| matches!(worker.job, Job::Idle) && worker.generation == self.generation)
            .max_by_key(|(_, w)| w.since)
        {
            return Ok(*id);
        }
        let id = self.next;
        self.next += 1;
        let (mut process, reports) = WorkerProcess::start(&self.folder.worker_log(id))?;
        self.driver.tally(crate::metrics::Tally::worker_started);
        frame::write(&mut process.orders, &ToWorker::Hello(self.settings.worker.clone())).await?;
        tracing::debug!(worker = id, pid = process.pid(), "a worker started");
        if let Some(messages) = self.messages.upgrade() {
            tokio::spawn(hear(id, reports, messages));
        }
        self.workers.insert(
            id,
            Worker {
                process,
                job: Job::Idle,
                since: Instant::now(),
                generation: self.generation,
            },
        );
        Ok(id)
    }

    async fn work(&mut self, attempt: AttemptId, mut order: StepOrder) {
        let taken = self.take().await.and_then(|id| {
            let scratch = self.folder.scratch(id);
            // Someone who cleans up may have removed it under a warm worker.
            std::fs::create_dir_all(&scratch)?;
            order.scratch = scratch.to_string_lossy().into_owned();
            Ok(id)
        });
        let result = match taken {
            Ok(id) => {
                let worker = self.workers.get_mut(&id).expect("the worker was just taken");
                let limit = order.asset.rules.timeout_seconds.map(Duration::from_secs);
                let resident_limit_bytes = order.memory_bytes + self.settings.beside_queries_bytes;
                let stops_itself = KindSet::all().get(&order.asset.kind).is_some_and(Kind::stops_itself);
                worker.job = Job::Steps {
                    attempt: attempt.clone(),
                    working_on: None,
                    grace: if stops_itself {
                        CANCEL_GRACE
                    } else {
                        CANCEL_GRACE_OF_ROWS
                    },
                    deadline: None,
                    limit,
                    turned: Instant::now(),
                    overdue: false,
                    resident_limit_bytes,
                };
                say(&mut worker.process, &ToWorker::Work(Box::new(order))).await;
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            let failure = Failure::new(FailureClass::Io, format!("failed to start a worker: {error}"))
                .with_help("check the space on the disk, and the limits on processes and memory of this user");
            self.driver.send(Input::WorkerLost {
                attempt,
                failure,
                working_on: None,
            });
        }
    }

    async fn observe(
        &mut self,
        asset: Box<Asset>,
        project: ProjectSettings,
        previous: Option<Observation>,
        answer: oneshot::Sender<Result<Option<Observation>, Failure>>,
    ) {
        match self.take().await {
            Ok(id) => {
                let worker = self.workers.get_mut(&id).expect("the worker was just taken");
                worker.job = Job::Observation(answer);
                let order = ToWorker::Observe {
                    asset,
                    project,
                    previous,
                };
                say(&mut worker.process, &order).await;
            }
            Err(error) => {
                answer
                    .send(Err(Failure::new(
                        FailureClass::Io,
                        format!("failed to start a worker: {error}"),
                    )))
                    .ok();
            }
        }
    }

    async fn table(&mut self, question: Box<TableQuestion>, answer: oneshot::Sender<Result<TableAnswer, Failure>>) {
        match self.take().await {
            Ok(id) => {
                let worker = self.workers.get_mut(&id).expect("the worker was just taken");
                worker.job = Job::Table {
                    answer,
                    deadline: Instant::now() + TABLE_TAKEN,
                };
                say(&mut worker.process, &ToWorker::Table(question)).await;
            }
            Err(error) => {
                let message = format!("failed to start a worker: {error}");
                answer.send(Err(Failure::new(FailureClass::Io, message))).ok();
            }
        }
    }

    async fn cancel(&mut self, attempt: &AttemptId) {
        for worker in self.workers.values_mut() {
            if let Job::Steps {
                attempt: current,
                grace,
                deadline,
                ..
            } = &mut worker.job
                && current == attempt
            {
                // Asking again does not give it more time.
                deadline.get_or_insert(Instant::now() + *grace);
                say(&mut worker.process, &ToWorker::Cancel).await;
            }
        }
    }

    fn said(&mut self, id: usize, said: FromWorker) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        match said {
            FromWorker::Observed { result } => {
                if let Job::Observation(answer) = std::mem::replace(&mut worker.job, Job::Idle) {
                    answer.send(result).ok();
                }
                worker.since = Instant::now();
            }
            FromWorker::Table { result } => {
                if let Job::Table { answer, .. } = std::mem::replace(&mut worker.job, Job::Idle) {
                    answer.send(result).ok();
                }
                worker.since = Instant::now();
            }
            FromWorker::Report { report } => {
                let Job::Steps {
                    attempt,
                    working_on,
                    turned,
                    ..
                } = &mut worker.job
                else {
                    return;
                };
                let attempt = attempt.clone();
                match report {
                    StepReport::Started { partition } => {
                        *working_on = Some(partition);
                        *turned = Instant::now();
                    }
                    StepReport::Staged { staged } => self.driver.send(Input::Staged { attempt, staged }),
                    StepReport::Failed { partition, failure } => {
                        self.driver.send(Input::StepFailed {
                            attempt,
                            partition,
                            failure,
                        });
                    }
                    StepReport::Progress { partition, rows } => self.driver.progress(attempt, partition, rows),
                    StepReport::Ended { staged } => {
                        worker.job = Job::Idle;
                        worker.since = Instant::now();
                        let last = staged.into_iter().map(|staged| Input::Staged {
                            attempt: attempt.clone(),
                            staged: Box::new(staged),
                        });
                        let mut inputs: Vec<Input> = last.collect();
                        inputs.push(Input::AttemptEnded { attempt });
                        self.driver.send_all(inputs);
                    }
                }
            }
        }
    }

    /// The worker's pipe ended: it is dead or dying. Its death is classified without holding up the others.
    fn silent(&mut self, id: usize) {
        let Some(worker) = self.workers.remove(&id) else { return };
        self.dying += 1;
        let driver = self.driver.clone();
        let messages = self.messages.upgrade();
        let scratch = self.folder.scratch(id);
        tokio::spawn(async move {
            let failure = worker.process.ended().await;
            if let Err(error) = std::fs::remove_dir_all(&scratch)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, folder = %scratch.display(), "failed to remove the scratch folder of a worker");
            }
            match worker.job {
                Job::Idle => {}
                Job::Steps {
                    attempt, working_on, ..
                } => {
                    // Programs that the dead worker had started must not run beside the next try.
                    end_marked(attempt.as_str());
                    tracing::warn!(%attempt, class = ?failure.class, "{failure}");
                    driver.send(Input::WorkerLost {
                        attempt,
                        failure,
                        working_on,
                    });
                }
                Job::Observation(answer) => {
                    answer.send(Err(failure)).ok();
                }
                Job::Table { answer, deadline } if Instant::now() >= deadline => {
                    let message = format!(
                        "looking into the table took longer than {} seconds",
                        TABLE_TAKEN.as_secs()
                    );
                    answer.send(Err(Failure::new(FailureClass::Timeout, message))).ok();
                }
                Job::Table { answer, .. } => {
                    answer.send(Err(failure)).ok();
                }
            }
            if let Some(messages) = messages {
                messages.send(Message::Gone).ok();
            }
        });
    }

    fn watch(&mut self) {
        let now = Instant::now();
        let beside = self.settings.beside_queries_bytes;
        for worker in self.workers.values_mut() {
            let most = match &mut worker.job {
                Job::Idle => {
                    if now.duration_since(worker.since) > KEPT_WARM || worker.generation != self.generation {
                        worker.process.kill();
                    }
                    continue;
                }
                Job::Steps {
                    deadline: Some(deadline),
                    ..
                } if now > *deadline => {
                    worker.process.kill();
                    continue;
                }
                Job::Steps {
                    attempt,
                    working_on,
                    limit,
                    turned,
                    overdue,
                    resident_limit_bytes,
                    ..
                } => {
                    // By a clock that nobody sets and that stands still while the machine sleeps.
                    if limit.is_some_and(|limit| now.duration_since(*turned) > limit) && !*overdue {
                        *overdue = true;
                        self.driver.send(Input::AttemptTimedOut {
                            attempt: attempt.clone(),
                            working_on: working_on.clone(),
                        });
                    }
                    *resident_limit_bytes
                }
                Job::Table { deadline, .. } if now > *deadline => {
                    worker.process.kill();
                    continue;
                }
                Job::Observation(_) | Job::Table { .. } => self.settings.usual_query_bytes + beside,
            };
            if worker.process.resident_bytes().is_some_and(|bytes| bytes > most) {
                worker.process.end_over_memory();
            }
        }
    }
}

/// Tells a worker something. One that died is heard by its silence, and one that does not listen is ended.
async fn say(process: &mut WorkerProcess, message: &ToWorker) {
    let told = tokio::time::timeout(ORDER_TAKEN, frame::write(&mut process.orders, message)).await;
    if told.is_err() {
        process.kill();
    }
}

async fn hear(id: usize, mut reports: ChildStdout, messages: mpsc::UnboundedSender<Message>) {
    let started = clock::Stopwatch::start();
    loop {
        match frame::read(&mut reports).await {
            Ok(Some(said)) => {
                if messages.send(Message::Said(id, said)).is_err() {
                    return;
                }
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(worker = id, %error, "a worker cannot be understood");
                break;
            }
        }
    }
    tracing::debug!(worker = id, seconds = started.elapsed().as_secs_f64(), "a worker ended");
    messages.send(Message::Silent(id)).ok();
}
