//! Partitions: how an asset is cut, which keys exist, and which upstream keys a key needs.
//!
//! A partition has a key (text, persisted) and an index (its place in the set, in memory only: editing a fixed list moves
//! indexes, never keys).

mod key;
mod mapping;
mod set;
mod time;

#[cfg(test)]
mod tests;

pub use key::{PartitionKey, PartitionKeyError};
pub use mapping::{Mapped, MappingError, PartitionMapping, WindowEnd, parse_length};
pub use set::PartitionSet;
pub use time::{Grain, TimePartitions};

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;
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

/// Why a range of partitions is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The key is none of the set.
    #[error("there is no partition `{key}`: {hint}")]
    Unknown {
        /// The key as given.
        key: PartitionKey,
        /// What keys look like here.
        hint: String,
    },
    /// The range ends before it begins.
    #[error("the range from `{from}` to `{to}` is empty: it ends before it begins")]
    Backwards {
        /// First key as given.
        from: PartitionKey,
        /// Last key as given.
        to: PartitionKey,
    },
}

impl Partitioning {
    /// How many partitions exist at `now`; their indexes are `0..count`.
    pub fn count(&self, now: Timestamp) -> usize {
        match self {
            Self::Time(time) => time.count(now),
            Self::Fixed(keys) => keys.len(),
        }
    }

    /// The keys that exist at `now`, in order.
    pub fn keys(&self, now: Timestamp) -> impl Iterator<Item = PartitionKey> + '_ {
        (0..self.count(now)).filter_map(|index| self.key_at(index))
    }

    /// The key at an index.
    pub fn key_at(&self, index: usize) -> Option<PartitionKey> {
        match self {
            Self::Time(time) => time.key_at(index),
            Self::Fixed(keys) => keys.get(index).cloned(),
        }
    }

    /// The index of a key; `None` if the set cannot hold it.
    pub fn index_of(&self, key: &PartitionKey) -> Option<usize> {
        match self {
            Self::Time(time) => time.index_of(key),
            Self::Fixed(keys) => keys.iter().position(|k| k == key),
        }
    }

    /// Whether the set can hold the key (it may lie in the future).
    pub fn contains(&self, key: &PartitionKey) -> bool {
        self.index_of(key).is_some()
    }

    /// Start and end (exclusive) of a partition by time; `None` for fixed sets and unknown keys.
    pub fn bounds(&self, key: &PartitionKey) -> Option<(Timestamp, Timestamp)> {
        match self {
            Self::Time(time) => time.bounds_at(time.index_of(key)?),
            Self::Fixed(_) => None,
        }
    }

    /// The key of the partition that holds an instant.
    pub fn key_of(&self, instant: Timestamp) -> Option<PartitionKey> {
        match self {
            Self::Time(time) => time.key_at(time.index_of_instant(instant)?),
            Self::Fixed(_) => None,
        }
    }

    /// The key of the partition that holds a local date (days and longer only).
    pub fn key_of_date(&self, date: Date) -> Option<PartitionKey> {
        match self {
            Self::Time(time) => time.key_at(time.index_of_date(date)?),
            Self::Fixed(_) => None,
        }
    }

    /// The indexes from one key to another, both included.
    pub fn range(&self, from: &PartitionKey, to: &PartitionKey) -> Result<Range<usize>, RangeError> {
        let index = |key: &PartitionKey| {
            self.index_of(key).ok_or_else(|| RangeError::Unknown {
                key: key.clone(),
                hint: self.describe(),
            })
        };
        let (first, last) = (index(from)?, index(to)?);
        if first > last {
            return Err(RangeError::Backwards {
                from: from.clone(),
                to: to.clone(),
            });
        }
        Ok(first..last + 1)
    }

    /// What the set is, in a few words: `days from 2013-01-01 to 2013-12-31 (America/New_York)`.
    pub fn describe(&self) -> String {
        match self {
            Self::Time(time) => {
                let key = |local| time.key_at(usize::try_from(time.index_of_local(local)).unwrap_or(0));
                let from = key(time.start).map_or_else(String::new, |k| k.to_string());
                let to = match time.end.and_then(key) {
                    Some(to) => format!(" to {to}"),
                    None => " on".to_owned(),
                };
                format!("every {} from {from}{to} ({})", time.grain.as_str(), time.zone)
            }
            Self::Fixed(keys) => {
                let shown: Vec<_> = keys.iter().take(5).map(ToString::to_string).collect();
                let more = if keys.len() > 5 { ", …" } else { "" };
                format!("one of {}{more}", shown.join(", "))
            }
        }
    }
}
