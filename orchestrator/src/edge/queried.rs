//! What ad-hoc queries read, the newest version of every table, and where they put what does not fit into memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use assets::AssetKey;
use assets::outcome::TablePointer;
use state::sqlite::{StateError, Store};

use super::folder::StateFolder;
use super::{clock, environment, readers};
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
pub struct Scratch {
    path: PathBuf,
    /// Locked for as long as something is read.
    _reading: Option<File>,
}

/// Which versions of tables are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Those that are current when it begins.
    Newest,
    /// Older ones too.
    Old,
}

impl Scratch {
    /// A folder for what reads no table by itself. `None` on a full disk: there is no room to spill to, and most queries need none.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(folder: &StateFolder) -> io::Result<Option<Self>> {
        let name = format!("{}-{}-{:x}", std::process::id(), clock::now(), environment::seed());
        let path = folder.queries().join(name);
        full_disk(std::fs::create_dir_all(&path).map(|()| Self { path, _reading: None }))
    }

    /// A folder for a query. From now until it goes, maintenance removes no file of what is read: to be made before it is looked up
    /// what the tables are.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn reading(folder: &StateFolder, reads: Reads) -> io::Result<Option<Self>> {
        let Some(mut scratch) = Self::new(folder)? else {
            return Ok(None);
        };
        let told = full_disk(readers::tell(&scratch.path, reads))?;
        Ok(told.map(|told| {
            scratch._reading = Some(told);
            scratch
        }))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed by maintenance.
        std::fs::remove_dir_all(&self.path).ok();
    }
}

fn full_disk<T>(made: io::Result<T>) -> io::Result<Option<T>> {
    match made {
        Ok(made) => Ok(Some(made)),
        Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => Ok(None),
        Err(error) => Err(error),
    }
}
