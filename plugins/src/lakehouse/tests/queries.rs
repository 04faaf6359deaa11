//! The query session: what it refuses, what it says about mistakes, and how it stays within its memory.

use super::*;
use crate::query::{AsOf, parameter};
use assets::outcome::FailureClass;

async fn flights() -> World {
    let mut world = World::new();
    world
        .publish_days(&["2013-03-01", "2013-03-02"], &[day(0, 0, 50), day(1, 100, 50)])
        .await;
    world
}

#[tokio::test]
async fn unknown_names_are_placed_and_corrected() {
    let world = flights().await;
    let session = world.session(ScanOptions::default());
    let error = session
        .execute("SELECT count(*)\nFROM silver.flihgts", &[])
        .await
        .err()
        .unwrap();
    assert_eq!(error.failure.class, FailureClass::Declaration);
    assert_eq!(
        error.failure.message,
        "there is no table `silver.flihgts` (line 2, column 6 of the SQL)"
    );
    assert_eq!(error.failure.help.as_deref(), Some("did you mean `silver.flights`?"));
    let error = session
        .execute("SELECT id,\n  carier FROM silver.flights", &[])
        .await
        .err()
        .unwrap();
    assert_eq!(
        error.failure.message,
        "there is no column `carier` (line 2, column 3 of the SQL)"
    );
    assert_eq!(error.failure.help.as_deref(), Some("did you mean `carrier`?"));
    let error = session
        .execute("SELECT id\nFRM silver.flights", &[])
        .await
        .err()
        .unwrap();
    assert_eq!(error.failure.class, FailureClass::Declaration);
    assert_eq!(error.at.map(|(line, _)| line), Some(2), "{error}");
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let world = flights().await;
    let session = world.session(ScanOptions::default());
    for sql in [
        "INSERT INTO silver.flights SELECT * FROM silver.flights",
        "CREATE TABLE x AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '/etc/passwd'",
        "CREATE VIEW x AS SELECT 1",
        "COPY (SELECT 1) TO '/tmp/x.parquet'",
        "SET datafusion.runtime.memory_limit = '1T'",
        "DROP TABLE silver.flights",
        "DELETE FROM silver.flights",
        "EXPLAIN ANALYZE INSERT INTO silver.flights SELECT * FROM silver.flights",
        "PREPARE p AS SELECT 1",
    ] {
        let error = session
            .execute(sql, &[])
            .await
            .err()
            .unwrap_or_else(|| panic!("{sql} was run"));
        assert_eq!(error.failure.class, FailureClass::Declaration, "{sql}: {error}");
    }
    assert!(session.execute("SELECT 1; SELECT 2", &[]).await.is_err());
    assert!(session.execute("SELECT * FROM '/etc/passwd'", &[]).await.is_err());
    assert!(
        session
            .execute("EXPLAIN SELECT * FROM silver.flights", &[])
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn parameters_are_values_and_missing_ones_are_named() {
    let world = flights().await;
    let session = world.session(ScanOptions::default());
    let sql = "SELECT count(*) AS n FROM silver.flights WHERE carrier = $carrier AND id >= $least";
    let values = [
        ("carrier".to_owned(), parameter(&"AA".into()).unwrap()),
        ("least".to_owned(), parameter(&100.into()).unwrap()),
        ("unused".to_owned(), parameter(&1.5.into()).unwrap()),
    ];
    let rows: Vec<RecordBatch> = session
        .execute(sql, &values)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let expected = (0..50).filter(|i| i % 5 != 4 && i % 3 == 0).count() as i64;
    assert_eq!(
        ScalarValue::try_from_array(rows[0].column(0), 0).unwrap(),
        ScalarValue::Int64(Some(expected))
    );
    let hostile = [
        ("carrier".to_owned(), ScalarValue::from("' OR 1=1 --")),
        ("least".to_owned(), ScalarValue::from(0i64)),
    ];
    let rows: Vec<RecordBatch> = session
        .execute(sql, &hostile)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        ScalarValue::try_from_array(rows[0].column(0), 0).unwrap(),
        ScalarValue::Int64(Some(0))
    );
    let error = session.execute(sql, &values[..1]).await.err().unwrap();
    assert_eq!(error.failure.message, "the parameter `$least` has no value");
}

#[tokio::test]
async fn memory_is_bounded_and_spills() {
    let mut world = World::new();
    let staged = world
        .stage(None, WriteMode::Replace, &[day(0, 0, 600_000)])
        .await
        .unwrap();
    let members = world.members(&staged);
    world.commit(&members).await;
    let run = async |spill: bool| {
        let found = QueryTable::whole(world.pointer.clone().unwrap());
        let resolver = std::collections::BTreeMap::from([(table(), found)]);
        let options = QueryOptions {
            memory_bytes: 16 << 20,
            spill_folder: spill.then(|| world.folder.path().to_path_buf()),
            ..QueryOptions::default()
        };
        let session = QuerySession::new(&world.lake, Arc::new(resolver), &options).unwrap();
        let stream = session
            .execute("SELECT * FROM silver.flights ORDER BY delay DESC, id", &[])
            .await
            .unwrap();
        let rows: Result<Vec<RecordBatch>, _> = stream.try_collect().await;
        rows.map(|rows| rows.iter().map(RecordBatch::num_rows).sum::<usize>())
            .map_err(|error| session.read_error(error))
    };
    assert_eq!(run(true).await.unwrap(), 600_000);
    assert_eq!(run(false).await.unwrap_err().failure.class, FailureClass::Memory);
}

#[tokio::test]
async fn as_of_a_time_or_a_snapshot() {
    let mut world = World::new();
    let first = world.publish_days(&["2013-03-01"], &[day(0, 0, 5)]).await;
    world.publish_days(&["2013-03-02"], &[day(1, 0, 7)]).await;
    let past = history(&world.open().await.unwrap()).unwrap();
    let count = async |as_of: AsOf| {
        let found = QueryTable::whole(world.pointer.clone().unwrap());
        let resolver = std::collections::BTreeMap::from([(table(), found)]);
        let options = QueryOptions {
            as_of,
            ..QueryOptions::default()
        };
        let session = QuerySession::new(&world.lake, Arc::new(resolver), &options).unwrap();
        let rows: Vec<RecordBatch> = session
            .execute("SELECT count(*) FROM silver.flights", &[])
            .await?
            .try_collect()
            .await
            .unwrap();
        Ok::<_, crate::query::QueryError>(ScalarValue::try_from_array(rows[0].column(0), 0).unwrap().to_string())
    };
    assert_eq!(count(AsOf::Pinned).await.unwrap(), "12");
    assert_eq!(count(AsOf::Snapshot(first.snapshot_id)).await.unwrap(), "5");
    assert_eq!(count(AsOf::Time(past[1].timestamp_ms)).await.unwrap(), "5");
    assert_eq!(count(AsOf::Time(past[0].timestamp_ms)).await.unwrap(), "12");
    let early = count(AsOf::Time(past[1].timestamp_ms - 1)).await.unwrap_err();
    assert_eq!(early.failure.class, FailureClass::MissingInput);
    assert!(early.failure.message.contains("no snapshot as old as"), "{early}");
    assert_eq!(
        count(AsOf::Snapshot(1)).await.unwrap_err().failure.class,
        FailureClass::MissingInput
    );
    let untagged = count(AsOf::Tag("good".to_owned())).await.unwrap_err();
    assert_eq!(untagged.failure.message, "read silver.flights: it has no tag `good`");
}

#[tokio::test]
async fn a_table_that_was_never_materialized_is_a_missing_input() {
    let world = World::new();
    let error = world
        .session(ScanOptions::default())
        .execute("SELECT * FROM silver.flights", &[])
        .await
        .err()
        .unwrap();
    assert_eq!(error.failure.class, FailureClass::MissingInput);
    assert_eq!(error.failure.message, "read silver.flights: it was never materialized");
}

#[tokio::test]
async fn staged_rows_can_be_queried_as_this() {
    let mut world = flights().await;
    let staged = world
        .stage(
            Some((&daily(), &["2013-03-03", "2013-03-04"])),
            WriteMode::Replace,
            &[day(2, 0, 9), day(3, 0, 4)],
        )
        .await
        .unwrap();
    let session = world.session(ScanOptions::default());
    session.put("this", staged_provider(&world.lake, &[staged[0].1.clone()]).unwrap());
    let sql = "SELECT (SELECT count(*) FROM this) AS a, (SELECT count(*) FROM silver.flights) AS b, (SELECT max(day) FROM this) AS c";
    let rows: Vec<RecordBatch> = session.execute(sql, &[]).await.unwrap().try_collect().await.unwrap();
    let row: Vec<String> = rows[0]
        .columns()
        .iter()
        .map(|c| ScalarValue::try_from_array(c, 0).unwrap().to_string())
        .collect();
    assert_eq!(row, ["9", "100", "2013-03-03"]);
    let both: Vec<StagedTable> = staged.into_iter().map(|(_, table)| table).collect();
    session.put("this", staged_provider(&world.lake, &both).unwrap());
    let rows: Vec<RecordBatch> = session
        .execute("SELECT count(*) FROM this", &[])
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        ScalarValue::try_from_array(rows[0].column(0), 0).unwrap(),
        ScalarValue::Int64(Some(13))
    );
}

