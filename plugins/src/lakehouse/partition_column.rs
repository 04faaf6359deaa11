//! Which column of a table tells a row's partition, and what it says.
//!
//! Every partitioned table is partitioned in Iceberg by the *identity* of one column, so that a partition is one value and a
//! replaced partition is exactly the files of that value. Where the declared column already holds the partition (a date and
//! partitions of one day; a text or number and a fixed set), it is that column. Elsewhere (timestamps, coarser grains) the
//! writer appends the column [`APPENDED`] with the partition key as text, and queries do not see it.

use std::sync::Arc;

use ahash::HashMap;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type, Schema as ArrowSchema, TimeUnit, TimestampMicrosecondType};
use assets::partition::{Grain, Partitioning};
use assets::{PartitionKey, PartitionedBy};
use iceberg::spec::{Datum, Literal, PrimitiveLiteral, PrimitiveType};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::LakeError;

/// Name of the column that the writer appends where the declared column cannot be the partition itself.
pub const APPENDED: &str = "_partition";

/// How the rows of one asset tell their partition.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionColumn {
    /// The column by which the Iceberg table is partitioned: the declared one, or [`APPENDED`].
    pub column: String,
    /// The declared column.
    pub source: String,
    /// The set of partitions.
    pub partitioning: Partitioning,
}

impl PartitionColumn {
    /// Whether the writer adds the column.
    pub fn is_appended(&self) -> bool {
        self.column == APPENDED
    }
}

/// Applies the rule to the rows' columns.
pub fn partition_column(by: &PartitionedBy, schema: &ArrowSchema) -> Result<PartitionColumn, LakeError> {
    let Ok(field) = schema.field_with_name(&by.column) else {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(LakeError::PartitionSource {
            reason: format!("the rows have no column `{}`", by.column),
            help: format!(
                "the columns are {}; name one of them in `partitions`, or add it to the SELECT",
                names.join(", ")
            ),
        });
    };
    let identity =
        match (&by.partitioning, plain(field.data_type())) {
            (_, Plain::Text) | (Partitioning::Fixed(_), Plain::Integer) => true,
            (Partitioning::Fixed(_), Plain::Date) => false,
            (Partitioning::Time(time), Plain::Date) => match time.grain {
                Grain::Day => true,
                Grain::Week | Grain::Month | Grain::Quarter | Grain::Year => false,
                Grain::Minute | Grain::Hour => {
                    return Err(LakeError::PartitionSource {
                        reason: format!(
                            "`{}` is a date and cannot tell the {:?} of a row",
                            by.column, time.grain
                        )
                        .to_lowercase(),
                        help: "name a timestamp column in `partitions`".to_owned(),
                    });
                }
            },
            (Partitioning::Time(_), Plain::Timestamp) => false,
            (_, kind) => {
                return Err(LakeError::PartitionSource {
                reason: format!("`{}` is {} ({kind:?}) and cannot tell a partition", by.column, field.data_type()),
                help: "partitions by time need a date, a timestamp or the key as text; fixed sets need text or a number"
                    .to_owned(),
            });
            }
        };
    Ok(PartitionColumn {
        column: if identity {
            by.column.clone()
        } else {
            APPENDED.to_owned()
        },
        source: by.column.clone(),
        partitioning: by.partitioning.clone(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    Text,
    Integer,
    Date,
    Timestamp,
    Other,
}

fn plain(data_type: &DataType) -> Plain {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Plain::Text,
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => Plain::Integer,
        DataType::Date32 | DataType::Date64 => Plain::Date,
        DataType::Timestamp(..) => Plain::Timestamp,
        DataType::Dictionary(_, value) => plain(value),
        _ => Plain::Other,
    }
}

/// Where one row belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowKey {
    /// In this partition of the set.
    Key(PartitionKey),
    /// The column is null.
    Null,
    /// In no partition of the set; the value as text.
    Outside(String),
}

/// The partitions of the rows of one array.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowKeys {
    /// The distinct ones, in order of first appearance.
    pub keys: Vec<RowKey>,
    /// For each row, the index into `keys`.
    pub rows: Vec<u32>,
}

