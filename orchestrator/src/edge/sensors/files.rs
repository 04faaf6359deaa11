//! Files that land in a folder: each is told of once, when nothing about it has changed for a while.
//!
//! Every look lists all files that match. What the system tells of changes only says when to look; so nothing depends on
//! whether it tells of all of them, and renames, links and folders that are swapped need no care of their own.
//!
//! Files are looked at on a thread that nobody waits for longer than the sensor's deadline: a share that does not answer holds
//! on to that thread and to nothing else.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use assets::PartitionKey;
use assets::pattern::{self, Segment, is_object};
use assets::sensor::{FileIdentity, FilesSource};
use plugins::formats::{FormatError, Objects, SourceFile, content_hash, discover};
use state::sensor::SensorEvent;
use tokio::sync::{Notify, oneshot};

use super::super::clock::Stopwatch;
use super::super::engine::EngineHandle;
use super::look::{Sight, shown, told_before};
use super::task::Known;
use super::watch::Watch;
use crate::core::SensorSight;

/// Looks at the files of one sensor.
pub(super) struct FilesLooker {
    rest: Duration,
    place: Arc<Place>,
    /// `None` before the first look, and while one is under way.
    files: Option<Files>,
    under_way: Option<oneshot::Receiver<(Files, Result<Seen, String>)>>,
}

/// Where the files are.
struct Place {
    sensor: String,
    root: PathBuf,
    /// The folder to watch, and whether what is below it matters too.
    folder: PathBuf,
    below: bool,
    watch: Watch,
    woken: Arc<Notify>,
    objects: Objects,
}

/// What is kept of the files from look to look.
struct Files {
    place: Arc<Place>,
    /// Files that were seen: in which state, and since when they are in it.
    known: HashMap<String, State>,
    /// States of files that were told of, so that the core is not asked for them again and again.
    told: HashSet<String>,
}

struct State {
    stamp: String,
    since: Stopwatch,
    /// The key of its content, once it was read.
    content: Option<String>,
}

/// A file that is complete.
struct Complete {
    path: String,
    stamp: String,
    key: String,
    partition: Option<String>,
}

#[derive(Default)]
struct Seen {
    complete: Vec<Complete>,
    incomplete: u64,
    /// How long until the next of those may be complete.
    soonest: Option<Duration>,
    remark: Option<String>,
}

impl FilesLooker {
    /// Has not looked yet.
    pub(super) fn new(
        sensor: &str,
        source: &FilesSource,
        root: PathBuf,
        watch: Watch,
        woken: Arc<Notify>,
        objects: Objects,
    ) -> Self {
        let (folder, below) = folder_of(&source.path, &root);
        let place = Arc::new(Place {
            sensor: sensor.to_owned(),
            root,
            folder,
            below,
            watch,
            woken,
            objects,
        });
        Self {
            rest: Duration::from_secs(source.rescan_seconds),
            files: None,
            place,
            under_way: None,
        }
    }

    /// How long it need not look if nothing wakes it.
    pub(super) fn rests_for(&self) -> Duration {
        self.rest
    }

    /// Lists the files, and tells of those that are complete and new.
    pub(super) async fn look(
        &mut self,
        known: &Known,
        source: &FilesSource,
        engine: &EngineHandle,
    ) -> Result<Sight, String> {
        self.rest = Duration::from_secs(source.rescan_seconds);
        if let Some(before) = &mut self.under_way {
            match before.try_recv() {
                Ok((files, _)) => self.files = Some(files),
                Err(oneshot::error::TryRecvError::Empty) => {
                    return Err("its folder does not answer: an earlier look at it is not over".to_owned());
                }
                Err(oneshot::error::TryRecvError::Closed) => {}
            }
            self.under_way = None;
        }
        // Nothing is lost with what was kept: files have to settle once more, and the core knows what was told of.
        let mut files = self.files.take().unwrap_or_else(|| Files {
            place: Arc::clone(&self.place),
            known: HashMap::new(),
            told: HashSet::new(),
        });
        let (done, is_done) = oneshot::channel();
        let looked_at = source.clone();
        let thread = std::thread::Builder::new().name(format!("sensor {}", known.sensor.name));
        let started = thread.spawn(move || {
            let seen = files.look(&looked_at);
            // Whoever waited may have given up; then the next look takes it from the channel.
            done.send((files, seen)).ok();
        });
        started.map_err(|error| format!("no thread can be started to look at its folder: {error}"))?;
        let (files, seen) = self
            .under_way
            .insert(is_done)
            .await
            .map_err(|_| "the look at its folder broke off; the daemon's log has more".to_owned())?;
        self.under_way = None;
        let files = self.files.insert(files);
        files.tell(seen?, known, source, engine).await
    }
}

