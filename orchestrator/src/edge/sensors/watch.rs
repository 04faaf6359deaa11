//! What the system tells of changes in folders. A hint only: hints are lost when there are too many, and network shares give
//! none, so whoever listens looks by itself from time to time.
//!
//! All sensors share one instance: a user may have 128 of them, whatever the number of folders.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Tells sensors of changes in their folders. Cheap to clone.
#[derive(Clone)]
pub(super) struct Watch {
    listeners: Arc<Mutex<BTreeMap<String, Listener>>>,
    /// Never locked while `listeners` is: its own thread takes that lock.
    folders: Arc<Mutex<Folders>>,
}

/// Who listens to what.
struct Listener {
    folder: PathBuf,
    woken: Arc<Notify>,
}

struct Folders {
    /// `None` if the system gives no such instance; then all is found by looking.
    watcher: Option<RecommendedWatcher>,
    /// Watched folders: whether with all below them, and which folder it was (device, inode).
    watched: BTreeMap<PathBuf, (bool, (u64, u64))>,
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new() -> Self {
        let listeners: Arc<Mutex<BTreeMap<String, Listener>>> = Arc::default();
        let told = Arc::clone(&listeners);
        let watcher = notify::recommended_watcher(move |event| wake(&lock(&told), event));
        let watcher = match watcher {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "the system does not tell of changes in folders; they are looked at from time to time");
                None
            }
        };
        Self {
            listeners,
            folders: Arc::new(Mutex::new(Folders {
                watcher,
                watched: BTreeMap::new(),
            })),
        }
    }

    /// Wakes `woken` from now on whenever something changes in `folder` (and below it). Asking again is cheap, and right after
    /// the folder was made, or another one took its place. May take long for deep folders.
    pub(super) fn listen(&self, sensor: &str, folder: &Path, below: bool, woken: &Arc<Notify>) {
        let listener = Listener {
            folder: folder.to_owned(),
            woken: Arc::clone(woken),
        };
        lock(&self.listeners).insert(sensor.to_owned(), listener);
        let mut folders = lock(&self.folders);
        let Ok(metadata) = fs::metadata(folder) else {
            folders.watched.remove(folder);
            return;
        };
        let identity = (metadata.dev(), metadata.ino());
        let known = folders.watched.get(folder);
        if known.is_some_and(|(with_below, known)| *known == identity && (*with_below || !below)) {
            return;
        }
        let below = below || known.is_some_and(|(with_below, _)| *with_below);
        let Some(watcher) = &mut folders.watcher else { return };
        let mode = if below {
            RecursiveMode::Recursive
        } else {
            RecursiveMode::NonRecursive
        };
        match watcher.watch(folder, mode) {
            Ok(()) => {
                folders.watched.insert(folder.to_owned(), (below, identity));
            }
            Err(error) => {
                tracing::debug!(%error, folder = %folder.display(), "a folder is not watched; it is looked at from time to time");
            }
        }
    }

    /// Wakes a sensor no more.
    pub(super) fn forget(&self, sensor: &str) {
        let folder = {
            let mut listeners = lock(&self.listeners);
            let Some(gone) = listeners.remove(sensor) else { return };
            if listeners.values().any(|other| other.folder == gone.folder) {
                return;
            }
            gone.folder
        };
        let mut folders = lock(&self.folders);
        if folders.watched.remove(&folder).is_some()
            && let Some(watcher) = &mut folders.watcher
            && let Err(error) = watcher.unwatch(&folder)
        {
            tracing::debug!(%error, folder = %folder.display(), "a folder that was watched is gone");
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(listeners: &BTreeMap<String, Listener>, event: notify::Result<notify::Event>) {
    let event = match event {
        // Looking at files must not wake who looks.
        Ok(event) if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) => {
            return;
        }
        Ok(event) if !event.need_rescan() && !event.paths.is_empty() => event,
        // Hints were lost: anything may have changed.
        Ok(_) | Err(_) => {
            listeners.values().for_each(|listener| listener.woken.notify_one());
            return;
        }
    };
    let concerns = |listener: &&Listener| event.paths.iter().any(|path| path.starts_with(&listener.folder));
    for listener in listeners.values().filter(concerns) {
        listener.woken.notify_one();
    }
}
