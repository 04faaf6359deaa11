//! The folder that a storage keeps to: it reads all there is, and writes and removes nothing outside of that folder.
//!
//! So an environment cannot change what others read, whatever asks for it: every file is created and removed by way of the storage.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::PathError;

/// Where a storage may write: anywhere, or in one folder.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct OwnFolder {
    /// As the storage spells it, with a slash at the end.
    folder: Option<String>,
}

impl OwnFolder {
    /// A folder as the storage spells it.
    pub(super) fn of(folder: &str) -> Self {
        Self {
            folder: Some(format!("{}/", folder.trim_end_matches('/'))),
        }
    }

    /// Refuses a location, as the storage spells it, that is outside.
    pub(super) fn holds(&self, action: &'static str, location: &str) -> Result<(), PathError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let inside = location
            .strip_prefix(folder.as_str())
            .is_some_and(|rest| rest.split('/').all(|part| part != ".."));
        if inside {
            return Ok(());
        }
        Err(PathError {
            action,
            path: PathBuf::from(location),
            source: io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("it is not in `{folder}`, and nothing else may be changed from here"),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_inside_may_be_changed() {
        let anywhere = OwnFolder::default();
        assert!(anywhere.holds("write", "/lake/silver/x").is_ok());
        let own = OwnFolder::of("/lake/_environments/a");
        for (location, holds) in [
            ("/lake/_environments/a/silver/x.parquet", true),
            ("/lake/_environments/a/..x/y..", true),
            ("/lake/_environments/a", false),
            ("/lake/_environments/ab/x", false),
            ("/lake/silver/x.parquet", false),
            ("/lake/_environments/a/../../silver/x.parquet", false),
            ("s3://lake/_environments/a/x", false),
        ] {
            assert_eq!(own.holds("write", location).is_ok(), holds, "{location}");
        }
    }
}
