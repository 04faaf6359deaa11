//! Live definitions: files of the project that are edited while a daemon runs are read, checked off to the side, and put in
//! force all at once; with a mistake in them the last good ones stay.
//!
//! What is watched is what the project was read from, so an SQL file or a script counts as well as TOML. The watch of the file
//! system is a hint: it can overflow, or not exist where the files are; every so often all files are looked at anyway. An editor
//! writes a file in several steps, and one thought may touch several files, so nothing is read before it is quiet for a moment;
//! and what was read counts only if the folder still holds the same afterwards.
//!
//! It decides nothing: what becomes of queued work whose asset is gone is the core's to say, with
//! [`crate::core::Input::DefinitionsLoaded`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use assets::diagnostic::Level;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use serde::Serialize;
use serde_json::Value;
use state::event::Micros;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use super::clock;
use super::disk::DiskFiles;
use super::engine::EngineHandle;
use super::folder::ProjectRoot;
use super::kept_files::{KeptFiles, Stamp};
use super::opened::{ReadProject, read_kept, read_project};

/// For so long nothing may change before files are read: editors write in several steps.
const QUIET: Duration = Duration::from_millis(300);
/// Files are read after so long even if they go on changing.
const LONGEST_QUIET: Duration = Duration::from_secs(1);
/// How often all files are looked at although nothing was reported.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The same where changes are not reported.
const LOOK_AGAIN_WITHOUT_WATCH: Duration = Duration::from_secs(1);
/// How often files that change while they are read are read again before the next report is waited for.
const READINGS: usize = 5;

/// Whether the definitions in force are those on disk.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct DefinitionsState {
    /// Since when those in force are.
    pub since: Micros,
    /// How many assets they declare.
    pub assets: usize,
    /// How often others were put in force since the start.
    pub swaps: u64,
    /// Why those on disk are not in force, if they are not.
    pub mistakes: Option<Mistakes>,
}

/// What keeps the definitions on disk from being in force.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Mistakes {
    /// Since when.
    pub since: Micros,
    /// How many errors there are.
    pub errors: usize,
    /// The first in one line: file, line, column and message.
    pub first: String,
    /// All of them, each with its line and a caret, as `millpond check` shows them.
    pub report: String,
    /// All of them for programs, as `millpond check --json` shows them.
    pub diagnostics: Value,
}

impl Mistakes {
    /// What reading a project gave, if there are errors.
    pub fn of(read: &ReadProject) -> Option<Self> {
        if read.project.is_some() {
            return None;
        }
        let errors = || {
            read.diagnostics
                .iter()
                .filter(|diagnostic| diagnostic.level == Level::Error)
        };
        let first = errors().next().map_or_else(
            || "the project cannot be read".to_owned(),
            |error| match error.span {
                Some(span) => {
                    let place = read.sources.location(span);
                    format!("{}:{}:{}: {}", place.file, place.line, place.column, error.message)
                }
                None => error.message.clone(),
            },
        );
        Some(Self {
            since: clock::now(),
            errors: errors().count(),
            first,
            report: read.diagnostics.render(&read.sources, false),
            diagnostics: read.diagnostics.to_json(&read.sources),
        })
    }

    /// Something that only another start can put in force.
    fn restart(what: &str) -> Self {
        let first = format!("{what} was changed, which needs another start of `millpond up`");
        Self {
            since: clock::now(),
            errors: 1,
            report: format!("{first}\n"),
            first,
            diagnostics: Value::Array(Vec::new()),
        }
    }
}

/// The project to start with: the one on disk, or with mistakes in that one the copy of the last good one.
pub struct FirstReading {
    /// What is on disk.
    pub on_disk: ReadProject,
    /// The last good one, if the one on disk has mistakes and there is one.
    pub kept: Option<ReadProject>,
}

impl FirstReading {
    /// Reads the project in `root`; `copy` is the last good one as the state remembers it.
    pub fn new(root: &ProjectRoot, copy: impl FnOnce() -> Option<String>) -> Self {
        let on_disk = read_project(root);
        if on_disk.project.is_some() {
            return Self { on_disk, kept: None };
        }
        let kept = copy().and_then(|copy| match serde_json::from_str::<KeptFiles>(&copy) {
            Ok(files) => Some(read_kept(root, files)),
            Err(error) => {
                tracing::error!(%error, "the kept copy of the definitions cannot be read");
                None
            }
        });
        // A copy that an older release took for good may be wrong for this one.
        let kept = kept.filter(|kept| kept.project.is_some());
        Self { on_disk, kept }
    }
}

/// Keeps the definitions of an engine those on disk.
pub struct LiveDefinitions(JoinHandle<()>);

