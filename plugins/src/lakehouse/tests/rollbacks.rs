//! Going back to an older snapshot, and giving snapshots names.

use super::*;

async fn back(world: &mut World, target: i64) -> Rollback {
    let now = 1_700_000_000_000 + world.attempt as i64 * 1000;
    back_at(world, target, now).await
}

async fn back_at(world: &mut World, target: i64, now: i64) -> Rollback {
    world.attempt += 1;
    let base = world.pointer.clone().unwrap();
    match prepare_rollback(&world.lake, &table(), &base, target, now, world.attempt)
        .await
        .unwrap()
    {
        RollbackOutcome::Prepared(rollback) => {
            world.pointer = Some(rollback.commit.pointer.clone());
            rollback
        }
        RollbackOutcome::AlreadyThere => panic!("there was something to take back"),
    }
}

fn changed(rollback: &Rollback) -> Vec<(String, Option<u64>)> {
    let all = rollback.partitions.iter();
    all.map(|partition| {
        let key = partition.key.as_ref().map_or_else(String::new, ToString::to_string);
        (key, partition.after.map(|after| after.rows))
    })
    .collect()
}

#[tokio::test]
async fn what_changed_since_comes_back_and_nothing_else_is_touched() {
    let mut world = World::new();
    let good = world
        .publish_days(&["2013-03-01", "2013-03-02"], &[day(0, 0, 5), day(1, 10, 7)])
        .await;
    world.publish_days(&["2013-03-02"], &[day(1, 100, 1)]).await;
    let bad = world.publish_days(&["2013-03-03"], &[day(2, 200, 9)]).await;
    let rollback = back(&mut world, good.snapshot_id).await;
    assert_eq!(
        changed(&rollback),
        [("2013-03-02".to_owned(), Some(7)), ("2013-03-03".to_owned(), None)]
    );
    let sums = "SELECT count(*), sum(id), count(DISTINCT day) FROM silver.flights";
    let before = "SELECT count(*), sum(id) FROM silver.flights WHERE day = DATE '2013-03-02'";
    assert_eq!(world.row(sums).await, ["12", "101", "2"]);
    assert_eq!(world.row(before).await, ["7", "91"]);
    // What was taken back can be read, and gone forward to.
    let undone = ScanOptions {
        snapshot: Some(bad.snapshot_id),
        ..ScanOptions::default()
    };
    assert_eq!(world.row_scan(undone, sums).await, ["15", "1946", "3"]);
    let past = history(&world.open().await.unwrap()).unwrap();
    assert_eq!(past.len(), 4);
    assert_eq!(past[0].rolled_back_to, Some(good.snapshot_id));
    assert_eq!(
        (
            past[0].rows_total,
            past[0].rows_added,
            past[0].rows_deleted,
            past[0].files
        ),
        (Some(12), 7, 10, Some(2))
    );
    let forward = back(&mut world, bad.snapshot_id).await;
    assert_eq!(
        changed(&forward),
        [("2013-03-02".to_owned(), Some(1)), ("2013-03-03".to_owned(), Some(9))]
    );
    assert_eq!(world.row(sums).await, ["15", "1946", "3"]);
    let verified = verify(&world.open().await.unwrap()).await.unwrap();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
}

#[tokio::test]
async fn a_table_goes_on_from_where_it_was_taken_back_to() {
    let mut world = World::new();
    let good = world.publish_days(&["2013-03-01"], &[day(0, 0, 5)]).await;
    world.publish_days(&["2013-03-01"], &[day(0, 0, 50)]).await;
    // A clock that was set back stops nobody.
    back_at(&mut world, good.snapshot_id, 5).await;
    world.publish_days(&["2013-03-02"], &[day(1, 10, 2)]).await;
    assert_eq!(
        world
            .row("SELECT count(*), count(DISTINCT day) FROM silver.flights")
            .await,
        ["7", "2"]
    );
    let totals = history(&world.open().await.unwrap()).unwrap()[0].rows_total;
    assert_eq!(totals, Some(7));
}

