//! `millpond completions`: for the shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::terminal::Terminal;
use super::{Cli, Exit, Stop};

/// Print completions for a shell.
///
/// bash: millpond completions bash > ~/.local/share/bash-completion/completions/millpond
#[derive(Args)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub fn run(self, terminal: &Terminal) -> Result<Exit, Stop> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "millpond", &mut text);
        terminal.say(String::from_utf8_lossy(&text).trim_end());
        Ok(Exit::Done)
    }
}
