//! Starting and ending the programs of `command` assets: the real door behind `plugins::command::ProcessDoor`.
//!
//! Each program leads a process group of its own and bears a mark in its environment, which its descendants inherit. Ending a
//! step kills the group first and then, found by their mark in `/proc`, those that moved to another group or session. A
//! process that clears its environment and leaves its group escapes; the step ends all the same.
//!
//! Looking through `/proc` costs milliseconds. A worker becomes the parent of whatever its programs leave behind ([`adopt_orphans`]);
//! if it has no child when a program is over, nothing was left, and nobody has to look.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal as UnixSignal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{AccessFlags, Pid, access};
use plugins::command::{MARK_VARIABLE, Pipe, ProcessDoor, ProcessEnd, ProcessOrder, RunningProcess, Signal};
use state::ids::AttemptId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::environment;

/// How many looks in a row must find nothing: one that forks while it is looked for is met by a later look.
const QUIET_LOOKS: usize = 2;
/// Time until the next look when there was something to end.
const AFTER_A_FIND: Duration = Duration::from_millis(1);
/// Looks until a killed process counts as one that cannot be ended: two seconds, for machines with more work than processors.
const LOOKS: usize = 2_000;
/// Looks during which a process without an environment may still be in the middle of `exec`.
const SETTLING_LOOKS: usize = 10;
/// How long to wait for the end of the outputs of a program that is gone.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Whether orphans come to this process.
static ADOPTS: AtomicBool = AtomicBool::new(false);
/// Programs that were started here and are waited for by whoever started them.
static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// From now on this process is the parent of everything below it whose own parent ends. Only for a process that starts nothing
/// but through this door: orphans that nobody here knows are waited for.
pub fn adopt_orphans() {
    match set_child_subreaper(true) {
        Ok(()) => ADOPTS.store(true, Ordering::Relaxed),
        Err(error) => tracing::warn!(%error, "orphans go elsewhere: what programs leave behind is looked for in /proc"),
    }
}

/// Whether nothing at all is left of what this process started, as far as it is its parent's business to know.
fn nothing_left() -> bool {
    ADOPTS.load(Ordering::Relaxed) && reap() == Err(Errno::ECHILD)
}

/// Waits for the orphans that have ended. `ECHILD`: there is no child.
fn reap() -> Result<(), Errno> {
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        let Some(ended) = waitid(Id::All, look | WaitPidFlag::WNOWAIT)?.pid() else {
            return Ok(());
        };
        if own.contains(&ended.as_raw().unsigned_abs()) {
            // Whoever started it will; it hides the others until then.
            return Ok(());
        }
        if waitid(Id::Pid(ended), look)? == WaitStatus::StillAlive {
            return Ok(());
        }
    }
}

/// Starts programs of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Processes;

impl ProcessDoor for Processes {
    fn start(&self, order: &ProcessOrder) -> io::Result<Box<dyn RunningProcess>> {
        Ok(Box::new(spawn(order, Stdio::null())?))
    }
}

/// Lets programs hear the requests to stop that this process was told to ignore: `nohup`, or a script that starts it with `&`, has it
/// ignore them, and what is ignored stays so over `exec`, while what is listened to does not.
fn pass_requests_on() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        let ignored = |kind: SignalKind| {
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
            let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            mask.is_some_and(|mask| mask & (1 << (kind.as_raw_value() - 1)) != 0)
        };
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            if ignored(kind)
                && let Err(error) = signal(kind)
            {
                tracing::warn!(%error, "programs ignore requests to stop, and are killed after a while");
            }
        }
    });
}

fn spawn(order: &ProcessOrder, input: Stdio) -> io::Result<Running> {
    pass_requests_on();
    #[expect(clippy::disallowed_methods, reason = "this is the door to other programs")]
    let mut command = Command::new(in_path(order).as_deref().unwrap_or(Path::new(&order.program)));
    command
        .arg0(&order.program)
        .args(&order.arguments)
        .current_dir(&order.working_directory)
        .envs(&order.environment)
        .env(MARK_VARIABLE, &order.mark)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    // Nobody reaps between the start of the program and the note that it is ours.
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let child = command.spawn()?;
    let id = child.id().expect("a child that was not waited for has an id");
    own.insert(id);
    drop(own);
    Ok(Running {
        child,
        id,
        mark: order.mark.clone(),
        ended: false,
    })
}

/// Where the program is. The system would look for it too, once for each folder of the path and within the new process, which a
/// small step notices.
fn in_path(order: &ProcessOrder) -> Option<PathBuf> {
    if order.program.contains('/') {
        return None;
    }
    let own = || environment::variable("PATH");
    let path = order.environment.get("PATH").cloned().or_else(own)?;
    // A relative folder in the path is one of the new process, which has its own working directory.
    let folders = path.split(':').map(Path::new);
    folders
        .take_while(|folder| folder.is_absolute())
        .map(|folder| folder.join(&order.program))
        .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}

/// How a short program ended, and what it wrote.
pub struct Ran {
    /// How; `None` if it did not end in time and was killed.
    pub end: Option<ProcessEnd>,
    /// The first bytes of its standard output.
    pub output: Vec<u8>,
    /// The first bytes of its standard error.
    pub errors: Vec<u8>,
}

