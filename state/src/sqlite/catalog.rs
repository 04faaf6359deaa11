//! The Iceberg SQL catalog's tables, read. `commit` is what moves a pointer.
//!
//! Other programs (PyIceberg's `SqlCatalog` with the name `millpond`, Spark's JDBC catalog) open the same two tables. One of
//! them may move a pointer on its own; [`CatalogTable::moved_outside`] tells, and the next `PointerMoved` whose `from` is
//! not what the table has is refused.

use assets::AssetKey;
use assets::outcome::TablePointer;
use rusqlite::OptionalExtension;
use serde::Serialize;

use super::error::StateError;
use super::open::Store;
use super::value;

/// The name under which other programs find the tables.
pub const CATALOG: &str = "millpond";

const POINTER: &str = "
    SELECT metadata_location, snapshot_id FROM table_pointer WHERE asset = ?1";

const TABLES: &str = "
    SELECT i.table_namespace || '.' || i.table_name, i.metadata_location, i.previous_metadata_location,
           p.metadata_location, p.snapshot_id, p.at
    FROM iceberg_tables i
    LEFT JOIN table_pointer p ON p.asset = i.table_namespace || '.' || i.table_name
    WHERE i.catalog_name = 'millpond' AND (i.iceberg_type = 'TABLE' OR i.iceberg_type IS NULL)
      AND (?1 IS NULL OR (i.table_namespace, i.table_name) > (?1, ?2))
    ORDER BY i.table_namespace, i.table_name
    LIMIT ?3";

/// One table of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CatalogTable {
    /// The table.
    pub asset: AssetKey,
    /// Where the catalog says its metadata is.
    pub metadata_location: String,
    /// The one before.
    pub previous_metadata_location: Option<String>,
    /// The pointer this program last moved it to; `None` for a table that another program made.
    pub known: Option<TablePointer>,
    /// When it was moved there.
    pub moved_at: Option<i64>,
}

impl CatalogTable {
    /// Whether another program made the table or moved it since.
    pub fn moved_outside(&self) -> bool {
        self.known
            .as_ref()
            .is_none_or(|known| known.metadata_location != self.metadata_location)
    }
}

impl Store {
    /// The newest version of `table` that this program published; `None` before the first.
    pub fn pointer(&self, table: &AssetKey) -> Result<Option<TablePointer>, StateError> {
        Ok(self
            .connection
            .prepare_cached(POINTER)?
            .query_row([table.as_str()], |row| {
                Ok(TablePointer {
                    metadata_location: row.get(0)?,
                    snapshot_id: row.get(1)?,
                })
            })
            .optional()?)
    }

    /// Tables after `after` by layer and name, at most `limit`. Names that are not asset keys (made by other programs) are
    /// left out.
    pub fn catalog_tables(&self, after: Option<&AssetKey>, limit: usize) -> Result<Vec<CatalogTable>, StateError> {
        let mut statement = self.connection.prepare_cached(TABLES)?;
        let mut rows = statement.query(rusqlite::params![
            after.map(AssetKey::layer),
            after.map(AssetKey::name),
            value::integer(limit as u64),
        ])?;
        let mut tables = Vec::new();
        while let Some(row) = rows.next()? {
            let Ok(asset) = row.get_ref(0)?.as_str().unwrap_or_default().parse() else {
                continue;
            };
            let Some(metadata_location) = row.get(1)? else { continue };
            let known: Option<String> = row.get(3)?;
            let snapshot_id = row.get(4)?;
            tables.push(CatalogTable {
                asset,
                metadata_location,
                previous_metadata_location: row.get(2)?,
                known: known.map(|metadata_location| TablePointer {
                    metadata_location,
                    snapshot_id,
                }),
                moved_at: row.get(5)?,
            });
        }
        Ok(tables)
    }
}
