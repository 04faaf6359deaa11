//! Entity keys of any types to dense ids: the labels' keys are interned, the features' keys looked up.
//!
//! A single integer-like or string column takes a path of its own; everything else goes through Arrow's row format, in
//! which equal keys are equal bytes. Every row is hashed once, with fixed seeds.

use ahash::RandomState;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringViewArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt64Type,
};
use arrow::row::{RowConverter, Rows, SortField};
use hashbrown::{HashMap, HashTable};

use super::PointInTimeError;

/// The id of "no entity": a null key, or a feature whose entity no label has.
pub(super) const NO_ENTITY: u32 = u32::MAX;

/// The type in which a label column and a feature column are compared, if their values can be equal at all.
pub(super) fn common_key_type(label: &DataType, feature: &DataType) -> Option<DataType> {
    use DataType as T;
    let (label, feature) = (plain(label), plain(feature));
    let string = |t: &T| matches!(t, T::Utf8 | T::LargeUtf8 | T::Utf8View);
    let bytes = |t: &T| matches!(t, T::Binary | T::LargeBinary | T::BinaryView);
    match (label, feature) {
        (T::UInt64, T::UInt64) => Some(T::UInt64),
        // A value beyond Int64 becomes null, which matches nothing: neither could it have.
        (a, b) if a.is_integer() && b.is_integer() => Some(T::Int64),
        (a, b) if string(a) && string(b) => Some(T::Utf8View),
        (a, b) if bytes(a) && bytes(b) => Some(T::BinaryView),
        (T::Timestamp(a, None), T::Timestamp(b, None)) => Some(T::Timestamp(finer(*a, *b), None)),
        (T::Timestamp(a, Some(zone)), T::Timestamp(b, Some(_))) => {
            Some(T::Timestamp(finer(*a, *b), Some(zone.clone())))
        }
        (T::Decimal128(p, s), T::Decimal128(q, t)) if s == t => Some(T::Decimal128(*p.max(q), *s)),
        (a, _) if a.is_floating() || a.is_nested() || a.is_null() => None,
        (a, b) if a == b => Some(a.clone()),
        _ => None,
    }
}

fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    let rank = |unit: TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    if rank(a) >= rank(b) { a } else { b }
}

/// The entities of the labels: key to id, ids dense from zero in order of first appearance.
pub(super) struct EntityIndex {
    types: Vec<DataType>,
    lookup: Lookup,
}

enum Lookup {
    /// No key: every row is of the one entity.
    Global,
    Integer(IntegerLookup),
    Text(TextLookup),
    Rows(RowLookup),
}

impl EntityIndex {
    /// An empty index over keys of these (common) types.
    pub(super) fn new(types: Vec<DataType>) -> Result<Self, PointInTimeError> {
        let lookup = match types.as_slice() {
            [] => Lookup::Global,
            [DataType::Utf8View] => Lookup::Text(TextLookup::new()),
            [single] if is_integer_like(single) => Lookup::Integer(IntegerLookup::new()),
            several => {
                let fields = several.iter().cloned().map(SortField::new).collect();
                Lookup::Rows(RowLookup::new(RowConverter::new(fields)?))
            }
        };
        Ok(Self { types, lookup })
    }

    /// How many entities there are.
    pub(super) fn len(&self) -> usize {
        match &self.lookup {
            Lookup::Global => 1,
            Lookup::Integer(lookup) => lookup.len as usize,
            Lookup::Text(lookup) => lookup.keys.len(),
            Lookup::Rows(lookup) => lookup.keys.len(),
        }
    }

    /// Bytes held by the keys.
    pub(super) fn size(&self) -> usize {
        match &self.lookup {
            Lookup::Global => 0,
            Lookup::Integer(lookup) => lookup.len as usize * 24,
            Lookup::Text(lookup) => lookup.keys.len() * 8 + lookup.bytes,
            Lookup::Rows(lookup) => lookup.keys.len() * 8 + lookup.bytes,
        }
    }

