//! Timestamps of any type on one scale of 64-bit integers.
//!
//! The scale is microseconds since the epoch. Where a column of the comparison counts nanoseconds the scale is
//! nanoseconds, since rounding could let a feature through that is some nanoseconds too late. Instants beyond the scale
//! (1677 to 2262 in nanoseconds) saturate at its ends.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};

use super::{PointInTimeError, TimeToLive};

/// What an instant of a column means. Only like kinds compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeKind {
    /// A timestamp with a time zone: an instant. Two zones compare, since both count from the epoch in UTC.
    Zoned,
    /// A timestamp without a zone, or a date (its midnight): wall time.
    Naive,
    /// A 64-bit integer: a counter. Its unit is unknown, so it compares only with another one; a time to live counts
    /// it as microseconds.
    Counter,
}

impl TimeKind {
    /// The kind of a type, if it stands for a time.
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Timestamp(_, Some(_)) => Some(Self::Zoned),
            DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 => Some(Self::Naive),
            DataType::Int64 => Some(Self::Counter),
            _ => None,
        }
    }

    /// The kind in words, for a message.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Zoned => "a timestamp with time zone",
            Self::Naive => "a timestamp without time zone",
            Self::Counter => "an integer without a unit",
        }
    }
}

/// The unit in which the times of one comparison are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeScale {
    /// Enough unless a column is finer.
    Microseconds,
    /// Where one of the columns counts nanoseconds.
    Nanoseconds,
}

impl TimeScale {
    /// The coarsest scale that loses nothing of these types.
    pub(super) fn of<'a>(types: impl IntoIterator<Item = &'a DataType>) -> Self {
        let nano = |data_type: &DataType| matches!(data_type, DataType::Timestamp(TimeUnit::Nanosecond, _));
        if types.into_iter().any(nano) {
            Self::Nanoseconds
        } else {
            Self::Microseconds
        }
    }

    fn per_microsecond(self) -> i64 {
        match self {
            Self::Microseconds => 1,
            Self::Nanoseconds => 1_000,
        }
    }

    /// A time to live on this scale.
    pub(super) fn time_to_live(self, ttl: TimeToLive) -> i64 {
        i64::try_from(ttl.micros())
            .unwrap_or(i64::MAX)
            .saturating_mul(self.per_microsecond())
    }

    /// The instants of a column on this scale. `side` and `column` name it in the error.
    pub(super) fn instants(self, array: &ArrayRef, side: &str, column: &str) -> Result<Int64Array, PointInTimeError> {
        let micro = self.per_microsecond();
        let scaled = |values: Int64Array, factor: i64| match factor {
            1 => values,
            _ => values.unary(|value| value.saturating_mul(factor)),
        };
        Ok(match array.data_type() {
            DataType::Int64 => array.as_primitive::<Int64Type>().clone(),
            DataType::Date32 => {
                let day = 86_400_000_000 * micro;
                array
                    .as_primitive::<Date32Type>()
                    .unary(|days| i64::from(days).saturating_mul(day))
            }
            DataType::Date64 => scaled(array.as_primitive::<Date64Type>().reinterpret_cast(), 1_000 * micro),
            DataType::Timestamp(TimeUnit::Second, _) => scaled(
                array.as_primitive::<TimestampSecondType>().reinterpret_cast(),
                1_000_000 * micro,
            ),
            DataType::Timestamp(TimeUnit::Millisecond, _) => scaled(
                array.as_primitive::<TimestampMillisecondType>().reinterpret_cast(),
                1_000 * micro,
            ),
            DataType::Timestamp(TimeUnit::Microsecond, _) => scaled(
                array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast(),
                micro,
            ),
            // The scale of a nanosecond column is nanoseconds, see `TimeScale::of`.
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                array.as_primitive::<TimestampNanosecondType>().reinterpret_cast()
            }
            other => {
                return Err(PointInTimeError::NotATime {
                    side: side.to_owned(),
                    column: column.to_owned(),
                    data_type: other.clone(),
                });
            }
        })
    }
}
