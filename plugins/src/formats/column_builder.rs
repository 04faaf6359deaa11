//! One column of a batch while its rows are read.
//!
//! A row is appended column by column; when one of its values turns out bad, the columns before it are cut back
//! to the rows that are whole. So the good path neither parses twice nor keeps anything aside.
use std::mem;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Decimal128Array, ListArray, NullBufferBuilder,
    PrimitiveArray, StringArray, StructArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, FieldRef, Fields, Float32Type, Float64Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType,
};
use jiff::tz::TimeZone;

use super::bad_row::ValueFault;
use super::json::Json;
use super::text_value;

/// The values of a column.
enum Values {
    Boolean(BooleanBufferBuilder),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Decimal {
        values: Vec<i128>,
        precision: u8,
        scale: u8,
    },
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    Timestamptz {
        values: Vec<i64>,
        zone: Arc<str>,
    },
    String(Bytes),
    Binary(Bytes),
    List {
        offsets: Vec<i32>,
        item: Box<ColumnBuilder>,
        field: FieldRef,
    },
    Struct {
        columns: Vec<ColumnBuilder>,
        fields: Fields,
    },
}

/// Texts behind one another, and where each ends.
struct Bytes {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
}

impl Bytes {
    fn new(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Bytes {
            offsets,
            bytes: Vec::with_capacity(rows * 8),
        }
    }

    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.close();
    }

    fn close(&mut self) {
        let end = i32::try_from(self.bytes.len()).expect("a batch ends long before its text fills 2 GiB");
        self.offsets.push(end);
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.bytes.truncate(self.offsets[rows] as usize);
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let rows = self.offsets.len() - 1;
        let whole = mem::replace(self, Bytes::new(rows));
        (
            OffsetBuffer::new(ScalarBuffer::from(whole.offsets)),
            Buffer::from(whole.bytes),
        )
    }
}

/// Builds one column.
pub(super) struct ColumnBuilder {
    values: Values,
    nulls: NullBufferBuilder,
}

impl ColumnBuilder {
    /// A builder for a type that [`ColumnType::to_arrow`](super::ColumnType::to_arrow) gives; `None` for any other.
    pub(super) fn new(kind: &DataType, rows: usize) -> Option<Self> {
        let values = match kind {
            DataType::Boolean => Values::Boolean(BooleanBufferBuilder::new(rows)),
            DataType::Int32 => Values::Int(Vec::with_capacity(rows)),
            DataType::Int64 => Values::Long(Vec::with_capacity(rows)),
            DataType::Float32 => Values::Float(Vec::with_capacity(rows)),
            DataType::Float64 => Values::Double(Vec::with_capacity(rows)),
            DataType::Decimal128(precision, scale) => Values::Decimal {
                values: Vec::with_capacity(rows),
                precision: *precision,
                scale: u8::try_from(*scale).ok().filter(|scale| scale <= precision)?,
            },
            DataType::Date32 => Values::Date(Vec::with_capacity(rows)),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Values::Timestamp(Vec::with_capacity(rows)),
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => Values::Timestamptz {
                values: Vec::with_capacity(rows),
                zone: Arc::clone(zone),
            },
            DataType::Utf8 => Values::String(Bytes::new(rows)),
            DataType::Binary => Values::Binary(Bytes::new(rows)),
            DataType::List(field) => {
                let item = Box::new(ColumnBuilder::new(field.data_type(), rows)?);
                Values::List {
                    offsets: vec![0],
                    item,
                    field: Arc::clone(field),
                }
            }
            DataType::Struct(fields) => {
                let columns = fields
                    .iter()
                    .map(|field| ColumnBuilder::new(field.data_type(), rows))
                    .collect::<Option<_>>()?;
                Values::Struct {
                    columns,
                    fields: fields.clone(),
                }
            }
            _ => return None,
        };
        Some(ColumnBuilder {
            values,
            nulls: NullBufferBuilder::new(rows),
        })
    }

