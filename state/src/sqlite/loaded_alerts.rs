//! What the core needs to know of alerts to carry on.

use std::collections::BTreeMap;

use assets::AssetKey;
use assets::alert::Trouble;
use rusqlite::Connection;

use super::error::StateError;
use super::value;
use crate::alert::{AlertLine, AlertMessage};
use crate::event::Micros;

/// An alert of which something is open, to be told, or was told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoadedAlert {
    /// What is wrong: the trouble, with what, and the asset where it is about one.
    pub open: BTreeMap<(Trouble, String), Option<AssetKey>>,
    /// What is still to be told, in its order.
    pub lines: Vec<AlertLine>,
    /// The message that is not delivered and not given up, how often it was tried, and when it is tried next.
    pub waiting: Option<(AlertMessage, u32, Micros)>,
    /// When its newest messages were made, oldest first, at most [`MESSAGES`].
    pub made: Vec<Micros>,
}

/// How many messages of an alert are looked back at.
pub const MESSAGES: usize = 100;

const OPEN: &str = "
    SELECT alert, trouble, subject, asset FROM alert WHERE ended_at IS NULL";

const LINES: &str = "
    SELECT alert, json FROM alert_line ORDER BY seq";

const WAITING: &str = "
    SELECT alert, json, tries, next_at FROM alert_message WHERE status = 'waiting'";

const MADE: &str = "
    SELECT alert, at FROM (SELECT alert, at, seq, row_number() OVER (PARTITION BY alert ORDER BY seq DESC) AS back
                           FROM alert_message)
    WHERE back <= ?1 ORDER BY seq";

pub(super) fn alerts(connection: &Connection) -> Result<BTreeMap<String, LoadedAlert>, StateError> {
    let mut alerts: BTreeMap<String, LoadedAlert> = BTreeMap::new();
    let mut statement = connection.prepare(OPEN)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let alert = alerts.entry(row.get(0)?).or_default();
        let trouble = value::trouble(row.get_ref(1)?.as_str().unwrap_or_default())?;
        let asset: Option<String> = row.get(3)?;
        let asset = asset.map(|asset| value::parsed("alert.asset", &asset)).transpose()?;
        alert.open.insert((trouble, row.get(2)?), asset);
    }
    let mut statement = connection.prepare(LINES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line = value::json("alert_line.json", row.get_ref(1)?.as_str().unwrap_or_default())?;
        alerts.entry(row.get(0)?).or_default().lines.push(line);
    }
    let mut statement = connection.prepare(WAITING)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let message = value::json("alert_message.json", row.get_ref(1)?.as_str().unwrap_or_default())?;
        let waiting = (message, row.get(2)?, row.get(3)?);
        alerts.entry(row.get(0)?).or_default().waiting = Some(waiting);
    }
    let mut statement = connection.prepare(MADE)?;
    let mut rows = statement.query([MESSAGES as i64])?;
    while let Some(row) = rows.next()? {
        alerts.entry(row.get(0)?).or_default().made.push(row.get(1)?);
    }
    Ok(alerts)
}
