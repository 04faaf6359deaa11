//! How the files of a project reach the reader. The implementation over a disk lives at the edge of the program.

use std::collections::BTreeMap;

/// The files of one project. Paths are relative to it, with `/` between parts.
pub trait ProjectFiles: Sync {
    /// The bytes of a file.
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError>;

    /// The paths of the files below `folder` (at any depth; `""` is the project) whose names end in `.extension`, sorted.
    /// A folder that does not exist is empty.
    fn list(&self, folder: &str, extension: &str) -> Result<Vec<String>, FileError>;
}

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is no such file.
    #[error("no such file")]
    Missing,
    /// The file is larger than the reader takes ([`crate::table::MOST_BYTES`]).
    #[error("the file has {0} bytes")]
    TooLarge(u64),
    /// Anything else, in the words of the system.
    #[error("{0}")]
    Other(String),
}

/// Why a text is not the path of a file inside a project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing is there.
    #[error("a path cannot be empty")]
    Empty,
    /// It begins at the root of the file system or a drive.
    #[error("an absolute path leaves the project")]
    Absolute,
    /// It has a part `..`.
    #[error("`..` leaves the project")]
    Parent,
    /// It has a control character or a backslash.
    #[error("a path cannot hold {0:?}")]
    Character(char),
}

/// Joins a path written by a user to a folder of the project and drops `.` parts. What leaves the project is refused.
pub fn project_path(folder: &str, written: &str) -> Result<String, PathError> {
    if let Some(c) = written.chars().find(|c| c.is_control() || *c == '\\') {
        return Err(PathError::Character(c));
    }
    if written.starts_with('/') || written.as_bytes().get(1) == Some(&b':') {
        return Err(PathError::Absolute);
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let before = parts.len();
    for part in written.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(PathError::Parent),
            _ => parts.push(part),
        }
    }
    if parts.len() == before {
        Err(PathError::Empty)
    } else {
        Ok(parts.join("/"))
    }
}

/// The folder of a path; `""` for a file of the project's own folder.
pub fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A project in memory: for tests, and for text that comes over the network.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles {
    files: BTreeMap<String, Vec<u8>>,
}

impl MemoryFiles {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), bytes.into());
    }

    /// The same with one more file.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.insert(path, bytes);
        self
    }
}

impl ProjectFiles for MemoryFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        self.files.get(path).cloned().ok_or(FileError::Missing)
    }

    fn list(&self, folder: &str, extension: &str) -> Result<Vec<String>, FileError> {
        let ending = format!(".{extension}");
        let below =
            |path: &str| folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        Ok(self
            .files
            .keys()
            .filter(|path| path.ends_with(&ending) && below(path))
            .cloned()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_the_project() {
        assert_eq!(
            project_path("assets", "silver/./flights.sql"),
            Ok("assets/silver/flights.sql".to_owned())
        );
        assert_eq!(project_path("", "a.sql"), Ok("a.sql".to_owned()));
        assert_eq!(project_path("assets", "../secrets.sql"), Err(PathError::Parent));
        assert_eq!(project_path("assets", "a/../../b"), Err(PathError::Parent));
        assert_eq!(project_path("", "/etc/passwd"), Err(PathError::Absolute));
        assert_eq!(project_path("", "C:/x"), Err(PathError::Absolute));
        assert_eq!(project_path("", "a\\b"), Err(PathError::Character('\\')));
        assert_eq!(project_path("", "a\0b"), Err(PathError::Character('\0')));
        assert_eq!(project_path("assets", "./"), Err(PathError::Empty));
    }
}
