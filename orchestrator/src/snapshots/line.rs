//! One snapshot of a table, with all that is known of how it came to be.

use std::collections::BTreeMap;

use assets::AssetKey;
use plugins::lakehouse::{LakeError, LakeTable, SnapshotInfo, history, tags};
use serde::Serialize;
use state::event::Micros;
use state::ids::{AttemptId, RunId};
use state::sqlite::queries::attempts::attempt;
use state::sqlite::queries::rollbacks::{self, RollbackRow};
use state::sqlite::queries::snapshot_makers::{SnapshotMaker, makers};
use state::sqlite::{StateError, Store};

use crate::figures::count;

/// Rollbacks of an asset that are looked through.
const MOST_ROLLBACKS: usize = 1000;

/// One snapshot. Ids are texts: they are larger than the numbers of many programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct SnapshotLine {
    /// Its id.
    pub snapshot: String,
    /// The one that it was built on.
    pub parent: Option<String>,
    /// When it was made.
    pub at: Micros,
    /// `append`, `overwrite`, `delete` or `replace`.
    pub operation: String,
    /// The runs that made it; none if another program did, or if it is no longer known.
    pub runs: Vec<RunId>,
    #[serde(skip)]
    attempts: Vec<AttemptId>,
    /// Rows in added files.
    pub rows_added: u64,
    /// Rows in removed files.
    pub rows_removed: u64,
    /// Rows in the table after it.
    pub rows: Option<u64>,
    /// Files in the table after it.
    pub files: Option<u64>,
    /// How it was made, as far as it is still known.
    pub made: Option<SnapshotMaker>,
    /// Who took the table back with it, to what, and why.
    pub rollback: Option<RollbackRow>,
    /// The snapshot whose rows it shows again, if it is a rollback.
    pub rolled_back_to: Option<String>,
    /// The snapshot whose rows it shows in other files, if few files were made of many or the table was cut in another way.
    pub same_rows_as: Option<String>,
    /// The tags that name it.
    pub tags: Vec<String>,
}

impl SnapshotLine {
    /// What the metadata tells.
    pub fn of(info: &SnapshotInfo) -> Self {
        Self {
            snapshot: info.id.to_string(),
            parent: info.parent.map(|parent| parent.to_string()),
            at: info.timestamp_ms * 1000,
            operation: info.operation.clone(),
            runs: Vec::new(),
            // What a snapshot bears is who wrote it: attempts, with commas between if they shared it.
            attempts: info
                .run
                .iter()
                .flat_map(|names| names.split(','))
                .filter_map(|name| name.trim().parse().ok())
                .collect(),
            rows_added: info.rows_added,
            rows_removed: info.rows_deleted,
            rows: info.rows_total,
            files: info.files,
            made: None,
            rollback: None,
            rolled_back_to: info.rolled_back_to.map(|to| to.to_string()),
            same_rows_as: info.same_rows_as.map(|of| of.to_string()),
            tags: Vec::new(),
        }
    }

    /// Whether a program other than this one wrote it.
    pub fn is_by_others(&self) -> bool {
        self.attempts.is_empty() && self.rolled_back_to.is_none() && self.same_rows_as.is_none()
    }

    /// What of the table it replaced or added: `2013-03-01`, `365 partitions`; nothing for a table without partitions.
    pub fn what(&self) -> Option<String> {
        if let Some(rollback) = &self.rollback {
            return Some(count(rollback.partitions, "partition", "partitions"));
        }
        let made = self.made.as_ref()?;
        match (&made.first, &made.last) {
            (Some(first), Some(last)) if first == last => Some(first.to_string()),
            (Some(first), Some(last)) => Some(format!(
                "{}, {first} to {last}",
                count(made.partitions, "partition", "partitions")
            )),
            _ => None,
        }
    }

    /// Why it was made, for people.
    pub fn why(&self) -> String {
        if let Some(rollback) = &self.rollback {
            let note = rollback
                .note
                .as_ref()
                .map_or_else(String::new, |note| format!(": {note}"));
            return format!("rolled back to {} by {}{note}", rollback.to_snapshot, rollback.by);
        }
        if let Some(to) = &self.rolled_back_to {
            return format!("rolled back to {to}");
        }
        if self.same_rows_as.is_some() {
            return "the same rows in other files".to_owned();
        }
        let Some(made) = &self.made else {
            return if self.is_by_others() { "another program" } else { "" }.to_owned();
        };
        match (&made.reason, &made.trigger) {
            (Some(reason), Some(trigger)) => format!("{reason} ({trigger})"),
            (Some(reason), None) => reason.clone(),
            (None, Some(trigger)) => trigger.clone(),
            (None, None) => String::new(),
        }
    }
}

/// The snapshots that led to what readers see now, newest first, as the table's metadata tells them.
pub fn lines(table: &LakeTable) -> Result<Vec<SnapshotLine>, LakeError> {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tag, snapshot) in tags(table)? {
        named.entry(snapshot.to_string()).or_default().push(tag);
    }
    let all = history(table)?;
    let lines = all.iter().map(SnapshotLine::of).map(|mut line| {
        line.tags = named.remove(&line.snapshot).unwrap_or_default();
        line
    });
    Ok(lines.collect())
}

/// Completes lines by what the state knows: runs, partitions, reasons, rollbacks.
pub fn told(store: &Store, asset: &AssetKey, mut lines: Vec<SnapshotLine>) -> Result<Vec<SnapshotLine>, StateError> {
    let ids: Vec<i64> = lines.iter().filter_map(|line| line.snapshot.parse().ok()).collect();
    let mut made = makers(store, asset, &ids)?;
    let mut taken_back: BTreeMap<i64, RollbackRow> = rollbacks::of_asset(store, asset, MOST_ROLLBACKS)?
        .into_iter()
        .map(|rollback| (rollback.snapshot_id, rollback))
        .collect();
    for line in &mut lines {
        for id in &line.attempts {
            if let Some(attempt) = attempt(store, id)?
                && !line.runs.contains(&attempt.run)
            {
                line.runs.push(attempt.run);
            }
        }
        let Ok(id) = line.snapshot.parse::<i64>() else { continue };
        line.rollback = taken_back.remove(&id);
        // What a rollback brought back was made long before it.
        line.made = made.remove(&id).filter(|_| line.rolled_back_to.is_none());
    }
    Ok(lines)
}
