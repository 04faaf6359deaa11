//! A table whose rows are cut into other partitions: the same rows, one snapshot, and from then on steps replace the new partitions.

use super::partitions::by;
use super::*;
use crate::step::Scope;
use arrow::array::TimestampMicrosecondArray;
use proptest::prelude::*;

fn monthly() -> PartitionedBy {
    by("day", Grain::Month, "UTC")
}

/// Cuts the table and moves the pointer.
async fn cut(world: &mut World, by: Option<&PartitionedBy>) -> Result<PreparedCommit, LakeError> {
    world.attempt += 1;
    let table = world.open().await.unwrap();
    let plan = plan_repartition(&table, by).await?.expect("it is cut otherwise");
    let staged = repartition(&table, &plan, &format!("cut-{}", world.attempt)).await?;
    let base = world.pointer.clone().unwrap();
    let now = 1_700_000_000_000 + world.attempt as i64 * 1000;
    let prepared = prepare_repartition(&world.lake, table.key(), &base, &staged, now, world.attempt).await?;
    world.pointer = Some(prepared.pointer.clone());
    Ok(prepared)
}

async fn publish(world: &mut World, by: &PartitionedBy, partition: &str, rows: RecordBatch) -> Result<(), LakeError> {
    let staged = world
        .stage(Some((by, &[partition])), WriteMode::Replace, &[rows])
        .await?;
    let members = world.members(&staged);
    world.commit(&members).await;
    Ok(())
}

async fn rows_of(world: &World, scan: ScanOptions) -> Vec<String> {
    world
        .row_scan(
            scan,
            "SELECT count(*), sum(id), count(DISTINCT day) FROM silver.flights",
        )
        .await
}

fn within(partition: &str) -> ScanOptions {
    ScanOptions::scoped(Scope::Keys(vec![key(partition)]))
}

#[tokio::test]
async fn days_become_months_and_days_again() {
    let mut world = World::new();
    let days = ["2013-03-01", "2013-03-02", "2013-04-01"];
    let first = world
        .publish_days(&days, &[day(0, 0, 10), day(1, 10, 10), day(31, 20, 10)])
        .await;
    let all = ["30", "435", "3"];
    assert!(
        plan_repartition(&world.open().await.unwrap(), Some(&daily()))
            .await
            .unwrap()
            .is_none(),
        "it is cut so"
    );
    let error = publish(&mut world, &monthly(), "2013-03", day(2, 0, 5))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "write silver.flights: the table is partitioned by `day`, the asset by the month of `day`"
    );
    assert!(
        error
            .failure()
            .help
            .unwrap()
            .contains("`millpond repartition silver.flights`")
    );

    let months = cut(&mut world, Some(&monthly())).await.unwrap();
    assert_eq!(rows_of(&world, ScanOptions::default()).await, all);
    assert_eq!(rows_of(&world, within("2013-03")).await, ["20", "190", "2"]);
    assert_eq!(rows_of(&world, within("2013-04")).await, ["10", "245", "1"]);
    let table = world.open().await.unwrap();
    assert_eq!(table.partition_column().as_deref(), Some(APPENDED));
    assert_eq!(
        columns(&table, None).unwrap(),
        columns(&table, Some(first.snapshot_id)).unwrap()
    );
    let told = history(&table).unwrap();
    assert_eq!((told[0].operation.as_str(), told[0].rows_total), ("replace", Some(30)));
    // A month is replaced whole, and the older snapshot is as it was cut.
    publish(&mut world, &monthly(), "2013-03", day(5, 100, 3))
        .await
        .unwrap();
    assert_eq!(rows_of(&world, ScanOptions::default()).await, ["13", "548", "2"]);
    let old = ScanOptions {
        snapshot: Some(first.snapshot_id),
        ..within("2013-03-02")
    };
    assert_eq!(rows_of(&world, old).await, ["10", "145", "1"]);
    let error = publish(&mut world, &daily(), "2013-03-01", day(0, 0, 1))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is partitioned by the month of `day`, the asset by `day`"),
        "{error}"
    );

    // Another rule fills the same column: years would lie beside months.
    let yearly = by("day", Grain::Year, "UTC");
    let error = publish(&mut world, &yearly, "2013", day(0, 0, 1)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is partitioned by the month of `day`, the asset by the year of `day`"),
        "{error}"
    );
    cut(&mut world, Some(&yearly)).await.unwrap();
    publish(&mut world, &yearly, "2013", day(0, 0, 7)).await.unwrap();
    assert_eq!(rows_of(&world, ScanOptions::default()).await, ["7", "21", "1"]);

    // Back to the months: and so is the rule.
    let base = world.pointer.clone().unwrap();
    let back = prepare_rollback(&world.lake, &table.key().clone(), &base, months.snapshot_id, 1, 99).await;
    let RollbackOutcome::Prepared(back) = back.unwrap() else {
        panic!("the table has other rows")
    };
    world.pointer = Some(back.commit.pointer);
    assert_eq!(rows_of(&world, ScanOptions::default()).await, all);
    let error = publish(&mut world, &yearly, "2013", day(0, 0, 1)).await.unwrap_err();
    assert!(
        error.to_string().contains("by the month of `day`, the asset"),
        "{error}"
    );
    publish(&mut world, &monthly(), "2013-04", day(32, 7, 1)).await.unwrap();
    cut(&mut world, Some(&daily())).await.unwrap();
    assert_eq!(rows_of(&world, ScanOptions::default()).await, ["21", "197", "3"]);
    assert_eq!(rows_of(&world, within("2013-03-02")).await, ["10", "145", "1"]);
    publish(&mut world, &daily(), "2013-03-02", day(1, 1, 1)).await.unwrap();
    assert_eq!(rows_of(&world, ScanOptions::default()).await, ["12", "53", "3"]);
}

