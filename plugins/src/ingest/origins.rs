//! Where the columns of an ingest asset come from: the files, and expressions over their columns.

use assets::Asset;
use assets::sql::{ColumnOrigin, ColumnOrigins};

use super::IngestConfig;

pub(super) fn column_origins(asset: &Asset) -> Option<ColumnOrigins> {
    let config: IngestConfig = serde_json::from_value(asset.config.clone()).ok()?;
    let columns = config.derive.into_iter().map(|(column, expression)| ColumnOrigin {
        column,
        from: Vec::new(),
        expression: Some(expression),
        traced: true,
    });
    Some(ColumnOrigins {
        columns: columns.collect(),
        all_of: Vec::new(),
        outside: Some(config.path),
    })
}
