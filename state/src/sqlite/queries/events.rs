//! What happened since an event: what live pages follow.

use std::collections::BTreeSet;

use rusqlite::{Row, params};
use serde::Serialize;
use serde_json::Value;

use super::page::{Page, collect, one_more, text};
use crate::event::{Event, Micros};
use crate::ids::RunId;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

/// Events with more JSON than this (the plan of a large run, thousands of source files) are listed without it.
const LARGEST_LISTED: usize = 64 << 10;

const SINCE: &str = "
    SELECT seq, at, type, run, CASE WHEN octet_length(json) <= ?3 THEN json END
    FROM event WHERE seq > ?1 AND (?2 IS NULL OR run = ?2) ORDER BY seq LIMIT ?4";

const ONE: &str = "
    SELECT json FROM event WHERE seq = ?1";

const BACK: &str = "
    SELECT seq, at, type, run, CASE WHEN octet_length(json) <= ?2 THEN json END
    FROM event WHERE seq < ?1 ORDER BY seq DESC";

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct EventRow {
    /// Its number; the cursor of the list.
    pub seq: i64,
    /// When it was decided.
    pub at: Micros,
    /// Its type.
    pub r#type: String,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// The event as JSON; `None` if it is large: ask for it with [`one`].
    pub event: Option<Value>,
}

impl EventRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        let run: Option<String> = row.get(3)?;
        let json: Option<String> = row.get(4)?;
        Ok(Self {
            seq: row.get(0)?,
            at: row.get(1)?,
            r#type: text(row, 2)?.to_owned(),
            run: run.map(|run| value::parsed("event.run", &run)).transpose()?,
            event: value::optional_json("event.json", json)?,
        })
    }
}

/// Events after the number `after` (of one run), oldest first.
pub fn since(store: &Store, after: i64, run: Option<&RunId>, limit: usize) -> Result<Page<EventRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(SINCE)?;
    let rows = statement.query(params![
        after,
        run.map(RunId::as_str),
        LARGEST_LISTED as i64,
        one_more(limit)
    ])?;
    Ok(Page::of(collect(rows, EventRow::of)?, limit, |row| row.seq))
}

/// A part of the stream of events, read backwards.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Back {
    /// The events that are wanted, newest first.
    pub rows: Vec<EventRow>,
    /// Pass as `before` for those before; `None` at the begin of the stream.
    pub next: Option<i64>,
    /// Up to when it was looked through: fewer rows than the limit, and a `next`, mean that looking took too long.
    pub looked_back_to: Option<Micros>,
}

/// Events before the number `before`, newest first, that are wanted by what they are (`by_type`) and by what they say
/// (`by_text`, given the JSON, which is absent where it is large): at most `limit` of them among the `furthest` that are looked at.
pub fn back(
    store: &Store,
    before: Option<i64>,
    limit: usize,
    furthest: usize,
    by_type: impl Fn(&str, Option<&str>) -> bool,
    by_text: impl Fn(&str, Option<&str>) -> bool,
) -> Result<Back, StateError> {
    let mut statement = store.connection.prepare_cached(BACK)?;
    let mut found = statement.query(params![before.unwrap_or(i64::MAX), LARGEST_LISTED as i64])?;
    let mut part = Back {
        rows: Vec::new(),
        next: None,
        looked_back_to: None,
    };
    let mut looked_at = 0;
    let mut last = None;
    while let Some(row) = found.next()? {
        if part.rows.len() == limit || looked_at == furthest {
            part.next = last;
            break;
        }
        looked_at += 1;
        last = Some(row.get(0)?);
        part.looked_back_to = Some(row.get(1)?);
        let run = row.get_ref(3)?.as_str_or_null().map_err(rusqlite::Error::from)?;
        if !by_type(text(row, 2)?, run) {
            continue;
        }
        let json = row.get_ref(4)?.as_str_or_null().map_err(rusqlite::Error::from)?;
        if by_text(text(row, 2)?, json) {
            part.rows.push(EventRow::of(row)?);
        }
    }
    Ok(part)
}

/// The event with the number `seq`, whole.
pub fn one(store: &Store, seq: i64) -> Result<Option<Event>, StateError> {
    let mut statement = store.connection.prepare_cached(ONE)?;
    let mut rows = statement.query([seq])?;
    rows.next()?
        .map(|row| value::json("event.json", text(row, 0)?))
        .transpose()
}

/// The tables that lost partitions after the event with the number `after` because they were cut in another way.
pub fn cut_since(store: &Store, after: i64) -> Result<BTreeSet<String>, StateError> {
    let mut query = store
        .connection
        .prepare_cached("SELECT DISTINCT asset FROM partition_cut WHERE seq > ?1")?;
    let rows = query.query_map([after], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The number of the newest event; 0 before the first. A reader sees it grow.
pub fn newest(store: &Store) -> Result<i64, StateError> {
    Ok(store
        .connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM event")?
        .query_row([], |row| row.get(0))?)
}
