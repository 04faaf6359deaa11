//! A replay seen from the daemon: a process of its own, so that code that crashes, or takes all the memory, takes nothing else along.
//! It is ended with the value.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use state::ids::RunId;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};

use super::super::environments::EnvironmentName;
use super::super::own_process::AnsweringProcess;
use super::published::{Verdict, With};

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
    process: AnsweringProcess,
    /// Closed, it asks the process to stop; it closes too if this process dies.
    orders: ChildStdin,
    words: Lines<BufReader<ChildStdout>>,
}

impl RunningReplay {
    /// Starts one.
    ///
    /// # Errors
    /// The process cannot be started.
    pub(super) async fn start(order: &ReplayOrder) -> io::Result<Self> {
        let (process, mut orders, words) = AnsweringProcess::start("replaying")?;
        let mut text = serde_json::to_vec(order).expect("an order has a JSON form");
        text.push(b'\n');
        orders.write_all(&text).await?;
        Ok(Self {
            process,
            orders,
            words: BufReader::new(words).lines(),
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
        if tokio::time::timeout(PATIENCE, self.process.wait()).await.is_err() {
            tracing::warn!("a replay does not stop when it is asked to, and is killed");
        }
    }

    /// How it ended, and what it wrote to standard error.
    pub(super) async fn end(self) -> io::Result<(ExitStatus, String)> {
        self.process.end().await
    }
}
