//! The core decides and does nothing else: no clock, chance, locks, threads, async, files, network or SQL in it.

use std::path::Path;

const DOORS: [&str; 15] = [
    "tokio",
    "rusqlite",
    "datafusion",
    "iceberg",
    "futures::",
    "async ",
    ".await",
    "std::time",
    "std::fs",
    "std::io",
    "std::net",
    "std::thread",
    "std::env",
    "Mutex",
    "rand::",
];

#[test]
fn no_door_opens_in_the_core() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core")];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            read += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let door = DOORS.iter().find(|door| code.contains(**door));
                assert!(
                    door.is_none(),
                    "{}:{} opens {door:?}: {line}",
                    path.display(),
                    number + 1
                );
            }
        }
    }
    assert!(read > 20, "only {read} files were read");
}
