//! Processes of this same program: workers, queries of the console, and replays.

use std::io;
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::environment;

/// Bytes of standard error that are kept.
const MOST_ERRORS: u64 = 64 << 10;

/// This program with a subcommand, its three streams as pipes, killed when nobody holds it any more. It leads a process group of
/// its own: Ctrl-C at a terminal reaches the daemon, which then stops it in good order.
///
/// # Errors
/// Nobody knows where this program is.
pub(super) fn own_process(subcommand: &str) -> io::Result<Command> {
    #[expect(clippy::disallowed_methods, reason = "the door to processes of our own")]
    let mut command = Command::new(environment::own_program()?);
    command
        .arg(subcommand)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

/// A process of this same program that takes one order and answers it; it is killed with the value.
pub(super) struct AnsweringProcess {
    child: Child,
    errors: JoinHandle<Vec<u8>>,
}

impl AnsweringProcess {
    /// Starts one: the process, where it is ordered, and where it answers. What it says to standard error is read from then on, so
    /// that it never waits for a reader.
    ///
    /// # Errors
    /// The process cannot be started.
    pub(super) fn start(subcommand: &str) -> io::Result<(Self, ChildStdin, ChildStdout)> {
        let mut child = own_process(subcommand)?.spawn()?;
        let orders = child.stdin.take().expect("standard input was asked for");
        let answers = child.stdout.take().expect("standard output was asked for");
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
        Ok((Self { child, errors }, orders, answers))
    }

    /// Waits for its end.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// How it ended, and what it wrote to standard error.
    pub(super) async fn end(mut self) -> io::Result<(ExitStatus, String)> {
        let status = self.child.wait().await?;
        let said = self.errors.await.unwrap_or_default();
        Ok((status, String::from_utf8_lossy(&said).trim().to_owned()))
    }
}
