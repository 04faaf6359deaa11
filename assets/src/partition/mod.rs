//! Partitions: how an asset is cut, which keys exist, and which upstream keys a key needs.

mod key;
mod mapping;
mod time;

pub use key::{PartitionKey, PartitionKeyError};
pub use mapping::{PartitionMapping, WindowEnd};
pub use time::{Grain, TimePartitions};

use serde::{Deserialize, Serialize};

/// A set of partitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partitioning {
    /// Stretches of time, one after the other, in a time zone.
    Time(TimePartitions),
    /// A fixed list, in the order declared.
    Fixed(Vec<PartitionKey>),
}
