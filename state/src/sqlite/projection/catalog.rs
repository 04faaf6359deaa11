//! `iceberg_tables` by compare-and-set, and `table_pointer` beside it.

use assets::AssetKey;
use assets::outcome::TablePointer;
use rusqlite::{OptionalExtension, params};

use super::{Projection, Refusal, Stamp, illegal};
use crate::sqlite::catalog::CATALOG;
use crate::sqlite::commit::CommitError;

const CREATE: &str = "
    INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)
    VALUES (?1, ?2, ?3, ?4, 'TABLE')
    ON CONFLICT DO NOTHING";

const CREATE_NAMESPACE: &str = "
    INSERT INTO iceberg_namespace_properties (catalog_name, namespace, property_key, property_value)
    VALUES (?1, ?2, 'exists', 'true')
    ON CONFLICT DO NOTHING";

const COMPARE_AND_SET: &str = "
    UPDATE iceberg_tables SET metadata_location = ?5, previous_metadata_location = ?4
    WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3 AND metadata_location = ?4";

const SET: &str = "
    UPDATE iceberg_tables SET metadata_location = ?4
    WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3";

const FOUND: &str = "
    SELECT metadata_location FROM iceberg_tables
    WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3";

const KNOWN: &str = "
    SELECT metadata_location, snapshot_id FROM table_pointer WHERE asset = ?1";

const SET_KNOWN: &str = "
    INSERT INTO table_pointer (asset, metadata_location, snapshot_id, seq, at) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (asset) DO UPDATE SET metadata_location = ?2, snapshot_id = ?3, seq = ?4, at = ?5";

impl Projection<'_> {
    pub(super) fn pointer_moved(
        &mut self,
        stamp: Stamp,
        table: &AssetKey,
        from: Option<&TablePointer>,
        to: &TablePointer,
    ) -> Result<(), Refusal> {
        let (layer, name) = (table.layer(), table.name());
        let location = to.metadata_location.as_str();
        let changed = match from {
            None => {
                self.connection
                    .prepare_cached(CREATE_NAMESPACE)?
                    .execute([CATALOG, layer])?;
                self.connection
                    .prepare_cached(CREATE)?
                    .execute([CATALOG, layer, name, location])?
            }
            Some(from) => self.connection.prepare_cached(COMPARE_AND_SET)?.execute([
                CATALOG,
                layer,
                name,
                &from.metadata_location,
                location,
            ])?,
        };
        if changed != 1 {
            let found: Option<String> = self
                .connection
                .prepare_cached(FOUND)?
                .query_row([CATALOG, layer, name], |row| row.get(0))
                .optional()?
                .flatten();
            // Another program moved the table to exactly this version, and the core has seen it: nothing is left to set.
            let adopted = found.as_deref() == Some(location) && self.known(table)?.as_ref() == from;
            if !adopted {
                return Err(Refusal::Commit(CommitError::PointerConflict {
                    table: table.clone(),
                    expected: from.map(|from| from.metadata_location.clone()),
                    found,
                }));
            }
        } else if self.known(table)?.as_ref() != from {
            return illegal(format!("`{table}` is at the named file, but not at the named snapshot"));
        }
        self.connection.prepare_cached(SET_KNOWN)?.execute(params![
            table.as_str(),
            location,
            to.snapshot_id,
            stamp.seq,
            stamp.at
        ])?;
        Ok(())
    }

    /// The version that a table has, whatever it had before.
    pub(super) fn pointer_found(&mut self, stamp: Stamp, table: &AssetKey, to: &TablePointer) -> Result<(), Refusal> {
        let (layer, name) = (table.layer(), table.name());
        self.connection
            .prepare_cached(CREATE_NAMESPACE)?
            .execute([CATALOG, layer])?;
        self.connection
            .prepare_cached(CREATE)?
            .execute([CATALOG, layer, name, &to.metadata_location])?;
        self.connection
            .prepare_cached(SET)?
            .execute([CATALOG, layer, name, &to.metadata_location])?;
        self.connection.prepare_cached(SET_KNOWN)?.execute(params![
            table.as_str(),
            to.metadata_location,
            to.snapshot_id,
            stamp.seq,
            stamp.at
        ])?;
        Ok(())
    }

    fn known(&self, table: &AssetKey) -> rusqlite::Result<Option<TablePointer>> {
        self.connection
            .prepare_cached(KNOWN)?
            .query_row([table.as_str()], |row| {
                Ok(TablePointer {
                    metadata_location: row.get(0)?,
                    snapshot_id: row.get(1)?,
                })
            })
            .optional()
    }
}
