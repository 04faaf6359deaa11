//! `source` and `source_file`: what an ingest asset's sources held when they were last looked at.

use std::collections::BTreeMap;

use assets::AssetKey;
use assets::outcome::{Observation, SourceFile};
use rusqlite::params;

use super::{Projection, Refusal, Stamp};
use crate::sqlite::value::{integer, to_json};

const SET_SOURCE: &str = "
    INSERT INTO source (asset, seq, at, files, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (asset) DO UPDATE SET seq = ?2, at = ?3, files = ?4, bytes = ?5";

const STORED: &str = "
    SELECT path, bytes, modified_ns, sha256, partitions FROM source_file WHERE asset = ?1";

const SET_FILE: &str = "
    INSERT OR REPLACE INTO source_file (asset, path, bytes, modified_ns, sha256, partitions)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const REMOVE_FILE: &str = "
    DELETE FROM source_file WHERE asset = ?1 AND path = ?2";

/// The columns of a file besides its path.
type Row = (i64, i64, String, Option<String>);

impl Projection<'_> {
    /// Writes only what differs: most looks find what was there before.
    pub(super) fn source_observed(
        &mut self,
        stamp: Stamp,
        asset: &AssetKey,
        observation: &Observation,
    ) -> Result<(), Refusal> {
        let asset = asset.as_str();
        let bytes = observation.files.iter().map(|file| file.bytes).sum();
        self.connection.prepare_cached(SET_SOURCE)?.execute(params![
            asset,
            stamp.seq,
            stamp.at,
            observation.files.len() as i64,
            integer(bytes)
        ])?;
        let mut stored: BTreeMap<String, Row> = self
            .connection
            .prepare_cached(STORED)?
            .query_map([asset], |row| {
                Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
            })?
            .collect::<Result<_, _>>()?;
        let mut set = self.connection.prepare_cached(SET_FILE)?;
        for file in &observation.files {
            let row = row_of(file);
            if stored.remove(&file.path).as_ref() != Some(&row) {
                set.execute(params![asset, file.path, row.0, row.1, row.2, row.3])?;
            }
        }
        let mut remove = self.connection.prepare_cached(REMOVE_FILE)?;
        for path in stored.keys() {
            remove.execute([asset, path])?;
        }
        Ok(())
    }
}

fn row_of(file: &SourceFile) -> Row {
    (
        integer(file.bytes),
        file.modified_ns,
        file.sha256.clone(),
        file.partitions.as_ref().map(to_json),
    )
}
