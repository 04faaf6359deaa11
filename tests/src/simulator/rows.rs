//! What a step makes, with a number in place of rows: a function of code, of what was read and of the sources. Two results are
//! equal exactly if their numbers are, which makes "fresh" a statement that can be checked. Where rows are merged or added, a few
//! rows follow from the number, so that some of them are there already and some are not.

use std::collections::{BTreeMap, BTreeSet};

use assets::outcome::{Observation, Replace, SourceFile};
use assets::{Asset, AssetKey, Fingerprint, PartitionKey, WriteMode};
use orchestrator::core::StepScope;

use super::lake::{Contents, Rows, fingerprint, told};

/// What a step makes of what it reads: table contents by input with the scope it sees, versions of models, and sources.
pub(super) fn make(
    asset: &Asset,
    partition: Option<&PartitionKey>,
    tables: &[(AssetKey, StepScope, Contents)],
    models: &[(AssetKey, u64)],
    sources: &Observation,
) -> String {
    let mut parts = vec![asset.fingerprint.to_string()];
    for (input, scope, contents) in tables {
        parts.push(input.to_string());
        for (partition, content) in contents {
            let seen = match (scope, partition) {
                (StepScope::All, _) => true,
                (StepScope::Keys(keys), Some(partition)) => keys.contains(partition),
                (StepScope::Keys(_), None) => false,
            };
            if seen {
                parts.push(partition.as_ref().map_or_else(String::new, ToString::to_string));
                parts.push(content.clone());
            }
        }
    }
    for (model, version) in models {
        parts.push(format!("{model}@{version}"));
    }
    let mut read: Vec<String> = fed(sources, partition).iter().map(|file| file.sha256.clone()).collect();
    read.sort();
    parts.extend(read);
    Fingerprint::of(parts.iter().map(String::as_str)).to_string()
}

/// The files that hold rows of a partition.
pub(super) fn fed(sources: &Observation, partition: Option<&PartitionKey>) -> Vec<SourceFile> {
    let holds = |file: &&SourceFile| match (&file.partitions, partition) {
        (Some(fed), Some(partition)) => fed.contains(partition),
        _ => true,
    };
    sources.files.iter().filter(holds).cloned().collect()
}

/// The rows that a query merges into what is there, told from what it makes; few enough that they meet.
pub(super) fn merged_by_query(made: &str) -> Rows {
    let digit = |at: usize| u64::from(made.as_bytes()[at]);
    if digit(0) % 8 == 0 {
        return Rows::new();
    }
    Rows::from([
        (format!("a{}", digit(1) % 3), made[..8].to_owned()),
        (format!("b{}", digit(2) % 3), (digit(3) % 2).to_string()),
    ])
}

/// The rows of raw files that are added or merged.
pub(super) fn rows_of_files(write: WriteMode, files: &[&SourceFile]) -> Rows {
    let mut contents: Vec<&str> = files.iter().map(|file| file.sha256.as_str()).collect();
    contents.sort_unstable();
    let rows = contents.into_iter().map(|content| match write {
        WriteMode::Merge => (
            format!("a{}", content.as_bytes().last().map_or(0, |byte| byte % 4)),
            content.to_owned(),
        ),
        WriteMode::Append | WriteMode::Replace => (content.to_owned(), "1".to_owned()),
    });
    rows.collect()
}

/// What a step is to write, and what the partition will hold.
pub(super) struct Written {
    /// The rows of the one new file; none is written if there are none.
    pub(super) rows: Rows,
    pub(super) replace: Replace,
    pub(super) content: String,
    /// How many rows the partition has then.
    pub(super) count: u64,
}

/// Rows added to those that are there.
pub(super) fn append(there: &BTreeMap<String, Rows>, rows: Rows) -> Written {
    Written {
        content: told(there.values().chain([&rows])),
        count: rows.len() as u64,
        replace: Replace::Nothing,
        rows,
    }
}

/// Rows merged into those that are there: files with a row that changes are written anew, the others stay.
pub(super) fn merge(partition: Option<&PartitionKey>, there: &BTreeMap<String, Rows>, rows: &Rows) -> Written {
    let changes = |file: &Rows| {
        let mut keys = file.iter();
        keys.any(|(key, value)| rows.get(key).is_some_and(|new| new != value))
    };
    let (touched, untouched): (Vec<_>, Vec<_>) = there.iter().partition(|(_, file)| changes(file));
    let mut written: Rows = touched.iter().flat_map(|(_, file)| (*file).clone()).collect();
    let same: BTreeSet<&String> = untouched.iter().flat_map(|(_, file)| file.keys()).collect();
    written.extend(
        rows.iter()
            .filter(|(key, _)| !same.contains(key))
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    let after = || untouched.iter().map(|(_, file)| *file).chain([&written]);
    Written {
        content: told(after()),
        count: after().map(|file| file.len() as u64).sum(),
        replace: Replace::Files {
            partition: partition.cloned(),
            removed: touched.iter().map(|(file, _)| (*file).clone()).collect(),
            seen: fingerprint(there.keys()),
        },
        rows: written,
    }
}
