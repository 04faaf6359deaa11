//! The instants at which crons tick in a time zone, through every change of its clocks.
//!
//! Time is looked at in stretches of one offset from UTC, from one change of the clocks to the next. Within a stretch local
//! time runs on without a gap, so a cron is searched on the calendar alone; where two stretches meet stands what they skip or
//! repeat.

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::calendar::Cron;

/// At which pass a time of the day ticks that comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Repeated {
    /// The first.
    #[default]
    First,
    /// The last.
    Last,
    /// Both.
    Both,
}

impl Repeated {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::First, Self::Last, Self::Both];

    /// The word used in TOML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::Both => "both",
        }
    }
}

/// What the clocks do at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TickKind {
    /// Nothing.
    Usual,
    /// The local time was skipped; this is the end of the gap.
    Moved,
    /// The local time comes twice; this is the first time.
    FirstPass,
    /// The local time comes twice; this is the second time.
    LastPass,
}

/// One instant at which a cron is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// The instant.
    pub at: Timestamp,
    /// The local time that the cron names; for [`TickKind::Moved`] one that was skipped.
    pub local: DateTime,
    /// What the clocks do.
    pub kind: TickKind,
}

/// What a change of the clocks does to a cron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// The cron.
    pub cron: String,
    /// The instant of the change.
    pub at: Timestamp,
    /// The local times that are skipped or come twice, the end exclusive.
    pub between: Range<DateTime>,
    /// The first of them that the cron names.
    pub local: DateTime,
    /// What becomes of them.
    pub kind: OddKind,
}

/// What becomes of local times that are skipped or come twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OddKind {
    /// Skipped: one tick at the end of the gap.
    Moved,
    /// Skipped, and left out: the cron follows elapsed time.
    LeftOut,
    /// Twice: a tick at the first pass alone.
    FirstPass,
    /// Twice: a tick at the last pass alone.
    LastPass,
    /// Twice: a tick at each pass.
    BothPasses,
}

/// Crons in a time zone. Its ticks are those of all crons; an instant that several name is one tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Timetable {
    crons: Vec<Cron>,
    zone: TimeZone,
    repeated: Repeated,
}

/// A time of one offset from UTC.
struct Stretch {
    offset: Offset,
    /// Its first instant, and the offset before it.
    start: Option<(Timestamp, Offset)>,
    /// The first instant after it, and the offset from there on.
    end: Option<(Timestamp, Offset)>,
}

impl Stretch {
    fn at(zone: &TimeZone, instant: Timestamp) -> Self {
        let nanosecond = jiff::SignedDuration::from_nanos(1);
        let just_after = instant.checked_add(nanosecond).unwrap_or(instant);
        // Where the table of a zone ends and its yearly rule begins, `preceding` may name a change that the table has replaced.
        // So it only says where to begin, and the changes from there on are those that count.
        let begin = zone.preceding(just_after).next().map(|change| change.timestamp());
        let mut start = begin;
        let mut end = None;
        for change in zone.following(begin.unwrap_or(instant)) {
            if change.timestamp() > instant {
                end = Some((change.timestamp(), change.offset()));
                break;
            }
            start = Some(change.timestamp());
        }
        let start = start.map(|start| {
            let before = start.checked_sub(nanosecond).unwrap_or(start);
            (start, zone.to_offset(before))
        });
        Self {
            offset: zone.to_offset(instant),
            start,
            end,
        }
    }

    /// The local times that the change at its start skipped; empty if it skipped none.
    fn skipped(&self) -> Range<DateTime> {
        match self.start {
            Some((start, before)) => before.to_datetime(start)..self.offset.to_datetime(start),
            None => DateTime::MIN..DateTime::MIN,
        }
    }

    /// The local times that came before and come again at its start; empty if none do.
    fn again(&self) -> Range<DateTime> {
        let skipped = self.skipped();
        skipped.end..skipped.start
    }

    /// The local times at its end that come again after it; empty if none do.
    fn to_come_again(&self) -> Range<DateTime> {
        match self.end {
            Some((end, after)) => after.to_datetime(end)..self.offset.to_datetime(end),
            None => DateTime::MAX..DateTime::MAX,
        }
    }

    /// Its local times that may tick, the end exclusive.
    fn open(&self, cron: &Cron, repeated: Repeated) -> Range<DateTime> {
        let mut from = self
            .start
            .map_or(DateTime::MIN, |(start, _)| self.offset.to_datetime(start));
        let mut until = self.end.map_or(DateTime::MAX, |(end, _)| self.offset.to_datetime(end));
        if !cron.follows_elapsed_time() {
            match repeated {
                Repeated::First if !self.again().is_empty() => from = self.again().end,
                Repeated::Last if !self.to_come_again().is_empty() => until = self.to_come_again().start,
                Repeated::First | Repeated::Last | Repeated::Both => {}
            }
        }
        from..until
    }

    fn tick(&self, local: DateTime) -> Option<Tick> {
        let kind = if self.again().contains(&local) {
            TickKind::LastPass
        } else if self.to_come_again().contains(&local) {
            TickKind::FirstPass
        } else {
            TickKind::Usual
        };
        let at = self.offset.to_timestamp(local).ok()?;
        Some(Tick { at, local, kind })
    }

    /// The tick at its first instant for what was skipped there.
    fn moved(&self, cron: &Cron) -> Option<Tick> {
        if cron.follows_elapsed_time() {
            return None;
        }
        let (at, _) = self.start?;
        let skipped = self.skipped();
        let local = cron.next_local(skipped.start, skipped.end)?;
        Some(Tick {
            at,
            local,
            kind: TickKind::Moved,
        })
    }
}

