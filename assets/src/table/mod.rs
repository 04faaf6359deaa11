//! Reading TOML tables by description.
//!
//! A [`TableSpec`] says which keys a table has and what each takes. From this one description come the diagnostics (unknown
//! keys with "did you mean", wrong types, missing keys, values out of range), the typed getters of [`TableReader`] and the JSON
//! Schema for editors, so that the three cannot disagree.
//!
//! `parse` checks the limits (size, depth) before the TOML parser sees the text, `check` judges a table by its spec and reports
//! everything at once, `reader` then hands out values: a getter returns `None` for what is absent and for what was already
//! reported, so code that reads a table has no error handling of its own.

mod check;
mod parse;
mod reader;
mod spec;
mod value;

pub(crate) use check::bad_name;
pub use parse::{MOST_BYTES, MOST_DEPTH};
pub(crate) use parse::{parse, read_source};
pub use reader::TableReader;
pub use spec::{FieldSpec, FieldType, TableSpec};
pub use value::TableValue;
