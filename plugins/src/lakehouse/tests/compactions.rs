//! Few files of many: the same rows in the same order, and nothing else changes.

use super::*;
use crate::step::Scope;

const RULE: CompactionRule = CompactionRule {
    small_bytes: 1 << 20,
    least_files: 3,
};
const ROWS: &str = "SELECT day, id, carrier, delay FROM silver.flights ORDER BY day, id";

/// Appends `times` files of a few rows each to a day.
async fn append(world: &mut World, offset: i32, times: i64) {
    let name = format!("2013-03-{:02}", offset + 1);
    for time in 0..times {
        let rows = day(offset, time * 10, 10);
        let staged = world
            .stage(Some((&daily(), &[&name])), WriteMode::Append, &[rows])
            .await
            .unwrap();
        let members = world.members(&staged);
        world.commit(&members).await;
    }
}

async fn files(world: &World, scope: Scope) -> Vec<String> {
    let table = world.open().await.unwrap();
    table.file_locations(&ScanOptions::scoped(scope)).await.unwrap()
}

/// Compacts what is worth it, and moves the pointer.
async fn compacted(world: &mut World) -> Vec<(Option<PartitionKey>, usize)> {
    compacted_in_order(world, None).await
}

async fn compacted_in_order(world: &mut World, order: Option<&CompactionOrder>) -> Vec<(Option<PartitionKey>, usize)> {
    let table = world.open().await.unwrap();
    let groups = plan_compaction(&table, &RULE).await.unwrap();
    let mut staged = Vec::new();
    for (place, group) in groups.iter().enumerate() {
        staged.push(
            compact(&table, group, order, &format!("compaction-{place}"))
                .await
                .unwrap(),
        );
    }
    if !staged.is_empty() {
        world.attempt += 1;
        let base = world.pointer.clone().unwrap();
        let prepared = prepare_compaction(&world.lake, &table.key().clone(), &base, &staged, 0, world.attempt).await;
        world.pointer = Some(prepared.unwrap().pointer);
    }
    groups
        .into_iter()
        .map(|group| (group.partition.clone(), group.files()))
        .collect()
}

#[tokio::test]
async fn partitions_with_many_small_files_get_few_and_keep_their_rows_and_order() {
    let mut world = World::new();
    append(&mut world, 0, 5).await;
    append(&mut world, 1, 2).await;
    append(&mut world, 2, 3).await;
    let (before, first, untouched) = (
        world.query(ROWS).await,
        world.pointer.clone().unwrap().snapshot_id.unwrap(),
        files(&world, Scope::Keys(vec![key("2013-03-02")])).await,
    );
    assert_eq!(
        compacted(&mut world).await,
        [(Some(key("2013-03-01")), 5), (Some(key("2013-03-03")), 3)]
    );
    assert_eq!(world.query(ROWS).await, before);
    // One after the other, as they were written.
    let ids = world
        .query("SELECT id FROM silver.flights WHERE day = DATE '2013-03-01'")
        .await;
    let ids: Vec<i64> = ids.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(ids, (0..50).collect::<Vec<i64>>());
    assert_eq!(files(&world, Scope::All).await.len(), 4);
    assert_eq!(files(&world, Scope::Keys(vec![key("2013-03-02")])).await, untouched);
    // History: a snapshot that replaces files, and the one before it as it was.
    let table = world.open().await.unwrap();
    let history = history(&table).unwrap();
    assert_eq!(history[0].operation, "replace");
    assert_eq!((history[0].rows_added, history[0].rows_deleted), (80, 80));
    let scan = ScanOptions {
        snapshot: Some(first),
        ..ScanOptions::default()
    };
    assert_eq!(world.query_scan(scan, ROWS).await, before);
    // Nothing is left to do, and the table goes on.
    assert_eq!(compacted(&mut world).await, []);
    append(&mut world, 0, 1).await;
    assert_eq!(world.row("SELECT count(*) FROM silver.flights").await, ["110"]);
}

#[tokio::test]
async fn columns_that_came_later_and_keys_that_stay_hidden_are_kept() {
    let mut world = World::new();
    // The partition is told by an instant: its key is a column of the files that queries do not see.
    let by = PartitionedBy {
        column: "at".to_owned(),
        ..daily()
    };
    for time in 0..4_i64 {
        let at = arrow::array::TimestampMicrosecondArray::from_iter_values(
            (0..3).map(|row| 1_362_150_000_000_000 + (time * 3 + row) * 1_000_000),
        )
        .with_timezone("UTC");
        let mut columns = vec![
            ("at", Arc::new(at) as ArrayRef),
            (
                "id",
                Arc::new(Int64Array::from_iter_values(time * 3..time * 3 + 3)) as ArrayRef,
            ),
        ];
        if time >= 2 {
            columns.push(("note", Arc::new(StringArray::from(vec!["a", "b", "c"])) as ArrayRef));
        }
        let staged = world
            .stage(Some((&by, &["2013-03-01"])), WriteMode::Append, &[batch(columns)])
            .await
            .unwrap();
        let members = world.members(&staged);
        world.commit(&members).await;
    }
    let rows = "SELECT * FROM silver.flights ORDER BY id";
    let before = world.query(rows).await;
    assert_eq!(compacted(&mut world).await, [(Some(key("2013-03-01")), 4)]);
    assert_eq!(world.query(rows).await, before);
    assert_eq!(files(&world, Scope::Keys(vec![key("2013-03-01")])).await.len(), 1);
}

