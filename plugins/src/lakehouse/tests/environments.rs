//! A warehouse that is read whole and written in one folder only.

use std::collections::BTreeSet;

use super::*;
use crate::lakehouse::{remove, unneeded_below};

const ROWS: &str = "SELECT count(*) AS n FROM silver.flights";

/// The world as an environment sees it.
fn environment(world: &World) -> (World, String) {
    let folder = format!("{}/_environments/a", world.lake.warehouse());
    let within = World {
        folder: tempfile::tempdir().unwrap(),
        lake: open_lake(world.lake.warehouse()).writing_below(&folder).unwrap(),
        pointer: world.pointer.clone(),
        attempt: 1000,
        contract: Contract::default(),
    };
    (within, folder)
}

async fn all_files(lake: &Lake, folder: &str) -> BTreeSet<String> {
    let listed = lake.list(folder).await.unwrap();
    listed.into_iter().map(|file| file.location).collect()
}

#[tokio::test]
async fn what_is_written_goes_into_the_folder_and_the_rest_is_read() {
    let mut world = World::new();
    world
        .publish_days(&["2013-03-01", "2013-03-02"], &[day(0, 0, 10), day(1, 10, 10)])
        .await;
    let outside = all_files(&world.lake, world.lake.warehouse()).await;
    let (mut within, folder) = environment(&world);
    assert_eq!(within.row(ROWS).await, ["20"]);
    let prepared = within.publish_days(&["2013-03-02"], &[day(1, 10, 3)]).await;
    assert!(
        prepared.written_files.iter().all(|file| file.starts_with(&folder)),
        "{prepared:#?}"
    );
    assert_eq!(
        (within.row(ROWS).await, world.row(ROWS).await),
        (vec!["13".to_owned()], vec!["20".to_owned()])
    );
    let table = within.open().await.unwrap();
    assert_eq!(table.metadata().location(), format!("{folder}/silver/flights"));
    let all = all_files(&world.lake, world.lake.warehouse()).await;
    assert!(outside.is_subset(&all));
    let own = all_files(&world.lake, &folder).await;
    assert_eq!(all.len(), outside.len() + own.len());

    // Merged: the table has files in both folders, and what comes next is written where tables are.
    world.pointer = within.pointer.clone();
    assert_eq!(world.row(ROWS).await, ["13"]);
    world.publish_days(&["2013-03-01"], &[day(0, 0, 1)]).await;
    let table = world.open().await.unwrap();
    assert_eq!(table.metadata().location(), world.lake.table_location(&super::table()));
    assert_eq!(world.row(ROWS).await, ["4"]);

    // Nobody needs what is not among the versions that are read.
    let needed = BTreeSet::from([(super::table(), world.pointer.clone().unwrap())]);
    let (unneeded, kept) = unneeded_below(&world.lake, &folder, &needed).await.unwrap();
    assert_eq!((unneeded.len(), kept as usize), (0, own.len()), "{unneeded:#?}");
    let (unneeded, kept) = unneeded_below(&world.lake, &folder, &BTreeSet::new()).await.unwrap();
    assert_eq!((unneeded.len(), kept), (own.len(), 0));
}

/// By name, as a file of its own folder, or as one that is above it.
#[tokio::test]
async fn nothing_else_is_written_or_removed() {
    let mut world = World::new();
    world.publish_days(&["2013-03-01"], &[day(0, 0, 10)]).await;
    let before = all_files(&world.lake, world.lake.warehouse()).await;
    let (within, folder) = environment(&world);
    let warehouse = world.lake.warehouse();
    for location in [
        format!("{warehouse}/silver/flights/data/mine.parquet"),
        format!("{folder}/../../silver/flights/data/mine.parquet"),
        format!("{folder}b/x.parquet"),
    ] {
        let refused = within.lake.storage().create(&location).unwrap_err();
        let io = refused.source.to_string();
        assert!(
            io.contains("nothing else may be changed from here") || io.contains(".."),
            "{location}: {refused}"
        );
        assert!(
            within
                .lake
                .io()
                .new_output(&location)
                .unwrap()
                .write("x".into())
                .await
                .is_err(),
            "{location}"
        );
        assert!(within.lake.io().delete(&location).await.is_err(), "{location}");
    }
    let files: Vec<UnneededFile> = before
        .iter()
        .map(|location| UnneededFile {
            location: location.clone(),
            bytes: 1,
        })
        .collect();
    let removed = remove(&within.lake, &files).await;
    assert_eq!((removed.files, removed.failed.len()), (0, files.len()), "{removed:#?}");
    assert!(within.lake.io().delete_prefix(warehouse).await.is_err());
    assert_eq!(all_files(&world.lake, warehouse).await, before);
}