/// Asks for a look at the files now.
pub type Look = oneshot::Sender<()>;

impl LiveDefinitions {
    /// Starts it; `files` are what was read from disk at the start, good or not. Must be called inside a tokio runtime.
    pub fn start(engine: EngineHandle, files: Arc<KeptFiles>, looks: mpsc::UnboundedReceiver<Look>) -> Self {
        Self(tokio::spawn(keep(engine, files, looks)))
    }

    /// Stops it between two readings.
    pub async fn stop(self) {
        self.0.abort();
        // Either it was aborted, or it ended by itself because the engine did.
        self.0.await.ok();
    }
}

async fn keep(engine: EngineHandle, files: Arc<KeptFiles>, mut looks: mpsc::UnboundedReceiver<Look>) {
    let root = engine.project().root.clone();
    let mut keeper = Keeper {
        disk: DiskFiles::new(&*root),
        root: root.clone(),
        files,
        stamp: None,
        engine,
    };
    let (report, mut reports) = mpsc::channel(1);
    let mut watch = Watch::start(&root, report);
    // Watched before the first look, so that nothing falls between the two.
    watch.follow(&keeper.files);
    let mut asked = Vec::new();
    loop {
        keeper.look().await;
        for look in asked.drain(..) {
            // Who asked may have gone in the meantime.
            let look: Look = look;
            look.send(()).ok();
        }
        watch.follow(&keeper.files);
        let again = match watch.works() {
            true => LOOK_AGAIN,
            false => LOOK_AGAIN_WITHOUT_WATCH,
        };
        tokio::select! {
            Some(()) = reports.recv() => settle(&mut reports, &mut looks, &mut asked).await,
            look = looks.recv() => match look {
                Some(look) => asked.push(look),
                None => return,
            },
            () = tokio::time::sleep(again) => {}
        }
    }
}

/// Waits until nothing is reported for a moment, or someone asks.
async fn settle(reports: &mut mpsc::Receiver<()>, looks: &mut mpsc::UnboundedReceiver<Look>, asked: &mut Vec<Look>) {
    let longest = tokio::time::sleep(LONGEST_QUIET);
    tokio::pin!(longest);
    loop {
        tokio::select! {
            Some(()) = reports.recv() => {}
            Some(look) = looks.recv() => {
                asked.push(look);
                return;
            }
            () = tokio::time::sleep(QUIET) => return,
            () = &mut longest => return,
        }
    }
}

struct Keeper {
    engine: EngineHandle,
    root: ProjectRoot,
    disk: DiskFiles,
    /// What was read last, good or not.
    files: Arc<KeptFiles>,
    /// How that looked; not known at first.
    stamp: Option<Stamp>,
}

impl Keeper {
    /// Reads the files if they look other than when they were read last.
    async fn look(&mut self) {
        for _ in 0..READINGS {
            let (disk, files, first) = (self.disk.clone(), Arc::clone(&self.files), self.stamp.is_none());
            let looked = spawn_blocking(move || {
                let stamp = files.stamp(&disk);
                (stamp, first && files.are_those_of(&disk))
            });
            let Ok((stamp, same)) = looked.await else { return };
            if same {
                self.stamp = Some(stamp);
                return;
            }
            if self.stamp.as_ref() == Some(&stamp) {
                return;
            }
            let (root, disk) = (self.root.clone(), self.disk.clone());
            let reading = spawn_blocking(move || {
                let read = read_project(&root);
                let stamp = read.files.stamp(&disk);
                let whole = read.files.are_those_of(&disk);
                (read, stamp, whole)
            });
            match reading.await {
                Ok((read, stamp, true)) => {
                    self.files = Arc::clone(&read.files);
                    self.stamp = Some(stamp);
                    self.take(read).await;
                }
                // They were changed meanwhile.
                Ok((_, _, false)) => tokio::time::sleep(QUIET / 10).await,
                Err(error) => {
                    tracing::error!(%error, "reading the definitions broke off; this is a bug");
                    return;
                }
            }
        }
    }

