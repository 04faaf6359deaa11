//! `millpond gc`: remove versions of tables that nobody needs any more, and files that nothing refers to.

use clap::Args;

use super::look::Place;
use super::owner::daemon_or_engine;
use super::terminal::{Terminal, bytes, count, start_log};
use super::{Exit, Stop};
use crate::edge::maintenance::{MaintenanceError, tend};
use crate::wire::{GcAnswer, GcBody, TendedTable};

/// Make few files of many small ones; remove versions of tables that nobody needs any more, and files that nothing refers to.
///
/// What goes can no longer be read with `query --as-of`. The current version stays, and so does what attempts under way, versions
/// of models, tags and branches need. A table of which anything cannot be read is left as it is.
#[derive(Args)]
pub struct Gc {
    /// Whose tables; all by default. `millpond --help` says how to select
    selection: Option<String>,
    /// Only say what would go, and what is kept by whom.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Leave small files as they are.
    #[arg(long)]
    no_compaction: bool,
    /// How long a version is kept after another one took its place: `30 d`, or 0; as [maintenance] says, or 30 days, by default.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    keep: Option<u64>,
    /// How many of the newest versions are kept in any case; as [maintenance] says, or 10, by default.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    keep_snapshots: Option<u32>,
}

fn seconds(text: &str) -> Result<u64, String> {
    if text == "0" {
        return Ok(0);
    }
    assets::quantity::seconds(text).map_err(|error| error.to_string())
}

impl Gc {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        start_log("warn");
        let body = GcBody {
            selection: self.selection,
            dry_run: self.dry_run,
            no_compaction: self.no_compaction,
            keep_seconds: self.keep,
            keep_snapshots: self.keep_snapshots,
        };
        let project = place.project(terminal)?;
        let answer = daemon_or_engine(
            project,
            async |daemon| daemon.collect_garbage(&body).await,
            async |engine| Ok(tend(&engine, &body, "cli").await?),
        )?;
        if terminal.json() {
            terminal.answer(&answer);
        } else {
            say(&answer, terminal);
        }
        Ok(if answer.tables.iter().any(failed) {
            Exit::Failed
        } else {
            Exit::Done
        })
    }
}

impl From<MaintenanceError> for Stop {
    fn from(error: MaintenanceError) -> Self {
        match error {
            MaintenanceError::Request(error) => Self::from(error),
            MaintenanceError::State(error) => Self::from(error),
            error @ (MaintenanceError::Environment(_)
            | MaintenanceError::KeptStaged(_)
            | MaintenanceError::Readers(_)) => Self::broken(error.to_string()),
            error @ MaintenanceError::InEnvironment(_) => Self::new(Exit::Usage, error.to_string()),
        }
    }
}

fn failed(table: &TendedTable) -> bool {
    table.error.is_some() || !table.failed.is_empty()
}

fn say(answer: &GcAnswer, terminal: &Terminal) {
    let (would, gone) = if answer.dry_run {
        ("would go", "would be free")
    } else {
        ("went", "are free")
    };
    let (mut files, mut free) = (0, 0);
    for table in &answer.tables {
        if let Some(error) = &table.error {
            terminal.note(format!("{}: {error}", table.table));
        }
        files += table.files + table.orphans;
        free += table.bytes + table.orphan_bytes;
        let mut parts = Vec::new();
        if table.compacted > 0 {
            let small = count(table.compacted, "small file", "small files");
            parts.push(match answer.dry_run {
                true => format!("{small} would become few ({})", bytes(table.compacted_bytes)),
                false => format!(
                    "{small} became {} ({})",
                    table.compacted_into,
                    bytes(table.compacted_bytes)
                ),
            });
        }
        if let Some(why) = &table.not_compacted {
            parts.push(format!("small files stay: {why}"));
        }
        if table.expired > 0 {
            parts.push(format!(
                "{} of {} {would}, with {} ({})",
                table.expired,
                count(table.snapshots, "version", "versions"),
                count(table.files, "file", "files"),
                bytes(table.bytes)
            ));
        }
        if table.orphans > 0 {
            parts.push(format!(
                "{} that nothing refers to {would} ({})",
                count(table.orphans, "file", "files"),
                bytes(table.orphan_bytes)
            ));
        }
        if !parts.is_empty() {
            terminal.say(format!("{}  {}", terminal.bold(table.table.as_str()), parts.join("; ")));
        }
        // Only who asks what would go asks what is in the way.
        for held in table.held.iter().filter(|_| answer.dry_run) {
            terminal.say(terminal.dim(&format!(
                "  snapshot {} stays: {} needs it",
                held.snapshot, held.needed_by
            )));
        }
        for failed in &table.failed {
            terminal.note(format!("{}: could not be removed: {failed}", table.table));
        }
    }
    if let Some(process) = &answer.read_by {
        terminal.note(format!(
            "what a query under way may read stays until it is over (process {process})"
        ));
    }
    let tables = count(answer.tables.len() as u64, "table", "tables");
    if files == 0 {
        terminal.say(format!("nothing of {tables} can go"));
    } else {
        terminal.say(format!(
            "{} of {tables} {gone} ({})",
            bytes(free),
            count(files, "file", "files")
        ));
    }
}
