//! Rows that belong to no partition of the step.

use std::collections::BTreeMap;

use super::StagingPartitions;

/// How many offending partitions an error names.
const NAMED_OFFENDERS: usize = 5;

/// How many rows there were of each partition that is not the step's.
#[derive(Debug, Default)]
pub(super) struct Outside {
    pub(super) rows: u64,
    by_key: BTreeMap<String, u64>,
    pub(super) nulls: u64,
}

impl Outside {
    pub(super) fn add(&mut self, key: &str, rows: u64) {
        self.rows += rows;
        // Rows in a million wrong places are as wrong as in a thousand; the count stays exact.
        if self.by_key.len() < 1000 || self.by_key.contains_key(key) {
            *self.by_key.entry(key.to_owned()).or_default() += rows;
        }
    }

    /// `12 rows outside partition 2013-03-01: 2013-03-02 (10), 2013-03-03 (2)`.
    pub(super) fn message(&self, partitions: Option<&StagingPartitions>) -> String {
        let allowed = match partitions {
            Some(partitions) => match partitions.allowed.as_slice() {
                [] => "any partition".to_owned(),
                [one] => format!("partition {one}"),
                [first, .., last] => format!("the {} partitions {first} to {last}", partitions.allowed.len()),
            },
            None => "the table".to_owned(),
        };
        let mut offenders: Vec<(&str, u64)> = self.by_key.iter().map(|(key, rows)| (key.as_str(), *rows)).collect();
        offenders.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
        let mut shown: Vec<String> = offenders
            .iter()
            .take(NAMED_OFFENDERS)
            .map(|(key, rows)| format!("{key} ({rows})"))
            .collect();
        if offenders.len() > NAMED_OFFENDERS {
            shown.push(format!("{} more", offenders.len() - NAMED_OFFENDERS));
        }
        if self.nulls > 0 {
            let source = partitions.map_or("", |partitions| &partitions.column.source);
            shown.push(format!("null in `{source}` ({})", self.nulls));
        }
        let noun = if self.rows == 1 { "row" } else { "rows" };
        format!("{} {noun} outside {allowed}: {}", self.rows, shown.join(", "))
    }
}
