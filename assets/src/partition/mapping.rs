//! Which upstream partitions one downstream partition needs.

use std::ops::Range;

use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::{PartitionKey, Partitioning, TimePartitions};

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

/// The upstream partitions that one downstream partition needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapped {
    /// The upstream asset has no partitions: its whole.
    Whole,
    /// A stretch of upstream indexes; may be empty.
    Indexes(Range<usize>),
    /// Single upstream indexes.
    Listed(Vec<usize>),
}

impl Mapped {
    /// The upstream indexes; one `None` stands for the whole of an unpartitioned asset.
    pub fn iter(&self) -> impl Iterator<Item = Option<usize>> + '_ {
        let (whole, range, listed): (Option<Option<usize>>, Range<usize>, &[usize]) = match self {
            Self::Whole => (Some(None), 0..0, &[]),
            Self::Indexes(range) => (None, range.clone(), &[]),
            Self::Listed(listed) => (None, 0..0, listed),
        };
        whole
            .into_iter()
            .chain(range.map(Some))
            .chain(listed.iter().copied().map(Some))
    }

    /// How many upstream partitions; 1 for a whole.
    pub fn len(&self) -> usize {
        match self {
            Self::Whole => 1,
            Self::Indexes(range) => range.len(),
            Self::Listed(listed) => listed.len(),
        }
    }

    /// Whether no upstream partition is needed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a mapping does not fit two partitionings. Found when a project is loaded, never at run time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// `same` between different sets.
    #[error("`same` needs both assets to use the same set of partitions")]
    NotSame,
    /// A mapping over time where one side has no time.
    #[error("`{0}` needs both assets to be partitioned by time")]
    NotTime(&'static str),
    /// The upstream asset has no partitions, so none can be picked.
    #[error("`{0}` picks partitions, and the upstream asset has none")]
    Unpartitioned(&'static str),
    /// A length such as `7 days` that cannot be read.
    #[error("`{0}` is not a length of time such as `7 days`, `36 hours` or `2 weeks`")]
    Length(String),
    /// A fixed upstream key that does not exist.
    #[error("the upstream asset has no partition `{0}`")]
    Key(PartitionKey),
}

impl PartitionMapping {
    /// The mapping that holds when nothing is declared; `None` when the user has to say.
    pub fn inferred(downstream: Option<&Partitioning>, upstream: Option<&Partitioning>) -> Option<Self> {
        match (downstream, upstream) {
            (_, None) | (None, Some(_)) => Some(Self::All),
            (Some(down), Some(up)) if down == up => Some(Self::Same),
            (Some(Partitioning::Time(down)), Some(Partitioning::Time(up))) => {
                // The same days with another end are the same keys where both exist.
                if (down.grain, &down.zone) == (up.grain, &up.zone) {
                    Some(Self::Same)
                } else {
                    Some(Self::Covering)
                }
            }
            _ => None,
        }
    }

    /// Checks a declared mapping against the two partitionings.
    pub fn validate(&self, down: Option<&Partitioning>, up: Option<&Partitioning>) -> Result<(), MappingError> {
        match self {
            Self::All => Ok(()),
            Self::Latest => up.map(|_| ()).ok_or(MappingError::Unpartitioned("latest")),
            Self::Fixed(keys) => {
                let up = up.ok_or(MappingError::Unpartitioned("keys"))?;
                match keys.iter().find(|key| !up.contains(key)) {
                    Some(key) => Err(MappingError::Key(key.clone())),
                    None => Ok(()),
                }
            }
            Self::Same => match (down, up) {
                (Some(down), Some(up)) if Self::inferred(Some(down), Some(up)) == Some(Self::Same) => Ok(()),
                _ => Err(MappingError::NotSame),
            },
            Self::Covering => both_time(down, up, "covering").map(|_| ()),
            Self::Window { length, .. } => {
                both_time(down, up, "window")?;
                parse_length(length)
                    .map(|_| ())
                    .ok_or_else(|| MappingError::Length(length.clone()))
            }
        }
    }

    /// The upstream partitions that the downstream partition `key` needs, as of `now`.
    pub fn upstream(
        &self,
        down: Option<&Partitioning>,
        key: Option<&PartitionKey>,
        up: Option<&Partitioning>,
        now: Timestamp,
    ) -> Result<Mapped, MappingError> {
        let Some(up) = up else { return Ok(Mapped::Whole) };
        let exist = up.count(now);
        match self {
            Self::All => Ok(Mapped::Indexes(0..exist)),
            Self::Latest => Ok(Mapped::Indexes(exist.saturating_sub(1)..exist)),
            Self::Fixed(keys) => keys
                .iter()
                .map(|key| up.index_of(key).ok_or_else(|| MappingError::Key(key.clone())))
                .collect::<Result<_, _>>()
                .map(Mapped::Listed),
            Self::Same => {
                let key = key.ok_or(MappingError::NotSame)?;
                Ok(Mapped::Indexes(up.index_of(key).map_or(0..0, |index| index..index + 1)))
            }
            Self::Covering => {
                let (down, up) = both_time(down, Some(up), "covering")?;
                let (start, end) = bounds(down, key).ok_or(MappingError::NotTime("covering"))?;
                Ok(Mapped::Indexes(overlapping(up, start, end)))
            }
            Self::Window { length, ending } => {
                let (down, up) = both_time(down, Some(up), "window")?;
                let (start, end) = bounds(down, key).ok_or(MappingError::NotTime("window"))?;
                let span = parse_length(length).ok_or_else(|| MappingError::Length(length.clone()))?;
                let end = if *ending == WindowEnd::Before { start } else { end };
                let from = end
                    .to_zoned(down.time_zone())
                    .checked_sub(span)
                    .map_or(Timestamp::MIN, |z| z.timestamp());
                Ok(Mapped::Indexes(starting_within(up, from, end)))
            }
        }
    }
}

fn both_time<'a>(
    down: Option<&'a Partitioning>,
    up: Option<&'a Partitioning>,
    word: &'static str,
) -> Result<(&'a TimePartitions, &'a TimePartitions), MappingError> {
    match (down, up) {
        (Some(Partitioning::Time(down)), Some(Partitioning::Time(up))) => Ok((down, up)),
        _ => Err(MappingError::NotTime(word)),
    }
}

