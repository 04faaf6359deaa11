//! From the columns that a query gives to the columns of an Iceberg table, and from one version of a table's columns to the next.
//!
//! All columns are optional: a column that is never null is a check's business, and it must stay possible to stop filling one.
//! A field id, once given to a name, stays with it while the type allows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema, SchemaRef as ArrowSchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;
use assets::AssetKey;
use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, SchemaRef, StructType, Type,
};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::error::{LakeError, SchemaDifference};

/// How a new version of the columns may differ from the table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evolution {
    /// The rows replace all others: any columns will do.
    Anything,
    /// Other rows stay: columns may be added or widened.
    Widen,
}

/// Gives every column of `arrow` an Iceberg type and a field id.
///
/// Ids of columns that `existing` has by the same name and a fitting type are kept; others begin after `last_id`.
pub(crate) fn to_iceberg(
    table: &AssetKey,
    arrow: &ArrowSchema,
    existing: Option<&Schema>,
    last_id: i32,
    evolution: Evolution,
) -> Result<Schema, LakeError> {
    let mut ids = Ids { last: last_id };
    let mut differences = Vec::new();
    let mut fields: Vec<Option<NestedFieldRef>> = Vec::new();
    let mut names = std::collections::HashSet::new();
    // Top-level ids first, then those inside: the order in which Iceberg numbers the columns of a new table.
    let mut fresh = Vec::new();
    for field in arrow.fields() {
        if !names.insert(field.name().as_str()) {
            return Err(LakeError::ColumnType {
                column: field.name().clone(),
                reason: "two columns have this name".to_owned(),
                help: "give each column of the SELECT a name of its own with AS".to_owned(),
            });
        }
        let shape = Shape::of(field.name(), field.data_type())?;
        let known = existing.and_then(|schema| schema.as_struct().field_by_name(field.name()));
        match known {
            Some(known) => match shape.onto(&known.field_type, &mut ids) {
                Some(merged) => {
                    fields.push(Some(Arc::new(NestedField {
                        field_type: Box::new(merged),
                        ..known.as_ref().clone()
                    })));
                }
                None => {
                    differences.push(SchemaDifference {
                        column: field.name().clone(),
                        was: Some(known.field_type.to_string()),
                        is: Some(shape.describe()),
                    });
                    fresh.push((fields.len(), ids.next(), field.name().clone(), shape));
                    fields.push(None);
                }
            },
            None => {
                fresh.push((fields.len(), ids.next(), field.name().clone(), shape));
                fields.push(None);
            }
        }
    }
    for (position, id, name, shape) in fresh {
        fields[position] = Some(Arc::new(NestedField::optional(id, name, shape.fresh(&mut ids))));
    }
    let mut fields: Vec<NestedFieldRef> = fields.into_iter().flatten().collect();
    if evolution == Evolution::Widen
        && let Some(existing) = existing
    {
        for known in existing.as_struct().fields() {
            if !names.contains(known.name.as_str()) {
                differences.push(SchemaDifference {
                    column: known.name.clone(),
                    was: Some(known.field_type.to_string()),
                    is: None,
                });
            }
        }
        if !differences.is_empty() {
            return Err(LakeError::Schema {
                table: table.clone(),
                differences,
            });
        }
        // The table's own order, then what is new.
        let order = |field: &NestedFieldRef| {
            existing
                .as_struct()
                .fields()
                .iter()
                .position(|known| known.id == field.id)
                .unwrap_or(usize::MAX)
        };
        fields.sort_by_key(order);
    }
    for field in &mut fields {
        if field.required {
            *field = Arc::new(NestedField {
                required: false,
                ..field.as_ref().clone()
            });
        }
    }
    Schema::builder()
        .with_fields(fields)
        .build()
        .map_err(|error| LakeError::iceberg("describe the columns of", table, error))
}

/// The schema of a table after `staged` files joined it, or why they cannot: another writer has meanwhile used the ids.
pub(crate) fn join_staged(table: &AssetKey, current: &Schema, staged: &Schema) -> Result<Schema, LakeError> {
    let mut differences = Vec::new();
    let mut fields: Vec<NestedFieldRef> = current.as_struct().fields().to_vec();
    for field in staged.as_struct().fields() {
        let by_name = fields.iter().position(|known| known.name == field.name);
        let by_id = fields.iter().position(|known| known.id == field.id);
        match (by_name, by_id) {
            (Some(name), Some(id)) if name == id => match widest(&fields[name].field_type, &field.field_type) {
                Some(wide) => {
                    let known = fields[name].as_ref().clone();
                    fields[name] = Arc::new(NestedField {
                        field_type: Box::new(wide),
                        required: false,
                        ..known
                    });
                }
                None => differences.push(difference(&fields[name], field)),
            },
            (None, None) => fields.push(Arc::clone(field)),
            (Some(known), _) | (None, Some(known)) => differences.push(difference(&fields[known], field)),
        }
    }
    if !differences.is_empty() {
        return Err(LakeError::Schema {
            table: table.clone(),
            differences,
        });
    }
    Schema::builder()
        .with_fields(fields)
        .build()
        .map_err(|error| LakeError::iceberg("describe the columns of", table, error))
}

