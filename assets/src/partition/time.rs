//! Partitions by time: stretches of local time from a start, with a zone; days of 23 and 25 hours included.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

/// The unit of a time partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    /// One minute.
    Minute,
    /// One hour of elapsed time; in the repeated hour of autumn the key carries the offset.
    Hour,
    /// One local day.
    Day,
    /// Seven local days from Monday.
    Week,
    /// One local month.
    Month,
    /// Three local months.
    Quarter,
    /// One local year.
    Year,
}

/// Stretches of time from `start` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimePartitions {
    /// The unit.
    pub grain: Grain,
    /// Local start of the first partition, on a boundary of the grain.
    pub start: DateTime,
    /// Local start of the last partition; without it the set grows as time passes: a partition exists once it has ended.
    pub end: Option<DateTime>,
    /// IANA name of the zone whose local time counts.
    pub zone: String,
}