impl Files {
    /// Lists the files. On a thread of its own.
    fn look(&mut self, source: &FilesSource) -> Result<Seen, String> {
        // Before the files are listed, so that nothing can change unseen in between.
        let place = Arc::clone(&self.place);
        if !is_object(&source.path) {
            place
                .watch
                .listen(&place.sensor, &place.folder, place.below, &place.woken);
        }
        let found = match discover(&place.root, &source.path, &place.objects) {
            Ok(found) => found,
            Err(FormatError::NoMatch { .. }) => Vec::new(),
            Err(error) => return Err(error.to_string()),
        };
        let settle = Duration::from_secs(source.settle_seconds);
        let mut seen = Seen::default();
        let mut before = std::mem::take(&mut self.known);
        for file in found {
            // Gone since it was listed.
            let Some(stamp) = stamp_of(&file) else { continue };
            let mut state = match before.remove(&file.path) {
                Some(state) if state.stamp == stamp => state,
                Some(_) | None => State {
                    stamp,
                    since: Stopwatch::start(),
                    content: None,
                },
            };
            let quiet = state.since.elapsed();
            if self.told.contains(&state.stamp) {
                // Nothing to do.
            } else if quiet < settle {
                seen.incomplete += 1;
                let left = settle - quiet;
                seen.soonest = Some(seen.soonest.map_or(left, |soonest| soonest.min(left)));
            } else if let Some(key) = key_of(&file, &mut state, source.identity, &mut seen) {
                seen.complete.push(Complete {
                    path: file.path.clone(),
                    stamp: state.stamp.clone(),
                    key,
                    partition: file.partition.clone(),
                });
            }
            self.known.insert(file.path, state);
        }
        // What is gone and comes back in the same state is asked for again; the core remembers.
        let states: HashSet<&str> = self.known.values().map(|state| state.stamp.as_str()).collect();
        self.told.retain(|stamp| states.contains(stamp.as_str()));
        if seen.incomplete > 0 {
            let files = if seen.incomplete == 1 { "file is" } else { "files are" };
            let remark = format!("{} {files} not complete yet", seen.incomplete);
            seen.remark = Some(match seen.remark.take() {
                Some(other) => format!("{remark}; {other}"),
                None => remark,
            });
        }
        Ok(seen)
    }

    /// The keys of all files that are there; `None` while some have not been read for theirs.
    fn keys(&self, identity: FileIdentity) -> Option<Vec<&str>> {
        let keys = self.known.values().map(|state| match identity {
            FileIdentity::Stat => Some(state.stamp.as_str()),
            FileIdentity::Content => state.content.as_deref(),
        });
        keys.collect()
    }

    /// Leaves out what the core has told of.
    async fn tell(
        &mut self,
        seen: Seen,
        known: &Known,
        source: &FilesSource,
        engine: &EngineHandle,
    ) -> Result<Sight, String> {
        let keys = seen.complete.iter().map(|file| file.key.clone()).collect();
        let is_told = told_before(engine, &known.sensor.name, keys).await?;
        let mut events = Vec::new();
        for (file, told) in seen.complete.into_iter().zip(is_told) {
            if told {
                self.told.insert(file.stamp);
            } else {
                events.push(SensorEvent {
                    key: file.key,
                    what: file.path,
                    partitions: file.partition.as_deref().and_then(partition).into_iter().collect(),
                    payload: None,
                });
            }
        }
        let shown = self
            .keys(source.identity)
            .and_then(|keys| shown(known, keys.into_iter()));
        let most = known.sensor.most_events as usize;
        let lag = events.len().saturating_sub(most);
        events.truncate(most);
        Ok(Sight {
            sight: SensorSight {
                events,
                cursor: None,
                lag: lag as u64,
                remark: seen.remark,
                shown,
            },
            incomplete: seen.incomplete,
            again_in: seen.soonest,
        })
    }
}

/// The folder to watch, and whether what is below it matters too.
fn folder_of(path: &str, root: &Path) -> (PathBuf, bool) {
    if is_object(path) {
        // A store says nothing by itself.
        return (root.to_owned(), false);
    }
    let mut folder = if path.starts_with('/') {
        PathBuf::from("/")
    } else {
        root.to_owned()
    };
    let segments = pattern::segments(path).expect("a pattern that cannot be used was reported");
    let folders = &segments[..segments.len() - 1];
    let mut literal = 0;
    for segment in folders {
        let Segment::Literal(name) = segment else { break };
        folder.push(name);
        literal += 1;
    }
    (folder, literal < folders.len())
}

/// What tells one state of a file from another without reading it.
fn stamp_of(file: &SourceFile) -> Option<String> {
    if is_object(&file.path) {
        return Some(format!("{} {} {}", file.path, file.size, file.modified_ns));
    }
    let metadata = fs::metadata(&file.absolute).ok()?;
    // Of two looks at one file, both must have seen the same.
    (metadata.len() == file.size).then(|| {
        format!(
            "{} {} {} {}",
            file.path,
            metadata.ino(),
            metadata.len(),
            file.modified_ns
        )
    })
}

/// What tells a file from those that were told of; `None` if it cannot be read now.
fn key_of(file: &SourceFile, state: &mut State, identity: FileIdentity, seen: &mut Seen) -> Option<String> {
    if identity == FileIdentity::Stat {
        return Some(state.stamp.clone());
    }
    if state.content.is_none() {
        match content_hash(file) {
            Ok(hash) => state.content = Some(format!("sha256 {hash}")),
            Err(error) => {
                seen.incomplete += 1;
                seen.remark = Some(error.to_string());
            }
        }
    }
    state.content.clone()
}

/// The partition that a path names. What no partition can be called is made into a text that one could be, so that the tick
/// says which partition does not exist.
fn partition(captured: &str) -> Option<PartitionKey> {
    let plain: String = captured.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let end = plain
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= 250)
        .last()?;
    PartitionKey::new(&plain[..end]).ok()
}