fn difference(known: &NestedFieldRef, field: &NestedFieldRef) -> SchemaDifference {
    SchemaDifference {
        column: field.name.clone(),
        was: Some(format!("{} (field {}, `{}`)", known.field_type, known.id, known.name)),
        is: Some(format!("{} (field {})", field.field_type, field.id)),
    }
}

/// The type that holds the values of both, if Iceberg's promotions allow one.
pub(super) fn widest(a: &Type, b: &Type) -> Option<Type> {
    if a == b {
        return Some(a.clone());
    }
    match (a, b) {
        (Type::Primitive(a), Type::Primitive(b)) => {
            if promotes(a, b) {
                Some(Type::Primitive(b.clone()))
            } else if promotes(b, a) {
                Some(Type::Primitive(a.clone()))
            } else {
                None
            }
        }
        _ => None,
    }
}

/// Whether Iceberg (format 2) reads values of `from` as `to`.
fn promotes(from: &PrimitiveType, to: &PrimitiveType) -> bool {
    match (from, to) {
        (PrimitiveType::Int, PrimitiveType::Long) | (PrimitiveType::Float, PrimitiveType::Double) => true,
        (
            PrimitiveType::Decimal {
                precision: from,
                scale: from_scale,
            },
            PrimitiveType::Decimal {
                precision: to,
                scale: to_scale,
            },
        ) => from_scale == to_scale && from <= to,
        _ => from == to,
    }
}

struct Ids {
    last: i32,
}

impl Ids {
    fn next(&mut self) -> i32 {
        self.last += 1;
        self.last
    }
}

/// An Iceberg type without ids.
enum Shape {
    Primitive(PrimitiveType),
    List(Box<Shape>),
    Map(Box<Shape>, Box<Shape>),
    Struct(Vec<(String, Shape)>),
}

