//! Which partition a row belongs to, by every kind of column, and what happens to rows that belong elsewhere.

use super::*;
use crate::step::Scope;
use arrow::array::{DictionaryArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array};
use arrow::datatypes::{DataType, Int32Type};

pub(super) fn by(column: &str, grain: Grain, zone: &str) -> PartitionedBy {
    PartitionedBy {
        name: "set".to_owned(),
        column: column.to_owned(),
        partitioning: Partitioning::Time(TimePartitions {
            grain,
            start: jiff::civil::date(2013, 1, 1).at(0, 0, 0, 0),
            end: None,
            zone: zone.to_owned(),
        }),
    }
}

fn keys_of(by: &PartitionedBy, column: ArrayRef) -> Vec<String> {
    let found = row_partition_keys(&by.partitioning, &column).unwrap();
    found
        .rows
        .iter()
        .map(|row| match &found.keys[*row as usize] {
            RowKey::Key(key) => key.to_string(),
            RowKey::Null => "null".to_owned(),
            RowKey::Outside(text) => format!("outside {text}"),
        })
        .collect()
}

fn micros(texts: &[&str]) -> Vec<i64> {
    texts
        .iter()
        .map(|text| text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
        .collect()
}

#[test]
fn dates_tell_days_and_longer() {
    let column: ArrayRef = Arc::new(Date32Array::from(vec![
        Some(DAY0),
        None,
        Some(DAY0 + 1),
        Some(-800_000),
    ]));
    assert_eq!(
        keys_of(&daily(), Arc::clone(&column)),
        ["2013-03-01", "null", "2013-03-02", "outside -000221-09-04"]
    );
    let monthly = keys_of(&by("day", Grain::Month, "UTC"), column);
    assert_eq!((monthly[0].as_str(), monthly[2].as_str()), ("2013-03", "2013-03"));
}

#[test]
fn instants_tell_the_local_day_and_hour_of_the_zone() {
    // 2013-03-10: New York goes from 02:00 EST to 03:00 EDT at 07:00 UTC.
    let times = micros(&[
        "2013-03-10T04:59:59Z",
        "2013-03-10T05:00:00Z",
        "2013-03-11T03:59:59.999999Z",
        "2012-12-31T00:00:00Z",
    ]);
    let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
    let days = keys_of(&by("at", Grain::Day, "America/New_York"), Arc::clone(&column));
    assert_eq!(days[..3], ["2013-03-09", "2013-03-10", "2013-03-10"]);
    assert!(days[3].starts_with("outside 2012-12-31T00:00:00Z"), "{days:?}");
    // One row per partition of the library, checked against the partitioning itself.
    let hourly = by("at", Grain::Hour, "America/New_York");
    for (told, instant) in keys_of(&hourly, Arc::clone(&column)).iter().zip(
        column
            .as_any()
            .downcast_ref::<TimestampMicrosecondArray>()
            .unwrap()
            .values(),
    ) {
        if let Some(expected) = hourly
            .partitioning
            .key_of(jiff::Timestamp::from_microsecond(*instant).unwrap())
        {
            assert_eq!(*told, expected.to_string());
        }
    }
}

#[test]
fn local_times_count_in_the_zone_of_the_partitions() {
    let local: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![
        jiff::civil::date(2013, 3, 1)
            .at(23, 59, 59, 0)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .unwrap()
            .timestamp()
            .as_nanosecond() as i64,
    ]));
    assert_eq!(
        keys_of(&by("at", Grain::Day, "America/New_York"), local),
        ["2013-03-01"]
    );
}

#[test]
fn texts_and_numbers_tell_members_of_a_fixed_set() {
    let set = fixed("origin", &["EWR", "JFK", "7"]);
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("EWR"), Some("LGA"), None, Some("")]));
    assert_eq!(keys_of(&set, texts), ["EWR", "outside LGA", "null", "outside "]);
    let dictionary: DictionaryArray<Int32Type> = vec!["JFK", "EWR", "JFK"].into_iter().collect();
    assert_eq!(keys_of(&set, Arc::new(dictionary)), ["JFK", "EWR", "JFK"]);
    assert_eq!(
        keys_of(&set, Arc::new(Int64Array::from(vec![7, 8]))),
        ["7", "outside 8"]
    );
}

#[test]
fn the_rule_names_the_column_and_refuses_what_cannot_tell() {
    let schema = arrow::datatypes::Schema::new(vec![
        Field::new("day", DataType::Date32, true),
        Field::new(
            "at",
            DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None),
            true,
        ),
        Field::new("x", DataType::Float64, true),
    ]);
    let column = |by: &PartitionedBy| partition_column(by, &schema).map(|column| column.column);
    assert_eq!(column(&daily()).unwrap(), "day");
    assert_eq!(column(&by("day", Grain::Month, "UTC")).unwrap(), APPENDED);
    assert_eq!(column(&by("at", Grain::Day, "UTC")).unwrap(), APPENDED);
    assert!(
        column(&by("day", Grain::Hour, "UTC"))
            .unwrap_err()
            .to_string()
            .contains("cannot tell the hour")
    );
    assert!(column(&fixed("x", &["1"])).is_err());
    let missing = column(&fixed("y", &["1"])).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "read the partition of a row: the rows have no column `y`"
    );
    assert!(missing.failure().help.unwrap().contains("day, at, x"));
}

