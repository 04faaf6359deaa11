//! Finding the columns that a check names.

use arrow::datatypes::{Schema, SchemaRef};

/// The position of `name` among the columns, or a message that names the nearest one.
pub(super) fn position(schema: &Schema, name: &str) -> Result<usize, String> {
    schema.index_of(name).map_err(|_| {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        missing(name, &names)
    })
}

/// The positions of `names`.
pub(super) fn positions(schema: &SchemaRef, names: &[String]) -> Result<Vec<usize>, String> {
    names.iter().map(|name| position(schema, name)).collect()
}

/// `` no column `carier`; did you mean `carrier`? ``
pub(crate) fn missing(name: &str, names: &[&str]) -> String {
    match assets::diagnostic::closest(name, names.iter().copied()) {
        Some(near) => format!("there is no column `{name}`; did you mean `{near}`?"),
        None => {
            let shown: Vec<String> = names.iter().take(12).map(|name| format!("`{name}`")).collect();
            let more = if names.len() > shown.len() { ", …" } else { "" };
            format!(
                "there is no column `{name}`; the columns are {}{more}",
                shown.join(", ")
            )
        }
    }
}
