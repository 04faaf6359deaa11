//! The types of columns without ids, and how they meet those that a table has.

use std::sync::Arc;

use arrow::datatypes::DataType;
use iceberg::spec::{ListType, MapType, NestedField, PrimitiveType, StructType, Type};

use crate::lakehouse::LakeError;

/// The type that holds the values of both, if Iceberg's promotions allow one.
pub(crate) fn widest(a: &Type, b: &Type) -> Option<Type> {
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

/// Gives ids to columns.
pub(super) struct Ids {
    pub(super) last: i32,
}

impl Ids {
    pub(super) fn next(&mut self) -> i32 {
        self.last += 1;
        self.last
    }
}

/// An Iceberg type without ids.
pub(super) enum Shape {
    Primitive(PrimitiveType),
    List(Box<Shape>),
    Map(Box<Shape>, Box<Shape>),
    Struct(Vec<(String, Shape)>),
}

impl Shape {
    pub(super) fn of(column: &str, data_type: &DataType) -> Result<Self, LakeError> {
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
    pub(super) fn onto(&self, known: &Type, ids: &mut Ids) -> Option<Type> {
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
    pub(super) fn fresh(&self, ids: &mut Ids) -> Type {
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

    pub(super) fn describe(&self) -> String {
        self.fresh(&mut Ids { last: 0 }).to_string()
    }
}
