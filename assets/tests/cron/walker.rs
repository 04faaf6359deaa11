//! Every change of the clocks from 1990 to 2040 in many zones, walked minute by minute.
//!
//! The walker shares nothing with the code under test but jiff's conversion of an instant to local time. It reads crons by
//! asking of every value whether the text means it, and it states the rules of changing clocks as one would explain them:
//! which local minutes it has seen, sees again, or found left out.

use assets::cron::{Cron, Repeated, Timetable};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Zones whose clocks have done something remarkable since 1990, and some that have not.
const ZONES: [&str; 50] = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Johannesburg",
    "Africa/Juba",
    "Africa/Windhoek",
    "America/Anchorage",
    "America/Asuncion",
    "America/Buenos_Aires",
    "America/Caracas",
    "America/Chicago",
    "America/Godthab",
    "America/Halifax",
    "America/Havana",
    "America/Metlakatla",
    "America/New_York",
    "America/Port-au-Prince",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/Scoresbysund",
    "America/St_Johns",
    "America/Tijuana",
    "Antarctica/Casey",
    "Antarctica/Troll",
    "Asia/Amman",
    "Asia/Colombo",
    "Asia/Dhaka",
    "Asia/Gaza",
    "Asia/Jerusalem",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/Istanbul",
    "Europe/Lisbon",
    "Europe/London",
    "Europe/Moscow",
    "Europe/Volgograd",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Fakaofo",
    "Pacific/Fiji",
    "Pacific/Kiritimati",
    "Pacific/Kwajalein",
    "Pacific/Norfolk",
];

/// Times of the day, walked for half a day on both sides of a change, and for longer where a whole day is left out.
const OF_THE_DAY: [&str; 12] = [
    "30 2 * * *",
    "0 0 * * *",
    "15 0 * * *",
    "0,30 1,2 * * *",
    "*/20 0-3 * * *",
    "59 23 * * *",
    "0 3 * * SUN",
    "0 2 1-7 * 6,7",
    "45 */2 * * *",
    "0 12 29-31 * *",
    "10 1 */2 * MON-FRI",
    "0 */6 * JAN-APR,SEP-DEC *",
];

/// Minutes walked beyond what is compared: longer than any time that comes twice. Vostok went back by seven hours in 1994.
const MARGIN: i64 = 8 * 60;

/// Every hour of the day, walked for three hours.
const ELAPSED: [&str; 4] = ["0 * * * *", "*/15 * * * *", "7,37 0-23 * * *", "20 * * * MON,7"];

/// What a cron means, one truth for every value.
struct Plain {
    minute: Vec<bool>,
    hour: Vec<bool>,
    day: Vec<bool>,
    month: Vec<bool>,
    weekday: Vec<bool>,
    either: bool,
    every_hour: bool,
}

fn number(text: &str) -> i64 {
    let names = [
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ];
    let days = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let month = names.iter().position(|name| *name == text).map(|at| at as i64 + 1);
    let day = days.iter().position(|name| *name == text).map(|at| at as i64);
    month
        .or(day)
        .unwrap_or_else(|| text.parse().expect("a number or a name"))
}

/// Whether the text of a field means a value.
fn means(text: &str, value: i64, least: i64) -> bool {
    text.split(',').any(|entry| {
        let (base, step) = entry.split_once('/').unwrap_or((entry, "1"));
        let (from, to) = match base.split_once('-') {
            _ if base == "*" => (least, 99),
            Some((from, to)) => (number(from), number(to)),
            None => (number(base), number(base)),
        };
        value >= from && value <= to && (value - from) % number(step) == 0
    })
}

impl Plain {
    fn read(text: &str) -> Self {
        let fields: Vec<&str> = text.split(' ').collect();
        let table = |field: usize, least: i64, most: i64| -> Vec<bool> {
            (0..=most)
                .map(|value| value >= least && means(fields[field], value, least))
                .collect()
        };
        let mut weekday = table(4, 0, 6);
        weekday[0] |= !fields[4].starts_with('*') && means(fields[4], 7, 0);
        let hour = table(1, 0, 23);
        Self {
            minute: table(0, 0, 59),
            every_hour: hour.iter().all(|named| *named),
            hour,
            day: table(2, 1, 31),
            month: table(3, 1, 12),
            weekday,
            either: !fields[2].starts_with('*') && !fields[4].starts_with('*'),
        }
    }

