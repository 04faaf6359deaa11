//! What pages ask of a table: its columns with nulls and ranges, some rows, and what became of rows between two snapshots.

use arrow::array::{BooleanArray, Int32Array};

use super::*;
use crate::query::{
    ChangesOrder, RowChanges, RowsOrder, changed_contents, changed_rows, column_drift, first_rows, row_samples,
};

const MEMORY: u64 = 256 << 20;

/// One line for each column: name, type, nulls, lowest and highest.
fn told(facts: &TableFacts) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "?".to_owned());
    facts
        .columns
        .iter()
        .map(|facts| {
            let nulls = facts.nulls.map_or_else(|| "?".to_owned(), |nulls| nulls.to_string());
            let column = &facts.column;
            let (lowest, highest) = (text(&facts.lowest), text(&facts.highest));
            format!("{} {} {nulls} {lowest} {highest}", column.name, column.column_type)
        })
        .collect()
}

#[tokio::test]
async fn columns_are_measured_by_the_manifests() {
    let mut world = World::new();
    world
        .publish_days(&["2013-03-01", "2013-03-02"], &[day(0, 0, 10), day(1, 100, 20)])
        .await;
    let table = world.open().await.unwrap();
    let all = table_facts(&table, None, None, 100).await.unwrap();
    assert_eq!((all.rows, all.files, all.measured), (30, 2, true));
    assert_eq!(
        told(&all),
        [
            "day date 0 2013-03-01 2013-03-02",
            "id long 0 0 119",
            "carrier string 6 AA UA",
            "delay double 0 0 4.75"
        ]
    );
    let one = table_facts(&table, None, Some(&key("2013-03-01")), 100).await.unwrap();
    assert_eq!(one.rows, 10);
    assert_eq!(told(&one)[1], "id long 0 0 9");
    // Too many files: names and types are all that is told.
    let none = table_facts(&table, None, None, 1).await.unwrap();
    assert!(!none.measured);
    assert_eq!(told(&none)[1], "id long ? ? ?");
}

#[tokio::test]
async fn a_column_that_came_later_is_null_in_older_files() {
    let mut world = World::new();
    world.publish_days(&["2013-03-01"], &[day(0, 0, 10)]).await;
    let older = world.pointer.as_ref().unwrap().snapshot_id;
    let mut columns: Vec<(&str, ArrayRef)> = vec![("extra", Arc::new(BooleanArray::from(vec![true; 4])))];
    let later = day(1, 100, 4);
    let names: Vec<String> = later
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    for (name, column) in names.iter().zip(later.columns()) {
        columns.push((name.as_str(), Arc::clone(column)));
    }
    world.publish_days(&["2013-03-02"], &[batch(columns)]).await;
    let table = world.open().await.unwrap();
    let facts = table_facts(&table, None, None, 100).await.unwrap();
    let extra = told(&facts).into_iter().find(|line| line.starts_with("extra")).unwrap();
    assert_eq!(extra, "extra boolean 10 true true");
    let before = super::super::columns(&table, older).unwrap();
    assert!(before.iter().all(|column| column.name != "extra"), "{before:?}");
}

