//! The types that a column of a raw file can be declared with, by Iceberg's names.
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use super::error::did_you_mean;

/// The zone that `timestamptz` columns carry in Arrow; Iceberg's readers and writers use the same text.
pub const UTC: &str = "+00:00";

/// How deep declared and inferred types may nest.
const DEEPEST: usize = 32;

/// The type of a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `true` or `false`.
    Boolean,
    /// A 32-bit integer.
    Int,
    /// A 64-bit integer.
    Long,
    /// A 32-bit floating point number.
    Float,
    /// A 64-bit floating point number.
    Double,
    /// An exact number with `precision` digits, `scale` of them after the point.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: u8,
    },
    /// A day.
    Date,
    /// A date and time of day without a zone, in microseconds.
    Timestamp,
    /// An instant, in microseconds, shown in UTC.
    Timestamptz,
    /// UTF-8 text.
    String,
    /// Bytes.
    Binary,
    /// A list of values of one type.
    List(Box<ColumnType>),
    /// Named values.
    Struct(Vec<(String, ColumnType)>),
}

/// The names that need no arguments.
const PLAIN: [(&str, ColumnType); 10] = [
    ("boolean", ColumnType::Boolean),
    ("int", ColumnType::Int),
    ("long", ColumnType::Long),
    ("float", ColumnType::Float),
    ("double", ColumnType::Double),
    ("date", ColumnType::Date),
    ("timestamp", ColumnType::Timestamp),
    ("timestamptz", ColumnType::Timestamptz),
    ("string", ColumnType::String),
    ("binary", ColumnType::Binary),
];

/// What other systems call these types; named in the message, so that nobody has to guess.
const FOREIGN: [(&str, &str); 18] = [
    ("bool", "boolean"),
    ("int32", "int"),
    ("integer", "int"),
    ("int64", "long"),
    ("bigint", "long"),
    ("float32", "float"),
    ("real", "float"),
    ("float64", "double"),
    ("number", "double"),
    ("numeric", "decimal(p,s)"),
    ("datetime", "timestamp"),
    ("timestamp_tz", "timestamptz"),
    ("text", "string"),
    ("varchar", "string"),
    ("utf8", "string"),
    ("bytes", "binary"),
    ("array", "list<…>"),
    ("object", "struct<…>"),
];

impl ColumnType {
    /// The Arrow type that columns of this type are read into. Fields inside are nullable.
    pub fn to_arrow(&self) -> DataType {
        match self {
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::Int => DataType::Int32,
            ColumnType::Long => DataType::Int64,
            ColumnType::Float => DataType::Float32,
            ColumnType::Double => DataType::Float64,
            ColumnType::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
            ColumnType::Date => DataType::Date32,
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            ColumnType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            ColumnType::String => DataType::Utf8,
            ColumnType::Binary => DataType::Binary,
            ColumnType::List(item) => DataType::List(Arc::new(Field::new("element", item.to_arrow(), true))),
            ColumnType::Struct(fields) => DataType::Struct(
                fields
                    .iter()
                    .map(|(name, kind)| Field::new(name, kind.to_arrow(), true))
                    .collect::<Fields>(),
            ),
        }
    }

    /// The column type of an Arrow type that [`to_arrow`](Self::to_arrow) gives; `None` for any other.
    pub fn from_arrow(kind: &DataType) -> Option<Self> {
        Some(match kind {
            DataType::Boolean => ColumnType::Boolean,
            DataType::Int32 => ColumnType::Int,
            DataType::Int64 => ColumnType::Long,
            DataType::Float32 => ColumnType::Float,
            DataType::Float64 => ColumnType::Double,
            DataType::Decimal128(precision, scale) => ColumnType::Decimal {
                precision: *precision,
                scale: u8::try_from(*scale).ok()?,
            },
            DataType::Date32 => ColumnType::Date,
            DataType::Timestamp(TimeUnit::Microsecond, None) => ColumnType::Timestamp,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => ColumnType::Timestamptz,
            DataType::Utf8 => ColumnType::String,
            DataType::Binary => ColumnType::Binary,
            DataType::List(item) => ColumnType::List(Box::new(Self::from_arrow(item.data_type())?)),
            DataType::Struct(fields) => ColumnType::Struct(
                fields
                    .iter()
                    .map(|field| Some((field.name().clone(), Self::from_arrow(field.data_type())?)))
                    .collect::<Option<_>>()?,
            ),
            _ => return None,
        })
    }
}

/// The name of an Arrow type as a person declares it; Arrow's own name for those that cannot be declared.
pub(super) fn type_name(kind: &DataType) -> String {
    ColumnType::from_arrow(kind).map_or_else(|| kind.to_string(), |kind| kind.to_string())
}

impl fmt::Display for ColumnType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Decimal { precision, scale } => write!(formatter, "decimal({precision},{scale})"),
            ColumnType::List(item) => write!(formatter, "list<{item}>"),
            ColumnType::Struct(fields) => {
                formatter.write_str("struct<")?;
                for (position, (name, kind)) in fields.iter().enumerate() {
                    let comma = if position == 0 { "" } else { "," };
                    write!(formatter, "{comma}{name}:{kind}")?;
                }
                formatter.write_str(">")
            }
            plain => {
                let (name, _) = PLAIN
                    .iter()
                    .find(|(_, kind)| kind == plain)
                    .expect("every type without arguments is in PLAIN");
                formatter.write_str(name)
            }
        }
    }
}

/// A type name that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a column type{hint}")]
pub struct UnknownColumnType {
    /// What was written.
    pub text: String,
    /// " (did you mean …?)", or what the arguments should be, or the list of names.
    pub hint: String,
}

