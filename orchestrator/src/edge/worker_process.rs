//! Starting worker processes, watching their memory, and telling how one ended.

use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use assets::outcome::{Failure, FailureClass};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use super::own_process::own_process;

/// Lines of a worker's standard error that are kept to tell why it ended.
const LAST_WORDS: usize = 30;
/// How long a process may take to end after it closed its pipe.
const DYING: Duration = Duration::from_secs(2);

/// A worker process and the ends of its pipes.
pub struct WorkerProcess {
    child: Child,
    pid: u32,
    /// Its standard input: orders.
    pub orders: ChildStdin,
    last_words: Arc<Mutex<VecDeque<String>>>,
    listener: JoinHandle<()>,
    over_memory: bool,
}

impl WorkerProcess {
    /// Starts one. What its libraries write to standard error goes to `log` and is kept for [`WorkerProcess::ended`].
    pub fn start(log: &Path) -> io::Result<(Self, ChildStdout)> {
        let mut child = own_process("worker")?.spawn()?;
        let pid = child.id().expect("a child that was not waited for has an id");
        let orders = child.stdin.take().expect("standard input was asked for");
        let reports = child.stdout.take().expect("standard output was asked for");
        let errors = child.stderr.take().expect("standard error was asked for");
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let listener = tokio::spawn(listen(errors, log.to_owned(), Arc::clone(&last_words)));
        Ok((
            Self {
                child,
                pid,
                orders,
                last_words,
                listener,
                over_memory: false,
            },
            reports,
        ))
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Bytes of memory that the process holds now; `None` if it is gone or the system does not tell.
    pub fn resident_bytes(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.pid)).ok()?;
        Some(text.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4096)
    }

    /// Ends the process because it holds more memory than it may.
    pub fn end_over_memory(&mut self) {
        self.over_memory = true;
        self.kill();
    }

    /// Ends the process at once.
    pub fn kill(&mut self) {
        // It may have ended by itself in the meantime, which is what was wanted.
        self.child.start_kill().ok();
    }

    /// Waits for the end and says what it was, as the failure of the step it worked on. Called once its pipe is closed:
    /// whatever it still does cannot be heard, so it is ended soon.
    pub async fn ended(mut self) -> Failure {
        let status = match tokio::time::timeout(DYING, self.child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                self.kill();
                self.child.wait().await
            }
        };
        // The pipe ends with the process, unless a child of it still holds the other end.
        tokio::time::timeout(Duration::from_secs(1), &mut self.listener)
            .await
            .ok();
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        classify(status.ok(), self.over_memory, words.iter().map(String::as_str))
    }
}

async fn listen(
    errors: impl tokio::io::AsyncRead + Unpin,
    log: std::path::PathBuf,
    words: Arc<Mutex<VecDeque<String>>>,
) {
    let mut file = None;
    let mut lines = BufReader::new(errors);
    let mut line = Vec::new();
    while let Ok(read) = lines.read_until(b'\n', &mut line).await {
        if read == 0 {
            break;
        }
        if file.is_none() {
            if let Some(folder) = log.parent() {
                tokio::fs::create_dir_all(folder).await.ok();
            }
            file = tokio::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&log)
                .await
                .ok();
        }
        if let Some(file) = &mut file {
            file.write_all(&line).await.ok();
        }
        {
            let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
            words.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
            while words.len() > LAST_WORDS {
                words.pop_front();
            }
        }
        line.clear();
    }
}

/// What the end of a worker means for the step it worked on.
fn classify<'a>(status: Option<ExitStatus>, over_memory: bool, words: impl Iterator<Item = &'a str>) -> Failure {
    let words: Vec<&str> = words.collect();
    let said = |text: &str| words.iter().any(|line| line.contains(text));
    let memory = |how: &str| {
        Failure::new(
            FailureClass::Memory,
            format!("the worker was ended because the step {how}"),
        )
        .with_help(
            "raise `memory` in `[execution]`, or let the step read less at once (smaller partitions, fewer columns)",
        )
    };
    if over_memory {
        return memory("held more memory than a worker may");
    }
    if said("has overflowed its stack") {
        return Failure::new(FailureClass::StackOverflow, "the worker was ended because the step overflowed its stack")
            .with_help("the query nests too deep: split it into several assets, or replace long chains of operators by IN or a join");
    }
    if said("memory allocation of") {
        return memory("asked for more memory than a worker may have");
    }
    let signal = status.and_then(|status| status.signal());
    let last = words
        .last()
        .filter(|line| !line.is_empty())
        .map_or_else(String::new, |line| format!("; its last words: {line}"));
    match signal {
        Some(libc_kill @ (9 | 15)) => Failure::new(
            FailureClass::Killed,
            format!("the worker was killed from outside (signal {libc_kill}){last}"),
        )
        .with_help("someone or the system's out-of-memory killer ended it; see the system's log"),
        Some(signal) => Failure::new(
            FailureClass::Crash,
            format!("the worker crashed (signal {signal}){last}"),
        )
        .with_help("a library failed; the worker's own log is under logs/workers in the state folder"),
        None => {
            let code = status
                .and_then(|status| status.code())
                .map_or_else(String::new, |code| format!(" (exit code {code})"));
            Failure::new(
                FailureClass::Crash,
                format!("the worker ended without a word{code}{last}"),
            )
            .with_help("the worker's own log is under logs/workers in the state folder")
        }
    }
}

/// Bounds the data segment of this process. Past it an allocation fails, which ends the process with a word to say so.
pub fn limit_memory(bytes: u64) {
    if let Err(error) = setrlimit(Resource::RLIMIT_DATA, bytes, bytes) {
        tracing::warn!(%error, "the memory of this worker is not bounded by the system");
    }
    // A crash must not write the rows it held, or a secret, to a core file.
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        tracing::warn!(%error, "core files are not turned off");
    }
}

/// Ends this process as an outsider would.
pub fn kill_self() {
    kill(Pid::this(), Signal::SIGKILL).ok();
}

/// Ends this process without a word.
#[expect(
    clippy::disallowed_methods,
    reason = "a worker that ends without a word is what a fault test asks for"
)]
pub fn exit_now(code: i32) -> ! {
    std::process::exit(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_worker_tells_its_class() {
        let status = |raw| Some(ExitStatus::from_raw(raw));
        let class = |raw, over, words: &[&str]| classify(status(raw), over, words.iter().copied()).class;
        assert_eq!(class(9, true, &[]), FailureClass::Memory);
        assert_eq!(class(9, false, &[]), FailureClass::Killed);
        assert_eq!(
            class(6, false, &["thread 'x' has overflowed its stack"]),
            FailureClass::StackOverflow
        );
        assert_eq!(
            class(6, false, &["memory allocation of 16 bytes failed"]),
            FailureClass::Memory
        );
        assert_eq!(class(11, false, &[]), FailureClass::Crash);
        assert_eq!(class(3 << 8, false, &[]), FailureClass::Crash);
    }
}