/// Tells the partition of every row: each distinct value is looked up once.
///
/// Timestamps without a zone count as local time of the partitioning's zone.
pub fn row_partition_keys(partitioning: &Partitioning, column: &ArrayRef) -> Result<RowKeys, LakeError> {
    match column.data_type() {
        DataType::Dictionary(..) | DataType::LargeUtf8 | DataType::Utf8View => {
            text(partitioning, &convert(column, &DataType::Utf8)?)
        }
        DataType::Utf8 => text(partitioning, column),
        DataType::Date32 | DataType::Date64 => dates(partitioning, &convert(column, &DataType::Date32)?),
        DataType::Timestamp(_, Some(zone)) => {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::clone(zone)));
            instants(partitioning, &convert(column, &micros)?)
        }
        DataType::Timestamp(_, None) => local_times(
            partitioning,
            &convert(column, &DataType::Timestamp(TimeUnit::Microsecond, None))?,
        ),
        other if plain(other) == Plain::Integer => integers(partitioning, &convert(column, &DataType::Int64)?),
        other => Err(LakeError::PartitionSource {
            reason: format!("a column of {other} cannot tell a partition"),
            help: "use a date, a timestamp, a text or a number".to_owned(),
        }),
    }
}

fn convert(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, LakeError> {
    if column.data_type() == to {
        return Ok(Arc::clone(column));
    }
    cast(column, to).map_err(|error| LakeError::PartitionSource {
        reason: format!("a value of {} cannot be read as {to}: {error}", column.data_type()),
        help: "look at the values of the partition column".to_owned(),
    })
}

/// Collects row keys while remembering the last value, since neighbours mostly agree.
struct Collector<V> {
    found: RowKeys,
    by_key: HashMap<RowKeyText, u32>,
    seen: HashMap<V, u32>,
    null: Option<u32>,
    last: Option<(V, u32)>,
}

type RowKeyText = (bool, String);

impl<V: std::hash::Hash + Eq + Clone> Collector<V> {
    fn new(rows: usize) -> Self {
        Self {
            found: RowKeys {
                keys: Vec::new(),
                rows: Vec::with_capacity(rows),
            },
            by_key: HashMap::default(),
            seen: HashMap::default(),
            null: None,
            last: None,
        }
    }

    fn index(&mut self, key: RowKey) -> u32 {
        let text = match &key {
            RowKey::Key(key) => (true, key.as_str().to_owned()),
            RowKey::Outside(text) => (false, text.clone()),
            RowKey::Null => {
                let keys = &mut self.found.keys;
                return *self.null.get_or_insert_with(|| {
                    keys.push(RowKey::Null);
                    keys.len() as u32 - 1
                });
            }
        };
        let keys = &mut self.found.keys;
        *self.by_key.entry(text).or_insert_with(|| {
            keys.push(key);
            keys.len() as u32 - 1
        })
    }

    fn push(&mut self, value: Option<V>, resolve: impl FnOnce(&V) -> RowKey) {
        let Some(value) = value else {
            let index = self.index(RowKey::Null);
            self.found.rows.push(index);
            return;
        };
        if let Some((last, index)) = &self.last
            && *last == value
        {
            self.found.rows.push(*index);
            return;
        }
        let index = match self.seen.get(&value) {
            Some(index) => *index,
            None => {
                let index = self.index(resolve(&value));
                self.seen.insert(value.clone(), index);
                index
            }
        };
        self.found.rows.push(index);
        self.last = Some((value, index));
    }
}

fn text(partitioning: &Partitioning, column: &ArrayRef) -> Result<RowKeys, LakeError> {
    let values = column.as_string::<i32>();
    let mut collector = Collector::new(values.len());
    for value in values {
        collector.push(value, |text| member(partitioning, text));
    }
    Ok(collector.found)
}

fn integers(partitioning: &Partitioning, column: &ArrayRef) -> Result<RowKeys, LakeError> {
    let values = column.as_primitive::<Int64Type>();
    let mut collector = Collector::new(values.len());
    for value in values {
        collector.push(value, |number| member(partitioning, &number.to_string()));
    }
    Ok(collector.found)
}

fn member(partitioning: &Partitioning, text: &str) -> RowKey {
    match PartitionKey::new(text) {
        Ok(key) if partitioning.contains(&key) => RowKey::Key(key),
        _ => RowKey::Outside(text.to_owned()),
    }
}

fn dates(partitioning: &Partitioning, column: &ArrayRef) -> Result<RowKeys, LakeError> {
    let values = column.as_primitive::<Date32Type>();
    let mut collector = Collector::new(values.len());
    for value in values {
        collector.push(value, |days| match civil_date(*days) {
            Some(date) => match partitioning {
                Partitioning::Fixed(_) => member(partitioning, &date.to_string()),
                Partitioning::Time(_) => match partitioning.key_of_date(date) {
                    Some(key) => RowKey::Key(key),
                    None => RowKey::Outside(date.to_string()),
                },
            },
            None => RowKey::Outside(format!("day {days} since 1970")),
        });
    }
    Ok(collector.found)
}

fn instants(partitioning: &Partitioning, column: &ArrayRef) -> Result<RowKeys, LakeError> {
    let values = column.as_primitive::<TimestampMicrosecondType>();
    // A minute is the finest grain, and every zone in use is off UTC by whole minutes since its partitions could begin.
    let mut collector = Collector::new(values.len());
    for value in values {
        collector.push(
            value.map(|micros| micros.div_euclid(60_000_000)),
            |minute| match Timestamp::from_second(minute * 60) {
                Ok(instant) => key_at(partitioning, instant, || instant.to_string()),
                Err(_) => RowKey::Outside(format!("minute {minute} since 1970")),
            },
        );
    }
    Ok(collector.found)
}

fn local_times(partitioning: &Partitioning, column: &ArrayRef) -> Result<RowKeys, LakeError> {
    let zone = match partitioning {
        Partitioning::Time(time) => {
            jiff::tz::TimeZone::get(&time.zone).map_err(|error| LakeError::PartitionSource {
                reason: format!("the time zone `{}` is unknown: {error}", time.zone),
                help: "write an IANA name such as `Europe/Zurich`".to_owned(),
            })?
        }
        Partitioning::Fixed(_) => jiff::tz::TimeZone::UTC,
    };
    let values = column.as_primitive::<TimestampMicrosecondType>();
    let mut collector = Collector::new(values.len());
    for value in values {
        collector.push(value.map(|micros| micros.div_euclid(60_000_000)), |minute| {
            let local = jiff::civil::date(1970, 1, 1)
                .at(0, 0, 0, 0)
                .checked_add(SignedDuration::from_mins(*minute));
            let Ok(local) = local else {
                return RowKey::Outside(format!("minute {minute} since 1970"));
            };
            match local.to_zoned(zone.clone()) {
                Ok(zoned) => key_at(partitioning, zoned.timestamp(), || local.to_string()),
                Err(_) => RowKey::Outside(local.to_string()),
            }
        });
    }
    Ok(collector.found)
}

fn key_at(partitioning: &Partitioning, instant: Timestamp, text: impl FnOnce() -> String) -> RowKey {
    match partitioning.key_of(instant) {
        Some(key) => RowKey::Key(key),
        None => RowKey::Outside(text()),
    }
}

/// The calendar date of a number of days since 1970, if jiff can hold it.
fn civil_date(days: i32) -> Option<Date> {
    jiff::civil::date(1970, 1, 1).checked_add(i64::from(days).days()).ok()
}

/// The partition value of `key` in a table whose partition column has `column_type`; `None` if no row can have it.
pub(crate) fn datum_of(key: &PartitionKey, column_type: &PrimitiveType) -> Option<Datum> {
    match column_type {
        PrimitiveType::String => Some(Datum::string(key.as_str())),
        PrimitiveType::Date => {
            let date: Date = key.as_str().parse().ok()?;
            let days = date.since(jiff::civil::date(1970, 1, 1)).ok()?.get_days();
            Some(Datum::date(days))
        }
        PrimitiveType::Int => key.as_str().parse::<i32>().ok().map(Datum::int),
        PrimitiveType::Long => key.as_str().parse::<i64>().ok().map(Datum::long),
        _ => None,
    }
}

/// The key of a partition value; `None` for a null or a type that is never a partition column of ours.
pub(crate) fn key_of_literal(value: Option<&Literal>, column_type: &PrimitiveType) -> Option<PartitionKey> {
    let text = match (value?.as_primitive_literal()?, column_type) {
        (PrimitiveLiteral::String(text), PrimitiveType::String) => text,
        (PrimitiveLiteral::Int(days), PrimitiveType::Date) => civil_date(days)?.to_string(),
        (PrimitiveLiteral::Int(number), PrimitiveType::Int) => number.to_string(),
        (PrimitiveLiteral::Long(number), PrimitiveType::Long) => number.to_string(),
        _ => return None,
    };
    PartitionKey::new(&text).ok()
}