    fn len(&self) -> usize {
        self.nulls.len()
    }

    pub(super) fn append_null(&mut self) {
        match &mut self.values {
            Values::Boolean(values) => values.append(false),
            Values::Int(values) | Values::Date(values) => values.push(0),
            Values::Long(values) | Values::Timestamp(values) | Values::Timestamptz { values, .. } => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Double(values) => values.push(0.0),
            Values::Decimal { values, .. } => values.push(0),
            Values::String(texts) | Values::Binary(texts) => texts.close(),
            Values::List { offsets, .. } => offsets.push(*offsets.last().expect("offsets begin with a zero")),
            Values::Struct { columns, .. } => columns.iter_mut().for_each(ColumnBuilder::append_null),
        }
        self.nulls.append_null();
    }

    /// Appends the value that a text stands for. On an error nothing was appended.
    pub(super) fn append_text(&mut self, text: &[u8], zone: Option<&TimeZone>) -> Result<(), ValueFault> {
        match &mut self.values {
            Values::Boolean(values) => values.append(text_value::boolean(text)?),
            Values::Int(values) => values.push(text_value::int(text)?),
            Values::Long(values) => values.push(text_value::long(text)?),
            Values::Float(values) => values.push(text_value::float(text)?),
            Values::Double(values) => values.push(text_value::double(text)?),
            Values::Decimal {
                values,
                precision,
                scale,
            } => {
                values.push(text_value::decimal(text, *precision, *scale)?);
            }
            Values::Date(values) => values.push(text_value::date(text)?),
            Values::Timestamp(values) => values.push(text_value::timestamp(text)?),
            Values::Timestamptz { values, .. } => values.push(text_value::timestamptz(text, zone)?),
            Values::String(texts) | Values::Binary(texts) => texts.push(text),
            Values::List { .. } | Values::Struct { .. } => return Err(ValueFault::Kind),
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Appends a JSON value. On an error the column may hold parts of it: cut it back. The error says what is
    /// wrong and, inside a struct or list, where: a path of the form `.field` or `[2]`.
    pub(super) fn append_json(&mut self, value: &Json<'_>, zone: Option<&TimeZone>) -> Result<(), JsonFault> {
        match (&mut self.values, value) {
            (_, Json::Null) => {
                self.append_null();
                return Ok(());
            }
            (Values::List { offsets, item, .. }, Json::List { items, .. }) => {
                for (position, value) in items.iter().enumerate() {
                    item.append_json(value, zone)
                        .map_err(|fault| fault.inside(&format!("[{position}]"), value))?;
                }
                offsets.push(i32::try_from(item.len()).expect("a batch has far fewer than 2^31 list items"));
            }
            (Values::Struct { columns, fields }, Json::Object { entries, .. }) => {
                for (key, value) in entries {
                    if fields.find(key).is_none() {
                        return Err(JsonFault::from(ValueFault::UnknownKey).inside(&format!(".{key}"), value));
                    }
                }
                for (column, field) in columns.iter_mut().zip(fields.iter()) {
                    match entries.iter().find(|(key, _)| key == field.name()) {
                        Some((key, value)) => column
                            .append_json(value, zone)
                            .map_err(|fault| fault.inside(&format!(".{key}"), value))?,
                        None => column.append_null(),
                    }
                }
            }
            (Values::List { .. } | Values::Struct { .. }, _) => return Err(ValueFault::Kind.into()),
            (Values::Boolean(values), Json::Boolean(value)) => values.append(*value),
            (Values::String(texts), value) => texts.push(value.as_text().as_bytes()),
            (Values::Boolean(_), Json::Number(_)) => return Err(ValueFault::Kind.into()),
            (_, Json::Text(text)) => return Ok(self.append_text(text.as_bytes(), zone)?),
            (
                Values::Int(_) | Values::Long(_) | Values::Float(_) | Values::Double(_) | Values::Decimal { .. },
                Json::Number(text),
            ) => return Ok(self.append_text(text.as_bytes(), zone)?),
            _ => return Err(ValueFault::Kind.into()),
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Cuts the column back to its first `rows` rows.
    pub(super) fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Boolean(values) => values.truncate(rows),
            Values::Int(values) | Values::Date(values) => values.truncate(rows),
            Values::Long(values) | Values::Timestamp(values) | Values::Timestamptz { values, .. } => {
                values.truncate(rows);
            }
            Values::Float(values) => values.truncate(rows),
            Values::Double(values) => values.truncate(rows),
            Values::Decimal { values, .. } => values.truncate(rows),
            Values::String(texts) | Values::Binary(texts) => texts.truncate(rows),
            Values::List { offsets, item, .. } => {
                offsets.truncate(rows + 1);
                item.truncate(offsets[rows] as usize);
            }
            Values::Struct { columns, .. } => columns.iter_mut().for_each(|column| column.truncate(rows)),
        }
        self.nulls.truncate(rows);
    }

    /// The column so far; the builder is empty again.
    pub(super) fn finish(&mut self) -> ArrayRef {
        let rows = self.len();
        let nulls = self.nulls.finish();
        match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int(values) => primitive::<Int32Type>(values, nulls),
            Values::Long(values) => primitive::<Int64Type>(values, nulls),
            Values::Float(values) => primitive::<Float32Type>(values, nulls),
            Values::Double(values) => primitive::<Float64Type>(values, nulls),
            Values::Date(values) => primitive::<Date32Type>(values, nulls),
            Values::Timestamp(values) => primitive::<TimestampMicrosecondType>(values, nulls),
            Values::Timestamptz { values, zone } => {
                let taken = take_values(values);
                Arc::new(PrimitiveArray::<TimestampMicrosecondType>::new(taken, nulls).with_timezone(Arc::clone(zone)))
            }
            Values::Decimal {
                values,
                precision,
                scale,
            } => Arc::new(
                Decimal128Array::new(take_values(values), nulls)
                    .with_precision_and_scale(*precision, *scale as i8)
                    .expect("the builder was made from a valid decimal type"),
            ),
            Values::String(texts) => {
                let (offsets, bytes) = texts.take();
                Arc::new(StringArray::try_new(offsets, bytes, nulls).expect("rows are checked to be UTF-8"))
            }
            Values::Binary(texts) => {
                let (offsets, bytes) = texts.take();
                Arc::new(BinaryArray::new(offsets, bytes, nulls))
            }
            Values::List { offsets, item, field } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(mem::replace(offsets, vec![0])));
                Arc::new(ListArray::new(Arc::clone(field), offsets, item.finish(), nulls))
            }
            Values::Struct { columns, fields } => {
                let arrays = columns.iter_mut().map(ColumnBuilder::finish).collect();
                let built = StructArray::try_new_with_length(fields.clone(), arrays, nulls, rows);
                Arc::new(built.expect("the columns of a struct were built row by row from its fields"))
            }
        }
    }
}

fn take_values<T: arrow::datatypes::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    let rows = values.len();
    ScalarBuffer::from(mem::replace(values, Vec::with_capacity(rows)))
}

fn primitive<T: ArrowPrimitiveType>(values: &mut Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(take_values(values), nulls))
}

/// What is wrong with a JSON value, and where inside it.
#[derive(Debug)]
pub(super) struct JsonFault {
    pub(super) fault: ValueFault,
    /// From the column inwards; empty for the value itself.
    pub(super) path: String,
    /// The text of the innermost value.
    pub(super) text: Option<String>,
}

impl From<ValueFault> for JsonFault {
    fn from(fault: ValueFault) -> Self {
        JsonFault {
            fault,
            path: String::new(),
            text: None,
        }
    }
}

impl JsonFault {
    fn inside(mut self, step: &str, value: &Json<'_>) -> Self {
        self.path.insert_str(0, step);
        self.text.get_or_insert_with(|| value.as_text().to_string());
        self
    }
}