impl Timetable {
    /// The ticks of these crons in a zone.
    pub fn new(crons: Vec<Cron>, zone: TimeZone, repeated: Repeated) -> Self {
        Self { crons, zone, repeated }
    }

    /// Its crons, as declared.
    pub fn crons(&self) -> &[Cron] {
        &self.crons
    }

    /// Its zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// At which pass a time of the day ticks that comes twice.
    pub fn repeated(&self) -> Repeated {
        self.repeated
    }

    /// The first tick after an instant; `None` at the end of the calendar.
    pub fn next(&self, after: Timestamp) -> Option<Tick> {
        let ticks = self.crons.iter().filter_map(|cron| self.next_of(cron, after));
        ticks.min_by_key(|tick| tick.at)
    }

    /// The last tick before an instant; `None` at the beginning of the calendar.
    pub fn previous(&self, before: Timestamp) -> Option<Tick> {
        let ticks = self.crons.iter().filter_map(|cron| self.previous_of(cron, before));
        ticks.max_by_key(|tick| tick.at)
    }

    /// The ticks after an instant, one after the other.
    pub fn after(&self, instant: Timestamp) -> impl Iterator<Item = Tick> + '_ {
        std::iter::successors(self.next(instant), |tick| self.next(tick.at))
    }

    /// What the changes of the clocks after one instant and up to another do to its crons.
    pub fn odd(&self, after: Timestamp, until: Timestamp) -> Vec<Odd> {
        let mut found = Vec::new();
        let changes = self.zone.following(after).map(|change| change.timestamp());
        for at in changes.take_while(|at| *at <= until) {
            let stretch = Stretch::at(&self.zone, at);
            for cron in &self.crons {
                let elapsed = cron.follows_elapsed_time();
                let (between, kind) = if !stretch.skipped().is_empty() {
                    let kind = if elapsed { OddKind::LeftOut } else { OddKind::Moved };
                    (stretch.skipped(), kind)
                } else {
                    let kind = match self.repeated {
                        _ if elapsed => OddKind::BothPasses,
                        Repeated::First => OddKind::FirstPass,
                        Repeated::Last => OddKind::LastPass,
                        Repeated::Both => OddKind::BothPasses,
                    };
                    (stretch.again(), kind)
                };
                // Empty where only the name of the offset changes.
                if let Some(local) = cron.next_local(between.start, between.end) {
                    let cron = cron.as_str().to_owned();
                    found.push(Odd {
                        cron,
                        at,
                        between,
                        local,
                        kind,
                    });
                }
            }
        }
        found
    }

    /// Seconds between the two ticks that are closest to each other on the calendar, changes of the clocks aside; looked for
    /// in the year from `from`. `None` if there is only one.
    pub(crate) fn closest_ticks(&self, from: DateTime) -> Option<u64> {
        let until = DateTime::new(from.year() + 1, 1, 1, 0, 0, 0, 0).ok()?;
        let next = |after: DateTime| {
            let ticks = self.crons.iter().filter_map(|cron| cron.next_local(after, until));
            ticks.min()
        };
        let mut closest: Option<u64> = None;
        let mut last = next(from)?;
        // Crons repeat within days; a thousand ticks show how close they come.
        for _ in 0..1000 {
            let minute = jiff::SignedDuration::from_mins(1);
            let Some(tick) = last.checked_add(minute).ok().and_then(next) else {
                break;
            };
            let apart = tick.duration_since(last).as_secs().unsigned_abs();
            closest = Some(closest.map_or(apart, |closest| closest.min(apart)));
            if closest == Some(60) {
                break;
            }
            last = tick;
        }
        closest
    }

    fn next_of(&self, cron: &Cron, after: Timestamp) -> Option<Tick> {
        let mut from = second(after.as_nanosecond().div_euclid(1_000_000_000) + 1)?;
        loop {
            let stretch = Stretch::at(&self.zone, from);
            if stretch.start.is_some_and(|(start, _)| start == from)
                && let Some(moved) = stretch.moved(cron)
            {
                return Some(moved);
            }
            let open = stretch.open(cron, self.repeated);
            let local = cron.next_local(open.start.max(stretch.offset.to_datetime(from)), open.end);
            if let Some(local) = local {
                return stretch.tick(local);
            }
            from = stretch.end?.0;
        }
    }

    fn previous_of(&self, cron: &Cron, before: Timestamp) -> Option<Tick> {
        let mut until = second((before.as_nanosecond() - 1).div_euclid(1_000_000_000))?;
        loop {
            let stretch = Stretch::at(&self.zone, until);
            let open = stretch.open(cron, self.repeated);
            let end = stretch
                .offset
                .to_datetime(until)
                .checked_add(jiff::SignedDuration::from_secs(1));
            let end = end.map_or(open.end, |end| end.min(open.end));
            let found = cron
                .previous_local(open.start, end)
                .and_then(|local| stretch.tick(local));
            let start = stretch.start.map(|(start, _)| start);
            if found.is_some_and(|tick| start != Some(tick.at)) {
                return found;
            }
            // A tick that was moved to the first instant is the same tick as one that is due there by itself.
            if let Some(tick) = stretch.moved(cron).or(found) {
                return Some(tick);
            }
            until = start?.checked_sub(jiff::SignedDuration::from_secs(1)).ok()?;
        }
    }
}

/// The instant of a whole second.
fn second(number: i128) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(number).ok()?).ok()
}
