//! What ad-hoc queries read, the newest version of every table, and where they put what does not fit into memory.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use assets::AssetKey;
use assets::outcome::TablePointer;
use state::sqlite::{StateError, Store};

use super::folder::StateFolder;
use super::{clock, environment};
use crate::core::Definitions;

/// Tables that are read at a time.
const AT_A_TIME: usize = 1000;

/// The names that a query may use, with their newest versions: `None` where an asset has no table yet. A model never has one.
pub fn tables(
    store: Option<&Store>,
    definitions: &Definitions,
) -> Result<BTreeMap<AssetKey, Option<TablePointer>>, StateError> {
    let declared = definitions.ordered().iter().filter(|asset| asset.kind != "training");
    let mut tables: BTreeMap<AssetKey, Option<TablePointer>> =
        declared.map(|asset| (asset.key.clone(), None)).collect();
    let Some(store) = store else { return Ok(tables) };
    let mut after = None;
    loop {
        let page = store.catalog_tables(after.as_ref(), AT_A_TIME)?;
        let Some(last) = page.last() else { return Ok(tables) };
        after = Some(last.asset.clone());
        for table in page {
            if let Some(pointer) = store.pointer(&table.asset)? {
                tables.insert(table.asset, Some(pointer));
            }
        }
    }
}

/// A folder for spill files that goes when the query is over.
pub struct Scratch(PathBuf);

impl Scratch {
    /// `None` on a full disk: there is no room to spill to, and most queries need none.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(folder: &StateFolder) -> std::io::Result<Option<Self>> {
        let name = format!("{}-{}-{:x}", std::process::id(), clock::now(), environment::seed());
        let path = folder.path().join("queries").join(name);
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(Some(Self(path))),
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed with the state folder.
        std::fs::remove_dir_all(&self.0).ok();
    }
}
