//! Named cases: the days on which clocks changed in ways that schedulers got wrong.

use assets::cron::{Cron, OddKind, Repeated, TickKind, Timetable};
use jiff::Timestamp;
use jiff::tz::TimeZone;

fn table(crons: &[&str], zone: &str, repeated: Repeated) -> Timetable {
    let crons = crons.iter().map(|cron| Cron::parse(cron).unwrap()).collect();
    Timetable::new(crons, TimeZone::get(zone).unwrap(), repeated)
}

fn ticks(crons: &[&str], zone: &str, repeated: Repeated, after: &str, count: usize) -> Vec<String> {
    let after: Timestamp = after.parse().unwrap();
    table(crons, zone, repeated)
        .after(after)
        .take(count)
        .map(|tick| {
            let word = match tick.kind {
                TickKind::Usual => "",
                TickKind::Moved => " moved",
                TickKind::FirstPass => " first",
                TickKind::LastPass => " last",
            };
            format!("{} {}{word}", tick.at, tick.local.strftime("%dT%H:%M"))
        })
        .collect()
}

#[test]
fn a_gap_ticks_once_at_its_end() {
    // New York, 9 March 2025: 02:00 became 03:00.
    assert_eq!(
        ticks(
            &["30 2 * * *"],
            "America/New_York",
            Repeated::First,
            "2025-03-08T00:00:00Z",
            3
        ),
        [
            "2025-03-08T07:30:00Z 08T02:30",
            "2025-03-09T07:00:00Z 09T02:30 moved",
            "2025-03-10T06:30:00Z 10T02:30",
        ]
    );
    // Two times of one gap, and one at its end by itself, are one tick.
    assert_eq!(
        ticks(
            &["10,50 2 * * *", "0 3 * * *"],
            "America/New_York",
            Repeated::First,
            "2025-03-09T06:59:00Z",
            2
        ),
        ["2025-03-09T07:00:00Z 09T02:10 moved", "2025-03-10T06:10:00Z 10T02:10"]
    );
    // São Paulo, 4 November 2018: midnight became 01:00.
    assert_eq!(
        ticks(
            &["@daily"],
            "America/Sao_Paulo",
            Repeated::First,
            "2018-11-03T12:00:00Z",
            2
        ),
        ["2018-11-04T03:00:00Z 04T00:00 moved", "2018-11-05T02:00:00Z 05T00:00"]
    );
    // Samoa left out 30 December 2011: that day ticks at the midnight that ends it, which ticks for the 31st as well.
    assert_eq!(
        ticks(
            &["0 6 * * *"],
            "Pacific/Apia",
            Repeated::First,
            "2011-12-29T12:00:00Z",
            3
        ),
        [
            "2011-12-29T16:00:00Z 29T06:00",
            "2011-12-30T10:00:00Z 30T06:00 moved",
            "2011-12-30T16:00:00Z 31T06:00",
        ]
    );
    // Troll, 29 March 2026: 01:00 became 03:00.
    assert_eq!(
        ticks(
            &["30 1,2 * * *"],
            "Antarctica/Troll",
            Repeated::First,
            "2026-03-29T00:45:00Z",
            2
        ),
        ["2026-03-29T01:00:00Z 29T01:30 moved", "2026-03-29T23:30:00Z 30T01:30"]
    );
}

#[test]
fn a_repeated_hour_ticks_as_declared() {
    // New York, 2 November 2025: 02:00 became 01:00.
    let at = |repeated| ticks(&["30 1 * * *"], "America/New_York", repeated, "2025-11-01T12:00:00Z", 3);
    assert_eq!(
        at(Repeated::First),
        [
            "2025-11-02T05:30:00Z 02T01:30 first",
            "2025-11-03T06:30:00Z 03T01:30",
            "2025-11-04T06:30:00Z 04T01:30",
        ]
    );
    assert_eq!(at(Repeated::Last)[0], "2025-11-02T06:30:00Z 02T01:30 last");
    assert_eq!(
        at(Repeated::Both)[..2],
        [
            "2025-11-02T05:30:00Z 02T01:30 first",
            "2025-11-02T06:30:00Z 02T01:30 last"
        ]
    );
    // Lord Howe goes back by half an hour: 02:00 became 01:30 on 6 April 2025.
    assert_eq!(
        ticks(
            &["45 1 * * *", "15 1 * * *"],
            "Australia/Lord_Howe",
            Repeated::Both,
            "2025-04-05T14:00:00Z",
            3
        ),
        [
            "2025-04-05T14:15:00Z 06T01:15",
            "2025-04-05T14:45:00Z 06T01:45 first",
            "2025-04-05T15:15:00Z 06T01:45 last",
        ]
    );
}

#[test]
fn crons_of_every_hour_follow_elapsed_time() {
    let hours = |zone, after, count| ticks(&["0 * * * *"], zone, Repeated::First, after, count);
    assert_eq!(
        hours("America/New_York", "2025-03-09T05:30:00Z", 3),
        [
            "2025-03-09T06:00:00Z 09T01:00",
            "2025-03-09T07:00:00Z 09T03:00",
            "2025-03-09T08:00:00Z 09T04:00"
        ]
    );
    assert_eq!(
        hours("America/New_York", "2025-11-02T04:30:00Z", 3),
        [
            "2025-11-02T05:00:00Z 02T01:00 first",
            "2025-11-02T06:00:00Z 02T01:00 last",
            "2025-11-02T07:00:00Z 02T02:00",
        ]
    );
    // Hours of Kathmandu begin a quarter past UTC's.
    assert_eq!(
        hours("Asia/Kathmandu", "2025-01-01T00:00:00Z", 1),
        ["2025-01-01T00:15:00Z 01T06:00"]
    );
    assert_eq!(
        ticks(
            &["*/15 * * * *"],
            "America/New_York",
            Repeated::Last,
            "2025-11-02T04:59:00Z",
            8
        )
        .len(),
        8
    );
}

