//! `millpond logs`: what the attempts of a run wrote, as it is or as it grows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use state::ids::RunId;
use state::logs::{FoundLine, Level, read_from};
use state::sqlite::Store;
use state::sqlite::queries::attempts::attempts;
use state::sqlite::queries::{run, runs};

use super::look::Place;
use super::runs::{missing, parse};
use super::terminal::{Terminal, moment};
use super::{Exit, Stop};
use crate::edge::folder::StateFolder;
use crate::edge::opened::read_project;

/// Bytes that are read of a log at once.
const PIECE: usize = 1 << 20;
/// How long a follower waits before it looks whether the files have grown. Looking is one `stat` for each attempt.
const LOOK_AGAIN: Duration = Duration::from_millis(150);

/// Print the log of a run.
#[derive(Args)]
pub struct Logs {
    /// The run: run_… ; the newest by default.
    run: Option<String>,
    /// Go on as the log grows, until the run is over.
    #[arg(long, short)]
    follow: bool,
    /// Only this asset's lines.
    #[arg(long)]
    asset: Option<String>,
    /// Only this partition's lines.
    #[arg(long)]
    partition: Option<String>,
    /// Only lines of this level and above: debug, info, warn, error.
    #[arg(long, default_value = "debug")]
    level: String,
}

impl Logs {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let root = place.root()?;
        let folder = StateFolder::of(&root);
        let store = Store::open_reader(&folder.database())?;
        let least: Level = serde_json::from_value(self.level.clone().into()).map_err(|_| {
            Stop::new(Exit::Usage, format!("there is no level `{}`", self.level))
                .with_help("levels are debug, info, warn, error")
        })?;
        let id = match &self.run {
            Some(id) => parse(id)?,
            None => {
                let newest = runs::runs(
                    &store,
                    &runs::RunFilter {
                        status: None,
                        asset: None,
                    },
                    None,
                    1,
                )?;
                newest
                    .rows
                    .first()
                    .map(|row| row.run.clone())
                    .ok_or_else(|| Stop::not_found("there is no run yet"))?
            }
        };
        if run::run(&store, &id)?.is_none() {
            return Err(missing(&id));
        }
        let zone = read_project(&root)
            .project
            .map_or_else(|| "UTC".to_owned(), |project| project.settings.timezone);
        let mut reader = Reader {
            options: self,
            least,
            zone,
            folder,
            files: BTreeMap::new(),
            terminal,
        };
        if !reader.options.follow {
            reader.read(&store, &id)?;
            return Ok(Exit::Done);
        }
        reader.follow(&store, &id)
    }
}

struct Reader<'a> {
    options: Logs,
    least: Level,
    zone: String,
    folder: StateFolder,
    /// How far each file was read.
    files: BTreeMap<PathBuf, u64>,
    terminal: &'a Terminal,
}

impl Reader<'_> {
    fn follow(&mut self, store: &Store, id: &RunId) -> Result<Exit, Stop> {
        loop {
            // Asked before reading: what was written before the end is then read after it.
            let over = run::run(store, id)?.is_none_or(|detail| detail.row.status.is_terminal());
            self.read(store, id)?;
            if over {
                return Ok(Exit::Done);
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
    }

    /// Prints what is new in every attempt's file, attempt by attempt.
    fn read(&mut self, store: &Store, id: &RunId) -> Result<(), Stop> {
        let asset = self
            .options
            .asset
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error: assets::key::KeyError| Stop::new(Exit::Usage, error.to_string()))?;
        let mut after = None;
        loop {
            let page = attempts(store, id, asset.as_ref(), after, 500)?;
            for attempt in &page.rows {
                let path = self.folder.path().join(&attempt.log_file);
                self.read_file(&path)?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Stop> {
        let mut offset = self.files.get(path).copied().unwrap_or(0);
        loop {
            let part = read_from(path, offset, PIECE)
                .map_err(|error| Stop::broken(format!("failed to read `{}`: {error}", path.display())))?;
            for line in &part.lines {
                self.print(line);
            }
            let stuck = part.next_offset == offset;
            offset = part.next_offset;
            if part.complete || stuck {
                break;
            }
        }
        self.files.insert(path.to_owned(), offset);
        Ok(())
    }

    fn print(&self, line: &FoundLine) {
        let message = match line {
            FoundLine::Raw { raw } => {
                if !self.terminal.json() {
                    self.terminal.say(printable(raw));
                } else {
                    self.terminal.answer(line);
                }
                return;
            }
            FoundLine::Message(message) => message,
        };
        let wanted = self
            .options
            .partition
            .as_ref()
            .is_none_or(|wanted| message.partition.as_ref() == Some(wanted));
        if message.level < self.least || !wanted {
            return;
        }
        if self.terminal.json() {
            self.terminal.answer(line);
            return;
        }
        let step = match (&message.asset, &message.partition) {
            (Some(asset), Some(partition)) => format!("{asset}@{partition}"),
            (Some(asset), None) => asset.clone(),
            (None, _) => String::new(),
        };
        let level = match message.level {
            Level::Error => self.terminal.red("error"),
            Level::Warn => self.terminal.yellow("warn "),
            Level::Info => "info ".to_owned(),
            Level::Debug | Level::Trace => self.terminal.dim("debug"),
        };
        let at = moment(message.at, &self.zone);
        self.terminal.say(format!(
            "{} {level} {} {}",
            self.terminal.dim(&at),
            self.terminal.dim(&step),
            printable(&message.message)
        ));
    }
}

/// Text without control characters, which could move the cursor or retitle the window of whoever reads the log.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}
