//! Damaged and missing files, full disks: errors name the file and have the right class.

use super::*;
use assets::outcome::FailureClass;
use std::path::PathBuf;

async fn flights() -> World {
    let mut world = World::new();
    world.publish_days(&["2013-03-01"], &[day(0, 0, 5000)]).await;
    world
}

fn files(world: &World, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![world.folder.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found
}

fn cut(path: &PathBuf) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

/// The failure of a query by a process that has read nothing yet.
async fn failure(world: &World, sql: &str) -> assets::outcome::Failure {
    let fresh = World {
        folder: TempDir::new().unwrap(),
        lake: open_lake(world.lake.warehouse()),
        pointer: world.pointer.clone(),
        attempt: 0,
        contract: Contract::default(),
    };
    let session = fresh.session(ScanOptions::default());
    let stream = match session.execute(sql, &[]).await {
        Ok(stream) => stream,
        Err(error) => return error.failure,
    };
    let rows: Result<Vec<RecordBatch>, _> = stream.try_collect().await;
    session.read_error(rows.expect_err("the file is damaged")).failure
}

#[tokio::test]
async fn truncated_metadata_is_named() {
    let world = flights().await;
    let metadata = &files(&world, ".metadata.json")[0];
    cut(metadata);
    let failure = failure(&world, "SELECT * FROM silver.flights").await;
    assert_eq!(failure.class, FailureClass::Data, "{failure}");
    assert!(
        failure
            .message
            .contains(metadata.file_name().unwrap().to_str().unwrap()),
        "{failure}"
    );
}

#[tokio::test]
async fn truncated_manifests_and_lists_are_named() {
    for ending in ["-m0.avro", "snap-"] {
        let world = flights().await;
        let path = files(&world, ".avro")
            .into_iter()
            .find(|path| path.to_string_lossy().contains(ending))
            .unwrap();
        cut(&path);
        let failure = failure(&world, "SELECT * FROM silver.flights").await;
        assert_eq!(failure.class, FailureClass::Data, "{failure}");
        assert!(
            failure.message.contains(path.file_name().unwrap().to_str().unwrap()),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn a_missing_manifest_is_named() {
    let world = flights().await;
    let path = files(&world, "-m0.avro")[0].clone();
    std::fs::remove_file(&path).unwrap();
    let failure = failure(&world, "SELECT * FROM silver.flights").await;
    assert_eq!(failure.class, FailureClass::Data);
    assert!(failure.message.contains("is gone"), "{failure}");
}

#[tokio::test]
async fn corrupt_data_files_are_named() {
    // Cut short: the footer is gone.
    let world = flights().await;
    let path = files(&world, ".parquet")[0].clone();
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    cut(&path);
    let cut_short = failure(&world, "SELECT max(id) FROM silver.flights WHERE delay > 1").await;
    assert!(matches!(cut_short.class, FailureClass::Data), "{cut_short:?}");
    assert!(cut_short.message.contains(&name), "{cut_short}");
    // Damaged inside: the footer is fine, the pages are not.
    let world = flights().await;
    let path = files(&world, ".parquet")[0].clone();
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len() / 2;
    bytes[8..end].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    let damaged = failure(&world, "SELECT sum(id), max(carrier), sum(delay) FROM silver.flights").await;
    assert_eq!(damaged.class, FailureClass::Data, "{damaged:?}");
    assert!(damaged.message.contains(&name), "{damaged}");
}

#[test]
fn a_full_disk_is_told_apart_from_other_errors() {
    for (code, class) in [
        (28, FailureClass::DiskFull),
        (122, FailureClass::DiskFull),
        (27, FailureClass::DiskFull),
        (5, FailureClass::Io),
        (13, FailureClass::Io),
    ] {
        let system = || std::io::Error::from_raw_os_error(code);
        assert_eq!(LakeError::io("write", "/x", system()).failure().class, class);
        // The same error after a way through the libraries.
        let storage = PathError {
            action: "write",
            path: "/x".into(),
            source: system(),
        };
        let through = LakeError::iceberg("write", "a manifest", iceberg::Error::from(storage));
        assert_eq!(through.failure().class, class, "{through}");
        let parquet = parquet::errors::ParquetError::External(Box::new(system()));
        assert_eq!(LakeError::parquet("write", "/x", &parquet).failure().class, class);
        let engine = datafusion::common::DataFusionError::External(Box::new(system()));
        assert_eq!(LakeError::from(engine).failure().class, class);
    }
}

#[tokio::test]
async fn writing_to_a_full_device_is_disk_full() {
    // `/dev/full` answers every write with ENOSPC; it stands in for the temporary file.
    let mut full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let error = std::io::Write::write_all(&mut full, b"x").unwrap_err();
    assert!(LakeError::io("write", "/dev/full", error).is_disk_full());
}

#[tokio::test]
async fn nothing_is_overwritten_and_nothing_is_left_half() {
    let folder = TempDir::new().unwrap();
    let location = format!("file://{}/a/b/c.json", folder.path().display());
    let storage = LocalStorage::default();
    let write = async |text: &str| {
        let mut file = storage.create(&location).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        storage.seal(vec![file]).await
    };
    write("first").await.unwrap();
    let taken = write("second").await.unwrap_err();
    assert_eq!(taken.source.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(&storage.read_file(&location).await.unwrap()[..], b"first");
    drop(storage.create(&location).unwrap());
    let names: Vec<_> = std::fs::read_dir(folder.path().join("a/b"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["c.json"], "temporary files are gone");
}
