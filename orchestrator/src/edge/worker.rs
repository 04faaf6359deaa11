//! The inside of a `millpond worker` process: takes orders from its standard input and reports on its standard output.
//!
//! It reads tables and writes data files, and neither opens the state nor publishes. It ends when its input ends, so no
//! worker outlives its daemon, however that ended. A query that overflows the stack, a library that crashes or memory that
//! runs out ends this process; the daemon sees which and starts another.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use assets::outcome::{Failure, FailureClass};
use plugins::formats::Objects;
use plugins::kind::{KindSet, ObserveContext};
use plugins::lakehouse::Lake;
use plugins::query::{changed_rows, first_rows};
use plugins::step::{StepOrder, StepReport};
use plugins::step_run::{Cancellation, StepEnvironment, execute};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

use super::messages::{FromWorker, TableAnswer, TableQuestion, ToWorker, WorkerSettings};
use super::processes::{Processes, adopt_orphans, end_marked};
use super::worker_process::limit_memory;
use super::{clock, environment, fault, frame};

/// Stack of the threads that plan and run queries. Planning recurses over the query; DataFusion grows the stack where it
/// knows that it recurses, and this much is for where it does not.
const STACK_BYTES: usize = 16 << 20;
/// Most threads for work that waits on files. A query that merges many spilled files on a slow disk would have hundreds.
const FILE_THREADS: usize = 32;

/// Runs a worker until its input ends.
pub fn run() -> ExitCode {
    let settings = match hello() {
        Ok(Some(settings)) => settings,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "a worker cannot understand its first message");
            return ExitCode::FAILURE;
        }
    };
    // The system counts a stack whole, however little of it is used.
    let stacks = (settings.threads.max(1) + FILE_THREADS) * STACK_BYTES;
    limit_memory(settings.memory_limit_bytes + stacks as u64);
    adopt_orphans();
    environment::large_pages(true);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.threads.max(1))
        .max_blocking_threads(FILE_THREADS)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build();
    let Ok(runtime) = runtime else { return ExitCode::FAILURE };
    let ended = runtime.block_on(serve(settings));
    // A thread that reads a large file cannot be dropped. Nobody waits for what it finds, so neither does this process.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "a worker ends");
            ExitCode::FAILURE
        }
    }
}

/// The settings come before there are threads to read them with.
fn hello() -> io::Result<Option<WorkerSettings>> {
    match frame::read_now(&mut own(&io::stdin())?)? {
        Some(ToWorker::Hello(settings)) => Ok(Some(settings)),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the first message is not a hello",
        )),
        None => Ok(None),
    }
}

/// A handle of our own to one of the standard pipes, without the buffer that the library keeps for it.
fn own(pipe: &impl AsFd) -> io::Result<File> {
    Ok(File::from(pipe.as_fd().try_clone_to_owned()?))
}

async fn serve(settings: WorkerSettings) -> io::Result<()> {
    let mut orders = listen()?;
    let output = pipe::Sender::from_owned_fd(own(&io::stdout())?.into())?;
    let lake = settings.lake.open().map_err(io::Error::other)?;
    let objects = settings.lake.objects();
    let (say, said) = mpsc::unbounded_channel();
    let speaker = tokio::spawn(speak(said, output));
    let worker = Worker {
        lake,
        objects,
        say,
        current: Arc::default(),
    };
    while let Some(message) = orders.recv().await {
        match message {
            ToWorker::Hello(_) => {}
            ToWorker::Work(order) => worker.work(*order),
            ToWorker::Observe {
                asset,
                project,
                previous,
            } => {
                let (say, objects) = (worker.say.clone(), worker.objects.clone());
                tokio::spawn(async move {
                    let context = ObserveContext {
                        asset: &asset,
                        project: &project,
                        objects: &objects,
                        previous: previous.as_ref(),
                    };
                    let result = match KindSet::all().get(&asset.kind) {
                        Some(kind) => kind.observe(context).await,
                        None => Err(Failure::new(
                            FailureClass::Internal,
                            format!("unknown kind `{}`", asset.kind),
                        )),
                    };
                    // A daemon that is gone needs no answer.
                    say.send(Sentence {
                        message: FromWorker::Observed { result },
                        heard: None,
                    })
                    .ok();
                });
            }
            ToWorker::Table(question) => {
                let (say, lake) = (worker.say.clone(), worker.lake.clone());
                tokio::spawn(async move {
                    let result = match *question {
                        TableQuestion::Rows(order) => first_rows(&lake, &order).await.map(TableAnswer::Rows),
                        TableQuestion::Changes(order) => changed_rows(&lake, &order).await.map(TableAnswer::Changes),
                    };
                    say.send(Sentence {
                        message: FromWorker::Table { result },
                        heard: None,
                    })
                    .ok();
                });
            }
            ToWorker::Cancel => worker.cancel(),
        }
    }
    // The daemon is gone, or wants this worker gone: what runs is of no use to anyone.
    worker.cancel();
    if let Some(current) = &*worker.current.lock().unwrap_or_else(PoisonError::into_inner) {
        end_marked(&current.attempt);
    }
    speaker.abort();
    Ok(())
}

