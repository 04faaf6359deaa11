//! What is wrong now, what was, and the messages that told of it.

use assets::AssetKey;
use assets::alert::Trouble;
use rusqlite::{Row, params};
use serde::Serialize;

use super::page::{Page, collect, one_more, text};
use crate::alert::{AlertEnd, AlertMessage, MessageStatus};
use crate::event::Micros;
use crate::ids::RunId;
use crate::sqlite::error::StateError;
use crate::sqlite::open::Store;
use crate::sqlite::value;

macro_rules! alert_columns {
    () => {
        "SELECT seq, at, alert, trouble, subject, asset, run, text, ended_at, ended FROM alert "
    };
}

const OPEN: &str = concat!(
    alert_columns!(),
    "WHERE ended_at IS NULL AND (?1 IS NULL OR alert = ?1) AND seq < ?2 ORDER BY seq DESC LIMIT ?3"
);

const COUNTS: &str = "
    SELECT (SELECT count(*) FROM (SELECT DISTINCT trouble, subject FROM alert WHERE ended_at IS NULL)),
           (SELECT count(*) FROM alert_message WHERE status = 'failed' AND seq > coalesce(
               (SELECT max(seq) FROM alert_message d WHERE d.status = 'delivered' AND d.alert = alert_message.alert), 0)),
           (SELECT count(*) FROM alert_message WHERE status = 'waiting' AND tries > 0)";

const BY_ALERT: &str = "
    SELECT alert, count(*) FROM alert WHERE ended_at IS NULL GROUP BY alert ORDER BY alert";

const MESSAGES: &str = "
    SELECT seq, at, json, status, tries, error, next_at, ended_at FROM alert_message
    WHERE (?1 IS NULL OR alert = ?1) AND seq < ?2 ORDER BY seq DESC LIMIT ?3";

/// Something that went wrong, for one alert that is about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct AlertRow {
    /// Its number; the cursor of the list.
    pub seq: i64,
    /// When it was raised.
    pub at: Micros,
    /// The alert.
    pub alert: String,
    /// What is wrong.
    pub trouble: Trouble,
    /// With what.
    pub subject: String,
    /// The asset, where it is about one.
    pub asset: Option<AssetKey>,
    /// The run in which it happened.
    pub run: Option<RunId>,
    /// What happened.
    pub text: String,
    /// When it was over.
    pub ended_at: Option<Micros>,
    /// How.
    pub ended: Option<AlertEnd>,
}

/// A message, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct MessageRow {
    /// Its number; the cursor of the list.
    pub seq: i64,
    /// When it was made.
    pub at: Micros,
    /// What it tells.
    pub message: AlertMessage,
    /// What became of it.
    pub status: MessageStatus,
    /// How often it was tried.
    pub tries: u32,
    /// Why the last try failed.
    pub error: Option<String>,
    /// When it is tried next.
    pub next_at: Option<Micros>,
    /// When it was delivered or given up.
    pub ended_at: Option<Micros>,
}

/// How much there is to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, schemars::JsonSchema)]
pub struct AlertCounts {
    /// Things that are wrong now; what several alerts are about counts once.
    pub open: u64,
    /// Messages that were given up since a message of their alert was last delivered.
    pub failed: u64,
    /// Messages that could not be delivered yet and are tried again.
    pub retried: u64,
}

impl AlertRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        let asset: Option<String> = row.get(5)?;
        let run: Option<String> = row.get(6)?;
        let ended: Option<String> = row.get(9)?;
        Ok(Self {
            seq: row.get(0)?,
            at: row.get(1)?,
            alert: row.get(2)?,
            trouble: value::trouble(text(row, 3)?)?,
            subject: row.get(4)?,
            asset: asset.map(|asset| value::parsed("alert.asset", &asset)).transpose()?,
            run: run.map(|run| value::parsed("alert.run", &run)).transpose()?,
            text: row.get(7)?,
            ended_at: row.get(8)?,
            ended: ended.map(|ended| value::alert_end(&ended)).transpose()?,
        })
    }
}

impl MessageRow {
    fn of(row: &Row<'_>) -> Result<Self, StateError> {
        Ok(Self {
            seq: row.get(0)?,
            at: row.get(1)?,
            message: value::json("alert_message.json", text(row, 2)?)?,
            status: value::message_status(text(row, 3)?)?,
            tries: row.get(4)?,
            error: row.get(5)?,
            next_at: row.get(6)?,
            ended_at: row.get(7)?,
        })
    }
}

/// What is wrong now, newest first: of one alert, or of all.
pub fn open_alerts(
    store: &Store,
    alert: Option<&str>,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<AlertRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(OPEN)?;
    let rows = statement.query(params![alert, before.unwrap_or(i64::MAX), one_more(limit)])?;
    Ok(Page::of(collect(rows, AlertRow::of)?, limit, |row| row.seq))
}

/// The messages, newest first: of one alert, or of all.
pub fn messages(
    store: &Store,
    alert: Option<&str>,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<MessageRow, i64>, StateError> {
    let mut statement = store.connection.prepare_cached(MESSAGES)?;
    let rows = statement.query(params![alert, before.unwrap_or(i64::MAX), one_more(limit)])?;
    Ok(Page::of(collect(rows, MessageRow::of)?, limit, |row| row.seq))
}

/// How much there is to look at.
pub fn counts(store: &Store) -> Result<AlertCounts, StateError> {
    let mut statement = store.connection.prepare_cached(COUNTS)?;
    Ok(statement.query_row([], |row| {
        Ok(AlertCounts {
            open: value::count(row.get(0)?),
            failed: value::count(row.get(1)?),
            retried: value::count(row.get(2)?),
        })
    })?)
}

/// How much is wrong now, by alert; alerts of which nothing is are left out.
pub fn open_by_alert(store: &Store) -> Result<Vec<(String, u64)>, StateError> {
    let mut statement = store.connection.prepare_cached(BY_ALERT)?;
    let rows = statement.query([])?;
    collect(rows, |row| Ok((row.get(0)?, value::count(row.get(1)?))))
}