#[tokio::test]
async fn a_partition_that_is_written_meanwhile_is_left_to_the_next_time() {
    let mut world = World::new();
    append(&mut world, 0, 3).await;
    append(&mut world, 1, 3).await;
    let table = world.open().await.unwrap();
    let groups = plan_compaction(&table, &RULE).await.unwrap();
    let mut staged = Vec::new();
    for (place, group) in groups.iter().enumerate() {
        staged.push(
            compact(&table, group, None, &format!("compaction-{place}"))
                .await
                .unwrap(),
        );
    }
    // Another partition: what was compacted still counts, on the newer version.
    append(&mut world, 5, 1).await;
    let prepare = async |world: &World| {
        let base = world.pointer.clone().unwrap();
        prepare_compaction(&world.lake, table.key(), &base, &staged, 0, 99).await
    };
    prepare(&world).await.unwrap();
    // One of the two: it does not.
    append(&mut world, 1, 1).await;
    let error = prepare(&world).await.unwrap_err();
    assert!(matches!(error, LakeError::MergedMeanwhile { .. }), "{error}");
    assert_eq!(world.row("SELECT count(*) FROM silver.flights").await, ["80"]);
}

#[tokio::test]
async fn a_table_without_partitions_is_one_group() {
    let mut world = World::new();
    for time in 0..6_i64 {
        let rows = day(time as i32, time * 100, 7);
        let staged = world.stage(None, WriteMode::Append, &[rows]).await.unwrap();
        let members = world.members(&staged);
        world.commit(&members).await;
    }
    let before = world.query(ROWS).await;
    assert_eq!(compacted(&mut world).await, [(None, 6)]);
    assert_eq!(world.query(ROWS).await, before);
    assert_eq!(files(&world, Scope::All).await.len(), 1);
    // The old files go with the snapshots that need them.
    let table = world.open().await.unwrap();
    let kept = KeptSnapshots {
        since_ms: i64::MAX,
        newest: 1,
        ..KeptSnapshots::default()
    };
    let plan = plan_expiry(&table, &kept).await.unwrap();
    let data = plan.files.iter().filter(|file| file.location.ends_with(".parquet"));
    assert_eq!(data.count(), 6);
}

#[tokio::test]
async fn files_are_sorted_where_an_order_is_given() {
    let mut world = World::new();
    append(&mut world, 0, 4).await;
    let before = world.query(ROWS).await;
    let spill = tempfile::tempdir().unwrap();
    let mut order = CompactionOrder {
        columns: vec!["carrier".to_owned(), "delay".to_owned()],
        memory_bytes: 64 << 20,
        spill_folder: spill.path().to_owned(),
    };
    assert_eq!(
        compacted_in_order(&mut world, Some(&order)).await,
        [(Some(key("2013-03-01")), 4)]
    );
    assert_eq!(world.query(ROWS).await, before, "the same rows");
    let as_they_stand = world.query("SELECT carrier, delay FROM silver.flights").await;
    let sorted = "SELECT carrier, delay FROM silver.flights ORDER BY carrier, delay NULLS LAST";
    assert_eq!(as_they_stand, world.query(sorted).await);

    append(&mut world, 1, 3).await;
    order.columns = vec!["carrier".to_owned(), "delya".to_owned()];
    let table = world.open().await.unwrap();
    let groups = plan_compaction(&table, &RULE).await.unwrap();
    let error = compact(&table, &groups[0], Some(&order), "compaction")
        .await
        .unwrap_err();
    let expected = "sort the files of silver.flights by `delya`: it has no such column";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn files_that_do_not_fit_into_memory_spill_while_they_are_sorted() {
    let mut world = World::new();
    for time in 0..6 {
        let rows = day(0, time * 150_000, 150_000);
        let staged = world
            .stage(Some((&daily(), &["2013-03-01"])), WriteMode::Append, &[rows])
            .await
            .unwrap();
        let members = world.members(&staged);
        world.commit(&members).await;
    }
    let rule = CompactionRule {
        small_bytes: 64 << 20,
        least_files: 3,
    };
    let spill = tempfile::tempdir().unwrap();
    let order = |folder: std::path::PathBuf| CompactionOrder {
        columns: vec!["carrier".to_owned(), "delay".to_owned()],
        memory_bytes: 16 << 20,
        spill_folder: folder,
    };
    let table = world.open().await.unwrap();
    let groups = plan_compaction(&table, &rule).await.unwrap();
    // It has to spill: where it cannot, it fails.
    let nowhere = spill.path().join("a file");
    std::fs::write(&nowhere, "").unwrap();
    compact(&table, &groups[0], Some(&order(nowhere)), "compaction-0")
        .await
        .unwrap_err();

    let place = spill.path().join("spilled");
    std::fs::create_dir(&place).unwrap();
    let staged = compact(&table, &groups[0], Some(&order(place.clone())), "compaction-1").await;
    let staged = staged.unwrap();
    assert_eq!(staged.rows, 900_000);
    let base = world.pointer.clone().unwrap();
    let prepared = prepare_compaction(&world.lake, &table.key().clone(), &base, &[staged], 0, 99).await;
    world.pointer = Some(prepared.unwrap().pointer);
    // Each row is not before the one that stands before it.
    let out_of_order =
        "SELECT count(*) FROM (SELECT carrier, delay, lag(carrier) OVER () AS before, lag(delay) OVER () AS delayed
                        FROM silver.flights) WHERE carrier < before OR carrier = before AND delay < delayed";
    assert_eq!(world.row(out_of_order).await, ["0"]);
    assert_eq!(std::fs::read_dir(place).unwrap().count(), 0, "nothing of it is left");
}
