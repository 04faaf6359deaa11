//! A command that is under way.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::Said;

/// How long anything may take that a test waits for: far more than it needs, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A command that was started; its lines are kept as they come. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<Line>,
    said: Said,
}

#[derive(Debug)]
enum Line {
    Out(String),
    Err(String),
}

impl Running {
    pub(super) fn start(mut command: Command) -> Self {
        use std::os::unix::process::CommandExt;
        // A group of its own, as a terminal gives to what it runs in the foreground.
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("the program starts");
        let (lines, received) = channel();
        listen(child.stdout.take().expect("it was asked for"), Line::Out, lines.clone());
        listen(child.stderr.take().expect("it was asked for"), Line::Err, lines);
        Self {
            child,
            lines: received,
            said: Said {
                code: None,
                out: String::new(),
                err: String::new(),
            },
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of either output that holds `text`. What was said before does not count.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => self.said.take(line),
                Err(RecvTimeoutError::Timeout) => panic!("no line with {text:?} for {PATIENCE:?}: {:#?}", self.said),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended without a line with {text:?}: {:#?}", self.said)
                }
            };
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends a signal to it and to all of its group, as a terminal does.
    pub fn signal(&self, signal: Signal) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).expect("process ids are small"));
        killpg(group, signal).expect("the program is still there");
    }

    /// Sends a signal to it alone.
    pub fn signal_only(&self, signal: Signal) {
        let process = Pid::from_raw(i32::try_from(self.child.id()).expect("process ids are small"));
        kill(process, signal).expect("the program is still there");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Said {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => drop(self.said.take(line)),
                Err(RecvTimeoutError::Timeout) => panic!("it goes on for {PATIENCE:?}: {:#?}", self.said),
                // Both outputs are closed: it has ended, or is about to.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.said.code = self.child.wait().expect("it was started here").code();
        std::mem::replace(
            &mut self.said,
            Said {
                code: None,
                out: String::new(),
                err: String::new(),
            },
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After its end there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Said {
    fn take(&mut self, line: Line) -> String {
        let (all, line) = match line {
            Line::Out(line) => (&mut self.out, line),
            Line::Err(line) => (&mut self.err, line),
        };
        all.push_str(&line);
        all.push('\n');
        line
    }
}

fn listen(output: impl Read + Send + 'static, of: fn(String) -> Line, lines: Sender<Line>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            // The test may have heard enough.
            lines.send(of(String::from_utf8_lossy(&line).into_owned())).ok();
        }
    });
}

/// Looks again and again until there is something to see.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
