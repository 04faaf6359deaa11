//! Saving (temporary file, sync, rename, sync of the folder) and loading.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde::Deserialize;

use super::super::ModelError;
use super::{Artifact, FORMAT, VERSION};

/// What is read before anything else: whether the rest can be.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

impl Artifact {
    /// The bytes of the artifact file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("an artifact has string keys and finite numbers");
        bytes.push(b'\n');
        bytes
    }

    /// Writes the artifact. The file is there in whole or not at all, also after a crash.
    ///
    /// # Errors
    /// [`ModelError::File`] when the folder is missing or the disk refuses.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        let failed = |source| ModelError::File {
            action: "write",
            path: path.to_owned(),
            source,
        };
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".part");
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&self.to_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(failed)
    }

    /// Reads an artifact and makes sure that it can predict.
    ///
    /// # Errors
    /// [`ModelError::File`] when the file cannot be read, [`ModelError::Artifact`] when it is not a whole artifact.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let bytes = fs::read(path).map_err(|source| ModelError::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(&bytes).map_err(|reason| ModelError::Artifact {
            path: path.to_owned(),
            reason,
        })
    }

    /// Reads the bytes of an artifact file; says what is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let malformed = |error: serde_json::Error| match error.classify() {
            serde_json::error::Category::Eof => "it ends too early, so it was cut off".to_owned(),
            _ => format!("it is not what was written: {error}"),
        };
        if !bytes.trim_ascii_end().ends_with(b"}") {
            return Err("it ends too early, so it was cut off".to_owned());
        }
        let header: Header = serde_json::from_slice(bytes).map_err(malformed)?;
        if header.format != FORMAT {
            return Err(format!("its format is {:?}, not {FORMAT:?}", header.format));
        }
        if header.version != VERSION {
            return Err(format!(
                "it is of version {}, and this program reads version {VERSION}",
                header.version
            ));
        }
        let artifact: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        artifact.validate()?;
        Ok(artifact)
    }
}
