//! What a table may hold, as data.

/// A table: its keys and what they take.
#[derive(Debug)]
pub struct TableSpec {
    /// What such a table is called in messages: `asset`, `ingest asset`, `file source`.
    pub name: &'static str,
    /// One or two sentences.
    pub doc: &'static str,
    /// Its keys.
    pub fields: &'static [FieldSpec],
}

/// One key of a table.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec {
    /// The key.
    pub name: &'static str,
    /// One sentence, shown by editors.
    pub doc: &'static str,
    /// What it takes.
    pub kind: FieldType,
    /// Whether it must be there.
    pub required: bool,
}

impl FieldSpec {
    /// A key that must be there.
    pub const fn required(name: &'static str, kind: FieldType, doc: &'static str) -> Self {
        Self {
            name,
            doc,
            kind,
            required: true,
        }
    }

    /// A key that may be left out.
    pub const fn optional(name: &'static str, kind: FieldType, doc: &'static str) -> Self {
        Self {
            name,
            doc,
            kind,
            required: false,
        }
    }
}

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub enum FieldType {
    /// Any text.
    String,
    /// A text that is not empty.
    Text,
    /// A name: 1 to 120 of a-z, 0-9 and _, not starting with a digit.
    Name,
    /// `layer.name` of an asset.
    AssetKey,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A whole number of 64 bits.
    Integer,
    /// A whole number from the first to the second, both included.
    IntegerWithin(i64, i64),
    /// A finite number; whole ones are fine.
    Float,
    /// A finite number from the first to the second, both included.
    FloatWithin(f64, f64),
    /// `true` or `false`.
    Boolean,
    /// A day: `2013-01-01`, with or without quotes.
    Date,
    /// A day, or a day and a local time: `2013-01-01T06:00:00`, with or without quotes.
    DateTime,
    /// A length of time that is the same everywhere: `90s`, `26h`, `1h 30m`, `7 days`, `2 weeks`; a day has 24 hours.
    Duration,
    /// A length of time by the calendar: as [`Self::Duration`], and `1 month`, `1 year`.
    CalendarDuration,
    /// An amount of memory or data: `512 MB`, `1 GiB`.
    ByteSize,
    /// A list of texts.
    StringList,
    /// A list.
    List(&'static FieldType),
    /// A table with described keys.
    Table(&'static TableSpec),
    /// A table with free keys, whose values are all of this type.
    Map(&'static FieldType),
    /// Whatever fits first, judged by the TOML type alone: for example a text or a table.
    OneOf(&'static [FieldType]),
    /// The table of an asset: the keys of every asset and those of its kind, judged once the kind is known.
    Asset,
    /// The table of a sensor: the keys of every sensor and those of its kind, judged once the kind is known.
    Sensor,
    /// Anything that JSON can hold.
    Any,
}

/// A text or a list of texts: read with [`super::TableReader::strings`].
pub(crate) const STRINGS: FieldType = FieldType::OneOf(&[FieldType::Text, FieldType::StringList]);

impl FieldType {
    /// A text or a list of texts: read with [`super::TableReader::strings`].
    pub const STRINGS: FieldType = STRINGS;

    /// What it is called in messages: `a string`, `a list of strings`.
    pub fn words(&self) -> String {
        match self {
            FieldType::String | FieldType::Text => "a string".to_owned(),
            FieldType::Name => "a name".to_owned(),
            FieldType::AssetKey => "an asset key".to_owned(),
            FieldType::Choice(choices) => {
                format!(
                    "one of {}",
                    choices
                        .iter()
                        .map(|choice| format!("\"{choice}\""))
                        .collect::<Vec<_>>()
                        .join(", ")
                )
            }
            FieldType::Integer | FieldType::IntegerWithin(..) => "an integer".to_owned(),
            FieldType::Float | FieldType::FloatWithin(..) => "a number".to_owned(),
            FieldType::Boolean => "true or false".to_owned(),
            FieldType::Date => "a date".to_owned(),
            FieldType::DateTime => "a date or a date and time".to_owned(),
            FieldType::Duration | FieldType::CalendarDuration => "a length of time as a string".to_owned(),
            FieldType::ByteSize => "an amount of bytes as a string".to_owned(),
            FieldType::StringList => "a list of strings".to_owned(),
            FieldType::List(_) => "a list".to_owned(),
            FieldType::Table(spec) => format!("a table ({})", spec.name),
            FieldType::Map(_) => "a table".to_owned(),
            FieldType::OneOf(types) => {
                let mut words: Vec<String> = Vec::new();
                for kind in *types {
                    let word = kind.words();
                    if !words.contains(&word) {
                        words.push(word);
                    }
                }
                words.join(" or ")
            }
            FieldType::Asset => "a table (asset)".to_owned(),
            FieldType::Sensor => "a table (sensor)".to_owned(),
            FieldType::Any => "a value".to_owned(),
        }
    }
}
