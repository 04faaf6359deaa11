//! Publishing: what replaces what, what a repeated or lost commit does, and that manifests stay few.

use super::*;
use arrow::array::Int32Array;
use iceberg::spec::ManifestContentType;

#[tokio::test]
async fn partitions_are_replaced_and_others_stay() {
    let mut world = World::new();
    world
        .publish_days(&["2013-03-01", "2013-03-02"], &[day(0, 0, 10), day(1, 100, 20)])
        .await;
    assert_eq!(
        world.row("SELECT count(*), sum(id) FROM silver.flights").await,
        ["30", "2235"]
    );
    world.publish_days(&["2013-03-02"], &[day(1, 1000, 5)]).await;
    assert_eq!(
        world
            .query("SELECT day, count(*) AS n, min(id) AS first FROM silver.flights GROUP BY day ORDER BY day")
            .await,
        "\
+------------+----+-------+
| day        | n  | first |
+------------+----+-------+
| 2013-03-01 | 10 | 0     |
| 2013-03-02 | 5  | 1000  |
+------------+----+-------+"
    );
    let table = world.open().await.unwrap();
    assert_eq!(table.partition_column().as_deref(), Some("day"));
    assert_eq!(table.rows(), Some(15));
    let rows = partition_rows(&table).await.unwrap();
    assert_eq!(rows[&Some(key("2013-03-01"))].rows, 10);
    assert_eq!(rows[&Some(key("2013-03-02"))].rows, 5);
    let past = history(&table).unwrap();
    let told: Vec<_> = past
        .iter()
        .map(|s| {
            (
                s.operation.as_str(),
                s.rows_added,
                s.rows_deleted,
                s.rows_total,
                s.files,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("overwrite", 5, 20, Some(15), Some(2)),
            ("append", 30, 0, Some(30), Some(2))
        ]
    );
    assert_eq!(past[0].run.as_deref(), Some("run-2"));
    assert_eq!(past[0].parent, Some(past[1].id));
}

#[tokio::test]
async fn an_empty_partition_removes_its_rows() {
    let mut world = World::new();
    world
        .publish_days(&["2013-03-01", "2013-03-02"], &[day(0, 0, 10), day(1, 100, 20)])
        .await;
    world.publish_days(&["2013-03-01"], &[day(0, 0, 0)]).await;
    assert_eq!(
        world.row("SELECT count(*), min(day) FROM silver.flights").await,
        ["20", "2013-03-02"]
    );
    let table = world.open().await.unwrap();
    assert_eq!(history(&table).unwrap()[0].operation, "delete");
    assert_eq!(partition_rows(&table).await.unwrap().len(), 1);
    // Nothing there and nothing new: still a valid version.
    world.publish_days(&["2013-03-07"], &[day(0, 0, 0)]).await;
    assert_eq!(world.row("SELECT count(*) FROM silver.flights").await, ["20"]);
}

#[tokio::test]
async fn an_empty_table_can_be_made_and_read() {
    let mut world = World::new();
    let staged = world.stage(None, WriteMode::Replace, &[day(0, 0, 0)]).await.unwrap();
    assert_eq!((staged.len(), staged[0].1.rows), (1, 0));
    let members = world.members(&staged);
    world.commit(&members).await;
    assert_eq!(
        world.row("SELECT count(*), max(carrier) FROM silver.flights").await,
        ["0", "NULL"]
    );
}

#[tokio::test]
async fn whole_replacement_takes_any_columns_and_old_snapshots_keep_theirs() {
    let mut world = World::new();
    let staged = world.stage(None, WriteMode::Replace, &[day(0, 0, 10)]).await.unwrap();
    let members = world.members(&staged);
    let first = world.commit(&members).await;
    // `id` changes its type, `delay` goes, `note` comes.
    let next = batch(vec![
        ("note", Arc::new(StringArray::from(vec!["x", "y"])) as ArrayRef),
        ("id", Arc::new(StringArray::from(vec!["one", "two"]))),
    ]);
    let staged = world.stage(None, WriteMode::Replace, &[next]).await.unwrap();
    let members = world.members(&staged);
    world.commit(&members).await;
    assert_eq!(
        world
            .row("SELECT count(*), max(id), max(note) FROM silver.flights")
            .await,
        ["2", "two", "y"]
    );
    let old = ScanOptions {
        snapshot: Some(first.snapshot_id),
        ..ScanOptions::default()
    };
    assert_eq!(
        world
            .row_scan(old, "SELECT count(*), sum(id), max(delay) FROM silver.flights")
            .await,
        ["10", "45", "2.25"]
    );
}

#[tokio::test]
async fn append_adds_to_what_is_there() {
    let mut world = World::new();
    for round in 0..3 {
        let staged = world
            .stage(None, WriteMode::Append, &[day(0, round * 10, 10)])
            .await
            .unwrap();
        let members = world.members(&staged);
        world.commit(&members).await;
    }
    assert_eq!(
        world.row("SELECT count(*), sum(id) FROM silver.flights").await,
        ["30", "435"]
    );
    assert!(
        history(&world.open().await.unwrap())
            .unwrap()
            .iter()
            .all(|s| s.operation == "append")
    );
}

#[tokio::test]
async fn columns_are_added_and_widened_but_not_dropped() {
    let mut world = World::new();
    let narrow = |day: i32, id: Vec<i32>| {
        let days = vec![DAY0 + day; id.len()];
        vec![
            ("day", Arc::new(Date32Array::from(days)) as ArrayRef),
            ("id", Arc::new(Int32Array::from(id)) as ArrayRef),
        ]
    };
    world
        .publish_days(&["2013-03-01"], &[batch(narrow(0, vec![1, 2]))])
        .await;
    let wider = batch(vec![
        ("id", Arc::new(Int64Array::from(vec![1 << 40])) as ArrayRef),
        ("note", Arc::new(StringArray::from(vec!["new"])) as ArrayRef),
        ("day", Arc::new(Date32Array::from(vec![DAY0 + 1])) as ArrayRef),
    ]);
    world.publish_days(&["2013-03-02"], &[wider]).await;
    assert_eq!(
        world
            .row("SELECT count(*), sum(id), count(note), max(note) FROM silver.flights")
            .await,
        ["3", "1099511627779", "1", "new"]
    );
    assert_eq!(
        world.row("SELECT sum(id) FROM silver.flights WHERE note IS NULL").await,
        ["3"]
    );
    let dropped = batch(narrow(2, vec![3]));
    let error = world
        .stage(Some((&daily(), &["2013-03-03"])), WriteMode::Replace, &[dropped])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "write silver.flights: its columns differ from those of the table: `note` was string, is missing"
    );
    assert_eq!(error.failure().class, assets::outcome::FailureClass::Schema);
}