#[tokio::test]
async fn a_table_without_partitions_gets_them_and_loses_them() {
    let mut world = World::new();
    let rows = [day(0, 0, 5), day(1, 5, 5), day(40, 10, 5)];
    let staged = world.stage(None, WriteMode::Append, &rows).await.unwrap();
    let members = world.members(&staged);
    world.commit(&members).await;
    for wanted in [
        Some(daily()),
        Some(monthly()),
        Some(fixed("carrier", &["AA", "B6", "UA"])),
        None,
    ] {
        let told = cut(&mut world, wanted.as_ref()).await;
        if wanted.as_ref().is_some_and(|by| by.column == "carrier") {
            // Every fifth row has no carrier.
            let message = told.unwrap_err().to_string();
            assert!(message.contains("3 rows outside"), "{message}");
            assert!(message.contains("null in `carrier` (3)"), "{message}");
            continue;
        }
        told.unwrap();
        assert_eq!(
            rows_of(&world, ScanOptions::default()).await,
            ["15", "105", "3"],
            "{wanted:?}"
        );
    }
    let staged = world.stage(None, WriteMode::Append, &[day(0, 100, 1)]).await.unwrap();
    let members = world.members(&staged);
    world.commit(&members).await;
    assert_eq!(rows_of(&world, ScanOptions::default()).await, ["16", "205", "3"]);
}

#[tokio::test]
async fn a_zone_cuts_otherwise_only_where_it_matters() {
    let mut world = World::new();
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_microsecond();
    // In New York the second is still the day before.
    let times = [at("2013-03-05T12:00:00Z"), at("2013-03-06T03:00:00Z")];
    let rows = batch(vec![
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("+00:00")) as ArrayRef,
        ),
        ("day", Arc::new(Date32Array::from(vec![DAY0 + 4, DAY0 + 4]))),
        ("id", Arc::new(Int64Array::from(vec![1, 2]))),
    ]);
    let in_zone = |zone| by("at", Grain::Day, zone);
    let days = ["2013-03-05", "2013-03-06"];
    let staged = world
        .stage(Some((&in_zone("UTC"), &days)), WriteMode::Replace, &[rows.clone()])
        .await
        .unwrap();
    let members = world.members(&staged);
    world.commit(&members).await;
    let there = in_zone("America/New_York");
    let error = publish(&mut world, &there, "2013-03-05", rows.clone())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "write silver.flights: the table is partitioned by the day of `at` in UTC, the asset by the day of `at` in America/New_York"
    );
    cut(&mut world, Some(&there)).await.unwrap();
    assert_eq!(rows_of(&world, within("2013-03-05")).await, ["2", "3", "1"]);
    publish(&mut world, &there, "2013-03-05", rows.slice(0, 1))
        .await
        .unwrap();
    assert_eq!(rows_of(&world, ScanOptions::default()).await, ["1", "1", "1"]);
    // Months of a date are the same everywhere.
    cut(&mut world, Some(&monthly())).await.unwrap();
    let elsewhere = by("day", Grain::Month, "Asia/Tokyo");
    publish(&mut world, &elsewhere, "2013-03", rows).await.unwrap();
    assert_eq!(rows_of(&world, ScanOptions::default()).await, ["2", "3", "1"]);
}

