//! Scans give the same rows as reading everything: random filters against a table in memory, and statistics that are right.

use super::*;
use arrow::array::{BooleanArray, Decimal128Array, TimestampMicrosecondArray};
use datafusion::datasource::MemTable;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Rows of every type with nulls and NaN, in several days and several files per day.
fn assorted(offset: i32, rows: i64, salt: i64) -> RecordBatch {
    let value = |i: i64| (i * 7919 + salt * 104_729 + i64::from(offset) * 31) % 1000;
    let some = |i: i64| value(i) % 11 != 0;
    batch(vec![
        (
            "day",
            Arc::new(Date32Array::from(vec![DAY0 + offset; rows as usize])) as ArrayRef,
        ),
        (
            "i",
            Arc::new(Int64Array::from_iter(
                (0..rows).map(|i| some(i).then(|| value(i) - 500 + i64::from(offset) * 300)),
            )),
        ),
        (
            "f",
            Arc::new(Float64Array::from_iter((0..rows).map(|i| {
                some(i + 1).then(|| {
                    if offset == 2 && value(i) % 97 == 3 {
                        f64::NAN
                    } else {
                        value(i) as f64 / 8.0
                    }
                })
            }))),
        ),
        (
            "s",
            Arc::new(StringArray::from_iter((0..rows).map(|i| {
                some(i + 2).then(|| format!("{}-{}", ["a", "bb", "é"][(value(i) % 3) as usize], value(i)))
            }))),
        ),
        (
            "b",
            Arc::new(BooleanArray::from_iter(
                (0..rows).map(|i| some(i + 3).then(|| value(i) > 500)),
            )),
        ),
        (
            "t",
            Arc::new(TimestampMicrosecondArray::from_iter((0..rows).map(|i| {
                some(i + 4).then(|| 1_362_096_000_000_000 + value(i) * 1_000_000 * 60 + i64::from(offset))
            }))),
        ),
        (
            "m",
            Arc::new(
                Decimal128Array::from_iter(
                    (0..rows).map(|i| some(i + 5).then(|| i128::from(value(i)) * 12_345 - 5_000_000)),
                )
                .with_precision_and_scale(20, 3)
                .unwrap(),
            ),
        ),
    ])
}

fn comparison() -> impl Strategy<Value = String> {
    let operator = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let operand = prop_oneof![
        (-600i64..1200).prop_map(|v| ("i", v.to_string())),
        (-10i32..150).prop_map(|v| ("f", format!("{v}.5"))),
        (0i32..1000, 0usize..3).prop_map(|(v, p)| ("s", format!("'{}-{v}'", ["a", "bb", "é"][p]))),
        (-2i32..6).prop_map(|v| (
            "day",
            format!(
                "DATE '{}'",
                jiff::civil::date(2013, 3, 1)
                    .checked_add(jiff::Span::new().days(v))
                    .unwrap()
            )
        )),
        (0i64..1000).prop_map(|v| ("t", format!("TIMESTAMP '2013-03-01 00:00:00' + INTERVAL '{v} minutes'"))),
        (-5000i64..8000).prop_map(|v| ("m", format!("{v}.250"))),
    ];
    prop_oneof![
        6 => (operator, operand).prop_map(|(op, (column, value))| format!("{column} {op} {value}")),
        1 => prop::sample::select(vec!["i", "f", "s", "b", "t", "m"]).prop_map(|c| format!("{c} IS NULL")),
        1 => prop::sample::select(vec!["i", "f", "s", "b", "t", "m"]).prop_map(|c| format!("{c} IS NOT NULL")),
        1 => (-600i64..1200, 0i64..300).prop_map(|(low, width)| format!("i BETWEEN {low} AND {}", low + width)),
        1 => prop::collection::vec(-600i64..1200, 1..5)
            .prop_map(|v| format!("i IN ({})", v.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))),
        1 => Just("b".to_owned()),
        1 => (0i64..10).prop_map(|v| format!("CAST(i AS DOUBLE) / 8 = {v}")),
        1 => (0i64..100).prop_map(|v| format!("s LIKE 'a-{v}%'")),
        1 => (0i64..1000).prop_map(|v| format!("abs(i) > {v}")),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    comparison().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
            inner.prop_map(|a| format!("NOT ({a})")),
        ]
    })
}

const FOLD: &str = "count(*) AS n, count(i), sum(i), count(f), min(s), max(s), sum(CASE WHEN b THEN 1 ELSE 0 END), min(t), max(t), sum(m)";

