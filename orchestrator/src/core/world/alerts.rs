//! Alerts: what is open, what is to be told, and the message that is on its way.

use std::collections::{BTreeMap, HashSet, VecDeque};

use ::assets::AssetKey;
use ::assets::alert::{Alert, Trouble};
use state::alert::{AlertLine, AlertMessage, RaisedAlert};
use state::event::Micros;
use state::ids::MessageId;
use state::sqlite::loaded_alerts::{LoadedAlert, MESSAGES};

use super::World;
use super::apply::{Broken, illegal};

const HOUR: Micros = 3_600 * 1_000_000;

/// What is known of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertRecord {
    /// What is wrong: the trouble, with what, and the asset where it is about one.
    pub open: BTreeMap<(Trouble, String), Option<AssetKey>>,
    /// What is still to be told, in its order.
    pub lines: Vec<AlertLine>,
    /// The message that is not delivered and not given up.
    pub waiting: Option<WaitingMessage>,
    /// When its newest messages were made, oldest first.
    pub made: VecDeque<Micros>,
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingMessage {
    /// The message.
    pub message: AlertMessage,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next.
    pub next_at: Micros,
}

impl AlertRecord {
    /// When all that waits to be told becomes a message; `None` if nothing waits, or an earlier message is on its way.
    pub fn due(&self, alert: &Alert) -> Option<Micros> {
        let first = self.lines.first().filter(|_| self.waiting.is_none())?;
        let grouped = first.at.saturating_add(micros(alert.group_wait_seconds));
        let most = alert.most_per_hour as usize;
        // The one that has to be an hour old before another may be made.
        let oldest = self.made.len().checked_sub(most).and_then(|at| self.made.get(at));
        Some(oldest.map_or(grouped, |made| grouped.max(made + HOUR)))
    }
}

impl From<LoadedAlert> for AlertRecord {
    fn from(loaded: LoadedAlert) -> Self {
        Self {
            open: loaded.open,
            lines: loaded.lines,
            waiting: loaded.waiting.map(|(message, tries, next_at)| WaitingMessage {
                message,
                tries,
                next_at,
            }),
            made: loaded.made.into(),
        }
    }
}

fn micros(seconds: u64) -> Micros {
    Micros::try_from(seconds)
        .unwrap_or(Micros::MAX / 1_000_000)
        .saturating_mul(1_000_000)
}

impl World {
    /// What is known of an alert; `None` if it never told of anything.
    pub fn alert(&self, name: &str) -> Option<&AlertRecord> {
        self.alerts.get(name)
    }

    /// Every alert that ever told of something, by name.
    pub fn alerts(&self) -> impl Iterator<Item = (&String, &AlertRecord)> {
        self.alerts.iter()
    }

    /// The messages that are to be sent now, with their alert as declared; and how often each was tried.
    pub fn messages_to_send(&self, at: Micros) -> Vec<(Alert, AlertMessage, u32)> {
        let waiting = self.alerts.iter().filter_map(|(name, record)| {
            let waiting = record.waiting.as_ref().filter(|waiting| waiting.next_at <= at)?;
            let alert = self.definitions.alerts().get(name)?;
            Some((alert.clone(), waiting.message.clone(), waiting.tries))
        });
        waiting.collect()
    }

    /// When what waits to be told of some alert next becomes a message. `None` if nothing waits, or this process tells nobody.
    pub fn next_grouping(&self) -> Option<Micros> {
        let declared = self.definitions.alerts().iter().filter(|_| self.daemon);
        declared
            .filter_map(|(name, alert)| self.alerts.get(name)?.due(alert))
            .min()
    }

    /// When the next message is to be made or sent, apart from those that are on their way.
    pub fn next_message(&self, on_the_way: &HashSet<MessageId>) -> Option<Micros> {
        let waiting = self.alerts.iter().filter_map(|(name, record)| {
            let waiting = record.waiting.as_ref()?;
            let sent = self.daemon && self.definitions.alerts().contains_key(name);
            (sent && !on_the_way.contains(&waiting.message.id)).then_some(waiting.next_at)
        });
        waiting.chain(self.next_grouping()).min()
    }

    pub(super) fn alert_raised(&mut self, at: Micros, raised: &RaisedAlert) -> Result<(), Broken> {
        let record = self.alerts.entry(raised.alert.clone()).or_default();
        let subject = (raised.trouble, raised.subject.clone());
        if record.open.insert(subject, raised.asset.clone()).is_some() {
            return Err(illegal(format!(
                "{} was raised twice for alert {}",
                raised.subject, raised.alert
            )));
        }
        record.lines.push(raised.line(at));
        Ok(())
    }

    pub(super) fn alert_ended(&mut self, alert: &str, line: &AlertLine, tell: bool) -> Result<(), Broken> {
        let record = self.alerts.entry(alert.to_owned()).or_default();
        if record.open.remove(&(line.trouble, line.subject.clone())).is_none() {
            return Err(illegal(format!(
                "{} is over and was not raised for alert {alert}",
                line.subject
            )));
        }
        if tell {
            record.lines.push(line.clone());
        }
        Ok(())
    }

    pub(super) fn alert_grouped(&mut self, at: Micros, message: &AlertMessage) -> Result<(), Broken> {
        self.minted += 1;
        let record = self.alerts.entry(message.alert.clone()).or_default();
        if record.waiting.is_some() || record.lines.len() as u64 != message.told() {
            return Err(illegal(format!("{} tells what is told already", message.id)));
        }
        record.lines.clear();
        record.made.push_back(at);
        if record.made.len() > MESSAGES {
            record.made.pop_front();
        }
        record.waiting = Some(WaitingMessage {
            message: message.clone(),
            tries: 0,
            next_at: at,
        });
        Ok(())
    }

    /// A message was delivered, is to be tried again (`next_at`), or was given up.
    pub(super) fn alert_tried(
        &mut self,
        alert: &str,
        message: &MessageId,
        tries: u32,
        next_at: Option<Micros>,
    ) -> Result<(), Broken> {
        let record = self.alerts.entry(alert.to_owned()).or_default();
        let Some(waiting) = record.waiting.as_mut().filter(|waiting| waiting.message.id == *message) else {
            return Err(illegal(format!("{message} was tried and does not wait")));
        };
        match next_at {
            Some(next_at) => (waiting.tries, waiting.next_at) = (tries, next_at),
            None => record.waiting = None,
        }
        Ok(())
    }
}
