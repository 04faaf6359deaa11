//! Processes of this same program: workers, and queries of the console.

use std::io;
use std::process::Stdio;

use tokio::process::Command;

use super::environment;

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