fn bounds(time: &TimePartitions, key: Option<&PartitionKey>) -> Option<(Timestamp, Timestamp)> {
    time.bounds_at(time.index_of(key?)?)
}

/// Number of declared partitions, bounded by `end` if there is one.
fn declared(up: &TimePartitions) -> usize {
    up.end.map_or(usize::MAX, |end| {
        usize::try_from(up.index_of_local(end) + 1).unwrap_or(0)
    })
}

/// Upstream partitions whose time overlaps `[start, end)`.
fn overlapping(up: &TimePartitions, start: Timestamp, end: Timestamp) -> Range<usize> {
    let first = usize::try_from(up.index_at(start)).unwrap_or(0);
    let last = up.index_at(Timestamp::from_nanosecond(end.as_nanosecond() - 1).unwrap_or(end));
    let after = usize::try_from(last + 1).unwrap_or(0).min(declared(up));
    first.min(after)..after
}

/// Upstream partitions that begin within `[start, end)`.
fn starting_within(up: &TimePartitions, start: Timestamp, end: Timestamp) -> Range<usize> {
    let ceiling = |instant: Timestamp| {
        let index = up.index_at(instant);
        let Ok(at) = usize::try_from(index) else { return 0 };
        match up.bounds_at(at) {
            Some((begins, _)) if begins == instant => at,
            _ => at + 1,
        }
    };
    let after = ceiling(end).min(declared(up));
    ceiling(start).min(after)..after
}

/// Reads a length of time: a whole number and a unit, `7 days`, `36h`, `2 weeks`, `15 min`, `1 month`, `1 year`.
pub fn parse_length(text: &str) -> Option<Span> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let count: i64 = text[..digits].parse().ok().filter(|count| *count > 0)?;
    let span = Span::new();
    match text[digits..].trim() {
        "s" | "sec" | "second" | "seconds" => span.try_seconds(count),
        "m" | "min" | "minute" | "minutes" => span.try_minutes(count),
        "h" | "hour" | "hours" => span.try_hours(count),
        "d" | "day" | "days" => span.try_days(count),
        "w" | "week" | "weeks" => span.try_weeks(count),
        "month" | "months" => span.try_months(count),
        "year" | "years" => span.try_years(count),
        _ => return None,
    }
    .ok()
}
