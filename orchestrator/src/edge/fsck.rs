//! Is everything still what it says? The state against its own events, the catalog's pointers against the files of the tables,
//! partitions against manifests, models against their artifacts.
//!
//! Nothing is changed. Of a state that another process owns, one moment is looked at; what is committed meanwhile does not count.

use std::collections::BTreeMap;
use std::path::Path;

use assets::outcome::TablePointer;
use assets::{AssetKey, PartitionKey};
use plugins::lakehouse::{Lake, LakeTable, Verified, history, verify};
use serde::Serialize;
use sha2::{Digest, Sha256};
use state::sqlite::queries::events::cut_since;
use state::sqlite::{StateError, Store, fsck};

use crate::core::Definitions;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// Which rule is broken, by name.
    pub rule: String,
    /// Where and how, for people.
    pub detail: String,
}

/// What was looked at and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Events.
    pub events: i64,
    /// Tables of the lakehouse.
    pub tables: u64,
    /// Partitions that the state knows to be materialized.
    pub partitions: u64,
    /// Data files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Model versions.
    pub models: u64,
    /// Everything that is wrong; empty if all is well.
    pub violations: Vec<Violation>,
}

/// How many rows the state says that a partition has.
type Known = BTreeMap<Option<PartitionKey>, u64>;

/// Looks at everything. `definitions` tell which assets add rows rather than replace them; without, less is compared.
pub async fn check(
    store: &Store,
    lake: &Lake,
    state_folder: &Path,
    definitions: Option<&Definitions>,
) -> Result<Report, StateError> {
    let mut report = Report {
        events: store.last_seq(),
        ..Report::default()
    };
    for violation in fsck::check(store)? {
        let rule = serde_json::to_value(violation.rule).expect("a name is JSON");
        report.violations.push(Violation {
            rule: rule.as_str().unwrap_or_default().to_owned(),
            detail: violation.detail,
        });
    }
    let mut partitions: BTreeMap<AssetKey, Known> = BTreeMap::new();
    let loaded = store.load_with(|partition| {
        if let Some(current) = partition.current {
            let of_asset = partitions.entry(partition.step.asset).or_default();
            of_asset.insert(partition.step.partition, current.rows);
        }
    })?;
    // Some of their rows may be of partitions that no step has made.
    let cut = cut_since(store, 0)?;
    for (table, pointer) in &loaded.pointers {
        // What another program made of it is taken over, and then checked, at the next start.
        if loaded.moved_outside.contains_key(table) {
            continue;
        }
        report.tables += 1;
        let known = partitions.get(table);
        report.partitions += known.map_or(0, |known| known.len() as u64);
        let adds = definitions
            .and_then(|definitions| definitions.get(table))
            .map(|asset| asset.write.keeps_rows());
        let was_cut = cut.contains(table.as_str());
        look_at_table(lake, table, pointer, known, (adds, was_cut), &mut report).await;
    }
    for (model, known) in &loaded.models {
        for (version, made) in &known.versions {
            report.models += 1;
            if let Some(detail) = artifact_fault(&state_folder.join(&made.artifact), &made.sha256) {
                report.violations.push(Violation {
                    rule: "artifacts_are_there".to_owned(),
                    detail: format!("{model} version {version}: {detail}"),
                });
            }
        }
    }
    report.violations.sort();
    Ok(report)
}

async fn look_at_table(
    lake: &Lake,
    key: &AssetKey,
    pointer: &TablePointer,
    known: Option<&Known>,
    (adds, was_cut): (Option<bool>, bool),
    report: &mut Report,
) {
    let mut found = |rule: &str, detail: String| {
        report.violations.push(Violation {
            rule: rule.to_owned(),
            detail: format!("{key}: {detail}"),
        });
    };
    let table = match lake.table(key, pointer).await {
        Ok(table) => table,
        Err(error) => return found("metadata_is_there", error.to_string()),
    };
    let verified = match verify(&table).await {
        Ok(verified) => verified,
        Err(error) => return found("manifests_are_there", error.to_string()),
    };
    for fault in &verified.faults {
        found("data_files_are_there", fault.clone());
    }
    // Rows that another program wrote are in no materialization of ours.
    if let Some(known) = known
        && is_ours(&table)
    {
        for detail in disagreements(known, &verified, adds, was_cut) {
            found("partitions_agree_with_manifests", detail);
        }
    }
    report.files += verified.files;
    report.bytes += verified.bytes;
}

/// Whether every snapshot that led to this one is ours: of a run, a rollback, or the same rows in other files.
fn is_ours(table: &LakeTable) -> bool {
    history(table).is_ok_and(|snapshots| {
        snapshots.iter().all(|snapshot| {
            snapshot.run.is_some() || snapshot.rolled_back_to.is_some() || snapshot.same_rows_as.is_some()
        })
    })
}

fn disagreements(known: &Known, verified: &Verified, adds: Option<bool>, was_cut: bool) -> Vec<String> {
    let name = |key: &Option<PartitionKey>| match key {
        Some(key) => format!("partition {key}"),
        None => "the table".to_owned(),
    };
    // An asset that was cut otherwise before leaves partitions in the state that its table has no place for.
    let counts = |key: &Option<PartitionKey>| key.is_some() == verified.is_partitioned;
    let mut found = Vec::new();
    for (key, rows) in known.iter().filter(|(key, _)| counts(key)) {
        let there = verified.partitions.get(key).map_or(0, |there| there.rows);
        let agrees = match adds {
            Some(false) => there == *rows,
            Some(true) | None => there >= *rows,
        };
        if !agrees {
            found.push(format!(
                "{} has {there} rows by its manifests, the state says {rows}",
                name(key)
            ));
        }
    }
    for (key, there) in &verified.partitions {
        if there.rows > 0 && !known.contains_key(key) && !was_cut {
            found.push(format!(
                "{} has {} rows by its manifests, the state knows of none",
                name(key),
                there.rows
            ));
        }
    }
    found
}

fn artifact_fault(path: &Path, sha256: &str) -> Option<String> {
    let shown = path.display();
    match std::fs::read(path) {
        Err(error) => Some(format!("`{shown}` cannot be read: {error}")),
        Ok(bytes) => {
            let is = hex::encode(Sha256::digest(&bytes));
            (is != sha256).then(|| format!("`{shown}` is not the file that was registered: its SHA-256 is {is}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use plugins::lakehouse::PartitionRows;

    use super::*;

    fn keyed<T: Clone>(rows: &[(&str, T)]) -> BTreeMap<Option<PartitionKey>, T> {
        let key = |text: &str| (!text.is_empty()).then(|| PartitionKey::new(text).unwrap());
        rows.iter().map(|(text, rows)| (key(text), rows.clone())).collect()
    }

    #[test]
    fn partitions_are_compared_as_the_asset_writes_them() {
        let rows = |rows| PartitionRows {
            rows,
            files: 1,
            bytes: 9,
        };
        let verified = Verified {
            partitions: keyed(&[("a", rows(3)), ("b", rows(5)), ("d", rows(1))]),
            is_partitioned: true,
            ..Verified::default()
        };
        let known = keyed(&[("", 9), ("a", 3), ("b", 4), ("c", 2), ("e", 0)]);
        let found = disagreements(&known, &verified, Some(false), false);
        assert_eq!(
            found,
            [
                "partition b has 5 rows by its manifests, the state says 4",
                "partition c has 0 rows by its manifests, the state says 2",
                "partition d has 1 rows by its manifests, the state knows of none",
            ]
        );
        // Where rows are added, the newest materialization is a part of them.
        let found = disagreements(&known, &verified, Some(true), false);
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
