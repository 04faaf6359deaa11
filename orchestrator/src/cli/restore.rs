//! `millpond restore FILE`: the state of a backup takes the place of the present one, and nothing starts by itself before
//! someone has looked at it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use plugins::lakehouse::Lake;
use serde::Serialize;
use state::event::Event;
use state::sqlite::{OpenMode, Owner, OwnerLock, Store};

use super::look::Place;
use super::terminal::{Terminal, count, moment, start_log};
use super::{Exit, Stop};
use crate::core::{Definitions, Input, World, turn};
use crate::edge::backup::{Manifest, unpack};
use crate::edge::folder::{ProjectRoot, StateFolder};
use crate::edge::fsck::{Violation, check};
use crate::edge::opened::{read_kept, read_project};
use crate::edge::{clock, environment, warehouse};

/// Put the state of a backup in the place of the present one.
///
/// Nothing is lost: the present state folder is kept beside the new one. Schedules, sensors, automation and open runs of the restored state
/// are paused; what happened after the backup is not known to it, so look at the report, then resume them one by one.
#[derive(Args)]
pub struct Restore {
    /// What `millpond backup` wrote.
    file: PathBuf,
    /// Also if there is a state already; it is kept as `.millpond.before-…`.
    #[arg(long)]
    replace: bool,
}

/// What a restore found.
#[derive(Debug, Serialize)]
struct RestoreReport {
    /// The backup.
    file: PathBuf,
    /// When it was made, in microseconds since 1970.
    backup_at: i64,
    /// When it was restored.
    restored_at: i64,
    /// The number of its newest event.
    last_event: i64,
    /// Where the state before it is, if there was one.
    before: Option<PathBuf>,
    /// Schedules that are paused now: `millpond schedule resume` lets each go on, from that moment.
    paused_schedules: Vec<String>,
    /// Sensors that are paused now: `millpond sensor resume`.
    paused_sensors: Vec<String>,
    /// Whether automation was paused, of all assets: `millpond automation resume`.
    paused_automation: bool,
    /// Runs that are paused now: `millpond resume` or `millpond cancel`.
    paused_runs: Vec<String>,
    /// What of the tables and models is not as the backup says.
    violations: Vec<Violation>,
    /// Tables with versions that were written after the one that the backup shows; they are not shown any more.
    newer: Vec<NewerVersions>,
}

/// A table with newer versions than the one that the backup shows.
#[derive(Debug, Serialize)]
struct NewerVersions {
    /// The table.
    table: String,
    /// Its newest metadata file.
    newest: String,
    /// How many there are.
    versions: usize,
}

impl Restore {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        start_log("warn");
        let root = place.production_only()?;
        let folder = StateFolder::of(&root);
        let owner = Owner {
            pid: std::process::id(),
            url: None,
            boot: format!("restore {:016x}", environment::seed()),
        };
        let exists = folder.database().exists();
        if exists && !self.replace {
            return Err(Stop::new(
                Exit::Usage,
                format!("there is a state in `{}` already", folder.path().display()),
            )
            .with_help("with --replace it is kept beside the restored one"));
        }
        // Nobody may begin to write to what is about to be moved away.
        let lock = match exists {
            true => Some(OwnerLock::acquire(folder.path(), &owner)?),
            false => None,
        };
        let new = root.join(format!(".millpond.restoring.{}", std::process::id()));
        let report = self.prepare(&root, &new).inspect_err(|_| {
            // Nothing of it is of use to anybody.
            std::fs::remove_dir_all(&new).ok();
        })?;
        let report = put_in_place(report, &folder, &new)?;
        drop(lock);
        tell(&report, &root, terminal);
        Ok(if report.violations.is_empty() {
            Exit::Done
        } else {
            Exit::Unsound
        })
    }

    /// Unpacks the backup into a folder of its own, holds what would start by itself, and compares it with the tables.
    fn prepare(&self, root: &ProjectRoot, new: &Path) -> Result<RestoreReport, Stop> {
        let manifest = unpack(&self.file, new)?;
        let mut store = Store::open(&new.join("state.db"), OpenMode::Writer)?;
        let unsound = state::fsck::check(&store)?;
        if let Some(first) = unsound.first() {
            return Err(Stop::new(
                Exit::Unsound,
                format!("the state in `{}` is not sound: {}", self.file.display(), first.detail),
            )
            .with_help("take another backup"));
        }
        let held = hold(&mut store)?;
        let project = match read_project(root).project {
            Some(project) => Some(project),
            None => {
                let copy = store.definitions()?.and_then(|copy| serde_json::from_str(&copy).ok());
                copy.and_then(|files| read_kept(root, files).project)
            }
        };
        let (mut violations, mut newer) = (Vec::new(), Vec::new());
        if let Some(project) = &project {
            let lake = warehouse::open(&project.settings).map_err(|error| Stop::broken(error.to_string()))?;
            let runtime = super::runtime()?;
            let checked = runtime.block_on(check(&store, &lake, new, Some(&project.definitions)))?;
            violations = checked.violations;
            newer = runtime.block_on(newer_versions(&lake, &manifest));
        }
        store.close()?;
        Ok(RestoreReport {
            file: self.file.clone(),
            backup_at: manifest.at,
            restored_at: clock::now(),
            last_event: manifest.last_event,
            before: None,
            paused_schedules: held.schedules,
            paused_sensors: held.sensors,
            paused_automation: held.automation,
            paused_runs: held.runs,
            violations,
            newer,
        })
    }
}

