//! Partitions by time: stretches of local time from a start, with a zone; days of 23 and 25 hours included.
//!
//! A partition is addressed by its index (0 is the first) or by its key, the text of its local start. Days and longer are
//! counted on the local calendar; hours and minutes are counted in elapsed time, so no hour is lost or doubled when
//! clocks change: in the repeated hour of autumn the two keys differ by their offset (`2013-11-03T01-04:00`).

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, Unit};
use serde::{Deserialize, Serialize};

use super::PartitionKey;

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
    /// Seven local days from Monday; the key is the Monday's date.
    Week,
    /// One local month.
    Month,
    /// Three local months.
    Quarter,
    /// One local year.
    Year,
}

impl Grain {
    /// Every grain, shortest first.
    pub const ALL: [Self; 7] = [
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Quarter,
        Self::Year,
    ];

    /// The word used in TOML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// The start of the partition of this grain that holds the local time.
    pub fn floor(self, local: DateTime) -> DateTime {
        let date = local.date();
        let first = |month: i8| {
            Date::new(date.year(), month, 1)
                .expect("the first of a month exists")
                .at(0, 0, 0, 0)
        };
        match self {
            Self::Minute => date.at(local.hour(), local.minute(), 0, 0),
            Self::Hour => date.at(local.hour(), 0, 0, 0),
            Self::Day => date.at(0, 0, 0, 0),
            Self::Week => {
                let back = i64::from(date.weekday().since(Weekday::Monday));
                date.checked_sub(back.days()).unwrap_or(Date::MIN).at(0, 0, 0, 0)
            }
            Self::Month => first(date.month()),
            Self::Quarter => first((date.month() - 1) / 3 * 3 + 1),
            Self::Year => first(1),
        }
    }

    fn is_elapsed(self) -> bool {
        matches!(self, Self::Minute | Self::Hour)
    }

    fn seconds(self) -> i64 {
        if self == Self::Minute { 60 } else { 3600 }
    }
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

impl TimePartitions {
    /// The zone. The declaration's reader has checked the name.
    pub fn time_zone(&self) -> TimeZone {
        TimeZone::get(&self.zone).expect("the zone was checked when it was declared")
    }

    fn instant(&self, local: DateTime) -> Timestamp {
        // `compatible`: a local time in a gap moves past it, a repeated one is the first.
        self.time_zone()
            .to_ambiguous_timestamp(local)
            .compatible()
            .unwrap_or(Timestamp::MAX)
    }

    /// How many partitions exist at `now`: those that have ended, up to `end`.
    pub fn count(&self, now: Timestamp) -> usize {
        let declared = self.end.map(|end| self.index_of_local(end) + 1);
        let past = self.index_at(now);
        let ended = declared.map_or(past, |declared| past.min(declared));
        usize::try_from(ended).unwrap_or(0)
    }

    /// Index of the partition that holds the instant; negative before the start.
    pub(super) fn index_at(&self, instant: Timestamp) -> i64 {
        if self.grain.is_elapsed() {
            let seconds = (instant.as_microsecond() - self.instant(self.start).as_microsecond()).div_euclid(1_000_000);
            seconds.div_euclid(self.grain.seconds())
        } else {
            self.index_of_local(self.time_zone().to_datetime(instant))
        }
    }

    /// Index of the partition that holds the local time.
    pub(super) fn index_of_local(&self, local: DateTime) -> i64 {
        let start = self.start.date();
        let floor = self.grain.floor(local).date();
        let months = |date: Date| i64::from(date.year()) * 12 + i64::from(date.month()) - 1;
        match self.grain {
            Grain::Minute | Grain::Hour => self.index_at(self.instant(local)),
            Grain::Day | Grain::Week => {
                let days = i64::from(
                    start
                        .until((Unit::Day, floor))
                        .expect("two dates are a number of days apart")
                        .get_days(),
                );
                if self.grain == Grain::Week {
                    days.div_euclid(7)
                } else {
                    days
                }
            }
            Grain::Month => months(floor) - months(start),
            Grain::Quarter => (months(floor) - months(start)).div_euclid(3),
            Grain::Year => i64::from(floor.year()) - i64::from(start.year()),
        }
    }

    /// Local start of a partition on the calendar; only for days and longer.
    fn local_start(&self, index: i64) -> Option<DateTime> {
        let span = match self.grain {
            Grain::Minute | Grain::Hour => return None,
            Grain::Day => jiff::Span::new().try_days(index),
            Grain::Week => jiff::Span::new().try_weeks(index),
            Grain::Month => jiff::Span::new().try_months(index),
            Grain::Quarter => jiff::Span::new().try_months(index.checked_mul(3)?),
            Grain::Year => jiff::Span::new().try_years(index),
        };
        self.start.checked_add(span.ok()?).ok()
    }

    fn start_of(&self, index: i64) -> Option<Timestamp> {
        if self.grain.is_elapsed() {
            let start = self.instant(self.start).as_microsecond();
            let offset = index.checked_mul(self.grain.seconds())?.checked_mul(1_000_000)?;
            Timestamp::from_microsecond(start.checked_add(offset)?).ok()
        } else {
            Some(self.instant(self.local_start(index)?))
        }
    }