impl FromStr for ColumnType {
    type Err = UnknownColumnType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text.trim(), 0)
    }
}

fn unknown(text: &str, hint: impl Into<String>) -> UnknownColumnType {
    UnknownColumnType {
        text: text.to_owned(),
        hint: hint.into(),
    }
}

fn parse(text: &str, depth: usize) -> Result<ColumnType, UnknownColumnType> {
    if depth > DEEPEST {
        return Err(unknown(text, format!(": types nest at most {DEEPEST} deep")));
    }
    let lowered = text.to_ascii_lowercase();
    if let Some((_, kind)) = PLAIN.iter().find(|(name, _)| *name == lowered) {
        return Ok(kind.clone());
    }
    if let Some(arguments) = arguments(text, &lowered, "decimal", '(', ')') {
        return decimal(text, arguments);
    }
    if let Some(item) = arguments(text, &lowered, "list", '<', '>') {
        return Ok(ColumnType::List(Box::new(parse(item.trim(), depth + 1)?)));
    }
    if let Some(fields) = arguments(text, &lowered, "struct", '<', '>') {
        return structure(text, fields, depth);
    }
    if lowered == "decimal" {
        return Err(unknown(text, ": write its precision and scale, such as decimal(10,2)"));
    }
    if let Some((_, ours)) = FOREIGN.iter().find(|(name, _)| *name == lowered) {
        return Err(unknown(text, format!(" (did you mean `{ours}`?)")));
    }
    let hint = did_you_mean(&lowered, PLAIN.iter().map(|(name, _)| *name).chain(["decimal(p,s)"]));
    if !hint.is_empty() {
        return Err(unknown(text, hint));
    }
    let names: Vec<&str> = PLAIN.iter().map(|(name, _)| *name).collect();
    Err(unknown(
        text,
        format!("; the types are {}, decimal(p,s), list<…>, struct<…>", names.join(", ")),
    ))
}

/// What stands between the brackets of `name(…)`.
fn arguments<'a>(text: &'a str, lowered: &str, name: &str, open: char, close: char) -> Option<&'a str> {
    let rest = lowered.strip_prefix(name)?.trim_start();
    if !rest.starts_with(open) || !rest.ends_with(close) || rest.len() < 2 {
        return None;
    }
    // Lowering ASCII keeps every byte's place.
    Some(&text[text.len() - rest.len() + 1..text.len() - 1])
}

fn decimal(text: &str, arguments: &str) -> Result<ColumnType, UnknownColumnType> {
    let hint = ": a decimal has a precision of 1 to 38 and a scale of at most the precision, such as decimal(10,2)";
    let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
    match (precision.trim().parse::<u8>(), scale.trim().parse::<u8>()) {
        (Ok(precision @ 1..=38), Ok(scale)) if scale <= precision => Ok(ColumnType::Decimal { precision, scale }),
        _ => Err(unknown(text, hint)),
    }
}

fn structure(text: &str, fields: &str, depth: usize) -> Result<ColumnType, UnknownColumnType> {
    let mut named: Vec<(String, ColumnType)> = Vec::new();
    for field in split_fields(fields) {
        let Some((name, kind)) = field.split_once(':') else {
            return Err(unknown(
                text,
                ": the fields of a struct are written name:type, such as struct<lat:double>",
            ));
        };
        let name = name.trim();
        if name.is_empty() || named.iter().any(|(other, _)| other == name) {
            return Err(unknown(
                text,
                format!(": field `{name}` of the struct has no name or stands there twice"),
            ));
        }
        named.push((name.to_owned(), parse(kind.trim(), depth + 1)?));
    }
    Ok(ColumnType::Struct(named))
}

/// Splits at the commas that stand outside all brackets.
fn split_fields(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, character) in text.char_indices() {
        match character {
            '<' | '(' => depth += 1,
            '>' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    if !text[from..].trim().is_empty() {
        parts.push(&text[from..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for text in [
            "boolean",
            "int",
            "long",
            "float",
            "double",
            "date",
            "timestamp",
            "timestamptz",
            "string",
            "binary",
            "decimal(10,2)",
            "list<long>",
            "struct<lat:double,seen:list<struct<at:timestamptz,note:string>>,price:decimal(9,2)>",
        ] {
            let kind: ColumnType = text.parse().unwrap();
            assert_eq!(kind.to_string(), text);
            assert_eq!(ColumnType::from_arrow(&kind.to_arrow()), Some(kind));
        }
        assert_eq!(
            "decimal( 5 )".parse(),
            Ok(ColumnType::Decimal { precision: 5, scale: 0 })
        );
        assert_eq!(
            " Struct< Lat : Double > ".parse(),
            Ok(ColumnType::Struct(vec![("Lat".into(), ColumnType::Double)]))
        );
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let message = |text: &str| text.parse::<ColumnType>().unwrap_err().to_string();
        assert_eq!(
            message("bolean"),
            "`bolean` is not a column type (did you mean `boolean`?)"
        );
        assert_eq!(message("int64"), "`int64` is not a column type (did you mean `long`?)");
        assert_eq!(
            message("timestmptz"),
            "`timestmptz` is not a column type (did you mean `timestamptz`?)"
        );
        assert!(message("decimal").contains("decimal(10,2)"));
        assert!(message("decimal(39,2)").contains("1 to 38"));
        assert!(message("decimal(5,6)").contains("scale"));
        assert!(message("").contains("the types are boolean"));
        assert!(message("struct<a>").contains("name:type"));
        assert!(message("struct<a:int,a:int>").contains("twice"));
        assert!(message(&format!("{}int{}", "list<".repeat(100), ">".repeat(100))).contains("32 deep"));
    }
}