/// Runs a short program: gives it its input, takes the first `most` bytes of each of its outputs, and ends it and all that it
/// started when it ended or `longest` is over.
pub async fn run(order: &ProcessOrder, input: Vec<u8>, most: usize, longest: Duration) -> io::Result<Ran> {
    let mut running = spawn(order, Stdio::piped())?;
    let stdin = running.child.stdin.take();
    let (stdout, stderr) = running.take_output().expect("the outputs were not taken before");
    let outputs = [stdout, stderr].map(|pipe| tokio::spawn(first(pipe, most)));
    let whole = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input has closed the pipe; that is its own affair.
            stdin.write_all(&input).await.ok();
        }
        running.wait().await
    };
    let end = tokio::time::timeout(longest, whole).await.ok().transpose();
    // Looking for what it left behind takes a while, and must not hold up what else this thread has to do.
    let swept = tokio::task::spawn_blocking(move || running.end_all());
    swept.await.map_err(io::Error::other)?;
    let [output, errors] = outputs.map(|output| async {
        // What escaped may hold the pipe open.
        match tokio::time::timeout(LAST_WORDS, output).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    });
    Ok(Ran {
        output: output.await,
        errors: errors.await,
        end: end?,
    })
}

/// The first bytes of a pipe; the rest is read and dropped, so that the program is not held up.
async fn first(mut pipe: Pipe, most: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 8 * 1024];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let room = most.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
    kept
}

struct Running {
    child: Child,
    id: u32,
    mark: String,
    ended: bool,
}

impl RunningProcess for Running {
    fn id(&self) -> u32 {
        self.id
    }

    fn take_output(&mut self) -> Option<(Pipe, Pipe)> {
        Some((Box::new(self.child.stdout.take()?), Box::new(self.child.stderr.take()?)))
    }

    fn wait(&mut self) -> BoxFuture<'_, io::Result<ProcessEnd>> {
        async { self.child.wait().await.map(end_of) }.boxed()
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let signal = match signal {
            Signal::Interrupt => UnixSignal::SIGINT,
            Signal::Terminate => UnixSignal::SIGTERM,
            Signal::Kill => UnixSignal::SIGKILL,
        };
        match killpg(group(self.id), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn end_all(&mut self) {
        self.ended = true;
        if nothing_left() {
            return;
        }
        if let Err(error) = killpg(group(self.id), UnixSignal::SIGKILL)
            && error != Errno::ESRCH
        {
            tracing::warn!(group = self.id, %error, "failed to kill a process group");
        }
        end_where(|mark| mark == self.mark.as_bytes());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.end_all();
        }
        OWN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

fn group(id: u32) -> Pid {
    Pid::from_raw(id as i32)
}

fn end_of(status: ExitStatus) -> ProcessEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) => ProcessEnd::Code(code),
        (None, Some(signal)) => ProcessEnd::Signal(signal),
        (None, None) => ProcessEnd::Code(-1),
    }
}

/// Kills every process that the steps of an attempt left behind, whichever of its partitions it was started for.
pub fn end_marked(attempt: &str) {
    end_where(|mark| {
        mark.strip_prefix(attempt.as_bytes())
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'@')
    });
}

/// Kills every process that steps of attempts of a daemon left behind that is gone, before any of them is tried again.
pub fn end_left_behind(attempts: &[AttemptId]) {
    if attempts.is_empty() {
        return;
    }
    let known: HashSet<&[u8]> = attempts.iter().map(|attempt| attempt.as_str().as_bytes()).collect();
    end_where(|mark| {
        let attempt = mark.split(|byte| *byte == b'@').next().unwrap_or_default();
        known.contains(attempt)
    });
}

/// Kills what bears a wanted mark, and returns when all of it is gone: a signal that was sent is not yet a process that ended.
fn end_where(wanted: impl Fn(&[u8]) -> bool) {
    let mut quiet = 0;
    for look in 0..LOOKS {
        let swept = sweep(&wanted);
        for process in &swept.marked {
            if let Err(error) = kill(*process, UnixSignal::SIGKILL)
                && error != Errno::ESRCH
            {
                tracing::warn!(%process, %error, "failed to kill a process that a program left behind");
            }
        }
        let in_doubt = swept.unsettled && look < SETTLING_LOOKS;
        if swept.marked.is_empty() && !in_doubt {
            quiet += 1;
            if quiet == QUIET_LOOKS {
                break;
            }
        } else {
            quiet = 0;
            #[expect(
                clippy::disallowed_methods,
                reason = "the system tells only a parent when a process is gone"
            )]
            std::thread::sleep(AFTER_A_FIND);
        }
    }
    if quiet < QUIET_LOOKS {
        tracing::warn!("a process that a program left behind was killed and is still not gone");
    }
    if ADOPTS.load(Ordering::Relaxed) {
        // No child, or one that goes on: either is fine.
        reap().ok();
    }
}

/// What one look over all processes found.
struct Swept {
    /// The living processes with a mark that is wanted.
    marked: Vec<Pid>,
    /// Some living process shows no environment: it may be in the middle of `exec`, or have none.
    unsettled: bool,
}

/// Looks at every process once. Finds nothing where there is no `/proc`.
fn sweep(wanted: &impl Fn(&[u8]) -> bool) -> Swept {
    let variable = format!("{MARK_VARIABLE}=").into_bytes();
    let mut swept = Swept {
        marked: Vec::new(),
        unsettled: false,
    };
    let Ok(entries) = fs::read_dir("/proc") else {
        return swept;
    };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    for id in ids {
        // Gone, or someone else's: nothing to read, nothing to kill.
        let Ok(environment) = fs::read(format!("/proc/{id}/environ")) else {
            continue;
        };
        if environment.is_empty() {
            // Neither a zombie nor a thread of the kernel has a program.
            swept.unsettled |= fs::read_link(format!("/proc/{id}/exe")).is_ok();
        } else if environment
            .split(|byte| *byte == 0)
            .filter_map(|entry| entry.strip_prefix(&variable[..]))
            .any(wanted)
        {
            swept.marked.push(Pid::from_raw(id));
        }
    }
    swept
}
