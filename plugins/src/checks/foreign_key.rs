//! `foreign_key`: every key without a null exists in another table, as an anti join with the pinned version of that table.

use arrow::datatypes::SchemaRef;
use assets::AssetKey;

use super::column;
use super::query::QueryCheck;
use super::unique::quoted;

pub(super) fn query(
    schema: &SchemaRef,
    columns: &[String],
    references: &AssetKey,
    referenced_columns: &[String],
) -> Result<QueryCheck, String> {
    column::positions(schema, columns)?;
    if columns.is_empty() || columns.len() != referenced_columns.len() {
        return Err(format!(
            "{} columns refer to {} columns of `{references}`",
            columns.len(),
            referenced_columns.len()
        ));
    }
    let pairs: Vec<String> = columns
        .iter()
        .zip(referenced_columns)
        .map(|(here, there)| format!("this.{} = referenced.{}", quoted(here), quoted(there)))
        .collect();
    let not_null: Vec<String> = columns
        .iter()
        .map(|column| format!("this.{} IS NOT NULL", quoted(column)))
        .collect();
    let distinct: Vec<String> = referenced_columns.iter().map(|column| quoted(column)).collect();
    // The other side is made distinct first: an anti join keeps it in memory, and a key is referenced many times.
    let sql = format!(
        "SELECT this.* FROM this LEFT ANTI JOIN (SELECT DISTINCT {} FROM {}.{}) AS referenced ON {} WHERE {}",
        distinct.join(", "),
        quoted(references.layer()),
        quoted(references.name()),
        pairs.join(" AND "),
        not_null.join(" AND "),
    );
    let listed: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
    Ok(QueryCheck {
        sql,
        expected: format!("every {} exists in `{references}`", listed.join(", ")),
        counted_by: None,
    })
}
