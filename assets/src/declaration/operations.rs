//! `[daemon]` and `[retention]`: how a daemon ends, and how long what happened is kept.

use serde::Serialize;

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
