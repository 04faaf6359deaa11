//! A replay seen from the daemon: a process of its own, so that code that crashes, or takes all the memory, takes nothing else along.
//! It is ended with the value.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use state::ids::RunId;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use super::super::environments::EnvironmentName;
use super::super::own_process::own_process;
use super::published::{Verdict, With};

/// Bytes of standard error that are kept.
const MOST_ERRORS: u64 = 64 << 10;

/// How long it may take to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be made again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayOrder {
    /// The folder that holds `millpond.toml`.
    pub project: PathBuf,
    /// Which of its environments.
    pub environment: Option<EnvironmentName>,
    /// What this run has published.
    pub run: RunId,
    /// With what of today.
    pub with: With,
}

/// What the process says, a line of JSON each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Word {
    /// It begins with so many partitions.
    Begun {
        /// How many.
        partitions: u64,
    },
    /// One was made again, or not.
    Made {
        /// What became of it.
        verdict: Box<Verdict>,
    },
    /// It ends before its time.
    Stopped {
        /// Why, and what to do.
        message: String,
    },
}

/// A replay under way.
pub(super) struct RunningReplay {
    child: Child,
    /// Closed, it asks the process to stop; it closes too if this process dies.
    orders: ChildStdin,
    words: Lines<BufReader<ChildStdout>>,
    errors: JoinHandle<Vec<u8>>,
}

impl RunningReplay {
    /// Starts one.
    ///
    /// # Errors
    /// The process cannot be started.
    pub(super) async fn start(order: &ReplayOrder) -> io::Result<Self> {
        let mut child = own_process("replaying")?.spawn()?;
        let mut orders = child.stdin.take().expect("standard input was asked for");
        let words = child.stdout.take().expect("standard output was asked for");
        let errors = child.stderr.take().expect("standard error was asked for");
        let errors = tokio::spawn(async move {
            let mut kept = Vec::new();
            let mut first = errors.take(MOST_ERRORS);
            // What cannot be read any more was not said.
            first.read_to_end(&mut kept).await.ok();
            tokio::io::copy(&mut first.into_inner(), &mut tokio::io::sink())
                .await
                .ok();
            kept
        });
        let mut text = serde_json::to_vec(order).expect("an order has a JSON form");
        text.push(b'\n');
        orders.write_all(&text).await?;
        Ok(Self {
            child,
            orders,
            words: BufReader::new(words).lines(),
            errors,
        })
    }

    /// The next word; `None` when it has said its last.
    ///
    /// # Errors
    /// What it says cannot be read or understood.
    pub(super) async fn next(&mut self) -> io::Result<Option<Word>> {
        let Some(line) = self.words.next_line().await? else {
            return Ok(None);
        };
        serde_json::from_str(&line).map(Some).map_err(io::Error::other)
    }

    /// Asks it to stop, and all that its step has started; one that does not is killed with the value.
    pub(super) async fn stop(mut self) {
        drop(self.orders);
        if tokio::time::timeout(PATIENCE, self.child.wait()).await.is_err() {
            tracing::warn!("a replay does not stop when it is asked to, and is killed");
        }
    }

    /// How it ended, and what it wrote to standard error.
    pub(super) async fn end(mut self) -> io::Result<(ExitStatus, String)> {
        let status = self.child.wait().await?;
        let said = self.errors.await.unwrap_or_default();
        Ok((status, String::from_utf8_lossy(&said).trim().to_owned()))
    }
}
