//! From the columns that a query gives to the columns of an Iceberg table, and from one version of a table's columns to the next.
//!
//! All columns are optional: a column that is never null is a check's business, and it must stay possible to stop filling one.
//! A field id, once given to a name, stays with it while the type allows, and goes over to another name where a rename is declared.
//!
//! `shape` knows the types, `evolution` how one version of the columns follows another, `conform` casts rows.

mod conform;
mod evolution;
mod shape;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema, SchemaRef as ArrowSchemaRef};
use iceberg::spec::{Schema, SchemaRef};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::error::LakeError;

pub(crate) use conform::conform;
pub(crate) use evolution::{Before, Evolution, join_staged, to_iceberg};
pub(super) use shape::widest;

/// The Arrow schema that files of `schema` are written with: field ids in the metadata, plain strings.
pub(crate) fn file_schema(schema: &Schema) -> Result<ArrowSchemaRef, LakeError> {
    iceberg::arrow::schema_to_arrow_schema(schema)
        .map(Arc::new)
        .map_err(|error| LakeError::Internal(format!("Arrow has no schema for the table's columns: {error}")))
}

/// The Arrow schema that queries see: strings as views, no field ids, and not the columns named in `hidden`.
pub(crate) fn query_schema(schema: &SchemaRef, hidden: &[&str]) -> Result<(ArrowSchemaRef, Vec<i32>), LakeError> {
    let arrow = file_schema(schema)?;
    let mut fields = Vec::new();
    let mut ids = Vec::new();
    for (field, column) in arrow.fields().iter().zip(schema.as_struct().fields()) {
        if hidden.contains(&field.name().as_str()) {
            continue;
        }
        fields.push(Arc::new(as_query_field(field)));
        ids.push(column.id);
    }
    Ok((Arc::new(ArrowSchema::new(Fields::from(fields))), ids))
}

fn as_query_field(field: &Field) -> Field {
    let data_type = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        other => without_ids(other),
    };
    Field::new(field.name(), data_type, true)
}

/// The same type without field ids on nested fields.
fn without_ids(data_type: &DataType) -> DataType {
    let plain = |field: &Arc<Field>| {
        let mut metadata = field.metadata().clone();
        metadata.remove(PARQUET_FIELD_ID_META_KEY);
        Arc::new(Field::new(field.name(), without_ids(field.data_type()), field.is_nullable()).with_metadata(metadata))
    };
    match data_type {
        DataType::List(item) => DataType::List(plain(item)),
        DataType::LargeList(item) => DataType::LargeList(plain(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        DataType::Map(entries, sorted) => DataType::Map(plain(entries), *sorted),
        other => other.clone(),
    }
}
