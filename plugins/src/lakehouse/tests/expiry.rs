//! Snapshots that go: what stays readable, which files go with them, and what keeps one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use iceberg::spec::{SnapshotReference, SnapshotRetention};

use super::*;

/// The time of the commit of an attempt, as the world stamps it.
fn at(attempt: u64) -> i64 {
    1_700_000_000_000 + attempt as i64 * 1000
}

/// Ten snapshots: day 1 five times, then day 2 five times.
async fn world() -> (World, Vec<i64>) {
    let mut world = World::new();
    let mut ids = Vec::new();
    for day_of in [0, 1] {
        for turn in 0..5 {
            let key = if day_of == 0 { "2013-03-01" } else { "2013-03-02" };
            let made = world.publish_days(&[key], &[day(day_of, turn * 100, 10 + turn)]).await;
            ids.push(made.snapshot_id);
        }
    }
    (world, ids)
}

fn files(folder: &Path) -> BTreeSet<std::path::PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.path().is_dir() {
            true => found.extend(files(&entry.path())),
            false => {
                found.insert(entry.path());
            }
        }
    }
    found
}

async fn expire(world: &mut World, kept: &KeptSnapshots) -> Expiry {
    let table = world.open().await.unwrap();
    let plan = plan_expiry(&table, kept).await.unwrap();
    let moved = prepare_expiry(&table, &plan, 7).await.unwrap();
    assert_eq!(moved.snapshot_id, world.pointer.as_ref().unwrap().snapshot_id);
    world.pointer = Some(moved);
    let removed = remove(&world.lake, &plan.files).await;
    assert_eq!(removed.failed, Vec::<String>::new());
    assert_eq!(removed.files, plan.files.len() as u64);
    // Whoever opens the table next is another process, with no cache.
    world.lake = open_lake(world.lake.warehouse());
    plan
}

fn scan(snapshot: i64) -> ScanOptions {
    ScanOptions {
        snapshot: Some(snapshot),
        ..ScanOptions::default()
    }
}

const COUNT: &str = "SELECT count(*), sum(id) FROM silver.flights";

#[tokio::test]
async fn old_snapshots_go_with_what_only_they_need_and_the_rest_reads_as_before() {
    let (mut world, ids) = world().await;
    let now = world.row(COUNT).await;
    let eighth = world.row_scan(scan(ids[7]), COUNT).await;
    let before = files(world.folder.path());
    // Snapshots that were current when the eighth was made, or later: the eighth, ninth, tenth, and the seventh until then.
    let kept = KeptSnapshots {
        since_ms: at(8) + 1,
        newest: 1,
        ..KeptSnapshots::default()
    };
    let plan = expire(&mut world, &kept).await;
    let expired: Vec<i64> = plan.expired.iter().map(|snapshot| snapshot.id).collect();
    assert_eq!((expired, plan.snapshots), (ids[..7].to_vec(), 10));
    let after = files(world.folder.path());
    let gone: BTreeSet<_> = before.difference(&after).cloned().collect();
    let planned: BTreeSet<_> = plan.files.iter().map(|file| on_disk(&file.location)).collect();
    assert_eq!(gone, planned);
    // Four data files of day 1 and two of day 2 were replaced by then.
    let data = gone
        .iter()
        .filter(|path| path.ends_with("parquet") || path.extension().is_some_and(|e| e == "parquet"));
    assert_eq!(data.count(), 6);
    assert_eq!(world.row(COUNT).await, now);
    assert_eq!(world.row_scan(scan(ids[7]), COUNT).await, eighth);
    let table = world.open().await.unwrap();
    assert_eq!(history(&table).unwrap().len(), 3);
    let gone = plan_expiry(&table, &kept).await.unwrap();
    assert_eq!(
        (gone.expired.len(), gone.files.len()),
        (0, 0),
        "a second time there is nothing to do"
    );
    // The table goes on.
    world.publish_days(&["2013-03-01"], &[day(0, 5000, 3)]).await;
    assert_eq!(
        world.row("SELECT count(*) FROM silver.flights WHERE id >= 5000").await,
        ["3"]
    );
}