#[test]
fn random_filters_give_the_rows_of_a_table_in_memory() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut world = World::new();
    let batches: Vec<RecordBatch> = (0..4).map(|offset| assorted(offset, 400, i64::from(offset))).collect();
    let memory = SessionContext::new();
    runtime.block_on(async {
        // Days 0 to 3, then day 1 again: one file of each is dead.
        let all = ["2013-03-01", "2013-03-02", "2013-03-03", "2013-03-04"];
        world.publish_days(&all, &batches).await;
        world.publish_days(&["2013-03-02"], &[assorted(1, 300, 9)]).await;
        let staged = world
            .stage(
                Some((&daily(), &["2013-03-03"])),
                WriteMode::Append,
                &[assorted(2, 100, 5)],
            )
            .await
            .unwrap();
        let members = world.members(&staged);
        world.commit(&members).await;
    });
    let mut rows = batches;
    rows[1] = assorted(1, 300, 9);
    rows.push(assorted(2, 100, 5));
    let schema = rows[0].schema();
    memory
        .register_table("flights", Arc::new(MemTable::try_new(schema, vec![rows]).unwrap()))
        .unwrap();
    let session = world.session(ScanOptions::default());
    let text = |batches: Vec<RecordBatch>| pretty_format_batches(&batches).unwrap().to_string();
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&filter(), |filter| {
            let (ours, expected) = runtime.block_on(async {
                let sql = |from: &str| format!("SELECT {FOLD} FROM {from} AS q WHERE {filter}");
                let ours = session
                    .execute(&sql("silver.flights"), &[])
                    .await
                    .unwrap()
                    .try_collect::<Vec<_>>()
                    .await
                    .unwrap();
                let expected = memory.sql(&sql("flights")).await.unwrap().collect().await.unwrap();
                (text(ours), text(expected))
            });
            prop_assert_eq!(ours, expected, "{}", filter);
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn counts_and_bounds_come_from_the_manifests() {
    let mut world = World::new();
    world
        .publish_days(&["2013-03-01", "2013-03-02"], &[day(0, 5, 10), day(1, 100, 20)])
        .await;
    // Without the data files the answer can only come from the manifests.
    let session = world.session(ScanOptions::default());
    let explained = async |sql: &str| {
        let rows: Vec<RecordBatch> = session
            .execute(&format!("EXPLAIN {sql}"), &[])
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        pretty_format_batches(&rows).unwrap().to_string()
    };
    for sql in [
        "SELECT count(*) FROM silver.flights",
        "SELECT min(id), max(id), max(day) FROM silver.flights",
    ] {
        let plan = explained(sql).await;
        assert!(!plan.contains("DataSourceExec"), "{sql}\n{plan}");
    }
    assert_eq!(
        world
            .row("SELECT count(*), min(id), max(id), max(day) FROM silver.flights")
            .await,
        ["30", "5", "119", "2013-03-02"]
    );
    assert_eq!(world.row("SELECT count(carrier) FROM silver.flights").await, ["24"]);
    // A filter makes counts estimates, so they are counted.
    assert_eq!(
        world.row("SELECT count(*) FROM silver.flights WHERE id >= 105").await,
        ["15"]
    );
}

#[tokio::test]
async fn filters_and_scopes_read_only_the_files_they_need() {
    let mut world = World::new();
    let days = ["2013-03-01", "2013-03-02", "2013-03-03", "2013-03-04"];
    let batches: Vec<_> = (0..4).map(|d| day(d, i64::from(d) * 100, 100)).collect();
    world.publish_days(&days, &batches).await;
    let files = async |scan: ScanOptions, sql: &str| {
        let session = world.session(scan);
        let plan = session
            .data_frame(sql, &[])
            .await
            .unwrap()
            .create_physical_plan()
            .await
            .unwrap();
        count_files(&plan)
    };
    let all = ScanOptions::default;
    assert_eq!(files(all(), "SELECT * FROM silver.flights").await, 4);
    assert_eq!(
        files(all(), "SELECT * FROM silver.flights WHERE day = DATE '2013-03-02'").await,
        1
    );
    assert_eq!(
        files(all(), "SELECT * FROM silver.flights WHERE id BETWEEN 150 AND 210").await,
        2
    );
    assert_eq!(files(all(), "SELECT * FROM silver.flights WHERE id > 1000").await, 0);
    let scope = ScanOptions::scoped(crate::step::Scope::Keys(vec![
        key("2013-03-02"),
        key("2013-03-04"),
        key("2020-01-01"),
    ]));
    assert_eq!(files(scope, "SELECT * FROM silver.flights").await, 2);
    assert_eq!(
        files(all(), "SELECT * FROM silver.flights WHERE abs(id) > 1000").await,
        4
    );
}

fn count_files(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan
        .downcast_ref::<datafusion::datasource::source::DataSourceExec>()
        .and_then(|exec| {
            let config = exec
                .data_source()
                .downcast_ref::<datafusion::datasource::physical_plan::FileScanConfig>()?;
            let mut paths: Vec<_> = config
                .file_groups
                .iter()
                .flat_map(|group| group.iter().map(|file| file.object_meta.location.clone()))
                .collect();
            paths.sort();
            paths.dedup();
            Some(paths.len())
        });
    own.unwrap_or(0) + plan.children().into_iter().map(count_files).sum::<usize>()
}

#[tokio::test]
async fn many_partitions_are_written_in_little_memory() {
    let mut world = World::new();
    let schema = day(0, 0, 1).schema();
    let by = daily();
    let names: Vec<String> = (0..60)
        .map(|d| {
            jiff::civil::date(2013, 3, 1)
                .checked_add(jiff::Span::new().days(d))
                .unwrap()
                .to_string()
        })
        .collect();
    let partitions = StagingPartitions {
        column: partition_column(&by, &schema).unwrap(),
        allowed: names.iter().map(|name| key(name)).collect(),
    };
    let options = StagingOptions {
        memory_bytes: 2 << 20,
        target_file_bytes: 40_000,
        ..StagingOptions::new("small")
    };
    let mut writer = StagingWriter::new(&world.lake, &table(), None, &schema, Some(partitions), options).unwrap();
    for round in 0..20i64 {
        let parts: Vec<RecordBatch> = (0..60)
            .map(|d| day(d, round * 100_000 + i64::from(d) * 1000, 500))
            .collect();
        writer
            .write(&arrow::compute::concat_batches(&schema, &parts).unwrap())
            .await
            .unwrap();
    }
    let staged = writer.finish().await.unwrap();
    let files: usize = staged
        .iter()
        .map(|(_, table)| table.data_files.as_array().unwrap().len())
        .sum();
    assert!(files > 60, "some partitions rolled over: {files} files");
    world.attempt = 1;
    let members = world.members(&staged);
    world.commit(&members).await;
    assert_eq!(
        world
            .row("SELECT count(*), count(DISTINCT id), count(DISTINCT day), max(delay) FROM silver.flights")
            .await,
        ["600000", "600000", "60", "124.75"]
    );
}
