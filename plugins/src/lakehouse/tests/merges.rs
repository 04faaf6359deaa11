//! Rows merged by a key: against a map, file by file, and what is refused.

use std::collections::{BTreeMap, BTreeSet};

use assets::outcome::{FailureClass, Replace};
use proptest::prelude::*;

use super::*;

/// Rows of one day: id and delay.
fn rows(offset: i32, rows: &[(i64, f64)]) -> RecordBatch {
    batch(vec![
        (
            "day",
            Arc::new(Date32Array::from(vec![DAY0 + offset; rows.len()])) as ArrayRef,
        ),
        (
            "id",
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        ),
        (
            "delay",
            Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1))),
        ),
    ])
}

fn day_key(offset: i32) -> String {
    format!("2013-03-{:02}", 1 + offset)
}

/// What a step would do: the staged table, not published yet.
async fn stage(world: &mut World, offset: i32, source: &[RecordBatch]) -> Result<StagedTable, LakeError> {
    stage_in_parts(world, offset, source, None).await
}

/// The same where only so many bytes of the rows may be in memory.
async fn stage_in_parts(
    world: &mut World,
    offset: i32,
    source: &[RecordBatch],
    most: Option<u64>,
) -> Result<StagedTable, LakeError> {
    world.attempt += 1;
    let existing = world.open().await;
    let by = daily();
    let partition = key(&day_key(offset));
    let schema = source[0].schema();
    let partitions = StagingPartitions {
        column: partition_column(&by, &schema)?,
        allowed: vec![partition.clone()],
    };
    let options = StagingOptions {
        write: WriteMode::Merge,
        ..StagingOptions::new(format!("attempt-{}", world.attempt))
    };
    let mut writer = StagingWriter::new(
        &world.lake,
        &table(),
        existing.as_ref(),
        &schema,
        Some(partitions),
        options,
    )?;
    let session = world.session(ScanOptions::default());
    let folder = tempfile::tempdir().unwrap();
    let scratch = most.map(|most| MergeScratch::new(folder.path().to_owned(), most));
    let mut rows = RowsToMerge::default();
    for batch in source {
        rows.push(batch.clone());
        if let Some(scratch) = &scratch {
            rows.put_aside(scratch)?;
        }
    }
    let mut merge = Merge::plan(
        &world.lake,
        &table(),
        existing.as_ref(),
        writer.table_schema(),
        Some(&partition),
        &["id".to_owned()],
        rows,
        scratch.as_ref(),
        session.context(),
    )
    .await?;
    for part in merge.parts() {
        let part = part?;
        let mut kept = part.kept(session.context());
        while let Some(batch) = kept.try_next().await? {
            writer.write(&batch).await?;
        }
        writer.write(&part.merged()?).await?;
    }
    merge.release();
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "what was put aside is gone"
    );
    let mut staged = writer.finish().await?;
    let (_, mut staged) = staged.remove(0);
    merge.complete(&mut staged);
    Ok(staged)
}

async fn publish(world: &mut World, staged: StagedTable) -> Result<PreparedCommit, LakeError> {
    let members = world.members(&[(None, staged)]);
    match world.prepare(&members).await? {
        CommitOutcome::Prepared(prepared) => {
            world.pointer = Some(prepared.pointer.clone());
            Ok(prepared)
        }
        CommitOutcome::AlreadyCommitted { .. } => panic!("the commit was new"),
    }
}

async fn merge(world: &mut World, offset: i32, source: &[(i64, f64)]) -> StagedTable {
    merge_in_parts(world, offset, source, None).await
}

async fn merge_in_parts(world: &mut World, offset: i32, source: &[(i64, f64)], most: Option<u64>) -> StagedTable {
    let staged = stage_in_parts(world, offset, &[rows(offset, source)], most)
        .await
        .unwrap();
    publish(world, staged.clone()).await.unwrap();
    staged
}

