//! `alert`, `alert_line` and `alert_message`.

use rusqlite::params;

use super::run::moved;
use super::{Projection, Refusal, Stamp};
use crate::alert::{AlertEnd, AlertLine, AlertMessage, MessageStatus, RaisedAlert};
use crate::event::Micros;
use crate::ids::{MessageId, RunId};
use crate::sqlite::value::to_json;

const RAISED: &str = "
    INSERT INTO alert (seq, at, alert, trouble, subject, asset, run, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT DO NOTHING";

const ENDED: &str = "
    UPDATE alert SET ended_at = ?4, ended = ?5, ended_seq = ?6
    WHERE alert = ?1 AND trouble = ?2 AND subject = ?3 AND ended_at IS NULL";

const LINE: &str = "
    INSERT INTO alert_line (seq, alert, json) VALUES (?1, ?2, ?3)";

const TOLD: &str = "
    DELETE FROM alert_line WHERE alert = ?1";

const GROUPED: &str = "
    INSERT INTO alert_message (seq, id, at, alert, json, status, tries, next_at)
    VALUES (?1, ?2, ?3, ?4, ?5, 'waiting', 0, ?3)
    ON CONFLICT DO NOTHING";

const DELIVERED: &str = "
    UPDATE alert_message SET status = 'delivered', tries = ?2, error = NULL, next_at = NULL, ended_at = ?3
    WHERE id = ?1 AND status = 'waiting'";

const FAILED: &str = "
    UPDATE alert_message SET status = ?2, tries = ?3, error = ?4, next_at = ?5, ended_at = ?6
    WHERE id = ?1 AND status = 'waiting'";

/// The end of something that was wrong.
pub(super) struct End<'e> {
    pub(super) alert: &'e str,
    pub(super) how: AlertEnd,
    pub(super) line: &'e AlertLine,
    pub(super) tell: bool,
}

impl Projection<'_> {
    pub(super) fn alert_raised(&mut self, stamp: Stamp, raised: &RaisedAlert) -> Result<(), Refusal> {
        let changed = self.connection.prepare_cached(RAISED)?.execute(params![
            stamp.seq,
            stamp.at,
            raised.alert,
            raised.trouble.as_str(),
            raised.subject,
            raised.asset.as_ref().map(assets::AssetKey::as_str),
            raised.run.as_ref().map(RunId::as_str),
            raised.text,
        ])?;
        moved(changed, || {
            format!("{} of alert {} is open already", raised.subject, raised.alert)
        })?;
        self.alert_line(stamp, &raised.alert, &raised.line(stamp.at))
    }

    pub(super) fn alert_ended(&mut self, stamp: Stamp, end: &End<'_>) -> Result<(), Refusal> {
        let changed = self.connection.prepare_cached(ENDED)?.execute(params![
            end.alert,
            end.line.trouble.as_str(),
            end.line.subject,
            stamp.at,
            end.how.as_str(),
            stamp.seq,
        ])?;
        moved(changed, || {
            format!("{} of alert {} is not open", end.line.subject, end.alert)
        })?;
        self.end_told(stamp, end)
    }

    /// As [`Self::alert_ended`], but that it was raised may be gone.
    pub(super) fn alert_end_found(&mut self, stamp: Stamp, end: &End<'_>) -> Result<(), Refusal> {
        self.connection.prepare_cached(ENDED)?.execute(params![
            end.alert,
            end.line.trouble.as_str(),
            end.line.subject,
            stamp.at,
            end.how.as_str(),
            stamp.seq,
        ])?;
        self.end_told(stamp, end)
    }

    fn end_told(&mut self, stamp: Stamp, end: &End<'_>) -> Result<(), Refusal> {
        match end.tell {
            true => self.alert_line(stamp, end.alert, end.line),
            false => Ok(()),
        }
    }

    fn alert_line(&mut self, stamp: Stamp, alert: &str, line: &AlertLine) -> Result<(), Refusal> {
        self.connection
            .prepare_cached(LINE)?
            .execute(params![stamp.seq, alert, to_json(line)])?;
        Ok(())
    }

    pub(super) fn alert_grouped(&mut self, stamp: Stamp, message: &AlertMessage) -> Result<(), Refusal> {
        let told = self.connection.prepare_cached(TOLD)?.execute([&message.alert])?;
        if told as u64 != message.told() {
            return super::illegal(format!(
                "{} tells {} things, and {told} wait to be told",
                message.id,
                message.told()
            ));
        }
        self.message(stamp, message)
    }

    /// As [`Self::alert_grouped`], but some of what it told of may be gone.
    pub(super) fn alert_group_found(&mut self, stamp: Stamp, message: &AlertMessage) -> Result<(), Refusal> {
        self.connection.prepare_cached(TOLD)?.execute([&message.alert])?;
        self.message(stamp, message)
    }

    fn message(&mut self, stamp: Stamp, message: &AlertMessage) -> Result<(), Refusal> {
        let changed = self.connection.prepare_cached(GROUPED)?.execute(params![
            stamp.seq,
            message.id.as_str(),
            stamp.at,
            message.alert,
            to_json(message)
        ])?;
        moved(changed, || {
            format!(
                "a message of alert {} is on its way already, or {} is known",
                message.alert, message.id
            )
        })
    }

    pub(super) fn alert_delivered(&mut self, stamp: Stamp, message: &MessageId, tries: u32) -> Result<(), Refusal> {
        let changed = self
            .connection
            .prepare_cached(DELIVERED)?
            .execute(params![message.as_str(), tries, stamp.at])?;
        moved(changed, || format!("{message} does not wait to be delivered"))
    }

    pub(super) fn alert_failed(
        &mut self,
        stamp: Stamp,
        message: &MessageId,
        tries: u32,
        error: &str,
        next_at: Option<Micros>,
    ) -> Result<(), Refusal> {
        let status = match next_at {
            Some(_) => MessageStatus::Waiting,
            None => MessageStatus::Failed,
        };
        let ended_at = next_at.is_none().then_some(stamp.at);
        let changed = self.connection.prepare_cached(FAILED)?.execute(params![
            message.as_str(),
            status.as_str(),
            tries,
            error,
            next_at,
            ended_at
        ])?;
        moved(changed, || format!("{message} does not wait to be delivered"))
    }
}
