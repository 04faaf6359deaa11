//! `millpond fsck`: is everything still what it says?

use clap::Args;
use plugins::step::ProjectSettings;
use serde_json::json;
use state::sqlite::{Owner, OwnerLock, StateError, Store};

use super::look::Place;
use super::terminal::{Terminal, bytes, count, start_log};
use super::{Exit, Stop};
use crate::edge::environment;
use crate::edge::folder::{ProjectRoot, StateFolder};
use crate::edge::fsck::{Report, check};
use crate::edge::opened::{ReadProject, read_project};
use crate::edge::warehouse;

/// Check that state, tables and models are whole and agree with each other; nothing is changed.
///
/// Every table of the state is computed again from the events and compared. Every table of the lakehouse is looked through:
/// metadata, manifests, data files, and whether its partitions are those that the state says. With a daemon, one moment of its
/// state is checked while it goes on; without, nobody else can start meanwhile. Exits with 6 if something is wrong.
#[derive(Args)]
pub struct Fsck {}

impl Fsck {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        start_log("warn");
        let root = place.root()?;
        let folder = StateFolder::of(&root);
        if !folder.database().exists() {
            return Err(StateError::Missing(folder.database()).into());
        }
        let owner = Owner::of(folder.path());
        // Held until the end: nobody begins to write while the files are looked at.
        let lock = match &owner {
            Some(_) => None,
            None => Some(OwnerLock::acquire(
                folder.path(),
                &Owner {
                    pid: std::process::id(),
                    url: None,
                    boot: format!("fsck {:016x}", environment::seed()),
                },
            )?),
        };
        let store = Store::open_reader(&folder.database())?;
        // A project with mistakes can still be checked: where its tables are is all that is needed.
        let ReadProject { project, .. } = read_project(&root);
        let settings = match &project {
            Some(project) => project.settings.clone(),
            None => kept_settings(&root, &store)?,
        };
        let lake = warehouse::open(&settings).map_err(|error| Stop::broken(error.to_string()))?;
        let definitions = project.as_ref().map(|project| &*project.definitions);
        let report = super::runtime()?.block_on(check(&store, &lake, folder.path(), definitions))?;
        store.close()?;
        drop(lock);
        tell(&report, owner.map(|owner| owner.pid), terminal);
        Ok(if report.violations.is_empty() {
            Exit::Done
        } else {
            Exit::Unsound
        })
    }
}

/// The place of the tables by the last good definitions.
fn kept_settings(root: &ProjectRoot, store: &Store) -> Result<ProjectSettings, Stop> {
    let copy = store.definitions()?.and_then(|copy| serde_json::from_str(&copy).ok());
    let kept = copy.and_then(|files| crate::edge::opened::read_kept(root, files).project);
    kept.map(|project| project.settings).ok_or_else(|| {
        Stop::new(
            Exit::Mistakes,
            "the project has mistakes, and where its tables are is not known",
        )
        .with_help("`millpond check` shows them")
    })
}

fn tell(report: &Report, owner: Option<u32>, terminal: &Terminal) {
    if terminal.json() {
        terminal.answer(&json!({ "sound": report.violations.is_empty(), "owner": owner, "report": report }));
        return;
    }
    if let Some(pid) = owner {
        terminal.note(format!("process {pid} owns the state; one moment of it is checked"));
    }
    terminal.say(format!(
        "checked {}, {} with {} in {} ({}), {}",
        count(report.events as u64, "event", "events"),
        count(report.tables, "table", "tables"),
        count(report.partitions, "partition", "partitions"),
        count(report.files, "data file", "data files"),
        bytes(report.bytes),
        count(report.models, "model version", "model versions"),
    ));
    for violation in &report.violations {
        terminal.say(format!(
            "{}  {}",
            terminal.bold(&violation.rule.replace('_', " ")),
            violation.detail
        ));
    }
    if report.violations.is_empty() {
        terminal.say(terminal.green("everything is sound"));
    } else {
        terminal.note(format!(
            "error: {}",
            count(report.violations.len() as u64, "thing is wrong", "things are wrong")
        ));
        terminal.note(
            "help: keep a copy of the state folder and the warehouse; data files that are gone come back with `millpond materialize --force` of their partitions, \
             a damaged state with `millpond restore` of the newest backup",
        );
    }
}