    /// The id of each row of label keys, new ids for new keys.
    pub(super) fn intern(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>, PointInTimeError> {
        let columns = self.common(columns)?;
        let mut ids = Vec::with_capacity(rows);
        match &mut self.lookup {
            Lookup::Global => ids.resize(rows, 0),
            Lookup::Integer(lookup) => {
                let keys = integers(&columns[0]);
                ids.extend(keys.iter().map(|key| key.map_or(NO_ENTITY, |key| lookup.intern(key))));
            }
            Lookup::Text(lookup) => {
                let keys = columns[0].as_string_view();
                ids.extend(keys.iter().map(|key| key.map_or(NO_ENTITY, |key| lookup.intern(key))));
            }
            Lookup::Rows(lookup) => lookup.intern(&columns, rows, &mut ids)?,
        }
        Ok(ids)
    }

    /// No more keys will come: looks for a quicker form.
    pub(super) fn seal(&mut self) {
        if let Lookup::Integer(lookup) = &mut self.lookup {
            lookup.seal();
        }
    }

    /// The id of each row of feature keys, [`NO_ENTITY`] where no label has the key. `ids` is overwritten.
    pub(super) fn find(
        &self,
        columns: &[ArrayRef],
        rows: usize,
        scratch: &mut KeyScratch,
        ids: &mut Vec<u32>,
    ) -> Result<(), PointInTimeError> {
        let columns = self.common(columns)?;
        ids.clear();
        match &self.lookup {
            Lookup::Global => ids.resize(rows, 0),
            Lookup::Integer(lookup) => lookup.find(&integers(&columns[0]), ids),
            Lookup::Text(lookup) => lookup.find(columns[0].as_string_view(), ids),
            Lookup::Rows(lookup) => lookup.find(&columns, rows, scratch, ids)?,
        }
        Ok(())
    }

    fn common(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, PointInTimeError> {
        let options = CastOptions {
            safe: true,
            ..CastOptions::default()
        };
        columns
            .iter()
            .zip(&self.types)
            .map(|(column, to)| {
                if column.data_type() == to {
                    return Ok(column.clone());
                }
                // Between two zones only the name changes, never the instant.
                Ok(cast_with_options(column, to, &options)?)
            })
            .collect()
    }
}

fn is_integer_like(data_type: &DataType) -> bool {
    use DataType as T;
    matches!(
        data_type,
        T::Int64 | T::UInt64 | T::Boolean | T::Date32 | T::Date64 | T::Timestamp(_, _)
    )
}

/// The values of a column of an integer-like type as 64-bit integers, different values staying different.
fn integers(array: &ArrayRef) -> Int64Array {
    match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().clone(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().unary(u64::cast_signed),
        DataType::Boolean => array.as_boolean().iter().map(|value| value.map(i64::from)).collect(),
        DataType::Date32 => array.as_primitive::<Date32Type>().unary(i64::from),
        DataType::Date64 => array.as_primitive::<Date64Type>().reinterpret_cast(),
        DataType::Timestamp(TimeUnit::Second, _) => array.as_primitive::<TimestampSecondType>().reinterpret_cast(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().reinterpret_cast()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            array.as_primitive::<TimestampNanosecondType>().reinterpret_cast()
        }
        other => unreachable!("{other} is not among the types of is_integer_like"),
    }
}

/// Fixed seeds: the same keys take the same places on every run.
fn hasher() -> RandomState {
    RandomState::with_seeds(0x6d69_6c6c, 0x706f_6e64, 0x6c61_6b65, 0x6b65_7973)
}

struct IntegerLookup {
    ids: HashMap<i64, u32, RandomState>,
    len: u32,
    /// Ids by `key - lowest`, when the keys lie close together.
    dense: Option<(i64, Vec<u32>)>,
}

impl IntegerLookup {
    /// Keys may spread over this many times their number and still be a plain array.
    const DENSE_SPREAD: u64 = 8;

    fn new() -> Self {
        Self {
            ids: HashMap::with_hasher(hasher()),
            len: 0,
            dense: None,
        }
    }

    fn intern(&mut self, key: i64) -> u32 {
        *self.ids.entry(key).or_insert_with(|| {
            self.len += 1;
            self.len - 1
        })
    }

    fn seal(&mut self) {
        let (Some(&low), Some(&high)) = (self.ids.keys().min(), self.ids.keys().max()) else {
            return;
        };
        let spread = high.abs_diff(low);
        if spread / Self::DENSE_SPREAD > u64::from(self.len) {
            return;
        }
        let mut by_offset = vec![NO_ENTITY; spread as usize + 1];
        for (key, id) in &self.ids {
            by_offset[key.abs_diff(low) as usize] = *id;
        }
        self.dense = Some((low, by_offset));
        self.ids = HashMap::with_hasher(hasher());
    }

    fn find(&self, keys: &Int64Array, ids: &mut Vec<u32>) {
        match &self.dense {
            Some((low, by_offset)) => {
                ids.extend(keys.values().iter().map(|key| {
                    let offset = key.wrapping_sub(*low) as u64 as usize;
                    by_offset.get(offset).copied().unwrap_or(NO_ENTITY)
                }));
            }
            None => ids.extend(
                keys.values()
                    .iter()
                    .map(|key| self.ids.get(key).copied().unwrap_or(NO_ENTITY)),
            ),
        }
        forget_nulls(keys.nulls(), ids);
    }
}

fn forget_nulls(nulls: Option<&NullBuffer>, ids: &mut [u32]) {
    if let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) {
        for (row, id) in ids.iter_mut().enumerate() {
            if nulls.is_null(row) {
                *id = NO_ENTITY;
            }
        }
    }
}

struct TextLookup {
    state: RandomState,
    table: HashTable<u32>,
    keys: Vec<Box<str>>,
    bytes: usize,
}

impl TextLookup {
    fn new() -> Self {
        Self {
            state: hasher(),
            table: HashTable::new(),
            keys: Vec::new(),
            bytes: 0,
        }
    }

