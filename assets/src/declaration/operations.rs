//! `[daemon]`, `[retention]` and `[maintenance]`: how a daemon ends, how long what happened is kept, and how long old versions of
//! tables are.

use jiff::tz::TimeZone;
use serde::Serialize;

use super::schedules::read_crons;
use crate::cron::{Cron, Repeated, Timetable};
use crate::span::Sources;
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

/// `[daemon]`
pub(super) static DAEMON: TableSpec = TableSpec {
    name: "daemon",
    doc: "How `millpond up` behaves.",
    fields: &[FieldSpec::optional(
        "drain",
        FieldType::Duration,
        "How long steps that run may go on after the daemon was asked to end; `30 s` if left out.",
    )],
};

/// `[retention]`
pub(super) static RETENTION: TableSpec = TableSpec {
    name: "retention",
    doc: "How long what happened is kept. Tables, their newest materializations and models are not touched by it.",
    fields: &[
        FieldSpec::optional(
            "days",
            FieldType::IntegerWithin(1, 36_500),
            "Runs that ended, their events and logs, and ticks are kept for so many days; 90 if left out.",
        ),
        FieldSpec::optional(
            "keep_runs",
            FieldType::IntegerWithin(0, 1_000_000_000),
            "So many of the newest runs are kept however old they are; 1000 if left out.",
        ),
        FieldSpec::optional("enabled", FieldType::Boolean, "`false` keeps everything for ever."),
    ],
};

/// `[maintenance]`
pub(super) static MAINTENANCE: TableSpec = TableSpec {
    name: "maintenance",
    doc: "How long old versions of tables can be read. Where this is declared, the daemon removes older ones by itself, and files that \
          nothing refers to; what a model was trained on and what a tag or branch points to stays.",
    fields: &[
        FieldSpec::optional(
            "keep",
            FieldType::Duration,
            "How long a version can be read after another one took its place; `30 days` if left out, `1 h` at least.",
        ),
        FieldSpec::optional(
            "keep_snapshots",
            FieldType::IntegerWithin(1, 1_000_000),
            "So many of the newest versions of each table are kept however old they are; 10 if left out.",
        ),
        FieldSpec::optional(
            "small_file",
            FieldType::ByteSize,
            "Files smaller than this are small; `8 MB` if left out.",
        ),
        FieldSpec::optional(
            "compact_files",
            FieldType::IntegerWithin(0, 1_000_000),
            "A partition with at least so many small files gets few large ones with the same rows; 8 if left out, 0 for never.",
        ),
        FieldSpec::optional(
            "cron",
            FieldType::STRINGS,
            "When, in the project's time zone: off the busy hours. `30 3 * * *` if left out.",
        ),
    ],
};

/// When maintenance happens where nothing else is said.
const NIGHTLY: &str = "30 3 * * *";
/// The shortest time for which old versions are kept: queries under way read them.
const LEAST_KEPT_SECONDS: u64 = 3600;

/// How long old versions of tables can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Maintenance {
    /// For so many seconds after another one took its place.
    pub keep_seconds: u64,
    /// So many of the newest are kept in any case.
    pub keep_snapshots: u32,
    /// Files smaller than this are small, in bytes.
    pub small_file_bytes: u64,
    /// A partition with at least so many small files is compacted; 0 is never.
    pub compact_files: u32,
    /// When a daemon removes older ones; `None`: only when it is asked to.
    pub timetable: Option<Timetable>,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            keep_seconds: 30 * 24 * 3600,
            keep_snapshots: 10,
            small_file_bytes: 8_000_000,
            compact_files: 8,
            timetable: None,
        }
    }
}

/// How `millpond up` behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Daemon {
    /// How many seconds steps that run may go on after the daemon was asked to end.
    pub drain_seconds: u64,
}

impl Default for Daemon {
    fn default() -> Self {
        Self { drain_seconds: 30 }
    }
}

/// How long what happened is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Retention {
    /// Whether anything is removed at all.
    pub enabled: bool,
    /// Runs that ended longer ago are removed, with their events and logs; so are ticks.
    pub days: u32,
    /// So many of the newest runs are kept however old they are.
    pub keep_runs: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            enabled: true,
            days: 90,
            keep_runs: 1000,
        }
    }
}

/// Reads `[daemon]`; what is absent or wrong (and reported) has its default.
pub(super) fn read_daemon(root: &TableReader<'_>) -> Daemon {
    let mut daemon = Daemon::default();
    if let Some(drain) = root.table("daemon").and_then(|table| table.duration("drain")) {
        daemon.drain_seconds = drain.value;
    }
    daemon
}

/// Reads `[retention]`; what is absent or wrong (and reported) has its default.
pub(super) fn read_retention(root: &TableReader<'_>) -> Retention {
    let mut retention = Retention::default();
    let Some(table) = root.table("retention") else {
        return retention;
    };
    let number = |name| table.integer(name).and_then(|number| u32::try_from(number.value).ok());
    retention.days = number("days").unwrap_or(retention.days);
    retention.keep_runs = number("keep_runs").unwrap_or(retention.keep_runs);
    retention.enabled = table.boolean("enabled").unwrap_or(retention.enabled);
    retention
}

/// Reads `[maintenance]`; what is absent or wrong (and reported) has its default.
pub(super) fn read_maintenance(root: &TableReader<'_>, zone: &str, sources: &Sources) -> Maintenance {
    let mut maintenance = Maintenance::default();
    let Some(table) = root.table("maintenance") else {
        return maintenance;
    };
    if let Some(keep) = table.duration("keep") {
        maintenance.keep_seconds = keep.value;
        if keep.value < LEAST_KEPT_SECONDS {
            table.invalid(
                "keep",
                "queries under way read old versions: keep them for an hour at least",
            );
        }
    }
    if let Some(number) = table.integer("keep_snapshots") {
        maintenance.keep_snapshots = u32::try_from(number.value).unwrap_or(u32::MAX);
    }
    if let Some(bytes) = table.byte_size("small_file") {
        maintenance.small_file_bytes = bytes.value;
    }
    if let Some(number) = table.integer("compact_files") {
        maintenance.compact_files = u32::try_from(number.value).unwrap_or(u32::MAX);
        if number.value == 1 {
            table.invalid(
                "compact_files",
                "one file cannot become fewer: say 2 or more, or 0 for never",
            );
        }
    }
    let crons = if table.has("cron") {
        read_crons(&table, "cron", sources)
    } else {
        Cron::parse(NIGHTLY).ok().map(|nightly| vec![nightly])
    };
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    maintenance.timetable = crons.map(|crons| Timetable::new(crons, zone, Repeated::default()));
    maintenance
}