#[tokio::test]
async fn the_newest_pinned_and_tagged_ones_stay_and_say_what_for() {
    let (mut world, ids) = world().await;
    let table = world.open().await.unwrap();
    let tag = SnapshotReference {
        snapshot_id: ids[1],
        retention: SnapshotRetention::Tag { max_ref_age_ms: None },
    };
    let tagged = table
        .metadata()
        .as_ref()
        .clone()
        .into_builder(None)
        .set_ref("audit", tag)
        .unwrap()
        .build()
        .unwrap()
        .metadata;
    let pointer = world.pointer.clone().unwrap();
    let location = pointer.metadata_location.replace("/metadata/", "/metadata/tagged-");
    std::fs::write(on_disk(&location), serde_json::to_vec(&tagged).unwrap()).unwrap();
    world.pointer = Some(TablePointer {
        metadata_location: location,
        ..pointer
    });
    let second = world.row_scan(scan(ids[1]), COUNT).await;
    let fourth = world.row_scan(scan(ids[3]), COUNT).await;
    let kept = KeptSnapshots {
        since_ms: i64::MAX,
        newest: 3,
        pinned: BTreeMap::from([(ids[3], "version 2 of models.delay".to_owned())]),
    };
    let plan = expire(&mut world, &kept).await;
    let expired: Vec<i64> = plan.expired.iter().map(|snapshot| snapshot.id).collect();
    assert_eq!(expired, [ids[0], ids[2], ids[4], ids[5], ids[6]]);
    let held: Vec<(i64, &str)> = plan.held.iter().map(|(held, why)| (held.id, why.as_str())).collect();
    assert_eq!(held, [(ids[1], "tag `audit`"), (ids[3], "version 2 of models.delay")]);
    assert_eq!(world.row_scan(scan(ids[1]), COUNT).await, second);
    assert_eq!(world.row_scan(scan(ids[3]), COUNT).await, fourth);
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_ends_it_before_anything_is_removed() {
    let (world, _) = world().await;
    let manifests = files(world.folder.path())
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with("-m0.avro"))
        .collect::<Vec<_>>();
    std::fs::write(&manifests[0], b"no manifest").unwrap();
    let lake = open_lake(world.lake.warehouse());
    let table = lake.table(&table(), world.pointer.as_ref().unwrap()).await.unwrap();
    let kept = KeptSnapshots {
        since_ms: i64::MAX,
        newest: 1,
        ..KeptSnapshots::default()
    };
    let error = plan_expiry(&table, &kept).await.unwrap_err().to_string();
    assert!(error.contains("-m0.avro"), "{error}");
    let later = SystemTime::now() + Duration::from_secs(60);
    let old = old_files(&lake, table.key(), later).await.unwrap();
    assert!(
        orphans(&table, old, &NeededBeside::default()).await.is_err(),
        "nothing is known to be free"
    );
}

#[tokio::test]
async fn files_that_nothing_refers_to_are_found_once_they_are_old() {
    let (mut world, _) = world().await;
    let table_folder = {
        let table = world.open().await.unwrap();
        on_disk(table.metadata().location())
    };
    // Staged and never published, a commit that was given up, what a killed writer left, and two that are not ours.
    let staged = world
        .stage(Some((&daily(), &["2013-03-03"])), WriteMode::Replace, &[day(2, 0, 5)])
        .await
        .unwrap();
    let members = world.members(&staged);
    let CommitOutcome::Prepared(given_up) = world.prepare(&members).await.unwrap() else {
        panic!("the commit was new")
    };
    std::fs::write(table_folder.join("data/.a.parquet.77-1.tmp"), b"half").unwrap();
    std::fs::write(table_folder.join("data/notes.txt"), b"a person's").unwrap();
    std::fs::write(table_folder.join("README.parquet"), b"a person's").unwrap();
    let table = world.open().await.unwrap();
    let later = SystemTime::now() + Duration::from_secs(60);
    let young = SystemTime::now() - Duration::from_secs(3600);
    assert_eq!(
        old_files(&world.lake, table.key(), young).await.unwrap(),
        Vec::new(),
        "a step may be about to publish them"
    );
    let old = old_files(&world.lake, table.key(), later).await.unwrap();
    let nobody = NeededBeside::default();
    let read_by = NeededBeside {
        locations: BTreeSet::from([given_up.pointer.metadata_location.clone()]),
        ..NeededBeside::default()
    };
    assert_eq!(
        orphans(&table, old.clone(), &read_by).await.unwrap().len(),
        given_up.written_files.len() + 1,
        "metadata that someone reads by is no orphan"
    );
    let found = orphans(&table, old.clone(), &nobody).await.unwrap();
    let written = found.iter().find(|file| file.location.ends_with(".parquet")).unwrap();
    let name = written.location.rsplit('/').next().unwrap();
    let mut written_now = NeededBeside {
        writers: BTreeSet::from([name.split_once('-').unwrap().0.to_owned()]),
        ..NeededBeside::default()
    };
    let others = orphans(&table, old.clone(), &written_now).await.unwrap();
    assert!(
        others.len() + 1 == found.len() && !others.contains(written),
        "what is being written is no orphan, however old the clock calls it: {others:#?}"
    );
    written_now.is_written = true;
    let others = orphans(&table, old, &written_now).await.unwrap();
    assert!(
        others.len() == 1 && others[0].location.ends_with(".tmp"),
        "nor is the metadata that someone may be about to point to: {others:#?}"
    );
    // The data file, the metadata, list and manifest of the commit, the temporary file. Metadata of earlier versions is in the log.
    assert_eq!(found.len(), given_up.written_files.len() + 2, "{found:#?}");
    let now = world.row(COUNT).await;
    assert_eq!(remove(&world.lake, &found).await.failed, Vec::<String>::new());
    world.lake = open_lake(world.lake.warehouse());
    assert_eq!(world.row(COUNT).await, now);
    assert!(table_folder.join("data/notes.txt").exists() && table_folder.join("README.parquet").exists());
}