/// Filters that several values of a column satisfy: the engine must not take the column for a constant and drop the sort.
#[tokio::test]
async fn a_filter_on_a_lossy_expression_keeps_the_order() {
    let mut world = World::new();
    // Later rows first, so that a dropped sort shows; all on one day and in one hour.
    let count = 600_i64;
    let instant = |i: i64| 1_362_139_200_000_000 + (count - i) * 1_000_000;
    let rows = batch(vec![
        ("day", Arc::new(Date32Array::from_iter_values((0..count).map(|_| DAY0)))),
        ("id", Arc::new(Int64Array::from_iter_values(0..count))),
        (
            "t",
            Arc::new(
                arrow::array::TimestampMicrosecondArray::from_iter_values((0..count).map(instant))
                    .with_timezone("+00:00"),
            ),
        ),
        (
            "hhmm",
            Arc::new(Int64Array::from_iter_values((0..count).map(|i| 800 + (count - i) % 60))),
        ),
        (
            "share",
            Arc::new(Float64Array::from_iter_values(
                (0..count).map(|i| 8.0 + (count - i) as f64 / 1000.0),
            )),
        ),
    ]);
    world.publish_days(&["2013-03-01"], &[rows]).await;
    for (column, filter) in [
        ("t", "CAST(t AS DATE) = DATE '2013-03-01'"),
        ("t", "CAST(t AS DATE) = day AND day = DATE '2013-03-01'"),
        (
            "t",
            "CAST(t AS TIMESTAMP(0)) >= day AND CAST(t AS DATE) <= day AND CAST(t AS DATE) >= DATE '2013-03-01'",
        ),
        ("hhmm", "hhmm / 100 = 8"),
        ("hhmm", "CAST(hhmm / 100 AS INT) = 8"),
        ("share", "CAST(share AS INT) = 8"),
        ("share", "share * 0.0 = 0.0"),
    ] {
        let ordered = world
            .query(&format!(
                "SELECT {column}, id FROM silver.flights WHERE {filter} ORDER BY {column}, id DESC"
            ))
            .await;
        let expected = world
            .query(&format!(
                "SELECT {column}, id FROM silver.flights ORDER BY {column}, id DESC"
            ))
            .await;
        assert!(
            ordered == expected,
            "ORDER BY {column} WHERE {filter}: {}",
            ordered.lines().take(8).collect::<Vec<_>>().join("\n")
        );
        let windows = "sum(id) OVER (ORDER BY {column} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS s";
        let windows = windows.replace("{column}", &format!("{column}, id"));
        let filtered = format!("SELECT sum(s) FROM (SELECT {windows} FROM silver.flights WHERE {filter})");
        let unfiltered = format!("SELECT sum(s) FROM (SELECT {windows} FROM silver.flights)");
        assert_eq!(
            world.row(&filtered).await,
            world.row(&unfiltered).await,
            "window WHERE {filter}"
        );
    }
}

/// What [`a_filter_on_a_lossy_expression_keeps_the_order`] is about, as the engine alone does it. Once this fails the engine is
/// mended, and `query::one_way` can go.
#[tokio::test]
async fn the_engine_alone_still_drops_the_sort() {
    let engine = datafusion::prelude::SessionContext::new();
    let table = batch(vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("x", Arc::new(Float64Array::from(vec![-0.5, 0.5]))),
    ]);
    engine.register_batch("lossy", table).unwrap();
    let sql = "SELECT id FROM lossy WHERE CAST(x AS INT) = 0 ORDER BY x DESC";
    let rows = engine.sql(sql).await.unwrap().collect().await.unwrap();
    let ids: Vec<i64> = rows
        .iter()
        .flat_map(|rows| {
            arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(rows.column(0))
                .values()
                .to_vec()
        })
        .collect();
    assert_eq!(ids, [1, 2], "sorted as asked: the engine is mended");
}