/// Reads orders on a thread of their own: while every thread of the runtime is busy in a query nobody there looks at pipes, and
/// a worker that does not hear that its daemon is gone would go on for nobody.
fn listen() -> io::Result<mpsc::UnboundedReceiver<ToWorker>> {
    let mut input = own(&io::stdin())?;
    let (heard, orders) = mpsc::unbounded_channel();
    std::thread::Builder::new().name("orders".to_owned()).spawn(move || {
        loop {
            let order = match frame::read_now(&mut input) {
                Ok(Some(order)) => order,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "a worker cannot understand an order");
                    return;
                }
            };
            if heard.send(order).is_err() {
                return;
            }
        }
    })?;
    Ok(orders)
}

struct Worker {
    lake: Lake,
    objects: Objects,
    say: mpsc::UnboundedSender<Sentence>,
    current: Arc<Mutex<Option<Current>>>,
}

struct Current {
    cancel: Cancellation,
    attempt: String,
}

impl Worker {
    fn cancel(&self) {
        if let Some(current) = &*self.current.lock().unwrap_or_else(PoisonError::into_inner) {
            current.cancel.cancel();
        }
    }

    fn work(&self, order: StepOrder) {
        let cancel = Cancellation::new();
        let current = Current {
            cancel: cancel.clone(),
            attempt: order.attempt.clone(),
        };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(current);
        let (reports, mut received) = mpsc::unbounded_channel();
        let environment = StepEnvironment {
            kinds: KindSet::all(),
            lake: self.lake.clone(),
            objects: self.objects.clone(),
            clock: clock::clock(),
            cancel,
            reports,
            processes: Arc::new(Processes),
        };
        let say = self.say.clone();
        let asset = order.asset.key.clone();
        tokio::spawn(async move {
            while let Some(report) = received.recv().await {
                let turned_to = match &report {
                    StepReport::Started { partition } => Some(partition.clone()),
                    _ => None,
                };
                let (heard, written) = oneshot::channel();
                say.send(Sentence {
                    message: FromWorker::Report { report },
                    heard: Some(heard),
                })
                .ok();
                if let Some(partition) = turned_to {
                    // A fault that is asked for comes after the daemon could know whom to blame.
                    written.await.ok();
                    fault::inject(&asset, partition.as_ref());
                }
            }
        });
        tokio::spawn(execute(order, environment));
    }
}

/// A message, and who wants to know when it is in the pipe.
struct Sentence {
    message: FromWorker,
    heard: Option<oneshot::Sender<()>>,
}

async fn speak(mut said: mpsc::UnboundedReceiver<Sentence>, mut output: pipe::Sender) {
    while let Some(first) = said.recv().await {
        let mut bytes = frame::encode(&first.message);
        let mut heard = vec![first.heard];
        while bytes.len() < 1 << 16
            && let Ok(next) = said.try_recv()
        {
            bytes.extend(frame::encode(&next.message));
            heard.push(next.heard);
        }
        if output.write_all(&bytes).await.is_err() {
            return;
        }
        for heard in heard.into_iter().flatten() {
            // Most senders do not wait.
            heard.send(()).ok();
        }
    }
}