    fn intern(&mut self, key: &str) -> u32 {
        let Self {
            state,
            table,
            keys,
            bytes,
        } = self;
        let entry = table.entry(
            state.hash_one(key.as_bytes()),
            |&id| &*keys[id as usize] == key,
            |&id| state.hash_one(keys[id as usize].as_bytes()),
        );
        let id = *entry.or_insert(keys.len() as u32).get();
        if id as usize == keys.len() {
            keys.push(key.into());
            *bytes += key.len() + size_of::<Box<str>>();
        }
        id
    }

    fn find(&self, keys: &StringViewArray, ids: &mut Vec<u32>) {
        for row in 0..keys.len() {
            let key = keys.value(row);
            let found = self.table.find(self.state.hash_one(key.as_bytes()), |&id| {
                &*self.keys[id as usize] == key
            });
            ids.push(found.copied().unwrap_or(NO_ENTITY));
        }
        forget_nulls(keys.nulls(), ids);
    }
}

/// Buffers that a worker keeps from batch to batch.
#[derive(Default)]
pub(super) struct KeyScratch {
    rows: Option<Rows>,
}

struct RowLookup {
    converter: RowConverter,
    state: RandomState,
    table: HashTable<u32>,
    keys: Vec<Box<[u8]>>,
    bytes: usize,
}

impl RowLookup {
    fn new(converter: RowConverter) -> Self {
        Self {
            converter,
            state: hasher(),
            table: HashTable::new(),
            keys: Vec::new(),
            bytes: 0,
        }
    }

    fn intern(&mut self, columns: &[ArrayRef], count: usize, ids: &mut Vec<u32>) -> Result<(), PointInTimeError> {
        let rows = self.converter.convert_columns(columns)?;
        let nulls = any_null(columns);
        let Self {
            state,
            table,
            keys,
            bytes,
            ..
        } = self;
        for row in 0..count {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                ids.push(NO_ENTITY);
                continue;
            }
            let row = rows.row(row);
            let key = row.data();
            let entry = table.entry(
                state.hash_one(key),
                |&id| &*keys[id as usize] == key,
                |&id| state.hash_one(&*keys[id as usize]),
            );
            let id = *entry.or_insert(keys.len() as u32).get();
            if id as usize == keys.len() {
                keys.push(key.into());
                *bytes += key.len() + size_of::<Box<[u8]>>();
            }
            ids.push(id);
        }
        Ok(())
    }

    fn find(
        &self,
        columns: &[ArrayRef],
        count: usize,
        scratch: &mut KeyScratch,
        ids: &mut Vec<u32>,
    ) -> Result<(), PointInTimeError> {
        let rows = scratch
            .rows
            .get_or_insert_with(|| self.converter.empty_rows(count, count * 16));
        rows.clear();
        self.converter.append(rows, columns)?;
        for row in rows.iter() {
            let key = row.data();
            let found = self
                .table
                .find(self.state.hash_one(key), |&id| &*self.keys[id as usize] == key);
            ids.push(found.copied().unwrap_or(NO_ENTITY));
        }
        forget_nulls(any_null(columns).as_ref(), ids);
        Ok(())
    }
}

fn any_null(columns: &[ArrayRef]) -> Option<NullBuffer> {
    columns.iter().fold(None, |nulls, column| {
        NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref())
    })
}