impl Shape {
    fn of(column: &str, data_type: &DataType) -> Result<Self, LakeError> {
        let refuse = |reason: String, help: &str| {
            Err(LakeError::ColumnType {
                column: column.to_owned(),
                reason,
                help: help.to_owned(),
            })
        };
        Ok(Self::Primitive(match data_type {
            DataType::Boolean => PrimitiveType::Boolean,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
                PrimitiveType::Int
            }
            DataType::Int64 | DataType::UInt32 | DataType::UInt64 => PrimitiveType::Long,
            DataType::Float16 | DataType::Float32 => PrimitiveType::Float,
            DataType::Float64 => PrimitiveType::Double,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => PrimitiveType::String,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => PrimitiveType::Binary,
            DataType::FixedSizeBinary(width) => PrimitiveType::Fixed(u64::try_from(*width).unwrap_or_default()),
            DataType::Date32 | DataType::Date64 => PrimitiveType::Date,
            DataType::Time32(_) | DataType::Time64(_) => PrimitiveType::Time,
            DataType::Timestamp(_, None) => PrimitiveType::Timestamp,
            DataType::Timestamp(_, Some(_)) => PrimitiveType::Timestamptz,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => match u32::try_from(*scale) {
                Ok(scale) if *precision <= 38 => PrimitiveType::Decimal {
                    precision: u32::from(*precision),
                    scale,
                },
                _ => {
                    return refuse(
                        format!(
                            "{data_type} does not fit: Iceberg's decimals have at most 38 digits and no negative scale"
                        ),
                        "CAST it to a DECIMAL of at most 38 digits, or to DOUBLE",
                    );
                }
            },
            DataType::Dictionary(_, value) => return Self::of(column, value),
            DataType::RunEndEncoded(_, value) => return Self::of(column, value.data_type()),
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _) => {
                return Ok(Self::List(Box::new(Self::of(
                    &format!("{column}.element"),
                    item.data_type(),
                )?)));
            }
            DataType::Map(entries, _) => {
                let DataType::Struct(pair) = entries.data_type() else {
                    return refuse(
                        format!("{data_type} is not a map of keys and values"),
                        "leave the column out",
                    );
                };
                let [key, value] = pair.as_ref() else {
                    return refuse(
                        format!("{data_type} is not a map of keys and values"),
                        "leave the column out",
                    );
                };
                return Ok(Self::Map(
                    Box::new(Self::of(&format!("{column}.key"), key.data_type())?),
                    Box::new(Self::of(&format!("{column}.value"), value.data_type())?),
                ));
            }
            DataType::Struct(fields) => {
                let fields = fields.iter().map(|field| {
                    let shape = Self::of(&format!("{column}.{}", field.name()), field.data_type())?;
                    Ok((field.name().clone(), shape))
                });
                return Ok(Self::Struct(fields.collect::<Result<_, LakeError>>()?));
            }
            DataType::Null => {
                return refuse(
                    "it has no type, only nulls".to_owned(),
                    "give it one: CAST(NULL AS VARCHAR), for example",
                );
            }
            DataType::Interval(_) | DataType::Duration(_) => {
                return refuse(
                    format!("Iceberg has no type for {data_type}"),
                    "store a number of seconds: CAST(EXTRACT(EPOCH FROM …) AS BIGINT)",
                );
            }
            DataType::Union(..) => {
                return refuse(format!("Iceberg has no type for {data_type}"), "CAST it to one type");
            }
        }))
    }

    /// This shape with the ids of `known` where it fits, widened as Iceberg allows; `None` if it does not fit.
    fn onto(&self, known: &Type, ids: &mut Ids) -> Option<Type> {
        match (self, known) {
            (Self::Primitive(is), Type::Primitive(was)) => {
                widest(&Type::Primitive(was.clone()), &Type::Primitive(is.clone()))
            }
            (Self::List(item), Type::List(was)) => {
                let element = item.onto(&was.element_field.field_type, ids)?;
                let field = NestedField {
                    field_type: Box::new(element),
                    ..was.element_field.as_ref().clone()
                };
                Some(Type::List(ListType::new(Arc::new(field))))
            }
            (Self::Map(key, value), Type::Map(was)) => {
                let key = key.onto(&was.key_field.field_type, ids)?;
                let value = value.onto(&was.value_field.field_type, ids)?;
                Some(Type::Map(MapType::new(
                    Arc::new(NestedField {
                        field_type: Box::new(key),
                        ..was.key_field.as_ref().clone()
                    }),
                    Arc::new(NestedField {
                        field_type: Box::new(value),
                        ..was.value_field.as_ref().clone()
                    }),
                )))
            }
            (Self::Struct(fields), Type::Struct(was)) => {
                if fields.len() < was.fields().len()
                    || was
                        .fields()
                        .iter()
                        .any(|known| !fields.iter().any(|(name, _)| *name == known.name))
                {
                    return None;
                }
                let mut merged = Vec::new();
                for (name, shape) in fields {
                    merged.push(Arc::new(match was.field_by_name(name) {
                        Some(known) => NestedField {
                            field_type: Box::new(shape.onto(&known.field_type, ids)?),
                            ..known.as_ref().clone()
                        },
                        None => {
                            let id = ids.next();
                            NestedField::optional(id, name, shape.fresh(ids))
                        }
                    }));
                }
                Some(Type::Struct(StructType::new(merged)))
            }
            _ => None,
        }
    }

    /// This shape with new ids.
    fn fresh(&self, ids: &mut Ids) -> Type {
        match self {
            Self::Primitive(primitive) => Type::Primitive(primitive.clone()),
            Self::List(item) => {
                let id = ids.next();
                Type::List(ListType::new(Arc::new(NestedField::list_element(
                    id,
                    item.fresh(ids),
                    false,
                ))))
            }
            Self::Map(key, value) => {
                let (key_id, value_id) = (ids.next(), ids.next());
                Type::Map(MapType::new(
                    Arc::new(NestedField::map_key_element(key_id, key.fresh(ids))),
                    Arc::new(NestedField::map_value_element(value_id, value.fresh(ids), false)),
                ))
            }
            Self::Struct(fields) => {
                let own: Vec<i32> = fields.iter().map(|_| ids.next()).collect();
                let fields = fields.iter().zip(own);
                Type::Struct(StructType::new(
                    fields
                        .map(|((name, shape), id)| Arc::new(NestedField::optional(id, name, shape.fresh(ids))))
                        .collect(),
                ))
            }
        }
    }

    fn describe(&self) -> String {
        self.fresh(&mut Ids { last: 0 }).to_string()
    }
}

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

