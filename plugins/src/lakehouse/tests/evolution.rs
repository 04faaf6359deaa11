//! Columns that are renamed and dropped by declaration: partitions that were made before go on under the new name, and older snapshots
//! keep theirs.

use super::*;
use crate::step::Scope;
use arrow::array::Int32Array;

/// Rows of one day with columns under these names: `day`, a number, a text.
fn named(offset: i32, names: [&str; 3], rows: &[(i32, &str)]) -> RecordBatch {
    let days = Date32Array::from_iter_values(rows.iter().map(|_| DAY0 + offset));
    let numbers = Int32Array::from_iter_values(rows.iter().map(|(number, _)| *number));
    let texts = StringArray::from_iter_values(rows.iter().map(|(_, text)| *text));
    batch(vec![
        (names[0], Arc::new(days) as ArrayRef),
        (names[1], Arc::new(numbers)),
        (names[2], Arc::new(texts)),
    ])
}

async fn columns_of(world: &World, snapshot: Option<i64>) -> String {
    let table = world.open().await.unwrap();
    let columns = columns(&table, snapshot).unwrap().into_iter();
    let words: Vec<String> = columns.map(|column| format!("{} {}", column.id, column.name)).collect();
    words.join(", ")
}

fn at(snapshot: i64) -> ScanOptions {
    ScanOptions {
        snapshot: Some(snapshot),
        ..ScanOptions::default()
    }
}

#[tokio::test]
async fn a_renamed_column_has_the_values_of_all_partitions_and_a_dropped_one_is_gone() {
    let mut world = World::new();
    let old = ["day", "late", "tail"];
    let rows = [(5, "N1"), (7, "N2")];
    let first = world.publish_days(&["2013-03-01"], &[named(0, old, &rows)]).await;
    let renamed = [batch(vec![
        ("day", Arc::new(Date32Array::from(vec![DAY0 + 1])) as ArrayRef),
        ("delay", Arc::new(Int64Array::from(vec![9]))),
    ])];
    let undeclared = world
        .stage(Some((&daily(), &["2013-03-02"])), WriteMode::Replace, &renamed)
        .await;
    let error = undeclared.unwrap_err();
    let message = error.to_string();
    assert!(
        message.ends_with("`late` was int, is missing; `tail` was string, is missing"),
        "{message}"
    );
    assert!(error.failure().help.unwrap().contains("was = \"old_name\""));

    world.contract = contract(&["delay:late", "-tail"]);
    let second = world.publish_days(&["2013-03-02"], &renamed).await;
    assert_eq!(
        world
            .row("SELECT count(delay), sum(delay), max(delay) FROM silver.flights")
            .await,
        ["3", "21", "9"],
        "files of the old name are read under the new one, and wider"
    );
    assert_eq!(columns_of(&world, None).await, "1 day, 2 delay");
    assert_eq!(
        columns_of(&world, Some(first.snapshot_id)).await,
        "1 day, 2 late, 3 tail"
    );
    let sql = "SELECT sum(late), max(tail) FROM silver.flights";
    assert_eq!(world.row_scan(at(first.snapshot_id), sql).await, ["12", "N2"]);
    let sql = "SELECT count(*) FROM silver.flights WHERE delay > 6";
    assert_eq!(world.row(sql).await, ["2"], "pruned by the bounds of both names");

    // The same name once more is another column: what was dropped does not come back.
    world.contract = contract(&["delay:late"]);
    let again = named(2, ["day", "delay", "tail"], &[(1, "N9")]);
    world.publish_days(&["2013-03-03"], &[again]).await;
    assert_eq!(columns_of(&world, None).await, "1 day, 2 delay, 4 tail");
    assert_eq!(
        world
            .row("SELECT count(*), count(tail), max(tail) FROM silver.flights")
            .await,
        ["4", "1", "N9"]
    );
    let sql = "SELECT count(*), sum(delay) FROM silver.flights";
    assert_eq!(world.row_scan(at(second.snapshot_id), sql).await, ["3", "21"]);
}