#[tokio::test]
async fn rows_outside_are_counted_and_named() {
    let mut world = World::new();
    let mixed = [day(0, 0, 3), day(1, 0, 10), day(2, 0, 2)];
    let error = world
        .stage(Some((&daily(), &["2013-03-01"])), WriteMode::Replace, &mixed)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "12 rows outside partition 2013-03-01: 2013-03-02 (10), 2013-03-03 (2)"
    );
    assert_eq!(error.failure().class, assets::outcome::FailureClass::Data);
    let nulls = batch(vec![(
        "day",
        Arc::new(Date32Array::from(vec![Some(DAY0), None])) as ArrayRef,
    )]);
    let error = world
        .stage(Some((&daily(), &["2013-03-01"])), WriteMode::Replace, &[nulls])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 row outside partition 2013-03-01: null in `day` (1)"
    );
    // Nothing is left behind.
    let left = std::process::Command::new("find")
        .arg(world.folder.path())
        .args(["-type", "f"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

#[tokio::test]
async fn odd_partition_keys_are_written_read_and_replaced() {
    // The store of the tests gives files of its own names that are half as long again as the keys, and 255 bytes are the most.
    let long = "x".repeat(if test_store().is_some() { 40 } else { 250 });
    let odd = [
        "a b",
        "a/b",
        "../up",
        "100%",
        "%2F",
        "zürich 東京",
        "'quote'",
        "a=b&c",
        ".",
        long.as_str(),
    ];
    let set = fixed("city", &odd);
    let rows = |n: i64| {
        let cities: Vec<&str> = odd.iter().flat_map(|city| vec![*city; n as usize]).collect();
        let count = cities.len() as i64;
        batch(vec![
            ("city", Arc::new(StringArray::from(cities)) as ArrayRef),
            ("id", Arc::new(Int64Array::from_iter_values(0..count)) as ArrayRef),
        ])
    };
    let mut world = World::new();
    let staged = world
        .stage(Some((&set, &odd)), WriteMode::Replace, &[rows(3)])
        .await
        .unwrap();
    let members = world.members(&staged);
    world.commit(&members).await;
    let found = partition_rows(&world.open().await.unwrap()).await.unwrap();
    assert_eq!(found.len(), odd.len());
    for city in odd {
        assert_eq!(found[&Some(key(city))].rows, 3, "{city}");
        let scan = ScanOptions::scoped(Scope::Keys(vec![key(city)]));
        assert_eq!(
            world
                .row_scan(scan, "SELECT count(*), min(city) FROM silver.flights")
                .await,
            ["3".to_owned(), city.to_owned()]
        );
    }
    let one = batch(vec![
        ("city", Arc::new(StringArray::from(vec!["a/b"])) as ArrayRef),
        ("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
    ]);
    let staged = world
        .stage(Some((&set, &["a/b"])), WriteMode::Replace, &[one])
        .await
        .unwrap();
    let members = world.members(&staged);
    world.commit(&members).await;
    assert_eq!(world.row("SELECT count(*) FROM silver.flights").await, ["28"]);
    // Everything stays inside the table's folder.
    let outside = world.folder.path().join("my lake 100%ü").join("silver");
    assert_eq!(std::fs::read_dir(outside).unwrap().count(), 1);
}

#[tokio::test]
async fn an_appended_column_partitions_the_table_and_stays_hidden() {
    let hourly = by("at", Grain::Hour, "America/New_York");
    let times = micros(&["2013-03-01T15:10:00Z", "2013-03-01T15:50:00Z", "2013-03-01T16:00:00Z"]);
    let rows = batch(vec![
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")) as ArrayRef,
        ),
        ("n", Arc::new(UInt64Array::from(vec![1, 2, 4])) as ArrayRef),
    ]);
    let first = hourly
        .partitioning
        .key_of("2013-03-01T15:00:00Z".parse().unwrap())
        .unwrap();
    let second = hourly
        .partitioning
        .key_of("2013-03-01T16:00:00Z".parse().unwrap())
        .unwrap();
    let mut world = World::new();
    let staged = world
        .stage(
            Some((&hourly, &[first.as_str(), second.as_str()])),
            WriteMode::Replace,
            &[rows],
        )
        .await
        .unwrap();
    assert_eq!(staged.iter().map(|(_, table)| table.rows).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(staged[0].1.partition_column.as_deref(), Some(APPENDED));
    let members = world.members(&staged);
    world.commit(&members).await;
    let table = world.open().await.unwrap();
    assert_eq!(table.partition_column().as_deref(), Some(APPENDED));
    assert_eq!(
        table
            .schema()
            .unwrap()
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .collect::<Vec<_>>(),
        ["at", "n"]
    );
    let scan = ScanOptions {
        scope: Scope::Keys(vec![second]),
        partition_column: Some(APPENDED.to_owned()),
        ..ScanOptions::default()
    };
    assert_eq!(
        world
            .row_scan(scan, "SELECT sum(n), count(*) FROM silver.flights")
            .await,
        ["4", "1"]
    );
    let none = ScanOptions::scoped(Scope::Keys(vec![]));
    assert_eq!(world.row_scan(none, "SELECT count(*) FROM silver.flights").await, ["0"]);
}

#[tokio::test]
async fn a_table_cut_otherwise_is_refused() {
    let mut world = World::new();
    let staged = world.stage(None, WriteMode::Replace, &[day(0, 0, 3)]).await.unwrap();
    let members = world.members(&staged);
    world.commit(&members).await;
    let error = world
        .stage(Some((&daily(), &["2013-03-01"])), WriteMode::Replace, &[day(0, 0, 3)])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "write silver.flights: the table is partitioned by nothing, the asset by `day`"
    );
    let scan = ScanOptions {
        scope: Scope::Keys(vec![key("2013-03-01")]),
        partition_column: Some("day".to_owned()),
        ..ScanOptions::default()
    };
    assert!(world.open().await.unwrap().provider(&scan).is_err());
}