#[tokio::test]
async fn columns_and_how_files_are_cut_come_back_too() {
    let mut world = World::new();
    let narrow = batch(vec![("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]);
    let staged = world.stage(None, WriteMode::Replace, &[narrow]).await.unwrap();
    let members = world.members(&staged);
    let first = world.commit(&members).await;
    let other = batch(vec![("id", Arc::new(StringArray::from(vec!["x"])) as ArrayRef)]);
    let staged = world.stage(None, WriteMode::Replace, &[other]).await.unwrap();
    let members = world.members(&staged);
    world.commit(&members).await;
    let rollback = back(&mut world, first.snapshot_id).await;
    assert_eq!(changed(&rollback), [(String::new(), Some(2))]);
    assert_eq!(world.row("SELECT sum(id) + 0 FROM silver.flights").await, ["3"]);
    // Rows that are written next find the columns that readers see.
    let more = batch(vec![("id", Arc::new(Int64Array::from(vec![3])) as ArrayRef)]);
    let staged = world.stage(None, WriteMode::Append, &[more]).await.unwrap();
    let members = world.members(&staged);
    world.commit(&members).await;
    assert_eq!(world.row("SELECT sum(id) + 0 FROM silver.flights").await, ["6"]);
}

#[tokio::test]
async fn there_is_nothing_to_take_back_twice() {
    let mut world = World::new();
    let good = world.publish_days(&["2013-03-01"], &[day(0, 0, 5)]).await;
    world.publish_days(&["2013-03-01"], &[day(0, 0, 50)]).await;
    back(&mut world, good.snapshot_id).await;
    let base = world.pointer.clone().unwrap();
    for target in [good.snapshot_id, base.snapshot_id.unwrap()] {
        let again = prepare_rollback(&world.lake, &table(), &base, target, 0, 9)
            .await
            .unwrap();
        assert_eq!(again, RollbackOutcome::AlreadyThere);
    }
    let unknown = prepare_rollback(&world.lake, &table(), &base, 1, 0, 9)
        .await
        .unwrap_err();
    assert_eq!(unknown.to_string(), "read silver.flights: it has no snapshot 1");
}

async fn tag(world: &mut World, name: &str, change: TagChange) -> Result<bool, LakeError> {
    world.attempt += 1;
    let base = world.pointer.clone().unwrap();
    let name = name.parse().unwrap();
    let moved = prepare_tag(&world.lake, &table(), &base, &name, &change, 5, world.attempt).await?;
    if let Some(pointer) = &moved {
        world.pointer = Some(pointer.clone());
    }
    Ok(moved.is_some())
}

#[tokio::test]
async fn a_tag_stays_where_it_is_put_until_it_is_moved_or_dropped() {
    let mut world = World::new();
    let first = world.publish_days(&["2013-03-01"], &[day(0, 0, 5)]).await;
    assert!(
        tag(&mut world, "good", TagChange::Set(first.snapshot_id))
            .await
            .unwrap()
    );
    assert!(
        !tag(&mut world, "good", TagChange::Set(first.snapshot_id))
            .await
            .unwrap()
    );
    let second = world.publish_days(&["2013-03-01"], &[day(0, 0, 9)]).await;
    let opened = world.open().await.unwrap();
    assert_eq!(tagged(&opened, "good").unwrap(), first.snapshot_id);
    assert_eq!(tags(&opened).unwrap().len(), 1, "the main branch is no tag");
    let unknown = tagged(&opened, "main").unwrap_err();
    assert_eq!(unknown.to_string(), "read silver.flights: it has no tag `main`");
    assert_eq!(unknown.failure().help.unwrap(), "its tags are good");

    assert!(
        tag(&mut world, "good", TagChange::Set(second.snapshot_id))
            .await
            .unwrap()
    );
    assert_eq!(
        tagged(&world.open().await.unwrap(), "good").unwrap(),
        second.snapshot_id
    );
    assert!(
        tag(&mut world, "bad", TagChange::Set(1)).await.is_err(),
        "no such snapshot"
    );
    assert!(tag(&mut world, "good", TagChange::Drop).await.unwrap());
    assert!(tag(&mut world, "good", TagChange::Drop).await.is_err(), "it is gone");
    assert!(tags(&world.open().await.unwrap()).unwrap().is_empty());
    assert_eq!(world.row("SELECT count(*) FROM silver.flights").await, ["9"]);
}