#[tokio::test]
async fn the_column_of_the_partitions_can_be_renamed() {
    let mut world = World::new();
    world
        .publish_days(
            &["2013-03-01", "2013-03-02"],
            &[
                named(0, ["day", "n", "t"], &[(1, "a")]),
                named(1, ["day", "n", "t"], &[(2, "b")]),
            ],
        )
        .await;
    world.contract = contract(&["flown_on:day"]);
    let by = PartitionedBy {
        column: "flown_on".to_owned(),
        ..daily()
    };
    for write in [WriteMode::Replace, WriteMode::Append] {
        let rows = [named(1, ["flown_on", "n", "t"], &[(20, "c")])];
        let staged = world.stage(Some((&by, &["2013-03-02"])), write, &rows).await.unwrap();
        let members = world.members(&staged);
        world.commit(&members).await;
    }
    assert_eq!(
        world.open().await.unwrap().partition_column().as_deref(),
        Some("flown_on")
    );
    let scope = |text: &str| ScanOptions::scoped(Scope::Keys(vec![key(text)]));
    let sql = "SELECT count(*), sum(n) FROM silver.flights";
    assert_eq!(world.row_scan(scope("2013-03-01"), sql).await, ["1", "1"]);
    assert_eq!(world.row_scan(scope("2013-03-02"), sql).await, ["2", "40"]);
    let sql = "SELECT count(*) FROM silver.flights WHERE flown_on = DATE '2013-03-01'";
    assert_eq!(world.row(sql).await, ["1"]);
}

#[tokio::test]
async fn steps_that_ended_under_both_declarations_do_not_undo_each_other() {
    let mut world = World::new();
    let old = ["day", "late", "tail"];
    world
        .publish_days(&["2013-03-01"], &[named(0, old, &[(5, "N1")])])
        .await;
    let before = world
        .stage(
            Some((&daily(), &["2013-03-02"])),
            WriteMode::Replace,
            &[named(1, old, &[(6, "N2")])],
        )
        .await
        .unwrap();
    let before = world.members(&before);
    world.contract = contract(&["delay:late", "-tail"]);
    let mut staged = Vec::new();
    for day in [2, 3] {
        let rows = named(day, ["day", "delay", "x"], &[(day, "y")]);
        let allowed = format!("2013-03-0{}", day + 1);
        let made = world
            .stage(Some((&daily(), &[&allowed])), WriteMode::Replace, &[rows])
            .await
            .unwrap();
        staged.push(world.members(&made));
    }
    for members in &staged {
        world.commit(members).await;
    }
    assert_eq!(columns_of(&world, None).await, "1 day, 2 delay, 4 x");
    let error = world.prepare(&before).await.unwrap_err().to_string();
    assert!(error.contains("dropped meanwhile"), "{error}");
    assert_eq!(
        world
            .row("SELECT count(*), sum(delay), count(x) FROM silver.flights")
            .await,
        ["3", "10", "2"]
    );
}

#[tokio::test]
async fn a_whole_table_keeps_the_id_of_a_renamed_column() {
    let mut world = World::new();
    let publish = async |world: &mut World, names| {
        let rows = [named(0, names, &[(5, "N1")])];
        let staged = world.stage(None, WriteMode::Replace, &rows).await.unwrap();
        let members = world.members(&staged);
        world.commit(&members).await;
    };
    publish(&mut world, ["day", "late", "tail"]).await;
    world.contract = contract(&["delay:minutes,late"]);
    publish(&mut world, ["day", "delay", "tail"]).await;
    assert_eq!(columns_of(&world, None).await, "1 day, 2 delay, 3 tail");
    publish(&mut world, ["day", "delay", "late"]).await;
    assert_eq!(
        columns_of(&world, None).await,
        "1 day, 2 delay, 4 late",
        "a new column may take an old name"
    );
}