#[test]
fn either_day_or_both() {
    let days = |cron: &str| -> Vec<String> {
        ticks(&[cron], "UTC", Repeated::First, "2026-02-01T00:00:00Z", 4)
            .iter()
            .map(|tick| tick[..10].to_owned())
            .collect()
    };
    assert_eq!(
        days("0 6 13 * FRI"),
        ["2026-02-06", "2026-02-13", "2026-02-20", "2026-02-27"]
    );
    assert_eq!(
        days("0 6 */14 * SUN"),
        ["2026-02-01", "2026-02-15", "2026-03-01", "2026-03-15"]
    );
    assert_eq!(
        days("0 6 29 2 *"),
        ["2028-02-29", "2032-02-29", "2036-02-29", "2040-02-29"]
    );
    assert_eq!(
        days("0 6 30 2 MON"),
        ["2026-02-02", "2026-02-09", "2026-02-16", "2026-02-23"]
    );
}

#[test]
fn the_odd_days_of_a_year_are_told() {
    let odd = |crons: &[&str], repeated| -> Vec<String> {
        let year = (
            "2025-01-01T00:00:00Z".parse().unwrap(),
            "2026-01-01T00:00:00Z".parse().unwrap(),
        );
        table(crons, "America/New_York", repeated)
            .odd(year.0, year.1)
            .iter()
            .map(|odd| {
                format!(
                    "{} {:?} {} {} {}",
                    odd.at, odd.kind, odd.between.start, odd.between.end, odd.local
                )
            })
            .collect()
    };
    assert_eq!(
        odd(&["30 2 * * *"], Repeated::First),
        ["2025-03-09T07:00:00Z Moved 2025-03-09T02:00:00 2025-03-09T03:00:00 2025-03-09T02:30:00"]
    );
    assert_eq!(
        odd(&["15 1 * * *"], Repeated::Last),
        ["2025-11-02T06:00:00Z LastPass 2025-11-02T01:00:00 2025-11-02T02:00:00 2025-11-02T01:15:00"]
    );
    let kinds = |crons: &[&str]| -> Vec<OddKind> {
        table(crons, "America/New_York", Repeated::First)
            .odd(
                "2025-01-01T00:00:00Z".parse().unwrap(),
                "2026-01-01T00:00:00Z".parse().unwrap(),
            )
            .iter()
            .map(|odd| odd.kind)
            .collect()
    };
    assert_eq!(kinds(&["@hourly"]), [OddKind::LeftOut, OddKind::BothPasses]);
    assert_eq!(kinds(&["0 6 * * *"]), []);
}

#[test]
fn the_ends_of_the_calendar_are_ends() {
    for cron in ["* * * * *", "0 0 29 2 *", "@yearly"] {
        let table = table(&[cron], "America/New_York", Repeated::First);
        assert_eq!(table.next(Timestamp::MAX), None);
        assert_eq!(table.previous(Timestamp::MIN), None);
        // From either end inwards there is always one.
        assert!(table.next(Timestamp::MIN).is_some());
        assert!(table.previous(Timestamp::MAX).is_some());
    }
}

#[test]
fn before_1970_and_between_seconds() {
    assert_eq!(
        ticks(&["* * * * *"], "UTC", Repeated::First, "1969-12-31T23:58:59.5Z", 2),
        ["1969-12-31T23:59:00Z 31T23:59", "1970-01-01T00:00:00Z 01T00:00"]
    );
    let table = table(&["* * * * *"], "UTC", Repeated::First);
    let previous = |before: &str| table.previous(before.parse().unwrap()).unwrap().at.to_string();
    assert_eq!(previous("1970-01-01T00:00:00.000001Z"), "1970-01-01T00:00:00Z");
    assert_eq!(previous("1970-01-01T00:00:00Z"), "1969-12-31T23:59:00Z");
}

/// Ten thousand schedules are asked for their next tick in far less than a second, also where it lies years ahead.
#[test]
#[expect(clippy::disallowed_methods, reason = "measures")]
fn next_ticks_are_cheap() {
    let crons = ["0 6 * * *", "*/5 * * * *", "0 0 29 2 *", "0 9 1-7 * MON", "@yearly"];
    let zones = [
        "America/New_York",
        "Europe/London",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
    ];
    let tables: Vec<Timetable> = crons
        .iter()
        .flat_map(|cron| zones.map(|zone| table(&[cron], zone, Repeated::First)))
        .collect();
    let now: Timestamp = "2097-03-01T00:00:00Z".parse().unwrap();
    let start = std::time::Instant::now();
    let found = (0..10_000)
        .filter(|at| tables[at % tables.len()].next(now).is_some())
        .count();
    let took = start.elapsed();
    println!("10,000 next ticks: {took:?}");
    assert_eq!(found, 10_000);
    // Unoptimized code on a busy machine; optimized it is some thirty times faster.
    assert!(took.as_secs_f64() < 5.0, "{took:?}");
}
