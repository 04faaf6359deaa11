//! JSON lines: one object on each line (RFC 8259 for the objects).
//!
//! `value` reads one line without copying what it need not, `lines` walks a file line by line, `kind` learns the
//! types, `reader` builds typed columns. Numbers keep their text until a column takes them, so that no digit of a
//! decimal or a long is lost on the way.
mod kind;
mod lines;
mod reader;
mod value;

pub(super) use kind::{JsonKind, Place, field_mut};
pub(super) use lines::JsonFile;
pub(super) use lines::LineStep;
pub(super) use reader::JsonReader;
pub(super) use value::Json;