#[tokio::test]
async fn a_repeated_token_is_not_committed_twice() {
    let mut world = World::new();
    let staged = world
        .stage(Some((&daily(), &["2013-03-01"])), WriteMode::Append, &[day(0, 0, 10)])
        .await
        .unwrap();
    let members = world.members(&staged);
    let first = world.commit(&members).await;
    match world.prepare(&members).await.unwrap() {
        CommitOutcome::AlreadyCommitted { pointer, snapshot_id } => {
            assert_eq!((Some(pointer), snapshot_id), (world.pointer.clone(), first.snapshot_id));
        }
        CommitOutcome::Prepared(_) => panic!("the token is in the history"),
    }
    // Together with a new one, only the new one counts.
    let staged = world
        .stage(Some((&daily(), &["2013-03-02"])), WriteMode::Append, &[day(1, 0, 7)])
        .await
        .unwrap();
    let mut both = members.clone();
    both.extend(world.members(&staged));
    let second = world.commit(&both).await;
    assert_eq!(second.already, [members[0].token.clone()]);
    assert_eq!(world.row("SELECT count(*) FROM silver.flights").await, ["17"]);
}

#[tokio::test]
async fn many_members_share_a_snapshot_and_keep_their_tokens() {
    let mut world = World::new();
    let keys: Vec<String> = (1..=31)
        .map(|d| format!("2013-03-{d:02}"))
        .chain((1..=9).map(|d| format!("2013-04-0{d}")))
        .collect();
    let allowed: Vec<&str> = keys.iter().map(String::as_str).collect();
    let batches: Vec<_> = (0..40).map(|d| day(d, i64::from(d) * 100, 3)).collect();
    let staged = world
        .stage(Some((&daily(), &allowed)), WriteMode::Replace, &batches)
        .await
        .unwrap();
    assert_eq!(staged.len(), 40);
    let members = world.members(&staged);
    world.commit(&members).await;
    assert_eq!(history(&world.open().await.unwrap()).unwrap().len(), 1);
    let again = world.prepare(&members[17..18]).await.unwrap();
    assert!(matches!(again, CommitOutcome::AlreadyCommitted { .. }));
    assert_eq!(
        world
            .row("SELECT count(*), count(DISTINCT day) FROM silver.flights")
            .await,
        ["120", "40"]
    );
}

