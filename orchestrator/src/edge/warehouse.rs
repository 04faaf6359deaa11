//! Where a process finds the tables, and raw files that are objects: a folder, or a store whose keys are looked up where the project says.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use assets::Warehouse;
use assets::warehouse::{S3Keys, S3Store};
use async_trait::async_trait;
use plugins::formats::Objects;
use plugins::lakehouse::{Lake, LakeError, S3Credentials};
use plugins::step::ProjectSettings;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::secrets::look_up;

/// How long keys are used before they are looked up again: those of a session change.
const KEYS_LAST: Duration = Duration::from_secs(300);

/// What a process needs to know to open the tables. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LakeSettings {
    /// Where they are.
    pub warehouse: Warehouse,
    /// The folder in it that is written to, where that is not all of it.
    pub writes_below: Option<String>,
    /// The project's folder: references to secrets start from it.
    pub root: String,
    /// The folder of what is to be uploaded.
    pub spool: String,
    /// How the store of raw files is reached.
    pub sources: S3Store,
    /// The folder of copies of raw files.
    pub copies: String,
}

impl LakeSettings {
    /// Those of a project.
    pub fn of(settings: &ProjectSettings) -> Self {
        Self {
            warehouse: settings.warehouse.clone(),
            writes_below: settings.writes_below.clone(),
            root: settings.root.clone(),
            spool: format!("{}/uploads", settings.state_folder),
            sources: settings.s3.clone(),
            copies: format!("{}/objects", settings.state_folder),
        }
    }

    /// Opens the tables. Nothing is read, looked up or asked of a store yet.
    pub fn open(&self) -> Result<Lake, LakeError> {
        let lake = match &self.warehouse.s3 {
            None => Lake::open(&self.warehouse.url)?,
            Some(store) => {
                let credentials = self.keys_of(store);
                Lake::connect(&self.warehouse.url, store, credentials, Path::new(&self.spool))?
            }
        };
        match &self.writes_below {
            None => Ok(lake),
            Some(folder) => lake.writing_below(folder),
        }
    }

    /// How raw files that are objects are reached. Must be called inside a tokio runtime.
    pub fn objects(&self) -> Objects {
        Objects::new(
            self.sources.clone(),
            self.keys_of(&self.sources),
            Path::new(&self.copies),
        )
    }

    fn keys_of(&self, store: &S3Store) -> Option<Arc<dyn S3Credentials>> {
        store.keys.clone().map(|keys| {
            let root = PathBuf::from(&self.root);
            Arc::new(DeclaredKeys {
                keys,
                root,
                known: Mutex::default(),
            }) as Arc<dyn S3Credentials>
        })
    }
}

/// Opens the tables of a project.
///
/// # Errors
/// As [`LakeSettings::open`].
pub fn open(settings: &ProjectSettings) -> Result<Lake, LakeError> {
    LakeSettings::of(settings).open()
}

/// Id, secret and token, and when they were looked up.
type Known = (Instant, (String, String, Option<String>));

/// Keys that are looked up where the project says.
struct DeclaredKeys {
    keys: S3Keys,
    root: PathBuf,
    known: Mutex<Option<Known>>,
}

impl std::fmt::Debug for DeclaredKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeclaredKeys")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl S3Credentials for DeclaredKeys {
    async fn look_up(&self) -> Result<(String, String, Option<String>), String> {
        let mut known = self.known.lock().await;
        if let Some((at, keys)) = &*known
            && at.elapsed() < KEYS_LAST
        {
            return Ok(keys.clone());
        }
        let value = async |reference| match look_up(reference, &self.root).await {
            Ok(secret) => Ok(secret.value().to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let token = match &self.keys.session_token {
            Some(token) => Some(value(token).await?),
            None => None,
        };
        let keys = (value(&self.keys.id).await?, value(&self.keys.secret).await?, token);
        *known = Some((Instant::now(), keys.clone()));
        Ok(keys)
    }
}
