//! A part of a list, and where the next part begins.

use rusqlite::Row;
use serde::Serialize;

use crate::sqlite::error::StateError;

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Page<T, C> {
    /// The rows.
    pub rows: Vec<T>,
    /// Pass this to get the rows after these; `None` at the end of the list.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// From up to `limit + 1` rows: the one too many tells that there are more.
    pub(super) fn of(mut rows: Vec<T>, limit: usize, cursor: impl Fn(&T) -> C) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(cursor) } else { None };
        Self { rows, next }
    }
}

/// The value of `LIMIT` that lets [`Page::of`] see whether there are more.
pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX - 1).saturating_add(1)
}

/// Reads every row.
pub(super) fn collect<T>(
    mut rows: rusqlite::Rows<'_>,
    convert: impl Fn(&Row<'_>) -> Result<T, StateError>,
) -> Result<Vec<T>, StateError> {
    let mut converted = Vec::new();
    while let Some(row) = rows.next()? {
        converted.push(convert(row)?);
    }
    Ok(converted)
}

/// The text of a column that is never NULL.
pub(super) fn text<'r>(row: &'r Row<'_>, index: usize) -> Result<&'r str, StateError> {
    Ok(row.get_ref(index)?.as_str().map_err(rusqlite::Error::from)?)
}
