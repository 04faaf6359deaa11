//! The files of a project on disk.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use assets::files::{FileError, ProjectFiles};
use assets::table::MOST_BYTES;
use nix::fcntl::OFlag;

/// A project's folder.
#[derive(Debug, Clone)]
pub struct DiskFiles {
    root: PathBuf,
}

impl DiskFiles {
    /// The project in `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Finds the project that holds `folder`: the nearest folder upwards with a `millpond.toml`.
    pub fn find(folder: &Path) -> Option<Self> {
        folder
            .ancestors()
            .find(|folder| folder.join("millpond.toml").is_file())
            .map(Self::new)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl ProjectFiles for DiskFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let full = self.root.join(path);
        // A pipe or a device would block for ever; a folder has nothing to read.
        let mut file = File::options()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(&full)
            .map_err(error)?;
        let metadata = file.metadata().map_err(error)?;
        if !metadata.is_file() {
            return Err(FileError::Other("not a plain file".to_owned()));
        }
        let limit = MOST_BYTES as u64;
        if metadata.len() > limit {
            return Err(FileError::TooLarge(metadata.len()));
        }
        // One more than it says: the read that fills it is the last one.
        let mut bytes = vec![0; metadata.len() as usize + 1];
        let mut length = 0;
        loop {
            match file.read(&mut bytes[length..]) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(error(cause)),
            }
            // It grew meanwhile.
            if length == bytes.len() && length as u64 <= limit {
                bytes.resize((length * 2).min(MOST_BYTES + 1), 0);
            }
        }
        bytes.truncate(length);
        if bytes.len() as u64 > limit {
            return Err(FileError::TooLarge(bytes.len() as u64));
        }
        Ok(bytes)
    }

    fn list(&self, folder: &str, extension: &str) -> Result<Vec<String>, FileError> {
        let mut found = Vec::new();
        let mut folders = vec![folder.trim_end_matches('/').to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match std::fs::read_dir(self.root.join(&folder)) {
                Ok(entries) => entries,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(error(cause)),
            };
            for entry in entries {
                let entry = entry.map_err(error)?;
                let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                    continue;
                };
                if name.starts_with('.') {
                    continue;
                }
                let path = if folder.is_empty() {
                    name.clone()
                } else {
                    format!("{folder}/{name}")
                };
                // Links to folders are not followed: they could lead in a circle or out of the project.
                if entry.file_type().map_err(error)?.is_dir() {
                    folders.push(path);
                } else if Path::new(&name).extension().is_some_and(|found| found == extension) {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

fn error(cause: io::Error) -> FileError {
    if cause.kind() == io::ErrorKind::NotFound {
        FileError::Missing
    } else {
        FileError::Other(cause.to_string())
    }
}
