//! What a run read and what it wrote, by asset: the snapshots that pin it.

use std::collections::{BTreeMap, BTreeSet};

use ::assets::AssetKey;
use serde::Serialize;
use state::sqlite::queries::attempts::AttemptRow;
use state::sqlite::queries::materializations::{Made, made_by_run};
use state::sqlite::queries::run::RunDetail;
use state::sqlite::{StateError, Store};

use super::figures::{NOTHING, bytes, count, number};

/// What a run read and wrote of one asset.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct AssetData {
    /// The asset.
    pub asset: AssetKey,
    /// What it wrote.
    pub made: Made,
    /// What its attempts read, by input.
    pub read: Vec<ReadData>,
}

/// What was read of one input.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ReadData {
    /// The input.
    pub asset: AssetKey,
    /// The snapshots that attempts were given, in the order of the attempts.
    pub snapshots: Vec<i64>,
    /// The versions of a model.
    pub model_versions: Vec<u64>,
}

/// The data of a run; `attempts` are those that are looked at for what they read.
pub fn data(store: &Store, run: &RunDetail, attempts: &[AttemptRow]) -> Result<Vec<AssetData>, StateError> {
    let mut found = Vec::new();
    for lane in &run.assets {
        let made = made_by_run(store, &run.row.run, run.row.seq, &lane.asset, lane.steps.succeeded)?;
        let mut read: BTreeMap<&AssetKey, (Vec<i64>, BTreeSet<u64>)> = BTreeMap::new();
        for attempt in attempts.iter().filter(|attempt| attempt.asset == lane.asset) {
            for input in &attempt.inputs {
                let (snapshots, versions) = read.entry(&input.asset).or_default();
                let snapshot = input.table.as_ref().and_then(|table| table.snapshot_id);
                snapshots.extend(snapshot.filter(|snapshot| !snapshots.contains(snapshot)));
                versions.extend(input.model_version);
            }
        }
        let read: Vec<ReadData> = read
            .into_iter()
            .map(|(asset, (snapshots, versions))| ReadData {
                asset: asset.clone(),
                snapshots,
                model_versions: versions.into_iter().collect(),
            })
            .collect();
        if made.partitions > 0 || !read.is_empty() {
            found.push(AssetData {
                asset: lane.asset.clone(),
                made,
                read,
            });
        }
    }
    Ok(found)
}

/// One asset's data as the page shows it.
pub struct DataView {
    /// The asset.
    pub asset: AssetKey,
    /// `365 partitions`
    pub made: String,
    /// Rows.
    pub rows: String,
    /// Bytes.
    pub size: String,
    /// The last snapshot and how many there were.
    pub snapshot: String,
    /// The input, and what was read of it.
    pub read: Vec<(AssetKey, String)>,
}

impl DataView {
    /// The data of one asset in words.
    pub fn of(data: &AssetData) -> Self {
        let made = &data.made;
        Self {
            asset: data.asset.clone(),
            made: match made.partitions {
                0 => NOTHING.to_owned(),
                partitions => count(partitions, "partition", "partitions"),
            },
            rows: number(made.rows),
            size: bytes(made.bytes),
            snapshot: match (made.last_snapshot, made.snapshots) {
                (None, _) => NOTHING.to_owned(),
                (Some(last), 0 | 1) => last.to_string(),
                (Some(last), several) => format!("{last}, the last of {}", number(several)),
            },
            read: data
                .read
                .iter()
                .map(|read| (read.asset.clone(), read_words(read)))
                .collect(),
        }
    }
}

fn read_words(read: &ReadData) -> String {
    if let Some(last) = read.model_versions.last() {
        return match read.model_versions.len() {
            1 => format!("version {last}"),
            several => format!("version {last}, the last of {several}"),
        };
    }
    match read.snapshots.as_slice() {
        [] => "nothing yet".to_owned(),
        [one] => format!("snapshot {one}"),
        [first, .., last] => format!("{} snapshots, {first} to {last}", number(read.snapshots.len() as u64)),
    }
}
