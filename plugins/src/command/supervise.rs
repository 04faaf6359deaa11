//! Runs one program from start to end: its output to the log, its messages to the session, and no survivors.
//!
//! ```text
//! start ─► running ──────────────────────────► ended ─► group killed ─► pipes drained (bounded) ─► rest of the messages
//!             └─ asked to stop: SIGINT, SIGTERM, SIGKILL, each after a bounded wait ─┘
//! ```

use std::path::Path;
use std::time::Duration;

use assets::outcome::{Failure, FailureClass};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::lines;
use super::process::{ProcessDoor, ProcessEnd, ProcessOrder, RunningProcess, Signal};
use super::session::Session;
use super::tail::Tail;
use crate::step_run::{Cancellation, LogStream, StepLog};

/// How often the messages file is looked at.
const TAIL_EVERY: Duration = Duration::from_millis(100);
/// How long a program may take to end after SIGINT.
const AFTER_INTERRUPT: Duration = Duration::from_secs(5);
/// How long it may take after SIGTERM.
const AFTER_TERMINATE: Duration = Duration::from_secs(3);
/// How long the pipes may stay open once the program and its group are gone: a survivor may hold them.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs the program and returns how it ended.
pub(super) async fn run(
    door: &dyn ProcessDoor,
    order: &ProcessOrder,
    messages: &Path,
    session: &mut Session,
    log: &StepLog,
    cancel: &Cancellation,
) -> Result<ProcessEnd, Failure> {
    let mut process = door.start(order).map_err(|error| start_failure(order, &error))?;
    log.info(format!("started `{}` as process {}", command_line(order), process.id()));
    let (stdout, stderr) = process
        .take_output()
        .expect("the output of a fresh process was not taken yet");
    let output = [
        tokio::spawn(lines::copy(stdout, LogStream::Stdout, log.clone())),
        tokio::spawn(lines::copy(stderr, LogStream::Stderr, log.clone())),
    ];
    let mut tail = Tail::new(messages);
    let ended = follow(process.as_mut(), &mut tail, session, log, cancel).await;
    // Whatever it left running goes with it, and with that the last holders of its pipes.
    process.end_all();
    for copying in output {
        let abort = copying.abort_handle();
        if timeout(DRAIN, copying).await.is_err() {
            abort.abort();
            log.warn("a process that the program left behind holds its output open; what it prints is not read");
        }
    }
    if let Err(error) = tail.finish(session).await {
        log.warn(format!("failed to read the program's messages: {error}"));
    }
    let ended = ended?;
    if cancel.is_canceled() {
        Err(Cancellation::failure())
    } else {
        Ok(ended)
    }
}

/// Waits for the end of the program, reads its messages meanwhile, and asks it to stop when the step is to stop.
async fn follow(
    process: &mut dyn RunningProcess,
    tail: &mut Tail,
    session: &mut Session,
    log: &StepLog,
    cancel: &Cancellation,
) -> Result<ProcessEnd, Failure> {
    let mut ticks = interval_at(Instant::now() + TAIL_EVERY, TAIL_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ended = process.wait() => return ended.map_err(|error| wait_failure(&error)),
            () = cancel.canceled() => break,
            _ = ticks.tick() => {
                if let Err(error) = tail.read(session).await {
                    log.warn(format!("failed to read the program's messages: {error}"));
                }
            }
        }
    }
    for (signal, patience) in [
        (Signal::Interrupt, AFTER_INTERRUPT),
        (Signal::Terminate, AFTER_TERMINATE),
    ] {
        log.info(format!("asking the program to stop ({signal:?})"));
        if let Err(error) = process.signal(signal) {
            log.warn(format!("failed to signal the program: {error}"));
        }
        if let Ok(ended) = timeout(patience, process.wait()).await {
            return ended.map_err(|error| wait_failure(&error));
        }
    }
    log.warn("the program did not stop when asked; killing it");
    process.end_all();
    match timeout(DRAIN, process.wait()).await {
        Ok(ended) => ended.map_err(|error| wait_failure(&error)),
        Err(_) => Err(Cancellation::failure()),
    }
}

fn start_failure(order: &ProcessOrder, error: &std::io::Error) -> Failure {
    let program = &order.program;
    let failure = Failure::new(FailureClass::Command, format!("failed to start `{program}`: {error}"));
    match error.kind() {
        std::io::ErrorKind::NotFound => failure.with_help(format!(
            "is `{program}` installed and in PATH, or a path relative to the project?"
        )),
        std::io::ErrorKind::PermissionDenied => failure.with_help(format!("is `{program}` executable?")),
        _ => failure,
    }
}

fn wait_failure(error: &std::io::Error) -> Failure {
    Failure::new(FailureClass::Io, format!("failed to wait for the program: {error}"))
}

fn command_line(order: &ProcessOrder) -> String {
    std::iter::once(&order.program)
        .chain(&order.arguments)
        .cloned()
        .collect::<Vec<_>>()
        .join(" ")
}
