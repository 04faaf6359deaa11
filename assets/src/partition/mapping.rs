//! Which upstream partitions one downstream partition needs.

use serde::{Deserialize, Serialize};

use super::PartitionKey;

/// How a partition of this asset relates to the partitions of an upstream asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionMapping {
    /// The upstream asset has no partitions, or all of them are meant.
    All,
    /// The same key.
    Same,
    /// The keys whose time overlaps this one's (hours of a day, the day of an hour).
    Covering,
    /// The partitions of a stretch of time before this one.
    Window {
        /// Length of the stretch as written: `7 days`.
        length: String,
        /// Where it ends.
        ending: WindowEnd,
    },
    /// The newest partition that exists.
    Latest,
    /// A fixed list of upstream keys.
    Fixed(Vec<PartitionKey>),
}

/// Where a window ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowEnd {
    /// Before this partition begins; it is not part of the window.
    Before,
    /// With the end of this partition; it is part of the window.
    With,
}
