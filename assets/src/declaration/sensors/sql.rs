//! `kind = "sql"`: rows of a query over the project's tables.

use serde_json::Value;

use super::Reading;
use crate::declaration::context::inline_text;
use crate::diagnostic::{Code, Diagnostic};
use crate::sensor::{SensorSource, SqlSource};
use crate::sql::{self, Surroundings};
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

pub(super) static SQL: TableSpec = TableSpec {
    name: "sql sensor",
    doc: "A query over the project's tables, asked again and again; each row is an event.",
    fields: &[
        FieldSpec::required(
            "sql",
            FieldType::Text,
            "The query. `$cursor` is up to where it has read: `SELECT id FROM silver.orders WHERE id > $cursor ORDER BY id`.",
        ),
        FieldSpec::required("key", FieldType::Text, "The column that tells one event from another."),
        FieldSpec::optional(
            "cursor",
            FieldType::Text,
            "The column whose value in the last row is `$cursor` of the next look.",
        ),
        FieldSpec::optional("start", START, "What `$cursor` is at the first look."),
        FieldSpec::optional(
            "what",
            FieldType::Text,
            "The column that says what an event is, for people.",
        ),
        FieldSpec::optional(
            "partition",
            FieldType::Text,
            "The column that names the partition of an event.",
        ),
    ],
};

const START: FieldType = FieldType::OneOf(&[FieldType::String, FieldType::Integer, FieldType::Float]);

/// The parameter that is up to where a sensor has read.
const CURSOR: &str = "cursor";

pub(super) fn read(table: &TableReader<'_>, reading: &Reading<'_>) -> Option<SensorSource> {
    let written = table.string("sql")?;
    let column = |key: &str| table.string(key).map(|column| column.value.to_owned());
    let (cursor, start) = (column("cursor"), table.value("start").and_then(|start| start.to_json()));
    let mut params = reading.params.clone();
    params.insert(CURSOR.to_owned(), Value::Null);
    let text = inline_text(written, reading.sources);
    let query = sql::parse(
        &text,
        &Surroundings {
            params: &params,
            params_complete: reading.params_complete,
            this: false,
        },
        reading.sink,
    )?;
    if let Some(step) = sql::STEP_PARAMETERS
        .iter()
        .find(|name| query.parameters.contains(**name))
    {
        table.report(Diagnostic::new(
            Code::UnknownParameter,
            format!("`${step}` is bound in the queries of assets, and not in that of a sensor"),
            written.span,
        ));
        return None;
    }
    let reads_cursor = query.parameters.contains(CURSOR);
    let mistake = match (reads_cursor, &cursor, &start) {
        (true, None, _) => Some("the query reads `$cursor`, and `cursor` does not say which column it is"),
        (true, Some(_), None) => {
            Some("the query reads `$cursor`, and `start` does not say what it is at the first look")
        }
        (false, Some(_), _) | (false, _, Some(_)) => Some("the query does not read `$cursor`"),
        (true, Some(_), Some(_)) | (false, None, None) => None,
    };
    if let Some(message) = mistake {
        table.report(
            Diagnostic::new(Code::InvalidValue, message, written.span)
                .help("`WHERE id > $cursor ORDER BY id`, `cursor = \"id\"`, `start = 0`"),
        );
        return None;
    }
    let tables = query.tables.iter().map(|table| (table.asset.clone(), table.span));
    Some(SensorSource::Sql(SqlSource {
        tables: tables.collect(),
        sql: query.text.to_string(),
        code: query.code,
        key: column("key")?,
        cursor,
        start,
        what: column("what"),
        partition: column("partition"),
    }))
}
