//! From the table of a `features` asset to its configuration.

use assets::kind::{CompileContext, CompiledKind};
use assets::table::TableReader;
use serde::{Deserialize, Serialize};

use crate::sql::{QueryConfig, compile_query, query_inputs};

/// What a `features` asset keeps; training sets and inference read it from the asset's `config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeaturesConfig {
    /// The query.
    pub query: QueryConfig,
    /// The columns that say what a row is about, at least one.
    pub entity: Vec<String>,
    /// The column that says from when on a row is known.
    pub timestamp: String,
    /// For how many seconds a row may serve after its timestamp; `None` is for ever.
    pub ttl_seconds: Option<u64>,
    /// The column that says when a row was made.
    pub created: Option<String>,
}

pub(super) fn compile(table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<CompiledKind> {
    let query = compile_query(table, context);
    let entity: Vec<String> = table
        .strings("entity")
        .into_iter()
        .map(|column| column.value.to_owned())
        .collect();
    if entity.is_empty() && table.has("entity") {
        table.invalid("entity", "`entity` names no column");
    }
    let timestamp = table.string("timestamp").map(|column| column.value.to_owned());
    if let Some(timestamp) = &timestamp
        && entity.contains(timestamp)
    {
        table.invalid(
            "timestamp",
            format!("`timestamp` names `{timestamp}`, which is an entity column"),
        );
    }
    let (config, parsed) = query?;
    let config = FeaturesConfig {
        query: config,
        entity: (!entity.is_empty()).then_some(entity)?,
        timestamp: timestamp?,
        ttl_seconds: table.duration("ttl").map(|ttl| ttl.value),
        created: table.string("created").map(|column| column.value.to_owned()),
    };
    let inputs = query_inputs(&parsed);
    // Entity, timestamp and time to live do not change the rows; whoever joins them has them in its own fingerprint.
    let config = serde_json::to_value(config).expect("texts and numbers have a JSON form");
    Some(CompiledKind {
        config,
        code: vec![parsed.code],
        inputs,
    })
}
