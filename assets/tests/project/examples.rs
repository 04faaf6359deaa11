//! The examples of the repository are read without a mistake.

use std::path::{Path, PathBuf};

use assets::files::{FileError, ProjectFiles};

use crate::kinds::TestKinds;

struct Folder(PathBuf);

impl ProjectFiles for Folder {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        std::fs::read(self.0.join(path)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => FileError::Missing,
            _ => FileError::Other(error.to_string()),
        })
    }

    fn list(&self, folder: &str, extension: &str) -> Result<Vec<String>, FileError> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.join(folder)];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(folder) else {
                continue;
            };
            for path in entries.map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|found| found == extension) {
                    found.push(path.strip_prefix(&self.0).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

#[test]
fn flights() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/flights");
    let loaded = assets::load(&Folder(root), &TestKinds);
    assert!(
        !loaded.diagnostics.has_errors(),
        "{}",
        loaded.diagnostics.render(&loaded.sources, false)
    );
    let project = loaded.project.unwrap();
    let upstream = |key: &str| -> Vec<String> {
        project
            .graph
            .upstream(&key.parse().unwrap())
            .iter()
            .map(|asset| asset.key.to_string())
            .collect()
    };
    assert_eq!(upstream("silver.flights"), ["bronze.flights", "silver.airports"]);
    assert_eq!(upstream("predictions.delay"), ["gold.to_score", "models.delay"]);
}
