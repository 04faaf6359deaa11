//! Sensors: what is watched, and the selection that a change in it starts, as declared.
//!
//! What comes of a sensor (its cursor, the events that it has told, its ticks) is remembered by the store and decided by the
//! core; how something is watched is the business of `orchestrator::edge`.

use crate::asset::Location;
use crate::fingerprint::Fingerprint;
use crate::selection::Selection;

/// A sensor without mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    /// Its name, unique in the project.
    pub name: String,
    /// What it is for, for people.
    pub description: Option<String>,
    /// What it watches.
    pub source: SensorSource,
    /// What it materializes: what is stale among these assets, in the partitions that the events name or in all.
    pub selection: Selection,
    /// At least this many seconds lie between the beginnings of two looks; what is polled is looked at so often.
    pub every_seconds: u64,
    /// A look that takes longer than this many seconds is given up and has failed.
    pub deadline_seconds: u64,
    /// Most events of one tick; what is beyond follows at once in the next.
    pub most_events: u32,
    /// Whether it is paused until someone resumes it.
    pub paused: bool,
    /// Where it is declared.
    pub location: Location,
}

/// What a sensor watches: one variant per kind.
#[derive(Debug, Clone, PartialEq)]
pub enum SensorSource {
    /// Files in a folder.
    Files(FilesSource),
}

/// Files in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesSource {
    /// The pattern of their paths: from the project's folder, or absolute. May hold one `{partition}`.
    pub path: String,
    /// A file is complete once nothing about it has changed for this many seconds.
    pub settle_seconds: u64,
    /// All files are looked at this often, whatever the system tells of changes, in seconds.
    pub rescan_seconds: u64,
    /// What makes a file another one.
    pub identity: FileIdentity,
}

/// What makes a file another one than those that were told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FileIdentity {
    /// Its path, inode, size and time of modification. No file is read for it.
    #[default]
    Stat,
    /// Its bytes, under whatever name they come. Every new file is read once for it, and all of them after a start.
    Content,
}

impl FileIdentity {
    /// The word used in TOML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stat => "stat",
            Self::Content => "content",
        }
    }
}

impl Sensor {
    /// The word of its kind.
    pub fn kind(&self) -> &'static str {
        match &self.source {
            SensorSource::Files(_) => "files",
        }
    }

    /// What it watches, for people.
    pub fn watches(&self) -> String {
        match &self.source {
            SensorSource::Files(files) => files.path.clone(),
        }
    }

    /// Tells what a cursor belongs to: where it changes, the sensor begins anew.
    pub fn scope(&self) -> Fingerprint {
        match &self.source {
            SensorSource::Files(files) => Fingerprint::of(["files", &files.path]),
        }
    }
}