#[tokio::test]
async fn what_was_written_meanwhile_is_not_lost() {
    let mut world = World::new();
    world.publish_days(&["2013-03-01"], &[day(0, 0, 5)]).await;
    let table = world.open().await.unwrap();
    let plan = plan_repartition(&table, Some(&monthly())).await.unwrap().unwrap();
    assert_eq!((plan.files(), plan.rows), (1, 5));
    let staged = repartition(&table, &plan, "cut").await.unwrap();
    world.publish_days(&["2013-03-02"], &[day(1, 5, 5)]).await;
    let base = world.pointer.clone().unwrap();
    let told = prepare_repartition(&world.lake, table.key(), &base, &staged, 1, 7).await;
    assert!(matches!(told, Err(LakeError::MergedMeanwhile { .. })), "{told:?}");
    discard_staged(&world.lake, &[staged]).await.unwrap();
    assert_eq!(rows_of(&world, ScanOptions::default()).await, ["10", "45", "2"]);
    // Of the other's files none was touched.
    cut(&mut world, Some(&monthly())).await.unwrap();
    assert_eq!(rows_of(&world, within("2013-03")).await, ["10", "45", "2"]);
}

#[tokio::test]
async fn many_partitions_do_not_need_as_many_open_files() {
    let mut world = World::new();
    let days = 600;
    let rows: Vec<RecordBatch> = (0..3)
        .map(|round| {
            let offsets = (0..days).map(|day| DAY0 + day);
            let ids = (0..days).map(|day| i64::from(round * days + day));
            batch(vec![
                ("day", Arc::new(Date32Array::from_iter_values(offsets)) as ArrayRef),
                ("id", Arc::new(Int64Array::from_iter_values(ids))),
            ])
        })
        .collect();
    let partitions = StagingPartitions {
        column: partition_column(&daily(), &rows[0].schema()).unwrap(),
        allowed: (0..days)
            .map(|day| {
                jiff::civil::date(2013, 3, 1)
                    .checked_add(jiff::Span::new().days(day))
                    .unwrap()
            })
            .map(|date| key(&date.to_string()))
            .collect(),
    };
    let options = StagingOptions {
        // Every batch is written out at once.
        memory_bytes: 1,
        ..StagingOptions::new("attempt")
    };
    let schema = rows[0].schema();
    let mut writer = StagingWriter::new(&world.lake, &table(), None, &schema, Some(partitions), options).unwrap();
    for rows in &rows {
        writer.write(rows).await.unwrap();
    }
    let staged = writer.finish().await.unwrap();
    let files: usize = staged
        .iter()
        .map(|(_, staged)| staged_locations(staged).unwrap().len())
        .sum();
    assert!(
        (601..1800).contains(&files),
        "some were closed and begun again: {files}"
    );
    let members = world.members(&staged);
    world.commit(&members).await;
    assert_eq!(
        rows_of(&world, ScanOptions::default()).await,
        ["1800", "1619100", "600"]
    );
    assert_eq!(rows_of(&world, within("2013-03-11")).await, ["3", "1830", "1"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever it is cut by, and however often: the rows are those that were written, each in its partition.
    #[test]
    fn rows_are_the_same_however_they_are_cut(
        rows in prop::collection::vec((0..400_i32, any::<i16>()), 1..60),
        cuts in prop::collection::vec(0..5_usize, 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            let table = batch(vec![
                ("day", Arc::new(Date32Array::from_iter_values(rows.iter().map(|(day, _)| DAY0 + day))) as ArrayRef),
                ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, id)| i64::from(*id))))),
            ]);
            let staged = world.stage(None, WriteMode::Replace, &[table]).await.unwrap();
            let members = world.members(&staged);
            world.commit(&members).await;
            let all = "SELECT day, id FROM silver.flights ORDER BY day, id";
            let expected = world.query(all).await;
            let grains = [Grain::Day, Grain::Week, Grain::Month, Grain::Quarter, Grain::Year];
            let mut last = None;
            for place in cuts.into_iter().filter(|place| last.replace(*place) != Some(*place)) {
                let grain = grains[place];
                let mut by = by("day", grain, "UTC");
                if let Partitioning::Time(time) = &mut by.partitioning && grain == Grain::Week {
                    time.start = jiff::civil::date(2012, 12, 31).at(0, 0, 0, 0);
                }
                cut(&mut world, Some(&by)).await.unwrap();
                assert_eq!(world.query(all).await, expected, "{grain:?}");
                let (first, _) = rows[0];
                let date = jiff::civil::date(2013, 3, 1).checked_add(jiff::Span::new().days(first)).unwrap();
                let partition = by.partitioning.key_of_date(date).unwrap();
                let same = rows.iter().filter(|(day, _)| {
                    let date = jiff::civil::date(2013, 3, 1).checked_add(jiff::Span::new().days(*day)).unwrap();
                    by.partitioning.key_of_date(date).as_ref() == Some(&partition)
                });
                let found = rows_of(&world, within(partition.as_str())).await;
                assert_eq!(found[0], same.count().to_string(), "{grain:?} {partition}");
            }
        });
    }
}
