//! The door through which this crate reaches other programs.
//!
//! Starting one is the business of the program's edge, which hands in a [`ProcessDoor`]; this crate says what to start, reads
//! what it says and asks it to stop.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use futures::future::BoxFuture;
use tokio::io::AsyncRead;

/// Starts programs.
pub trait ProcessDoor: Send + Sync {
    /// Starts one in a process group of its own, with closed standard input and piped output.
    /// It inherits the environment of this process, changed by what the order says.
    fn start(&self, order: &ProcessOrder) -> io::Result<Box<dyn RunningProcess>>;
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessOrder {
    /// The program: a name that is looked up in `PATH`, or a path.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where it runs.
    pub working_directory: PathBuf,
    /// Variables that are set or changed.
    pub environment: BTreeMap<String, String>,
    /// Marks the program and all that it starts: those that leave the process group are found by it.
    pub mark: String,
}

/// Name of the variable that holds [`ProcessOrder::mark`].
pub const MARK_VARIABLE: &str = "MILLPOND_STEP";

/// One end of a pipe.
pub type Pipe = Box<dyn AsyncRead + Send + Unpin>;

/// A program that was started. Dropping it ends the program and all that it started.
pub trait RunningProcess: Send {
    /// The process id of the program, which is also the id of its process group.
    fn id(&self) -> u32;

    /// The read ends of standard output and standard error; `None` the second time.
    fn take_output(&mut self) -> Option<(Pipe, Pipe)>;

    /// Waits until the program ends. May be dropped and called again.
    fn wait(&mut self) -> BoxFuture<'_, io::Result<ProcessEnd>>;

    /// Sends a signal to the process group. No error if nothing of it is left.
    fn signal(&self, signal: Signal) -> io::Result<()>;

    /// Kills the process group and every process that bears the mark, those that moved to another group included.
    fn end_all(&mut self);
}

/// What a program is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// As Ctrl-C does.
    Interrupt,
    /// Please end.
    Terminate,
    /// Ends it.
    Kill,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessEnd {
    /// By itself, with this code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl std::fmt::Display for ProcessEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}
