//! The files that a project was read from: kept to tell whether they were changed since, and to start from when the ones on
//! disk have mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use assets::Fingerprint;
use assets::files::{FileError, ProjectFiles};
use serde::{Deserialize, Serialize};

use super::disk::DiskFiles;

/// What a project was read from, byte for byte. It can be read again like the folder itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeptFiles {
    /// Files by path; `None` for one that was looked for and is not there.
    files: BTreeMap<String, Option<Text>>,
    /// Folders whose files of an extension count, and those files.
    folders: BTreeMap<String, BTreeSet<String>>,
}

/// A file's bytes: as text where they are text, so that a person can read the copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Bytes { hex: String },
}

/// How the files looked from outside: length, time of change, number of the file. Equal means that nothing was changed, short
/// of a program that goes out of its way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp(BTreeMap<String, Option<(u64, i64, i64, u64)>>);

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Plain(text),
            Err(error) => Self::Bytes {
                hex: hex::encode(error.into_bytes()),
            },
        }
    }
}

impl KeptFiles {
    /// As one text, from which they can be read again.
    pub fn copy(&self) -> String {
        serde_json::to_string(self).expect("texts have a JSON form")
    }

    /// Tells one version of the files from all others.
    pub fn version(&self) -> Fingerprint {
        // Not of the copy: that is long, and most commands need none.
        let files = self.files.iter().flat_map(|(path, text)| match text {
            None => [path.as_str(), "missing", ""],
            Some(Text::Plain(text)) => [path.as_str(), "text", text.as_str()],
            Some(Text::Bytes { hex }) => [path.as_str(), "bytes", hex.as_str()],
        });
        let folders = self.folders.iter().flat_map(|(folder, files)| {
            let files = files.iter().flat_map(|file| [file.as_str(), "listed", ""]);
            [folder.as_str(), "folder", ""].into_iter().chain(files)
        });
        Fingerprint::of(files.chain(folders))
    }

    /// Whether the folder holds the same now. Reads every file again.
    pub fn are_those_of(&self, disk: &DiskFiles) -> bool {
        let folders = self.folders.keys().map(|folder| (folder, listed(disk, folder)));
        if !folders.into_iter().all(|(folder, found)| self.folders[folder] == found) {
            return false;
        }
        let same = |(path, kept): (&String, &Option<Text>)| disk.read(path).ok().map(Text::from) == *kept;
        self.files.iter().all(same)
    }

    /// How the files look from outside now.
    pub fn stamp(&self, disk: &DiskFiles) -> Stamp {
        let listed = self.folders.keys().flat_map(|folder| listed(disk, folder));
        let paths: BTreeSet<String> = self.files.keys().cloned().chain(listed).collect();
        let look = |path: String| {
            let seen = std::fs::metadata(disk.root().join(&path)).ok();
            let seen = seen.map(|seen| (seen.len(), seen.mtime(), seen.mtime_nsec(), seen.ino()));
            (path, seen)
        };
        Stamp(paths.into_iter().map(look).collect())
    }

    /// The folders in which a change can matter, from the project's: those that are looked through, and those of files.
    pub fn places(&self) -> BTreeSet<PathBuf> {
        let parents = self.files.keys().filter_map(|path| Path::new(path).parent());
        let folders = self.folders.keys().map(|folder| Path::new(split(folder).0));
        parents.chain(folders).map(Path::to_owned).collect()
    }
}

/// `assets *.toml`: a folder and an extension as one text, which JSON can have as a key.
fn joined(folder: &str, extension: &str) -> String {
    format!("{folder} *.{extension}")
}

fn split(joined: &str) -> (&str, &str) {
    joined.rsplit_once(" *.").unwrap_or((joined, ""))
}

fn listed(disk: &DiskFiles, joined: &str) -> BTreeSet<String> {
    let (folder, extension) = split(joined);
    disk.list(folder, extension).unwrap_or_default().into_iter().collect()
}

impl ProjectFiles for KeptFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        match self.files.get(path) {
            Some(Some(Text::Plain(text))) => Ok(text.clone().into_bytes()),
            Some(Some(Text::Bytes { hex })) => {
                hex::decode(hex).map_err(|error| FileError::Other(format!("the kept copy is damaged: {error}")))
            }
            Some(None) | None => Err(FileError::Missing),
        }
    }

    fn list(&self, folder: &str, extension: &str) -> Result<Vec<String>, FileError> {
        let kept = self.folders.get(&joined(folder, extension));
        Ok(kept.into_iter().flatten().cloned().collect())
    }
}

/// A project's folder that remembers what was read of it.
pub struct RecordedFiles<'d> {
    disk: &'d DiskFiles,
    kept: Mutex<KeptFiles>,
}

impl<'d> RecordedFiles<'d> {
    /// Nothing was read yet.
    pub fn new(disk: &'d DiskFiles) -> Self {
        Self {
            disk,
            kept: Mutex::default(),
        }
    }

    /// What was read.
    pub fn finish(self) -> KeptFiles {
        self.kept.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, KeptFiles> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProjectFiles for RecordedFiles<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let read = self.disk.read(path);
        let text = read.as_ref().ok().cloned().map(Text::from);
        self.kept().files.insert(path.to_owned(), text);
        read
    }

    fn list(&self, folder: &str, extension: &str) -> Result<Vec<String>, FileError> {
        let found = self.disk.list(folder, extension)?;
        // The whole project is looked through only for names to suggest, and holds the lake.
        if !folder.is_empty() {
            let files = found.iter().cloned().collect();
            self.kept().folders.insert(joined(folder, extension), files);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_read_like_the_folder_and_tells_every_change() {
        let folder = tempfile::tempdir().unwrap();
        let disk = DiskFiles::new(folder.path());
        std::fs::create_dir(folder.path().join("assets")).unwrap();
        std::fs::write(folder.path().join("assets/a.toml"), "a").unwrap();
        std::fs::write(folder.path().join("run.R"), b"caf\xe9").unwrap();
        let recorded = RecordedFiles::new(&disk);
        assert_eq!(recorded.list("assets", "toml").unwrap(), ["assets/a.toml"]);
        recorded.list("", "sql").unwrap();
        for path in ["assets/a.toml", "run.R"] {
            recorded.read(path).unwrap();
        }
        assert_eq!(recorded.read("sql/later.sql"), Err(FileError::Missing));
        let kept = recorded.finish();
        let kept: KeptFiles = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
        assert_eq!(kept.read("run.R").unwrap(), b"caf\xe9");
        assert_eq!(kept.list("assets", "toml").unwrap(), ["assets/a.toml"]);
        assert_eq!(kept.read("sql/later.sql"), Err(FileError::Missing));
        assert!(kept.are_those_of(&disk));
        let places: Vec<PathBuf> = kept.places().into_iter().collect();
        assert_eq!(places, ["", "assets", "sql"].map(PathBuf::from));

        let before = kept.stamp(&disk);
        assert_eq!(before, kept.stamp(&disk));
        std::fs::write(folder.path().join("assets/b.toml"), "b").unwrap();
        assert!(!kept.are_those_of(&disk) && kept.stamp(&disk) != before, "a new file");
        std::fs::remove_file(folder.path().join("assets/b.toml")).unwrap();
        assert!(kept.are_those_of(&disk));
        std::fs::create_dir(folder.path().join("sql")).unwrap();
        std::fs::write(folder.path().join("sql/later.sql"), "").unwrap();
        assert!(
            !kept.are_those_of(&disk) && kept.stamp(&disk) != before,
            "a file that was missing"
        );
    }
}
