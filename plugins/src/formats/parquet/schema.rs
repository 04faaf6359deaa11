//! Which columns Parquet files have, in the types that tables have.
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};

use crate::formats::column_type::{UTC, type_name};
use crate::formats::columns::{merge_names, nullable_schema};
use crate::formats::error::FormatError;
use crate::formats::infer::{Inferred, for_each_file};
use crate::formats::options::ReadOptions;
use crate::formats::source::SourceFile;

use super::open::open;

/// The columns of one file.
pub(super) type Columns = Vec<(String, DataType)>;

/// Reads the footers of all files.
pub(in crate::formats) fn infer(files: &[Arc<SourceFile>], options: &ReadOptions) -> Result<Inferred, FormatError> {
    let looked = for_each_file(files, options.threads, |_, file| {
        let opened = open(file, &options.limits)?;
        table_columns(file, opened.metadata.schema(), options)
    })?;
    let of_files: Vec<Vec<String>> = looked
        .iter()
        .map(|columns| columns.iter().map(|(name, _)| name.clone()).collect())
        .collect();
    let names = merge_names(
        files.iter().map(|file| &**file).zip(of_files.iter().map(Vec::as_slice)),
        options,
    )?;
    let mut fields = Vec::with_capacity(names.len());
    for name in names {
        let declared = options
            .columns
            .iter()
            .find(|(declared, _)| *declared == name)
            .map(|(_, kind)| kind.to_arrow());
        let mut known: Option<(DataType, String)> = declared
            .clone()
            .map(|kind| (kind, format!("it is declared {}", type_name_of(declared.as_ref()))));
        for (file, columns) in files.iter().zip(&looked) {
            let Some((_, here)) = columns.iter().find(|(other, _)| *other == name) else {
                continue;
            };
            known = Some(match known {
                None => (here.clone(), format!("in `{}` it is {}", file.path, type_name(here))),
                Some((kind, whose)) => {
                    let both = wider(&kind, here).filter(|both| declared.is_none() || *both == kind);
                    let Some(both) = both else {
                        let reason = format!("column `{name}` is {} here, but {whose}", type_name(here));
                        return Err(file.schema(vec![name], reason));
                    };
                    (both, whose)
                }
            });
        }
        fields.push((name, known.map_or(DataType::Utf8, |(kind, _)| kind)));
    }
    Ok(Inferred {
        schema: nullable_schema(fields),
        widened: Vec::new(),
    })
}

fn type_name_of(kind: Option<&DataType>) -> String {
    kind.map_or_else(String::new, type_name)
}

/// The columns of a file, each in the type that a table has for it.
pub(super) fn table_columns(
    source: &SourceFile,
    schema: &Schema,
    options: &ReadOptions,
) -> Result<Columns, FormatError> {
    if schema.fields().len() > options.limits.columns {
        let reason = format!(
            "{} columns, more than the {} allowed",
            schema.fields().len(),
            options.limits.columns
        );
        return Err(source.schema(Vec::new(), reason));
    }
    let mut columns: Columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let has = |name: &str| schema.fields().iter().any(|field| field.name() == name);
        let name = options.earlier.name_now(field.name(), has).unwrap_or(field.name());
        if columns.iter().any(|(other, _)| other == name) {
            return Err(source.schema(vec![name.to_owned()], format!("several columns are called `{name}`")));
        }
        if options.earlier.is_dropped(name) {
            // Not read, whatever it is.
            columns.push((name.to_owned(), DataType::Null));
            continue;
        }
        let kind = table_type(field.data_type()).ok_or_else(|| {
            let reason = format!(
                "column `{name}` is Arrow's {}, which tables cannot hold",
                field.data_type()
            );
            source.schema(vec![name.to_owned()], reason)
        })?;
        columns.push((name.to_owned(), kind));
    }
    Ok(columns)
}

/// The type in which a table holds values of an Arrow type: the same for most, the next wider one that Iceberg
/// has for the others. Nanoseconds are cut to microseconds. Metadata of nested fields is left behind: the field
/// ids in it are those of the file.
fn table_type(kind: &DataType) -> Option<DataType> {
    Some(match kind {
        DataType::Boolean
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Utf8
        | DataType::Binary
        | DataType::FixedSizeBinary(_) => kind.clone(),
        DataType::Null | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if *precision <= 38 && *scale >= 0 =>
        {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        DataType::Dictionary(_, values) => table_type(values)?,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            DataType::List(Arc::new(Field::new("element", table_type(item.data_type())?, true)))
        }
        DataType::Struct(fields) if !fields.is_empty() => DataType::Struct(
            fields
                .iter()
                .map(|field| table_field(field, true))
                .collect::<Option<Fields>>()?,
        ),
        DataType::Map(entries, sorted) => {
            let DataType::Struct(pair) = entries.data_type() else {
                return None;
            };
            let [key, value] = &pair[..] else { return None };
            let pair = Fields::from(vec![table_field(key, false)?, table_field(value, true)?]);
            DataType::Map(
                Arc::new(Field::new(entries.name(), DataType::Struct(pair), false)),
                *sorted,
            )
        }
        _ => return None,
    })
}

fn table_field(field: &FieldRef, nullable: bool) -> Option<Field> {
    Some(Field::new(field.name(), table_type(field.data_type())?, nullable))
}

/// The type that holds the values of both without a loss, by Iceberg's rules of promotion.
pub(super) fn wider(one: &DataType, other: &DataType) -> Option<DataType> {
    match (one, other) {
        (one, other) if one == other => Some(one.clone()),
        (DataType::Int32, DataType::Int64) | (DataType::Int64, DataType::Int32) => Some(DataType::Int64),
        (DataType::Float32, DataType::Float64) | (DataType::Float64, DataType::Float32) => Some(DataType::Float64),
        (DataType::Decimal128(one, scale), DataType::Decimal128(other, same)) if scale == same => {
            Some(DataType::Decimal128(*one.max(other), *scale))
        }
        _ => None,
    }
}