/// What was paused.
#[derive(Default)]
struct Held {
    schedules: Vec<String>,
    sensors: Vec<String>,
    automation: bool,
    runs: Vec<String>,
}

/// Pauses what would start by itself; says what.
fn hold(store: &mut Store) -> Result<Held, Stop> {
    let mut world = World::from_loaded(store.load()?, Arc::new(Definitions::default()), environment::seed());
    // Nothing is to be started here.
    world.drain();
    let input = Input::Hold {
        by: "restore".to_owned(),
    };
    let decided = turn(&mut world, clock::now(), input).map_err(|broken| Stop::broken(broken.to_string()))?;
    store
        .commit(&decided.events)
        .map_err(|error| Stop::broken(error.to_string()))?;
    let mut held = Held::default();
    for recorded in decided.events {
        match recorded.event {
            Event::SchedulePaused { schedule, .. } => held.schedules.push(schedule),
            Event::SensorPaused { sensor, .. } => held.sensors.push(sensor),
            Event::AutomationPaused { .. } => held.automation = true,
            Event::RunPaused { run } => held.runs.push(run.to_string()),
            _ => {}
        }
    }
    Ok(held)
}

/// Metadata files beside the ones that the backup names whose numbers are higher.
async fn newer_versions(lake: &Lake, manifest: &Manifest) -> Vec<NewerVersions> {
    let mut found = Vec::new();
    for (table, pointer) in &manifest.tables {
        let Some((folder, name)) = pointer.metadata_location.rsplit_once('/') else {
            continue;
        };
        let Some(shown) = version(name) else { continue };
        let files = lake.list(folder).await.unwrap_or_default();
        let mut newer: Vec<(u64, String)> = files
            .into_iter()
            .filter_map(|file| {
                let name = file.location.rsplit('/').next()?.to_owned();
                let version = version(&name).filter(|version| *version > shown)?;
                Some((version, name))
            })
            .collect();
        newer.sort();
        if let Some((_, newest)) = newer.last() {
            found.push(NewerVersions {
                table: table.clone(),
                newest: newest.clone(),
                versions: newer.len(),
            });
        }
    }
    found
}

/// The number of `00012-….metadata.json`.
fn version(name: &str) -> Option<u64> {
    let (number, _) = name.strip_suffix(".metadata.json")?.split_once('-')?;
    number.parse().ok()
}

/// Moves the present state aside and the new one in its place.
fn put_in_place(mut report: RestoreReport, folder: &StateFolder, new: &Path) -> Result<RestoreReport, Stop> {
    let moved = |what: &Path, to: &Path| {
        std::fs::rename(what, to).map_err(|error| {
            Stop::broken(format!(
                "failed to move `{}` to `{}`: {error}",
                what.display(),
                to.display()
            ))
        })
    };
    if folder.path().exists() {
        let seconds = report.restored_at / 1_000_000;
        let before = folder.path().with_file_name(format!(".millpond.before-{seconds}"));
        moved(folder.path(), &before)?;
        report.before = Some(before);
    }
    moved(new, folder.path())?;
    if let Some(root) = folder.path().parent() {
        std::fs::File::open(root)?.sync_all()?;
    }
    let text = serde_json::to_vec_pretty(&report).expect("texts and numbers have a JSON form");
    std::fs::write(folder.restore_report(), text)?;
    Ok(report)
}

fn tell(report: &RestoreReport, root: &ProjectRoot, terminal: &Terminal) {
    if terminal.json() {
        terminal.answer(report);
        return;
    }
    terminal.say(format!(
        "restored `{}`, made at {} UTC, {}",
        report.file.display(),
        moment(report.backup_at, "UTC"),
        count(report.last_event as u64, "event", "events"),
    ));
    if let Some(before) = &report.before {
        terminal.say(format!("the state before is in `{}`", before.display()));
    }
    if !report.paused_schedules.is_empty() {
        terminal.say(format!(
            "paused schedules: {} (`millpond schedule resume NAME`; instants since the backup are not made up for)",
            report.paused_schedules.join(", ")
        ));
    }
    if !report.paused_sensors.is_empty() {
        terminal.say(format!(
            "paused sensors: {} (`millpond sensor resume NAME`)",
            report.paused_sensors.join(", ")
        ));
    }
    if report.paused_automation {
        terminal.say("paused automation, of all assets (`millpond automation resume`)");
    }
    if !report.paused_runs.is_empty() {
        terminal.say(format!(
            "paused runs: {} (`millpond resume RUN` or `millpond cancel RUN`)",
            report.paused_runs.join(", ")
        ));
    }
    for newer in &report.newer {
        terminal.say(format!(
            "{}: {} written after the backup, up to {}; the table is shown as the backup knows it",
            newer.table,
            count(newer.versions as u64, "version was", "versions were"),
            newer.newest
        ));
    }
    for violation in &report.violations {
        terminal.say(format!("{}  {}", violation.rule.replace('_', " "), violation.detail));
    }
    if !report.violations.is_empty() {
        terminal.note("help: restore the warehouse of the same day as well, or materialize with --force what is gone");
    }
    terminal.note(format!(
        "the whole report is in `{}`; `millpond up` starts what is not paused",
        StateFolder::of(root).restore_report().display()
    ));
}
