//! Learns the type of a JSON column from all its values.
use crate::formats::column_type::ColumnType;
use crate::formats::kind::{Kind, Sample, Seen};
use crate::formats::null_texts::NullTexts;

use super::value::Json;

/// An object with more keys than this over all its rows is a dictionary, not a struct; it is kept as text.
const MOST_FIELDS: usize = 1000;

/// What the values of a column are.
#[derive(Debug, Clone)]
pub(in crate::formats) enum JsonKind {
    /// Null so far.
    Unknown,
    Scalar(Seen),
    List(Box<JsonKind>),
    Struct(Vec<(String, JsonKind)>),
    /// Of different shapes: kept as the text of the JSON. Where that showed first, when it was inside one file.
    Mixed(Option<Sample>),
}

/// Where the values come from, and which texts are null.
#[derive(Clone, Copy)]
pub(in crate::formats) struct Place<'a> {
    pub(in crate::formats) file: usize,
    pub(in crate::formats) line: u64,
    pub(in crate::formats) nulls: &'a NullTexts,
}

impl JsonKind {
    /// Takes in one more value.
    pub(in crate::formats) fn add(&mut self, value: &Json<'_>, place: Place<'_>) {
        if is_null(value, place.nulls) {
            return;
        }
        if matches!(self, JsonKind::Unknown) {
            *self = match value {
                Json::List { .. } => JsonKind::List(Box::new(JsonKind::Unknown)),
                Json::Object { .. } => JsonKind::Struct(Vec::new()),
                _ => JsonKind::Scalar(Seen::default()),
            };
        }
        match (&mut *self, value) {
            (JsonKind::Mixed(_), _) => {}
            (JsonKind::List(item), Json::List { items, .. }) => {
                for value in items {
                    item.add(value, place);
                }
            }
            (JsonKind::Struct(fields), Json::Object { entries, .. }) => {
                for (position, (key, value)) in entries.iter().enumerate() {
                    field_mut(fields, key, position).add(value, place);
                }
                if fields.len() > MOST_FIELDS {
                    *self = mixed(value, place);
                }
            }
            (JsonKind::Scalar(seen), Json::Boolean(_)) => {
                seen.add(Kind::Boolean, value.as_text().as_bytes(), place.file, place.line);
            }
            (JsonKind::Scalar(seen), Json::Number(text)) => seen.add_text(text.as_bytes(), place.file, place.line),
            (JsonKind::Scalar(seen), Json::Text(text)) => {
                // Text stays text unless it says a moment: "5" in quotes was quoted for a reason.
                let kind = match Kind::of(text.as_bytes()) {
                    kind @ (Kind::Date | Kind::Timestamp | Kind::Timestamptz) => kind,
                    _ => Kind::String,
                };
                seen.add(kind, text.as_bytes(), place.file, place.line);
            }
            _ => *self = mixed(value, place),
        }
    }

    /// Takes in what a later file says.
    pub(in crate::formats) fn merge(&mut self, other: JsonKind) {
        match (&mut *self, other) {
            (JsonKind::Mixed(_), _) | (_, JsonKind::Unknown) => {}
            (JsonKind::Unknown, other) => *self = other,
            (JsonKind::Scalar(own), JsonKind::Scalar(theirs)) => own.merge(&theirs),
            (JsonKind::List(own), JsonKind::List(theirs)) => own.merge(*theirs),
            (JsonKind::Struct(own), JsonKind::Struct(theirs)) => {
                for (position, (key, kind)) in theirs.into_iter().enumerate() {
                    field_mut(own, &key, position).merge(kind);
                }
                if own.len() > MOST_FIELDS {
                    *self = JsonKind::Mixed(None);
                }
            }
            (_, JsonKind::Mixed(sample)) => *self = JsonKind::Mixed(sample),
            (_, JsonKind::Scalar(_) | JsonKind::List(_) | JsonKind::Struct(_)) => *self = JsonKind::Mixed(None),
        }
    }

    /// The type that holds all values.
    pub(in crate::formats) fn column_type(&self) -> ColumnType {
        match self {
            JsonKind::Unknown | JsonKind::Mixed(_) => ColumnType::String,
            JsonKind::Scalar(seen) => seen.column_type(),
            JsonKind::List(item) => ColumnType::List(Box::new(item.column_type())),
            // Tables have no structs without fields.
            JsonKind::Struct(fields) if fields.is_empty() => ColumnType::String,
            JsonKind::Struct(fields) => ColumnType::Struct(
                fields
                    .iter()
                    .map(|(name, kind)| (name.clone(), kind.column_type()))
                    .collect(),
            ),
        }
    }

    /// For a column that became text because its values differ: what was expected, and the first value that
    /// does not fit.
    pub(in crate::formats) fn spoiled_by(&self) -> Option<(String, &Sample)> {
        match self {
            JsonKind::Scalar(seen) => seen.spoiled_by().map(|(kind, sample)| (kind.to_string(), sample)),
            JsonKind::Mixed(Some(sample)) => Some(("one shape".to_owned(), sample)),
            _ => None,
        }
    }
}

fn mixed(value: &Json<'_>, place: Place<'_>) -> JsonKind {
    JsonKind::Mixed(Some(Sample::new(place.file, place.line, value.as_text().as_bytes())))
}

/// Null, or a text that stands for it.
pub(super) fn is_null(value: &Json<'_>, nulls: &NullTexts) -> bool {
    match value {
        Json::Null => true,
        Json::Text(text) => nulls.matches(text.as_bytes(), false),
        _ => false,
    }
}

/// The field of a name, new ones at the end. Most objects have their keys in the order of the others, so the
/// place in the object is tried first.
pub(in crate::formats) fn field_mut<'a>(
    fields: &'a mut Vec<(String, JsonKind)>,
    key: &str,
    position: usize,
) -> &'a mut JsonKind {
    let found = match fields.get(position) {
        Some((name, _)) if name == key => Some(position),
        _ => fields.iter().position(|(name, _)| name == key),
    };
    let index = found.unwrap_or_else(|| {
        fields.push((key.to_owned(), JsonKind::Unknown));
        fields.len() - 1
    });
    &mut fields[index].1
}
