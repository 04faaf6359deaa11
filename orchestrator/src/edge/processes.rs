//! Starting and ending the programs of `command` assets: the real door behind `plugins::command::ProcessDoor`.
//!
//! Each program leads a process group of its own and bears a mark in its environment, which its descendants inherit. Ending a
//! step kills the group first and then, found by their mark in `/proc`, those that moved to another group or session. A
//! process that clears its environment and leaves its group escapes; the step ends all the same.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use futures::FutureExt;
use futures::future::BoxFuture;
use nix::errno::Errno;
use nix::sys::signal::{Signal as UnixSignal, kill, killpg};
use nix::unistd::Pid;
use plugins::command::{MARK_VARIABLE, Pipe, ProcessDoor, ProcessEnd, ProcessOrder, RunningProcess, Signal};
use tokio::process::{Child, Command};

/// How often the marked processes are looked for: one that forks while it is looked for is met in a later round.
const SWEEPS: usize = 5;

/// Starts programs of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Processes;

impl ProcessDoor for Processes {
    fn start(&self, order: &ProcessOrder) -> io::Result<Box<dyn RunningProcess>> {
        #[expect(clippy::disallowed_methods, reason = "this is the door to other programs")]
        let mut command = Command::new(&order.program);
        command
            .args(&order.arguments)
            .current_dir(&order.working_directory)
            .envs(&order.environment)
            .env(MARK_VARIABLE, &order.mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let child = command.spawn()?;
        let id = child.id().expect("a child that was not waited for has an id");
        Ok(Box::new(Running {
            child,
            id,
            mark: order.mark.clone(),
            ended: false,
        }))
    }
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

fn end_where(wanted: impl Fn(&[u8]) -> bool) {
    for _ in 0..SWEEPS {
        let marked = marked(&wanted);
        if marked.is_empty() {
            return;
        }
        for process in marked {
            if let Err(error) = kill(process, UnixSignal::SIGKILL)
                && error != Errno::ESRCH
            {
                tracing::warn!(%process, %error, "failed to kill a process that a program left behind");
            }
        }
    }
}

/// The living processes with a mark that is wanted. Empty where there is no `/proc`.
fn marked(wanted: &impl Fn(&[u8]) -> bool) -> Vec<Pid> {
    let variable = format!("{MARK_VARIABLE}=").into_bytes();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|id| {
            // Gone, a zombie, or someone else's: nothing to read, nothing to kill.
            let Ok(environment) = fs::read(format!("/proc/{id}/environ")) else {
                return false;
            };
            environment
                .split(|byte| *byte == 0)
                .filter_map(|entry| entry.strip_prefix(&variable[..]))
                .any(wanted)
        })
        .map(Pid::from_raw)
        .collect()
}