    /// Start and end (exclusive) of the partition with this index.
    pub fn bounds_at(&self, index: usize) -> Option<(Timestamp, Timestamp)> {
        let index = i64::try_from(index).ok()?;
        Some((self.start_of(index)?, self.start_of(index + 1)?))
    }

    /// The key of the partition with this index, whether or not it exists yet.
    pub fn key_at(&self, index: usize) -> Option<PartitionKey> {
        let index = i64::try_from(index).ok()?;
        let text = if self.grain.is_elapsed() {
            self.elapsed_key(self.start_of(index)?)
        } else {
            let date = self.local_start(index)?.date();
            match self.grain {
                Grain::Month => format!("{:04}-{:02}", date.year(), date.month()),
                Grain::Quarter => format!("{:04}-Q{}", date.year(), (date.month() - 1) / 3 + 1),
                Grain::Year => format!("{:04}", date.year()),
                _ => date.to_string(),
            }
        };
        PartitionKey::new(&text).ok()
    }

    fn elapsed_key(&self, start: Timestamp) -> String {
        let zone = self.time_zone();
        let local = zone.to_datetime(start);
        let mut text = if self.grain == Grain::Hour && local.minute() == 0 {
            format!("{}T{:02}", local.date(), local.hour())
        } else {
            format!("{}T{:02}:{:02}", local.date(), local.hour(), local.minute())
        };
        if let AmbiguousOffset::Fold { .. } = zone.to_ambiguous_timestamp(local).offset() {
            let seconds = zone.to_offset(start).seconds();
            let sign = if seconds < 0 { '-' } else { '+' };
            text.push_str(&format!(
                "{sign}{:02}:{:02}",
                seconds.abs() / 3600,
                seconds.abs() / 60 % 60
            ));
        }
        text
    }

    /// The index a key stands for; `None` if it is not the key of one of these partitions. Partitions that do not exist yet
    /// have an index too.
    pub fn index_of(&self, key: &PartitionKey) -> Option<usize> {
        let (local, offset) = parse_key(self.grain, key.as_str())?;
        let index = match offset {
            Some(seconds) => {
                let offset = jiff::tz::Offset::from_seconds(seconds).ok()?;
                self.index_at(offset.to_timestamp(local).ok()?)
            }
            None => self.index_of_local(local),
        };
        let index = usize::try_from(index).ok()?;
        if self.end.is_some_and(|end| index as i64 > self.index_of_local(end)) {
            return None;
        }
        // Only the canonical text is the key: `2013-03-02` is not a week, `2013-11-03T01` is not one hour.
        (self.key_at(index).as_ref() == Some(key)).then_some(index)
    }

    /// The index of the partition that holds an instant; `None` outside the set.
    pub fn index_of_instant(&self, instant: Timestamp) -> Option<usize> {
        let index = usize::try_from(self.index_at(instant)).ok()?;
        match self.end {
            Some(end) if index as i64 > self.index_of_local(end) => None,
            _ => Some(index),
        }
    }

    /// The index of the partition that holds a local date; `None` outside the set, or where the grain is finer than a day.
    pub fn index_of_date(&self, date: Date) -> Option<usize> {
        if self.grain.is_elapsed() {
            return None;
        }
        let index = usize::try_from(self.index_of_local(date.to_datetime(Time::midnight()))).ok()?;
        match self.end {
            Some(end) if index as i64 > self.index_of_local(end) => None,
            _ => Some(index),
        }
    }
}

/// Local start, and the offset in seconds where the key carries one.
fn parse_key(grain: Grain, text: &str) -> Option<(DateTime, Option<i32>)> {
    let first = |year: &str, month: i8| {
        if year.len() != 4 {
            return None;
        }
        Some(Date::new(year.parse().ok()?, month, 1).ok()?.at(0, 0, 0, 0))
    };
    match grain {
        Grain::Year => Some((first(text, 1)?, None)),
        Grain::Quarter => {
            let (year, quarter) = text.split_once("-Q")?;
            let quarter: i8 = quarter.parse().ok().filter(|q| (1..=4).contains(q))?;
            Some((first(year, (quarter - 1) * 3 + 1)?, None))
        }
        Grain::Month => {
            let (year, month) = text.split_once('-')?;
            Some((first(year, month.parse().ok()?)?, None))
        }
        Grain::Day | Grain::Week => Some((text.parse::<Date>().ok()?.at(0, 0, 0, 0), None)),
        Grain::Hour | Grain::Minute => {
            let (date, rest) = text.split_once('T')?;
            let (time, offset) = match rest.find(['+', '-']) {
                Some(at) => (&rest[..at], Some(&rest[at..])),
                None => (rest, None),
            };
            let (hour, minute) = time.split_once(':').unwrap_or((time, "00"));
            let local = date
                .parse::<Date>()
                .ok()?
                .to_datetime(Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()?);
            let offset = match offset {
                None => None,
                Some(offset) => {
                    let (hours, minutes) = offset[1..].split_once(':')?;
                    let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
                    Some(if offset.starts_with('-') { -seconds } else { seconds })
                }
            };
            Some((local, offset))
        }
    }
}