#[tokio::test]
async fn rows_are_read_a_few_at_a_time() {
    let mut world = World::new();
    world
        .publish_days(&["2013-03-01", "2013-03-02"], &[day(0, 0, 3), day(1, 100, 3)])
        .await;
    let first = world.pointer.clone().unwrap();
    world.publish_days(&["2013-03-01"], &[day(0, 50, 1)]).await;
    let order = |skip, most| RowsOrder {
        asset: table(),
        pointer: world.pointer.clone().unwrap(),
        snapshot: None,
        partition: None,
        skip,
        most,
        memory_bytes: MEMORY,
    };
    let ids = |sample: assets::outcome::Sample| -> Vec<String> {
        assert_eq!(sample.columns, ["day", "id", "carrier", "delay"]);
        sample.rows.into_iter().map(|row| row[1].clone().unwrap()).collect()
    };
    let all = ids(first_rows(&world.lake, &order(0, 10)).await.unwrap());
    assert_eq!(all.len(), 4);
    let mut parts = ids(first_rows(&world.lake, &order(0, 2)).await.unwrap());
    parts.extend(ids(first_rows(&world.lake, &order(2, 2)).await.unwrap()));
    assert_eq!(parts, all, "pages put together are the whole");
    assert!(ids(first_rows(&world.lake, &order(4, 2)).await.unwrap()).is_empty());
    let past = RowsOrder {
        snapshot: first.snapshot_id,
        partition: Some(key("2013-03-01")),
        ..order(0, 10)
    };
    assert_eq!(ids(first_rows(&world.lake, &past).await.unwrap()), ["0", "1", "2"]);
}

#[tokio::test]
async fn rows_of_two_snapshots_are_told_apart_by_their_key() {
    let mut world = World::new();
    let rows = |ids: &[i32], value: &[Option<i32>]| {
        batch(vec![
            ("id", Arc::new(Int32Array::from(ids.to_vec())) as ArrayRef),
            ("value", Arc::new(Int32Array::from(value.to_vec()))),
            ("where \"x\"", Arc::new(Int32Array::from(vec![7; ids.len()]))),
        ])
    };
    let mut snapshots = Vec::new();
    for batch in [
        rows(&[1, 2, 3, 4], &[Some(1), None, Some(3), Some(4)]),
        rows(&[2, 3, 4, 5, 6], &[None, Some(30), None, Some(5), Some(6)]),
    ] {
        let staged = world.stage(None, WriteMode::Replace, &[batch]).await.unwrap();
        let members = world.members(&staged);
        world.commit(&members).await;
        snapshots.push(world.pointer.as_ref().unwrap().snapshot_id.unwrap());
    }
    let order = ChangesOrder {
        asset: table(),
        pointer: world.pointer.clone().unwrap(),
        since: snapshots[0],
        snapshot: snapshots[1],
        key: vec!["id".to_owned()],
        memory_bytes: MEMORY,
        spill_folder: None,
    };
    let changes = changed_rows(&world.lake, &order).await.unwrap();
    assert_eq!(
        changes,
        RowChanges {
            added: 2,
            removed: 1,
            changed: 2,
            same: 1,
            columns: [("value".to_owned(), 2)].into(),
        }
    );
    let samples = row_samples(&world.lake, &order, 1).await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    let first = |sample: Option<assets::outcome::Sample>| sample.unwrap().rows;
    assert_eq!(first(samples.added), [[text("5"), text("5"), text("7")]]);
    assert_eq!(first(samples.removed), [[text("1"), text("1"), text("7")]]);
    assert_eq!(samples.changed.len(), 1);
    assert_eq!(samples.changed[0].key, [("id".to_owned(), text("3"))]);
    assert_eq!(samples.changed[0].values, [("value".to_owned(), text("3"), text("30"))]);
    let contents = changed_contents(&world.lake, &order).await.unwrap();
    assert_eq!((contents.added, contents.removed), (4, 3));
    let drift = column_drift(&world.lake, &order).await.unwrap();
    let value = &drift[1];
    let (before, after) = (value.before.as_ref().unwrap(), value.after.as_ref().unwrap());
    assert_eq!((before.null_share, after.null_share), (0.25, 0.4));
    assert_eq!((before.min.as_deref(), after.max.as_deref()), (Some("1"), Some("30")));
    assert_eq!((before.distinct, after.distinct), (Some(3), Some(3)));
    assert!((after.mean.unwrap() - 41.0 / 3.0).abs() < 1e-9);
    let unknown = ChangesOrder {
        key: vec!["number".to_owned()],
        ..order
    };
    let failure = changed_rows(&world.lake, &unknown).await.unwrap_err();
    assert!(failure.message.contains("`number`"), "{failure}");
}
