//! Checks around a step: those that stream, those that query the staged rows, and what they keep from readers.

use assets::outcome::{CheckResult, Severity};

use super::World;

const ASSETS: &str = r#"
[asset.bronze.airports]
kind = "sql"
sql = "SELECT * FROM (VALUES ('JFK', 1), ('LGA', 2)) AS airports (faa, number)"

[asset.silver.flights]
kind = "sql"
sql = """
SELECT CAST(day AS DATE) AS flight_date, flight, origin, delay FROM (VALUES
    ('2013-03-01', 1, 'JFK', 5), ('2013-03-01', 2, 'LGA', -3), ('2013-03-01', 3, NULL, 0),
    ('2013-03-02', 1, 'JFK', 5), ('2013-03-02', 1, 'EWR', 7), ('2013-03-02', 9, 'XXX', NULL)
) AS flights (day, flight, origin, delay)
WHERE CAST(day AS DATE) = CAST($partition_start AS DATE)
"""
partitions = { use = "daily", column = "flight_date" }
key = ["flight_date", "flight"]
checks = [
    { not_null = ["origin"], severity = "warn" },
    { unique = "key" },
    { foreign_key = { columns = ["origin"], references = "bronze.airports", referenced_columns = ["faa"] } },
    { sql = "SELECT this.*, airports.number FROM this JOIN bronze.airports AS airports ON faa = origin WHERE delay < 0 OR flight_date <> CAST($partition_start AS DATE)", name = "no negative delay" },
    { sql = "SELECT * FROM this WHERE delai < 0", name = "a slip" , severity = "warn" },
    { row_count = { min = 1 } },
]
"#;

fn told(checks: &[CheckResult]) -> Vec<(&str, bool, Option<u64>)> {
    checks
        .iter()
        .map(|check| (check.name.as_str(), check.passed, check.failing_rows))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_gives_a_result_in_the_order_declared() {
    let mut world = World::new(ASSETS);
    world.materialize("bronze.airports", &[]).await;
    let outcome = world.execute("silver.flights", &["2013-03-01", "2013-03-02"]).await;
    assert_eq!(outcome.failed, []);
    let [first, second] = outcome.staged.as_slice() else {
        panic!("{outcome:?}")
    };
    let names: Vec<&str> = first.checks.iter().map(|check| check.check.as_str()).collect();
    assert_eq!(names, ["not_null", "unique", "foreign_key", "sql", "sql", "row_count"]);
    let passed = |checks: &[CheckResult]| checks.iter().map(|c| (c.passed, c.failing_rows)).collect::<Vec<_>>();
    assert_eq!(
        passed(&first.checks),
        [
            (false, Some(1)),
            (true, Some(0)),
            (true, Some(0)),
            (false, Some(1)),
            (false, None),
            (true, None)
        ],
        "{:#?}",
        told(&first.checks)
    );
    assert_eq!(
        passed(&second.checks),
        [
            (true, Some(0)),
            (false, Some(1)),
            (false, Some(2)),
            (true, Some(0)),
            (false, None),
            (true, None)
        ],
    );
    assert_eq!(first.blocked_by().unwrap().name, "no negative delay");
    let sample = first.checks[3].sample.as_ref().unwrap();
    assert_eq!(sample.columns, ["flight_date", "flight", "origin", "delay", "number"]);
    let row = ["2013-03-01", "2", "LGA", "-3", "2"].map(|value| Some(value.to_owned()));
    assert_eq!(sample.rows, [row.to_vec()]);
    let slip = &first.checks[4];
    let error = slip.error.as_ref().unwrap();
    assert!(
        error.contains("there is no column `delai`") && error.contains("did you mean `delay`?"),
        "{error}"
    );
    assert!(slip.severity == Severity::Warn && !slip.blocks());
    let origins: Vec<_> = second.checks[2]
        .sample
        .as_ref()
        .unwrap()
        .rows
        .iter()
        .map(|row| row[2].clone().unwrap())
        .collect();
    assert_eq!(origins, ["EWR", "XXX"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_whose_table_is_missing_has_not_passed() {
    let mut world = World::new(ASSETS);
    let outcome = world.execute("silver.flights", &["2013-03-01"]).await;
    let key = &outcome.staged[0].checks[2];
    assert!(!key.passed && key.blocks());
    assert!(
        key.error
            .as_ref()
            .unwrap()
            .contains("bronze.airports: it was never materialized"),
        "{key:?}"
    );
}

/// Too many rows to remember: the same finding comes from the staged files.
#[tokio::test(flavor = "multi_thread")]
async fn unique_over_more_rows_than_memory_asks_the_staged_files() {
    let mut world = World::new(
        r#"
[asset.silver.many]
kind = "sql"
sql = "SELECT value % 199999 AS id, value AS other FROM generate_series(1, 200000)"
checks = [{ unique = ["id"] }, { unique = ["other"] }]
"#,
    );
    world.memory_bytes = 32 << 20;
    let outcome = world.execute("silver.many", &[]).await;
    let [id, other] = outcome.staged[0].checks.as_slice() else {
        panic!("{outcome:?}")
    };
    assert_eq!((id.passed, id.failing_rows), (false, Some(1)), "{id:?}");
    let sample = id.sample.as_ref().unwrap();
    assert_eq!(
        (sample.columns.as_slice(), sample.rows.len()),
        (["id".to_owned(), "repeats".to_owned()].as_slice(), 1)
    );
    assert_eq!(
        (other.passed, other.failing_rows, other.error.as_ref()),
        (true, Some(0), None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_checked_for_their_entities_and_times() {
    let mut world = World::new(
        r#"
[asset.features.carrier]
kind = "features"
sql = """
SELECT carrier, CAST(at AS TIMESTAMP) AS known_at, value FROM (VALUES
    ('AA', '2013-03-01T00:00:00', 1), ('AA', '2013-03-01T00:00:00', 2), (NULL, '2013-03-01T00:00:00', 3), ('UA', NULL, 4)
) AS rows (carrier, at, value)"""
entity = "carrier"
timestamp = "known_at"
ttl = "2 days"

[asset.features.slip]
kind = "features"
sql = "SELECT 'AA' AS carrier, 1 AS known_at"
entity = ["carier"]
timestamp = "known_at"

[asset.features.number]
kind = "features"
sql = "SELECT 'AA' AS carrier, 1 AS known_at"
entity = ["carrier"]
timestamp = "known_at"
"#,
    );
    assert_eq!(
        world.asset("features.carrier").config["ttl_seconds"],
        serde_json::json!(172_800),
        "for those who join the features"
    );
    let outcome = world.execute("features.carrier", &[]).await;
    assert_eq!(
        told(&outcome.staged[0].checks),
        [
            ("features: not_null(carrier)", false, Some(1)),
            ("features: not_null(known_at)", false, Some(1)),
            ("features: unique(carrier, known_at)", false, Some(1))
        ]
    );
    assert!(outcome.staged[0].blocked_by().is_some());
    let outcome = world.execute("features.slip", &[]).await;
    assert_eq!(
        outcome.failure().message,
        "`entity` of the asset: there is no column `carier`; did you mean `carrier`? in the query's result"
    );
    let outcome = world.execute("features.number", &[]).await;
    assert!(
        outcome.failure().message.contains("holds Int64 and no times"),
        "{}",
        outcome.failure().message
    );
}
