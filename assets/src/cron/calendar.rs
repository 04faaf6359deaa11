//! The local times that a cron names, as sets of bits over the calendar. Zones are [`super::timetable`]'s.

use std::fmt;

use jiff::civil::{Date, DateTime};

/// A cron that was read: which local minutes match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    pub(super) text: String,
    /// Bit `n` is minute `n`; so for the others.
    pub(super) minutes: u64,
    pub(super) hours: u32,
    pub(super) days: u32,
    pub(super) months: u16,
    /// Bit 0 is Sunday.
    pub(super) weekdays: u8,
    /// Both kinds of day are restricted, so that a day matches by either.
    pub(super) either_day: bool,
}

const EVERY_HOUR: u32 = (1 << 24) - 1;
const EVERY_WEEKDAY: u8 = 0x7f;

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Cron {
    /// The text it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it names every hour of the day, and so follows elapsed time when clocks change.
    pub fn follows_elapsed_time(&self) -> bool {
        self.hours == EVERY_HOUR
    }

    /// Whether a day matches by its day of the month or by its day of the week, because both are restricted.
    pub fn matches_either_day(&self) -> bool {
        self.either_day
    }

    /// Whether any day of the calendar matches.
    pub(super) fn ever(&self) -> bool {
        // The weekdays of any date take turns over the years, so only a day that its month never has is out of reach.
        let least = self.days.trailing_zeros();
        let longest = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let has_day = |month: &usize| self.months & 1 << month != 0 && longest[month - 1] >= least;
        self.either_day || (1..=12).any(|month| has_day(&month))
    }

    /// The first matching minute that is not before `from` and is before `until`.
    pub(super) fn next_local(&self, from: DateTime, until: DateTime) -> Option<DateTime> {
        let whole = from.second() == 0 && from.subsec_nanosecond() == 0;
        let mut start = minute_of_day(from) + u32::from(!whole);
        let (mut year, mut month) = (from.year(), from.month());
        let mut day = u32::from(from.day().unsigned_abs());
        while (year, month) <= (until.year(), until.month()) {
            let mut days = self.days_of(year, month) & u32::MAX << day;
            while days != 0 {
                let found = days.trailing_zeros();
                let start = if found == day { std::mem::take(&mut start) } else { 0 };
                if let Some(time) = self.time_from(start) {
                    let found = local(year, month, found, time);
                    return (found < until).then_some(found);
                }
                days &= days - 1;
            }
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            (day, start) = (1, 0);
        }
        None
    }

    /// The last matching minute that is not before `from` and is before `until`.
    pub(super) fn previous_local(&self, from: DateTime, until: DateTime) -> Option<DateTime> {
        let whole = until.second() == 0 && until.subsec_nanosecond() == 0;
        // Exclusive, so that it may be the start of its day.
        let mut end = minute_of_day(until) + u32::from(!whole);
        let (mut year, mut month) = (until.year(), until.month());
        let mut day = u32::from(until.day().unsigned_abs());
        while (year, month) >= (from.year(), from.month()) {
            let mut days = self.days_of(year, month) & ((1_u64 << (day + 1)) - 1) as u32;
            while days != 0 {
                let found = days.ilog2();
                let end = if found == day {
                    std::mem::replace(&mut end, 1440)
                } else {
                    1440
                };
                if let Some(time) = self.time_before(end) {
                    let found = local(year, month, found, time);
                    return (found >= from).then_some(found);
                }
                days &= !(1 << found);
            }
            if (year, month) == (-9999, 1) {
                return None;
            }
            (year, month) = if month == 1 { (year - 1, 12) } else { (year, month - 1) };
            (day, end) = (31, 1440);
        }
        None
    }

    /// The days of a month that match: bit `n` is day `n`.
    fn days_of(&self, year: i16, month: i8) -> u32 {
        if self.months & 1 << month == 0 {
            return 0;
        }
        // Past the end of the calendar nothing matches.
        let Ok(first) = Date::new(year, month, 1) else { return 0 };
        let all = ((1_u64 << (first.days_in_month() + 1)) - 2) as u32;
        let by_weekday = if self.weekdays == EVERY_WEEKDAY {
            u32::MAX
        } else {
            // The weekdays from the first of the month on, over and over, moved to bit 1.
            let first = u32::from(first.weekday().to_sunday_zero_offset().unsigned_abs());
            let week = u64::from(self.weekdays);
            let turned = (week >> first | week << (7 - first)) & u64::from(EVERY_WEEKDAY);
            let weeks = (0..5).fold(0, |weeks, number| weeks | turned << (7 * number));
            (weeks << 1) as u32
        };
        if self.either_day {
            (self.days | by_weekday) & all
        } else {
            self.days & by_weekday & all
        }
    }

    /// The first matching time of a day that is not before this minute of it.
    fn time_from(&self, start: u32) -> Option<(u32, u32)> {
        let (hour, minute) = (start / 60, start % 60);
        let later = self.minutes & u64::MAX << minute;
        if hour < 24 && self.hours & 1 << hour != 0 && later != 0 {
            return Some((hour, later.trailing_zeros()));
        }
        let hours = self.hours.checked_shr(hour + 1).unwrap_or(0);
        (hours != 0).then(|| (hour + 1 + hours.trailing_zeros(), self.minutes.trailing_zeros()))
    }

    /// The last matching time of a day that is before this minute of it.
    fn time_before(&self, end: u32) -> Option<(u32, u32)> {
        let (hour, minute) = (end / 60, end % 60);
        let earlier = self.minutes & ((1 << minute) - 1);
        if hour < 24 && self.hours & 1 << hour != 0 && earlier != 0 {
            return Some((hour, earlier.ilog2()));
        }
        let hours = self.hours & ((1_u64 << hour) - 1) as u32;
        (hours != 0).then(|| (hours.ilog2(), self.minutes.ilog2()))
    }
}

fn minute_of_day(local: DateTime) -> u32 {
    u32::from(local.hour().unsigned_abs()) * 60 + u32::from(local.minute().unsigned_abs())
}

fn local(year: i16, month: i8, day: u32, (hour, minute): (u32, u32)) -> DateTime {
    Date::new(year, month, day as i8)
        .expect("the day is one of its month")
        .at(hour as i8, minute as i8, 0, 0)
}