    fn names(&self, minute: &LocalMinute) -> bool {
        if !self.minute[minute.minute] || !self.hour[minute.hour] || !self.month[minute.month] {
            return false;
        }
        let (day, weekday) = (self.day[minute.day], self.weekday[minute.weekday]);
        if self.either { day || weekday } else { day && weekday }
    }
}

/// A minute as a clock on the wall and its calendar show it.
#[derive(Clone, Copy)]
struct LocalMinute {
    /// Minutes since the beginning of 1970 on this calendar.
    number: i64,
    month: usize,
    day: usize,
    weekday: usize,
    hour: usize,
    minute: usize,
}

impl LocalMinute {
    fn of(number: i64) -> Self {
        let wall = Timestamp::from_second(number * 60).unwrap().to_zoned(TimeZone::UTC);
        Self {
            number,
            month: wall.month() as usize,
            day: wall.day() as usize,
            weekday: wall.weekday().to_sunday_zero_offset() as usize,
            hour: wall.hour() as usize,
            minute: wall.minute() as usize,
        }
    }
}

/// One minute of UTC on the way.
struct Step {
    /// Minutes since 1970.
    at: i64,
    local: LocalMinute,
    /// Whether the clock showed this before.
    again: bool,
    /// Whether it will show it once more.
    comes_again: bool,
    /// What it left out on its way here.
    left_out: Vec<LocalMinute>,
}

/// The way through the minutes `from..until` of UTC.
fn walk(zone: &TimeZone, from: i64, until: i64) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for at in from..until {
        let instant = Timestamp::from_second(at * 60).unwrap();
        let shown = zone.to_datetime(instant);
        assert_eq!(shown.second(), 0, "an offset of whole minutes");
        let number = at + i64::from(zone.to_offset(instant).seconds()) / 60;
        let local = LocalMinute {
            number,
            month: shown.month() as usize,
            day: shown.day() as usize,
            weekday: shown.weekday().to_sunday_zero_offset() as usize,
            hour: shown.hour() as usize,
            minute: shown.minute() as usize,
        };
        let mut left_out = Vec::new();
        if let Some(last) = steps.last() {
            left_out.extend((last.local.number + 1..number).map(LocalMinute::of));
        }
        steps.push(Step {
            at,
            local,
            again: false,
            comes_again: false,
            left_out,
        });
    }
    for here in 1..steps.len() {
        let back = steps[here - 1].local.number + 1 - steps[here].local.number;
        for pass in 0..back.max(0) as usize {
            if here + pass < steps.len() && here + pass >= back as usize {
                steps[here + pass].again = true;
                steps[here + pass - back as usize].comes_again = true;
            }
        }
    }
    steps
}

/// The minutes that a cron names, and whether because of one that was left out.
fn named<'s>(steps: &'s [Step], cron: &Plain) -> Vec<(&'s Step, bool)> {
    let mut named = Vec::new();
    for step in steps {
        let left_out = step.left_out.iter().any(|minute| cron.names(minute));
        if left_out || cron.names(&step.local) {
            named.push((step, left_out));
        }
    }
    named
}

fn expected(named: &[(&Step, bool)], cron: &Plain, repeated: Repeated) -> Vec<i64> {
    let ticks = named.iter().filter(|(step, left_out)| {
        let here = cron.names(&step.local);
        if cron.every_hour {
            return here;
        }
        let this_pass = match repeated {
            Repeated::First => !step.again,
            Repeated::Last => !step.comes_again,
            Repeated::Both => true,
        };
        (here && this_pass) || *left_out
    });
    ticks.map(|(step, _)| step.at).collect()
}

