//! The source files of an ingest asset, as they were when they were last looked at.

use assets::AssetKey;
use assets::outcome::SourceFile;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::page::{Page, collect, one_more};
use crate::event::Micros;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

const SOURCE: &str = "
    SELECT at, files, bytes FROM source WHERE asset = ?1";

const FILES: &str = "
    SELECT path, bytes, modified_ns, sha256, partitions FROM source_file
    WHERE asset = ?1 AND path > ?2 ORDER BY path LIMIT ?3";

/// The newest look at an asset's sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct SourceRow {
    /// When.
    pub at: Micros,
    /// Files.
    pub files: u64,
    /// Bytes of all of them, as stored.
    pub bytes: u64,
}

/// When the sources of `asset` were last looked at; `None` if never.
pub fn source(store: &Store, asset: &AssetKey) -> Result<Option<SourceRow>, StateError> {
    Ok(store
        .connection
        .prepare_cached(SOURCE)?
        .query_row([asset.as_str()], |row| {
            Ok(SourceRow {
                at: row.get(0)?,
                files: value::count(row.get(1)?),
                bytes: value::count(row.get(2)?),
            })
        })
        .optional()?)
}

/// The files after the path `after`, by path.
pub fn source_files(
    store: &Store,
    asset: &AssetKey,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<SourceFile, String>, StateError> {
    let mut statement = store.connection.prepare_cached(FILES)?;
    let rows = statement.query(params![asset.as_str(), after.unwrap_or(""), one_more(limit)])?;
    let rows = collect(rows, |row| {
        Ok(SourceFile {
            path: row.get(0)?,
            bytes: value::count(row.get(1)?),
            modified_ns: row.get(2)?,
            sha256: row.get(3)?,
            partitions: value::optional_json("source_file.partitions", row.get(4)?)?,
        })
    })?;
    Ok(Page::of(rows, limit, |file| file.path.clone()))
}