#[tokio::test]
async fn the_loser_of_a_race_prepares_again_on_the_new_base() {
    let mut world = World::new();
    world.publish_days(&["2013-03-01"], &[day(0, 0, 10)]).await;
    let base = world.pointer.clone();
    let one = world
        .stage(Some((&daily(), &["2013-03-02"])), WriteMode::Replace, &[day(1, 0, 2)])
        .await
        .unwrap();
    let one = world.members(&one);
    let two = world
        .stage(Some((&daily(), &["2013-03-03"])), WriteMode::Replace, &[day(2, 0, 3)])
        .await
        .unwrap();
    let two = world.members(&two);
    world.commit(&one).await;
    let lost = match prepare_commit(&world.lake, &table(), base.as_ref(), &two, 0, 77)
        .await
        .unwrap()
    {
        CommitOutcome::Prepared(prepared) => prepared,
        CommitOutcome::AlreadyCommitted { .. } => panic!("not committed"),
    };
    assert_eq!(lost.base, base, "the caller sees that the pointer has moved on");
    for file in &lost.written_files {
        assert!(on_disk(file).exists(), "{file}");
    }
    abandon(&world.lake, &lost.written_files).await.unwrap();
    for file in &lost.written_files {
        assert!(!on_disk(file).exists(), "{file}");
    }
    world.commit(&two).await;
    assert_eq!(world.row("SELECT count(*) FROM silver.flights").await, ["15"]);
}

#[tokio::test]
async fn a_crash_between_preparing_and_the_pointer_leaves_names_free() {
    let mut world = World::new();
    let staged = world
        .stage(Some((&daily(), &["2013-03-01"])), WriteMode::Replace, &[day(0, 0, 10)])
        .await
        .unwrap();
    let members = world.members(&staged);
    let CommitOutcome::Prepared(orphan) = world.prepare(&members).await.unwrap() else {
        panic!("new")
    };
    // The same seed on the same base, as after a restart.
    let again = world.commit(&members).await;
    assert_ne!(orphan.pointer.metadata_location, again.pointer.metadata_location);
    assert_eq!(world.row("SELECT count(*) FROM silver.flights").await, ["10"]);
}

#[tokio::test]
async fn a_clock_that_goes_back_does_not_stop_commits() {
    let mut world = World::new();
    world.publish_days(&["2013-03-01"], &[day(0, 0, 1)]).await;
    let staged = world
        .stage(Some((&daily(), &["2013-03-02"])), WriteMode::Replace, &[day(1, 0, 1)])
        .await
        .unwrap();
    let members = world.members(&staged);
    let outcome = prepare_commit(&world.lake, &table(), world.pointer.as_ref(), &members, 5, 9)
        .await
        .unwrap();
    let CommitOutcome::Prepared(prepared) = outcome else {
        panic!("new")
    };
    world.pointer = Some(prepared.pointer);
    let past = history(&world.open().await.unwrap()).unwrap();
    assert_eq!(past[0].timestamp_ms, past[1].timestamp_ms);
}

#[tokio::test]
async fn three_hundred_commits_keep_manifests_and_metadata_bounded() {
    let mut world = World::new();
    let start = jiff::civil::date(2013, 3, 1);
    let mut most = 0;
    for offset in 0..300 {
        let name = start.checked_add(jiff::Span::new().days(offset)).unwrap().to_string();
        world.publish_days(&[&name], &[day(offset as i32, offset, 2)]).await;
        let opened = world.open().await.unwrap();
        let metadata = opened.metadata();
        let list = world
            .lake
            .manifest_list(metadata.current_snapshot().unwrap(), metadata.format_version())
            .await
            .unwrap();
        assert!(
            list.entries()
                .iter()
                .all(|file| file.content == ManifestContentType::Data)
        );
        most = most.max(list.entries().len());
    }
    assert!(most <= 22, "{most} manifests");
    let opened = world.open().await.unwrap();
    assert!(opened.metadata().metadata_log().len() <= 100);
    assert_eq!(partition_rows(&opened).await.unwrap().len(), 300);
    assert_eq!(
        world.row("SELECT count(*), sum(id) FROM silver.flights").await,
        ["600", "90000"]
    );
    // Replacing one in the middle touches one partition only.
    world.publish_days(&["2013-06-01"], &[day(92, 0, 1)]).await;
    assert_eq!(world.row("SELECT count(*) FROM silver.flights").await, ["599"]);
    let scan = ScanOptions::scoped(crate::step::Scope::Keys(vec![key("2013-06-01")]));
    assert_eq!(
        world
            .row_scan(scan, "SELECT count(*), min(id) FROM silver.flights")
            .await,
        ["1", "0"]
    );
}