fn compare(zone: &TimeZone, name: &str, change: i64, hours: i64, texts: &[&str]) -> usize {
    // A margin, so that the walker knows what it has seen before and will see again.
    let (from, until) = (change - hours * 60, change + hours * 60);
    let steps = walk(zone, from - MARGIN, until + MARGIN);
    let mut ticks = 0;
    for text in texts {
        let plain = Plain::read(text);
        let choices = if plain.every_hour {
            &Repeated::ALL[..1]
        } else {
            &Repeated::ALL[..]
        };
        let named = named(&steps, &plain);
        for repeated in choices {
            let expected: Vec<i64> = expected(&named, &plain, *repeated)
                .into_iter()
                .filter(|at| (from..until).contains(at))
                .collect();
            let table = Timetable::new(vec![Cron::parse(text).unwrap()], zone.clone(), *repeated);
            let minute = |at: Timestamp| at.as_second().div_euclid(60);
            let just_before = Timestamp::from_second(from * 60 - 1).unwrap();
            let found: Vec<i64> = table
                .after(just_before)
                .map(|tick| minute(tick.at))
                .take_while(|at| *at < until)
                .collect();
            assert_eq!(found, expected, "`{text}` ({}) in {name}, forwards", repeated.as_str());
            let end = Timestamp::from_second(until * 60).unwrap();
            let mut back: Vec<i64> = std::iter::successors(table.previous(end), |tick| table.previous(tick.at))
                .map(|tick| minute(tick.at))
                .take_while(|at| *at >= from)
                .collect();
            back.reverse();
            assert_eq!(back, expected, "`{text}` ({}) in {name}, backwards", repeated.as_str());
            ticks += expected.len();
        }
    }
    ticks
}

/// Walks every change of a zone; how many there were, and how many ticks.
fn walk_zone(name: &str) -> (usize, usize) {
    let zone = TimeZone::get(name).unwrap();
    let start: Timestamp = "1990-01-01T00:00:00Z".parse().unwrap();
    let end: Timestamp = "2041-01-01T00:00:00Z".parse().unwrap();
    let mut changes: Vec<i64> = zone
        .following(start)
        .map(|change| change.timestamp())
        .take_while(|at| *at < end)
        .map(|at| at.as_second().div_euclid(60))
        .collect();
    let count = changes.len();
    if changes.is_empty() {
        changes.push((start + 24.hours()).as_second() / 60);
    }
    let mut ticks = 0;
    // The rules of a zone repeat year after year: what lies far ahead is walked once in four years for the dense crons.
    for (index, change) in changes.into_iter().enumerate() {
        let offset = |minute: i64| zone.to_offset(Timestamp::from_second(minute * 60).unwrap()).seconds();
        let shift = (offset(change) - offset(change - 1)).abs() / 3600;
        let hours = if shift < 4 { 14 } else { 30 };
        ticks += compare(&zone, name, change, hours, &OF_THE_DAY);
        if index % 4 < 2 {
            ticks += compare(&zone, name, change, 3, &ELAPSED);
        }
        if index < 2 {
            ticks += compare(&zone, name, change, 2, &["* * * * *"]);
        }
    }
    (count, ticks)
}

fn walk_zones(names: &[&str]) {
    let half = names.len() / 2;
    let sums = std::thread::scope(|scope| {
        let (left, right) = names.split_at(half);
        let sum = |names: &[&str]| {
            names
                .iter()
                .map(|name| walk_zone(name))
                .fold((0, 0), |sum, found| (sum.0 + found.0, sum.1 + found.1))
        };
        let left = scope.spawn(move || sum(left));
        let right = sum(right);
        let left = left.join().expect("the walk agrees");
        (left.0 + right.0, left.1 + right.1)
    });
    println!("{} changes of the clocks, {} ticks", sums.0, sums.1);
    assert!(sums.0 > 20 * names.len() && sums.1 > 1000 * names.len());
}

#[test]
fn every_change_of_the_clocks_is_as_a_walker_sees_it() {
    walk_zones(&ZONES);
}

#[test]
#[ignore = "minutes long: every zone there is"]
fn every_zone_is_as_a_walker_sees_it() {
    let names: Vec<String> = jiff::tz::db()
        .available()
        .map(|name| name.as_str().to_owned())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(names.len() > 400);
    walk_zones(&names);
}
