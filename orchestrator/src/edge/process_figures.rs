//! What this process uses of the machine, and what its state takes of the disk.

use std::fs;
use std::sync::OnceLock;

use state::event::Micros;

use super::clock;
use super::folder::StateFolder;

/// Ticks of processor time in a second: `USER_HZ`, which is 100 wherever Linux runs.
const TICKS: f64 = 100.0;
/// Bytes of a page where the system does not say; all that we build for have pages of this size or say `VmRSS`.
const KILOBYTE: u64 = 1024;

/// What this process uses now; zeros where there is no `/proc`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessFigures {
    /// Memory that is held.
    pub resident_bytes: u64,
    /// Processor time since the start.
    pub processor_seconds: f64,
    /// Files and sockets that are open.
    pub open_files: u64,
}

/// Looks at this process.
pub fn own() -> ProcessFigures {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    });
    // Fields 14 and 15, counted after the name, which is in parentheses and may hold anything.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks: u64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ProcessFigures {
        resident_bytes: resident.unwrap_or_default() * KILOBYTE,
        processor_seconds: ticks as f64 / TICKS,
        open_files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
    }
}

/// When this process was first asked, which is at its start.
pub fn started() -> Micros {
    static STARTED: OnceLock<Micros> = OnceLock::new();
    *STARTED.get_or_init(clock::now)
}

/// Bytes of the parts of the state: the database, its write-ahead log, models.
pub fn store_bytes(folder: &StateFolder) -> Vec<(&'static str, u64)> {
    let (database, log) = (folder.database(), folder.write_ahead_log());
    let size = |path: &std::path::Path| fs::metadata(path).map_or(0, |meta| meta.len());
    vec![("database", size(&database)), ("write_ahead_log", size(&log))]
}
