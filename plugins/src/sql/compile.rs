//! From the table of a `sql` asset to its query.

use assets::asset::InputRole;
use assets::kind::{CompileContext, CompiledKind, DeclaredInput};
use assets::sql::Query;
use assets::table::TableReader;
use serde::{Deserialize, Serialize};

/// A query, as an asset keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryConfig {
    /// The query's text.
    pub sql: String,
    /// The file that holds it, by its path in the project; `None` if it stands in the declaration.
    pub file: Option<String>,
}

pub(super) fn compile(table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<CompiledKind> {
    let (config, query) = compile_query(table, context)?;
    let inputs = query_inputs(&query);
    let config = serde_json::to_value(config).expect("texts have a JSON form");
    Some(CompiledKind {
        config,
        code: vec![query.code],
        inputs,
    })
}

/// Reads the key `sql` of an asset.
pub(crate) fn compile_query(table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<(QueryConfig, Query)> {
    let written = table.string("sql")?;
    let query = context.parse_query(written)?;
    let file = (*query.text != *written.value).then(|| written.value.to_owned());
    Some((
        QueryConfig {
            sql: query.text.to_string(),
            file,
        },
        query,
    ))
}

/// The assets that a query reads.
pub(crate) fn query_inputs(query: &Query) -> Vec<DeclaredInput> {
    query
        .tables
        .iter()
        .map(|table| DeclaredInput {
            asset: table.asset.clone(),
            role: InputRole::Rows,
            span: table.span,
            default_mapping: None,
        })
        .collect()
}