async fn content(world: &World) -> BTreeMap<(i32, i64), f64> {
    let sql = "SELECT day, id, delay FROM silver.flights";
    let stream = world.session(ScanOptions::default()).execute(sql, &[]).await.unwrap();
    let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    let mut found = BTreeMap::new();
    for batch in batches {
        let days = batch.column(0).as_any().downcast_ref::<Date32Array>().unwrap();
        let ids = batch.column(1).as_any().downcast_ref::<Int64Array>().unwrap();
        let delays = batch.column(2).as_any().downcast_ref::<Float64Array>().unwrap();
        for row in 0..batch.num_rows() {
            let twice = found.insert((days.value(row) - DAY0, ids.value(row)), delays.value(row));
            assert_eq!(twice, None, "a key is there once");
        }
    }
    found
}

/// The files, each with the keys in it.
async fn files(world: &World) -> BTreeMap<String, BTreeSet<(i32, i64)>> {
    let Some(opened) = world.open().await else {
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    for location in opened.file_locations(&ScanOptions::default()).await.unwrap() {
        let file = std::fs::File::open(on_disk(&location)).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
            .unwrap()
            .build()
            .unwrap();
        let mut keys = BTreeSet::new();
        for batch in reader {
            let batch = batch.unwrap();
            let days = batch.column(0).as_any().downcast_ref::<Date32Array>().unwrap();
            let ids = batch.column(1).as_any().downcast_ref::<Int64Array>().unwrap();
            keys.extend((0..batch.num_rows()).map(|row| (days.value(row) - DAY0, ids.value(row))));
        }
        found.insert(location, keys);
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_merge_is_what_a_map_does_and_touches_no_other_file(
        steps in prop::collection::vec((0_i32..2, prop::collection::btree_map(0_i64..20, 0_u8..4, 0..8)), 1..7),
        most in prop::option::of(100_u64..400),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            let mut oracle: BTreeMap<(i32, i64), f64> = BTreeMap::new();
            for (offset, source) in steps {
                let source: Vec<(i64, f64)> = source.into_iter().map(|(id, delay)| (id, f64::from(delay))).collect();
                let before = files(&world).await;
                let other: BTreeSet<(i32, i64)> = source
                    .iter()
                    .filter(|(id, delay)| oracle.get(&(offset, *id)).is_some_and(|known| known.to_bits() != delay.to_bits()))
                    .map(|(id, _)| (offset, *id))
                    .collect();
                let staged = merge_in_parts(&mut world, offset, &source, most).await;
                for (id, delay) in &source {
                    oracle.insert((offset, *id), *delay);
                }
                assert_eq!(content(&world).await, oracle);
                let of_day = oracle.keys().filter(|(day, _)| *day == offset).count();
                assert_eq!(staged.rows, of_day as u64, "it says how many rows the partition has");
                let after = files(&world).await;
                for (path, keys) in &before {
                    assert_eq!(after.contains_key(path), keys.is_disjoint(&other), "only what changes is written anew");
                }
                // Once more, it is all there.
                let again = merge_in_parts(&mut world, offset, &source, most).await;
                assert!(again.changes_nothing());
                assert_eq!(files(&world).await, after);
            }
            let verified = verify(&world.open().await.unwrap()).await.unwrap();
            assert!(verified.faults.is_empty(), "{:?}", verified.faults);
        });
    }
}