/// Casts the columns of `batch`, by name, to `target`; a value that does not fit is an error, never a null or a rounded one.
pub(crate) fn conform(batch: &RecordBatch, target: &ArrowSchemaRef) -> Result<RecordBatch, LakeError> {
    let mut columns = Vec::with_capacity(target.fields().len());
    for field in target.fields() {
        let column = batch.column_by_name(field.name()).ok_or_else(|| {
            LakeError::Internal(format!(
                "column `{}` of the staged schema is missing in a batch",
                field.name()
            ))
        })?;
        columns.push(lossless(field.name(), column, field.data_type())?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(target), columns, &options)
        .map_err(|error| LakeError::Internal(format!("a batch does not fit the staged schema: {error}")))
}

fn lossless(column: &str, array: &ArrayRef, target: &DataType) -> Result<ArrayRef, LakeError> {
    if array.data_type() == target {
        return Ok(Arc::clone(array));
    }
    let refuse = |error: ArrowError| LakeError::ColumnType {
        column: column.to_owned(),
        reason: format!("a value of {} does not fit {target}: {error}", array.data_type()),
        help: "round, cut or CAST the value in the query so that it fits".to_owned(),
    };
    let options = CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    };
    let cast = cast_with_options(array, target, &options).map_err(refuse)?;
    if loses_digits(array.data_type(), target) {
        let back = cast_with_options(&cast, array.data_type(), &options).map_err(refuse)?;
        if &back != array {
            return Err(LakeError::ColumnType {
                column: column.to_owned(),
                reason: format!("{} has digits that {target} cannot hold", array.data_type()),
                help: format!("cut them off in the query: date_trunc('microseconds', {column})"),
            });
        }
    }
    Ok(cast)
}

/// Whether a cast of these types could drop digits without an error.
fn loses_digits(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Timestamp(TimeUnit::Nanosecond, _), DataType::Timestamp(TimeUnit::Microsecond, _))
        | (DataType::Time64(TimeUnit::Nanosecond), DataType::Time64(TimeUnit::Microsecond)) => true,
        (DataType::Date64, DataType::Date32) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{TimestampNanosecondArray, UInt64Array};

    fn key() -> AssetKey {
        "silver.flights".parse().unwrap()
    }

    fn arrow(fields: &[(&str, DataType)]) -> ArrowSchema {
        ArrowSchema::new(
            fields
                .iter()
                .map(|(name, t)| Field::new(*name, t.clone(), true))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn ids_stay_with_names_and_new_columns_come_last() {
        let first = to_iceberg(
            &key(),
            &arrow(&[("a", DataType::Int32), ("b", DataType::Utf8View)]),
            None,
            0,
            Evolution::Anything,
        )
        .unwrap();
        let next = to_iceberg(
            &key(),
            &arrow(&[("c", DataType::Float64), ("b", DataType::Utf8), ("a", DataType::Int64)]),
            Some(&first),
            first.highest_field_id(),
            Evolution::Widen,
        )
        .unwrap();
        let shown: Vec<_> = next
            .as_struct()
            .fields()
            .iter()
            .map(|f| (f.id, f.name.as_str(), f.field_type.to_string()))
            .collect();
        assert_eq!(
            shown,
            [
                (1, "a", "long".to_owned()),
                (2, "b", "string".to_owned()),
                (3, "c", "double".to_owned())
            ]
        );
    }

    #[test]
    fn a_dropped_and_a_changed_column_are_named() {
        let first = to_iceberg(
            &key(),
            &arrow(&[("a", DataType::Utf8), ("b", DataType::Int64)]),
            None,
            0,
            Evolution::Anything,
        )
        .unwrap();
        let error = to_iceberg(
            &key(),
            &arrow(&[("a", DataType::Int64)]),
            Some(&first),
            2,
            Evolution::Widen,
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "write silver.flights: its columns differ from those of the table: `a` was string, is long; `b` was long, is missing"
        );
        let replaced = to_iceberg(
            &key(),
            &arrow(&[("a", DataType::Int64)]),
            Some(&first),
            2,
            Evolution::Anything,
        )
        .unwrap();
        assert_eq!(
            replaced.as_struct().fields()[0].id,
            3,
            "a changed type gets an id of its own"
        );
    }

    #[test]
    fn values_that_do_not_fit_are_refused_by_column() {
        let big: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let error = lossless("n", &big, &DataType::Int64).unwrap_err();
        assert!(error.to_string().starts_with("write column `n`: "), "{error}");
        let micro = DataType::Timestamp(TimeUnit::Microsecond, None);
        let fine: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![Some(1_000), None]));
        assert!(lossless("t", &fine, &micro).is_ok());
        let cut: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_001]));
        assert!(lossless("t", &cut, &micro).unwrap_err().to_string().contains("digits"));
    }

    #[test]
    fn types_without_a_place_say_what_to_do() {
        let error = to_iceberg(&key(), &arrow(&[("x", DataType::Null)]), None, 0, Evolution::Anything).unwrap_err();
        assert_eq!(error.to_string(), "write column `x`: it has no type, only nulls");
        assert!(error.failure().help.unwrap().contains("CAST(NULL AS VARCHAR)"));
    }
}
