//! What queries see and what they leave.

use assets::outcome::{FailureClass, Replace};

use super::{World, partition};

const FLIGHTS: &str = r#"
[asset.bronze.flights]
kind = "sql"
sql = """
SELECT CAST(day AS DATE) AS flight_date, CAST(at AS TIMESTAMP WITH TIME ZONE) AS sched_dep_at, carrier, delay
FROM (VALUES
    ('2013-03-01', '2013-03-01T05:00:00Z', 'AA', 10), ('2013-03-01', '2013-03-02T04:59:59Z', 'UA', 20),
    ('2013-03-02', '2013-03-02T05:00:00Z', 'AA', 30), ('2013-03-03', '2013-03-03T05:00:00Z', 'AA', 40),
    ('2013-03-03', '2013-03-03T06:00:00Z', 'B6', 50)
) AS flights (day, at, carrier, delay)
"""

[asset.silver.flights]
kind = "sql"
sql = "SELECT * FROM bronze.flights WHERE sched_dep_at >= $partition_start AND sched_dep_at < $partition_end"
partitions = { use = "daily", column = "flight_date" }
"#;

const DAYS: [&str; 3] = ["2013-03-01", "2013-03-02", "2013-03-03"];

async fn world(more: &str) -> World {
    let mut world = World::new(&format!("{FLIGHTS}{more}"));
    world.materialize("bronze.flights", &[]).await;
    world.materialize("silver.flights", &DAYS).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn each_partition_gets_its_rows_and_replaces_itself() {
    let mut world = World::new(FLIGHTS);
    world.materialize("bronze.flights", &[]).await;
    let staged = world.materialize("silver.flights", &DAYS).await;
    let told: Vec<_> = staged
        .iter()
        .map(|s| (s.partition.clone().unwrap(), s.rows(), s.metadata["rows"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            (partition(DAYS[0]), 2, serde_json::json!(2)),
            (partition(DAYS[1]), 1, serde_json::json!(1)),
            (partition(DAYS[2]), 2, serde_json::json!(2))
        ]
    );
    assert_eq!(staged[0].tables[0].replace, Replace::Partition(partition(DAYS[0])));
    assert_eq!(staged[0].tables[0].partition_column.as_deref(), Some("flight_date"));
    let all = "SELECT flight_date, count(*) AS flights, sum(delay) AS delay FROM silver.flights GROUP BY 1 ORDER BY 1";
    let rows = world.read(all).await;
    insta::assert_snapshot!(rows, @r"
    +-------------+---------+-------+
    | flight_date | flights | delay |
    +-------------+---------+-------+
    | 2013-03-01  | 2       | 30    |
    | 2013-03-02  | 1       | 30    |
    | 2013-03-03  | 2       | 90    |
    +-------------+---------+-------+
    ");
    world.materialize("silver.flights", &DAYS[1..]).await;
    assert_eq!(world.read(all).await, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_an_input_means_the_rows_of_the_partition() {
    let mut world = world(
        r#"
[asset.gold.same]
kind = "sql"
sql = "SELECT flight_date, count(*) AS flights FROM silver.flights GROUP BY flight_date"
partitions = { use = "daily", column = "flight_date" }

[asset.gold.before]
kind = "sql"
sql = """
SELECT CAST($partition_key AS DATE) AS day, count(*) AS flights, CAST(min(flight_date) AS VARCHAR) AS first, CAST(max(flight_date) AS VARCHAR) AS last
FROM silver.flights
"""
partitions = { use = "daily", column = "day" }
inputs."silver.flights" = { window = "2 days", ending = "before" }

[asset.gold.all]
kind = "sql"
sql = "SELECT max(flight_date) AS flight_date, count(*) AS flights FROM silver.flights HAVING max(flight_date) >= $since"
"#,
    )
    .await;
    world.materialize("gold.same", &DAYS).await;
    insta::assert_snapshot!(world.read("SELECT * FROM gold.same ORDER BY 1").await, @r"
    +-------------+---------+
    | flight_date | flights |
    +-------------+---------+
    | 2013-03-01  | 2       |
    | 2013-03-02  | 1       |
    | 2013-03-03  | 2       |
    +-------------+---------+
    ");
    world
        .materialize("gold.before", &["2013-03-01", "2013-03-02", "2013-03-03", "2013-03-04"])
        .await;
    insta::assert_snapshot!(world.read("SELECT * FROM gold.before ORDER BY 1").await, @r"
    +------------+---------+------------+------------+
    | day        | flights | first      | last       |
    +------------+---------+------------+------------+
    | 2013-03-01 | 0       |            |            |
    | 2013-03-02 | 2       | 2013-03-01 | 2013-03-01 |
    | 2013-03-03 | 3       | 2013-03-01 | 2013-03-02 |
    | 2013-03-04 | 3       | 2013-03-02 | 2013-03-03 |
    +------------+---------+------------+------------+
    ");
    world.materialize("gold.all", &[]).await;
    insta::assert_snapshot!(world.read("SELECT * FROM gold.all").await, @r"
    +-------------+---------+
    | flight_date | flights |
    +-------------+---------+
    | 2013-03-03  | 5       |
    +-------------+---------+
    ");
}

/// The parameters are instants; cast to dates they are local days; and they may be columns themselves.
#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_instants_of_the_zone_and_compare_with_days() {
    let mut world = world(
        r#"
[asset.gold.parameters]
kind = "sql"
sql = """
SELECT
    CAST($partition_start AS DATE) AS day,
    $partition_key AS key,
    $partition_start AS starts,
    count(*) FILTER (WHERE flight_date >= CAST($partition_start AS DATE) AND flight_date < CAST($partition_end AS DATE)) AS by_day,
    count(*) FILTER (WHERE sched_dep_at >= $partition_start AND sched_dep_at < $partition_end) AS by_instant,
    count(*) FILTER (WHERE delay > $late_minutes) AS late
FROM bronze.flights
"""
partitions = { use = "daily", column = "day" }
"#,
    )
    .await;
    world
        .materialize("gold.parameters", &["2013-03-02", "2013-03-10"])
        .await;
    insta::assert_snapshot!(world.read("SELECT * FROM gold.parameters ORDER BY 1").await, @r"
    +------------+------------+----------------------+--------+------------+------+
    | day        | key        | starts               | by_day | by_instant | late |
    +------------+------------+----------------------+--------+------------+------+
    | 2013-03-02 | 2013-03-02 | 2013-03-02T05:00:00Z | 1      | 1          | 4    |
    | 2013-03-10 | 2013-03-10 | 2013-03-10T05:00:00Z | 0      | 0          | 4    |
    +------------+------------+----------------------+--------+------------+------+
    ");
}

/// Beside a date or a time without zone the bounds are local: New York's March begins at 05:00 in UTC, and nobody means that.
#[tokio::test(flavor = "multi_thread")]
async fn bounds_beside_dates_are_local_dates() {
    let mut world = world(
        r#"
[asset.gold.local]
kind = "sql"
sql = """
SELECT
    CAST($partition_start AS DATE) AS day,
    count(*) FILTER (WHERE flight_date = $partition_start) AS equal,
    count(*) FILTER (WHERE flight_date >= $partition_start AND $partition_end > flight_date) AS within,
    count(*) FILTER (WHERE flight_date BETWEEN $partition_start AND $partition_end) AS two_days,
    count(*) FILTER (WHERE flight_date IN ($partition_start)) AS listed,
    count(*) FILTER (WHERE flight_date >= $partition_start - INTERVAL '1 day' AND flight_date < $partition_start) AS before,
    count(*) FILTER (WHERE CAST(flight_date AS TIMESTAMP) + INTERVAL '23 hours' BETWEEN $partition_start AND $partition_end) AS local_time,
    count(*) FILTER (WHERE sched_dep_at >= $partition_start AND sched_dep_at < $partition_end) AS by_instant
FROM bronze.flights
"""
partitions = { use = "daily", column = "day" }
"#,
    )
    .await;
    world
        .materialize("gold.local", &["2013-03-02", "2013-03-03", "2013-03-11"])
        .await;
    insta::assert_snapshot!(world.read("SELECT * FROM gold.local ORDER BY 1").await, @r"
    +------------+-------+--------+----------+--------+--------+------------+------------+
    | day        | equal | within | two_days | listed | before | local_time | by_instant |
    +------------+-------+--------+----------+--------+--------+------------+------------+
    | 2013-03-02 | 1     | 1      | 3        | 1      | 2      | 1          | 1          |
    | 2013-03-03 | 2     | 2      | 2        | 2      | 1      | 2          | 2          |
    | 2013-03-11 | 0     | 0      | 0        | 0      | 0      | 0          | 0          |
    +------------+-------+--------+----------+--------+--------+------------+------------+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_outside_the_partition_fail_the_step_and_name_where_they_belong() {
    let mut world = world(
        r#"
[asset.gold.unfiltered]
kind = "sql"
sql = "SELECT flight_date, delay FROM bronze.flights"
partitions = { use = "daily", column = "flight_date" }
"#,
    )
    .await;
    let outcome = world.execute("gold.unfiltered", &["2013-03-01"]).await;
    let failure = outcome.failure();
    assert_eq!(failure.class, FailureClass::Data);
    assert_eq!(
        failure.message,
        "3 rows outside partition 2013-03-01: 2013-03-03 (2), 2013-03-02 (1)"
    );
    assert!(failure.help.as_ref().unwrap().contains("$partition_start"));
    let log = world.log();
    let last = log.last().unwrap();
    assert_eq!(
        (last["level"].as_str(), last["partition"].as_str()),
        (Some("error"), Some("2013-03-01"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_without_rows_is_staged_and_empties_the_table() {
    let mut world = world("").await;
    let staged = world.materialize("silver.flights", &["2013-03-20"]).await;
    assert_eq!((staged[0].rows(), staged[0].tables.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_query_are_named_with_their_place() {
    let mut world = world(
        r#"
[asset.gold.column]
kind = "sql"
sql = """
SELECT carrier,
       dellay
FROM silver.flights"""

[asset.gold.cast]
kind = "sql"
sql = "SELECT CAST(carrier AS BIGINT) AS carrier FROM silver.flights"

[asset.gold.nothing]
kind = "sql"
sql = "SELECT * FROM gold.column"
"#,
    )
    .await;
    let outcome = world.execute("gold.column", &[]).await;
    let failure = outcome.failure();
    assert_eq!(failure.class, FailureClass::Declaration);
    assert_eq!(
        failure.message,
        "there is no column `dellay` (line 2, column 8 of the SQL)"
    );
    assert_eq!(failure.help.as_deref(), Some("did you mean `delay`?"));
    let outcome = world.execute("gold.cast", &[]).await;
    assert_eq!(outcome.failure().class, FailureClass::Data);
    assert!(
        outcome.failure().message.contains("'AA'"),
        "{}",
        outcome.failure().message
    );
    let outcome = world.execute("gold.nothing", &[]).await;
    assert_eq!(outcome.failure().class, FailureClass::MissingInput);
    assert_eq!(outcome.failure().message, "read gold.column: it was never materialized");
}