#[tokio::test]
async fn keys_that_come_twice_or_are_null_are_refused_by_name() {
    let mut world = World::new();
    let twice = rows(0, &[(7, 1.0), (8, 1.0), (7, 2.0), (9, 1.0), (9, 1.0)]);
    let refused = stage(&mut world, 0, &[twice]).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "merge into silver.flights: 2 keys come more than once in the rows to merge: id 7; id 9"
    );
    assert_eq!(refused.failure().class, FailureClass::Data);
    let nulls = batch(vec![
        ("day", Arc::new(Date32Array::from(vec![DAY0, DAY0])) as ArrayRef),
        ("id", Arc::new(Int64Array::from(vec![Some(1), None]))),
        ("delay", Arc::new(Float64Array::from(vec![1.0, 2.0]))),
    ]);
    let refused = stage(&mut world, 0, &[nulls]).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "merge into silver.flights: 1 row has no value in `id`, which is part of the key"
    );
    // However small the parts are that they are looked at in.
    let twice = rows(0, &[(7, 1.0), (8, 1.0), (7, 2.0)]);
    let refused = stage_in_parts(&mut world, 0, &[twice], Some(64)).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .ends_with("one key comes more than once in the rows to merge: id 7")
    );
    let keyless = batch(vec![("day", Arc::new(Date32Array::from(vec![DAY0])) as ArrayRef)]);
    let refused = stage(&mut world, 0, &[keyless]).await.unwrap_err();
    assert!(refused.to_string().contains("no column `id`"), "{refused}");
}

#[tokio::test]
async fn a_merge_counts_once_and_only_on_what_it_looked_at() {
    let mut world = World::new();
    merge(&mut world, 0, &[(1, 1.0), (2, 2.0)]).await;
    let staged = stage(&mut world, 0, &[rows(0, &[(2, 20.0), (3, 3.0)])]).await.unwrap();
    let members = world.members(&[(None, staged.clone())]);
    world.commit(&members).await;
    let again = world.prepare(&members).await.unwrap();
    assert!(matches!(again, CommitOutcome::AlreadyCommitted { .. }), "{again:?}");
    // Another partition is none of its business.
    let staged = stage(&mut world, 0, &[rows(0, &[(2, 21.0)])]).await.unwrap();
    let Replace::Files { removed, .. } = &staged.replace else {
        panic!("{:?}", staged.replace);
    };
    assert_eq!(removed.len(), 1);
    let attempt = world.attempt;
    merge(&mut world, 1, &[(2, 5.0)]).await;
    world.attempt = attempt;
    publish(&mut world, staged).await.unwrap();
    assert_eq!(
        content(&world).await,
        [((0, 1), 1.0), ((0, 2), 21.0), ((0, 3), 3.0), ((1, 2), 5.0)].into()
    );
    // Its own is.
    let late = stage(&mut world, 0, &[rows(0, &[(1, 9.0)])]).await.unwrap();
    let attempt = world.attempt;
    merge(&mut world, 0, &[(4, 4.0)]).await;
    world.attempt = attempt + 10;
    let refused = publish(&mut world, late).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "merge into silver.flights: it was written meanwhile"
    );
    assert_eq!(refused.failure().class, FailureClass::Changed);
    assert_eq!(content(&world).await.len(), 5);
}

#[tokio::test]
async fn columns_are_added_and_widened_as_rows_are_merged() {
    let mut world = World::new();
    let narrow = batch(vec![
        ("day", Arc::new(Date32Array::from(vec![DAY0, DAY0])) as ArrayRef),
        ("id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("delay", Arc::new(arrow::array::Int32Array::from(vec![1, 2]))),
    ]);
    let staged = stage(&mut world, 0, &[narrow]).await.unwrap();
    publish(&mut world, staged).await.unwrap();
    let wide = batch(vec![
        ("note", Arc::new(StringArray::from(vec!["new", "other"])) as ArrayRef),
        ("delay", Arc::new(Int64Array::from(vec![20, 1 << 40]))),
        ("id", Arc::new(Int64Array::from(vec![2, 3]))),
        ("day", Arc::new(Date32Array::from(vec![DAY0, DAY0]))),
    ]);
    let staged = stage(&mut world, 0, &[wide]).await.unwrap();
    publish(&mut world, staged).await.unwrap();
    assert_eq!(
        world
            .row("SELECT count(*), sum(delay), count(note) FROM silver.flights")
            .await,
        ["3", "1099511627797", "2"]
    );
}
