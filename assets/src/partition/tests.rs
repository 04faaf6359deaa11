use jiff::Timestamp;
use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn time(grain: Grain, start: jiff::civil::DateTime, end: Option<jiff::civil::DateTime>, zone: &str) -> Partitioning {
    Partitioning::Time(TimePartitions {
        grain,
        start,
        end,
        zone: zone.to_owned(),
    })
}

fn days_2013() -> Partitioning {
    time(
        Grain::Day,
        date(2013, 1, 1).at(0, 0, 0, 0),
        Some(date(2013, 12, 31).at(0, 0, 0, 0)),
        "America/New_York",
    )
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn key(text: &str) -> PartitionKey {
    PartitionKey::new(text).unwrap()
}

#[test]
fn days_of_a_year_exist_once_they_have_ended() {
    let days = days_2013();
    assert_eq!(days.count(at("2026-01-01T00:00:00Z")), 365);
    assert_eq!(
        days.count(at("2013-01-02T04:59:59Z")),
        0,
        "the first local day has not ended"
    );
    assert_eq!(days.count(at("2013-01-02T05:00:00Z")), 1);
    assert_eq!(
        days.keys(at("2013-01-03T06:00:00Z")).collect::<Vec<_>>(),
        [key("2013-01-01"), key("2013-01-02")]
    );
    for bad in ["2013-02-30", "2014-01-01", "2012-12-31", "2013-1-1", "x"] {
        assert!(!days.contains(&key(bad)), "{bad}");
    }
}

#[test]
fn days_have_23_and_25_hours_when_clocks_change() {
    let hours = |day: &str| {
        let (start, end) = days_2013().bounds(&key(day)).unwrap();
        (end.as_second() - start.as_second()) / 3600
    };
    assert_eq!(
        (hours("2013-03-10"), hours("2013-11-03"), hours("2013-07-04")),
        (23, 25, 24)
    );
}

#[test]
fn the_repeated_hour_has_two_keys_and_the_missing_one_none() {
    let hours = time(Grain::Hour, date(2013, 1, 1).at(0, 0, 0, 0), None, "America/New_York");
    assert_eq!(
        hours.key_of(at("2013-11-03T05:30:00Z")).unwrap(),
        key("2013-11-03T01-04:00")
    );
    assert_eq!(
        hours.key_of(at("2013-11-03T06:30:00Z")).unwrap(),
        key("2013-11-03T01-05:00")
    );
    assert!(!hours.contains(&key("2013-11-03T01")), "ambiguous");
    assert!(!hours.contains(&key("2013-03-10T02")), "does not exist");
    assert!(hours.contains(&key("2013-03-10T03")));
}

#[test]
fn an_hour_after_a_half_hour_shift_keeps_its_own_key() {
    let hours = time(
        Grain::Hour,
        date(2013, 1, 1).at(0, 0, 0, 0),
        None,
        "Australia/Lord_Howe",
    );
    let count = hours.count(at("2014-01-01T00:00:00Z"));
    let keys: std::collections::BTreeSet<_> = (0..count).filter_map(|i| hours.key_at(i)).collect();
    assert_eq!(keys.len(), count);
}

#[test]
fn mappings_between_grains() {
    let days = days_2013();
    let hours = time(Grain::Hour, date(2013, 1, 1).at(0, 0, 0, 0), None, "America/New_York");
    let months = time(Grain::Month, date(2013, 1, 1).at(0, 0, 0, 0), None, "America/New_York");
    let now = at("2026-01-01T00:00:00Z");
    let mapped = |mapping: &PartitionMapping, down: &Partitioning, k: &str, up: &Partitioning| {
        let Mapped::Indexes(range) = mapping.upstream(Some(down), Some(&key(k)), Some(up), now).unwrap() else {
            panic!("a stretch")
        };
        (
            range.len(),
            up.key_at(range.start).map(|k| k.to_string()),
            range
                .end
                .checked_sub(1)
                .and_then(|i| up.key_at(i))
                .map(|k| k.to_string()),
        )
    };
    let some = |n, a: &str, b: &str| (n, Some(a.to_owned()), Some(b.to_owned()));
    assert_eq!(
        mapped(&PartitionMapping::Covering, &days, "2013-03-10", &hours),
        some(23, "2013-03-10T00", "2013-03-10T23")
    );
    assert_eq!(
        mapped(&PartitionMapping::Covering, &months, "2013-02", &days),
        some(28, "2013-02-01", "2013-02-28")
    );
    assert_eq!(
        mapped(&PartitionMapping::Covering, &days, "2013-02-03", &months),
        some(1, "2013-02", "2013-02")
    );
    let week = PartitionMapping::Window {
        length: "7 days".into(),
        ending: WindowEnd::Before,
    };
    assert_eq!(
        mapped(&week, &days, "2013-03-12", &days),
        some(7, "2013-03-05", "2013-03-11")
    );
    assert_eq!(
        mapped(&week, &days, "2013-01-03", &days),
        some(2, "2013-01-01", "2013-01-02")
    );
    assert_eq!(mapped(&week, &days, "2013-01-01", &days).0, 0);
    let with = PartitionMapping::Window {
        length: "2 days".into(),
        ending: WindowEnd::With,
    };
    assert_eq!(
        mapped(&with, &days, "2013-12-31", &days),
        some(2, "2013-12-30", "2013-12-31")
    );
}

#[test]
fn mappings_are_inferred_or_asked_for() {
    let days = days_2013();
    let fixed = Partitioning::Fixed(vec![key("EWR"), key("JFK")]);
    assert_eq!(
        PartitionMapping::inferred(Some(&days), Some(&days)),
        Some(PartitionMapping::Same)
    );
    assert_eq!(
        PartitionMapping::inferred(Some(&days), None),
        Some(PartitionMapping::All)
    );
    assert_eq!(
        PartitionMapping::inferred(None, Some(&days)),
        Some(PartitionMapping::All)
    );
    assert_eq!(PartitionMapping::inferred(Some(&days), Some(&fixed)), None);
    let bad = PartitionMapping::Window {
        length: "7 parsecs".into(),
        ending: WindowEnd::Before,
    };
    assert!(matches!(
        bad.validate(Some(&days), Some(&days)),
        Err(MappingError::Length(_))
    ));
}

proptest! {
    /// Key, index and instant are three names of one partition, for every grain, in zones with every kind of shift.
    #[test]
    fn keys_indexes_and_bounds_agree(
        grain in proptest::sample::select(Grain::ALL.to_vec()),
        zone in proptest::sample::select(vec![
            "UTC", "America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia",
            "Africa/Casablanca", "Antarctica/Troll", "Asia/Kathmandu",
        ]),
        year in 1995i16..2030,
        index in 0usize..60_000,
    ) {
        let start = grain.floor(date(year, 6, 5).at(0, 0, 0, 0));
        let set = time(grain, start, None, zone);
        let index = if grain >= Grain::Month { index % 400 } else { index % 20_000 };
        let key = set.key_at(index).unwrap();
        prop_assert_eq!(set.index_of(&key), Some(index), "{}", key);
        let (begins, ends) = set.bounds(&key).unwrap();
        prop_assert!(begins <= ends);
        if begins < ends {
            // A local day that a zone skipped altogether (Apia, 2011-12-30) is empty and holds no instant.
            prop_assert_eq!(set.key_of(begins), Some(key.clone()));
            let last = Timestamp::from_microsecond(ends.as_microsecond() - 1).unwrap();
            prop_assert_eq!(set.key_of(last), Some(key));
        }
    }

    #[test]
    fn a_partition_set_is_a_set(ranges in proptest::collection::vec((0usize..200, 0usize..20), 0..30)) {
        let mut set = PartitionSet::new();
        let mut model = std::collections::BTreeSet::new();
        for (start, length) in ranges {
            set.insert_range(start..start + length);
            model.extend(start..start + length);
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert!(set.ranges().windows(2).all(|w| w[0].end < w[1].start));
        }
        prop_assert!((0..230).all(|i| set.contains(i) == model.contains(&i)));
        prop_assert_eq!(set.len(), model.len());
    }
}