    /// Puts what was read in force, or says why not.
    async fn take(&self, read: ReadProject) {
        let in_force = self.engine.project();
        let before = self.engine.definitions_state().borrow().clone();
        let mistakes = match &read.project {
            _ if read.files == in_force.files => None,
            None => Mistakes::of(&read),
            Some(project) if project.settings.warehouse != in_force.settings.warehouse => Some(Mistakes::restart(
                "the place of the tables, `warehouse` in [lakehouse],",
            )),
            Some(_) => None,
        };
        if let Some(mut mistakes) = mistakes {
            if let Some(known) = &before.mistakes {
                mistakes.since = known.since;
            }
            if before.mistakes.as_ref() != Some(&mistakes) {
                tracing::error!(
                    "the definitions on disk are not taken, the last good ones stay in force: {} {}\n{}",
                    mistakes.errors,
                    if mistakes.errors == 1 { "error" } else { "errors" },
                    mistakes.report.trim_end()
                );
            }
            self.engine.tell_definitions(DefinitionsState {
                mistakes: Some(mistakes),
                ..before
            });
            return;
        }
        let Some(project) = read.project.filter(|_| read.files != in_force.files) else {
            if before.mistakes.is_some() {
                tracing::info!("the definitions on disk are those in force again");
                self.engine.tell_definitions(DefinitionsState {
                    mistakes: None,
                    ..before
                });
            }
            return;
        };
        let changes = Changes::between(&in_force.definitions, &project.definitions);
        let state = DefinitionsState {
            since: clock::now(),
            assets: project.definitions.ordered().len(),
            swaps: before.swaps + 1,
            mistakes: None,
        };
        if self.engine.swap(Arc::new(project)).await {
            tracing::info!("the definitions were changed and are in force: {changes}");
            self.engine.tell_definitions(state);
        }
    }
}

/// Which assets differ between two versions of the project.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
}

impl Changes {
    fn between(old: &crate::core::Definitions, new: &crate::core::Definitions) -> Self {
        let mut changes = Self::default();
        for asset in new.ordered() {
            let key = || asset.key.to_string();
            match old.get(&asset.key) {
                None => changes.added.push(key()),
                Some(before) if before.fingerprint != asset.fingerprint => changes.changed.push(key()),
                Some(_) => {}
            }
        }
        let gone = old.ordered().iter().filter(|asset| new.get(&asset.key).is_none());
        changes.removed = gone.map(|asset| asset.key.to_string()).collect();
        changes
    }
}

impl std::fmt::Display for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        for (word, keys) in [
            ("new", &self.added),
            ("changed", &self.changed),
            ("gone", &self.removed),
        ] {
            match keys.as_slice() {
                [] => {}
                few @ ([_] | [_, _] | [_, _, _]) => parts.push(format!("{word}: {}", few.join(", "))),
                [first, second, rest @ ..] => {
                    parts.push(format!("{word}: {first}, {second} and {} more", rest.len()));
                }
            }
        }
        if parts.is_empty() {
            return f.write_str("no asset's code is another");
        }
        f.write_str(&parts.join("; "))
    }
}

/// The watch of the file system.
struct Watch {
    watcher: Option<RecommendedWatcher>,
    root: PathBuf,
    followed: std::collections::BTreeSet<PathBuf>,
    /// Whether every place could be watched.
    whole: bool,
}

impl Watch {
    fn start(root: &Path, report: mpsc::Sender<()>) -> Self {
        let told = move |event: notify::Result<notify::Event>| {
            // Reading files is reported too, and would have no end.
            let matters = event.map_or(true, |event| !matches!(event.kind, EventKind::Access(_)));
            if matters {
                // One that waits stands for all.
                report.try_send(()).ok();
            }
        };
        let watcher = notify::recommended_watcher(told).inspect_err(|error| {
            tracing::warn!(%error, "changes of definitions are not reported by the system; they are looked for every second");
        });
        Self {
            watcher: watcher.ok(),
            root: root.to_owned(),
            followed: std::collections::BTreeSet::new(),
            whole: true,
        }
    }

    /// Whether changes are reported.
    fn works(&self) -> bool {
        self.watcher.is_some() && self.whole
    }

    /// Watches the places of these files, and no others.
    fn follow(&mut self, files: &KeptFiles) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut wanted = std::collections::BTreeSet::new();
        for place in files.places() {
            wanted.extend(folders_of(&self.root, &place));
        }
        for gone in self.followed.difference(&wanted) {
            // A folder that was removed is not watched any more anyway.
            watcher.unwatch(gone).ok();
        }
        let mut whole = true;
        // Folders that were removed and made again have to be watched anew, which does no harm to the others.
        for folder in &wanted {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                if self.whole {
                    tracing::warn!(%error, folder = %folder.display(), "a folder of definitions cannot be watched");
                }
                whole = false;
            }
        }
        self.whole = whole;
        self.followed = wanted;
    }
}

/// A folder and, for the folder of assets, those below it. If it is not there, the nearest above it that is.
fn folders_of(root: &Path, place: &Path) -> Vec<PathBuf> {
    let mut folder = root.join(place);
    while !folder.is_dir() && folder != root {
        folder.pop();
    }
    if folder == root || !place.starts_with(assets::project::ASSETS_FOLDER) {
        return vec![folder];
    }
    let mut found = Vec::new();
    let mut waiting = vec![folder];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
        }
        found.push(folder);
    }
    found
}
