//! What is remembered of alerts: what is wrong and was told of, what is still to be told, and the messages with what became
//! of each.

use std::collections::BTreeMap;

use assets::AssetKey;
use assets::alert::Trouble;
use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::ids::{MessageId, RunId};

/// Something that went wrong, for one alert that is about it. It is open until it is over, and not raised again meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedAlert {
    /// The alert.
    pub alert: String,
    /// What is wrong.
    pub trouble: Trouble,
    /// With what: `silver.flights@2013-03-01`, `schedule nightly`, `sensor landing`.
    pub subject: String,
    /// The asset, where it is about one.
    pub asset: Option<AssetKey>,
    /// The run in which it happened, if it was one.
    pub run: Option<RunId>,
    /// What happened, for people.
    pub text: String,
}

impl RaisedAlert {
    /// What is to be told of it.
    pub fn line(&self, at: Micros) -> AlertLine {
        AlertLine {
            at,
            trouble: self.trouble,
            subject: self.subject.clone(),
            raised: true,
            text: self.text.clone(),
            run: self.run.clone(),
        }
    }
}

/// Why something is no longer open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertEnd {
    /// It is well again.
    Recovered,
    /// The project no longer declares the alert or what it was about.
    Removed,
}

impl AlertEnd {
    /// Every end.
    pub const ALL: [Self; 2] = [Self::Recovered, Self::Removed];

    /// The persisted text; never renamed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Removed => "removed",
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// It is to be sent, or sent again.
    Waiting,
    /// The receiver took it.
    Delivered,
    /// It was given up.
    Failed,
}

impl MessageStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Failed];

    /// The persisted text; never renamed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// Most lines that a message holds; what is beyond is counted.
pub const MOST_LINES: usize = 20;

/// What is told at once: everything of an alert that waited to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AlertMessage {
    /// Its name, the same at every try: whoever gets it twice can tell.
    pub id: MessageId,
    /// The alert.
    pub alert: String,
    /// How much went wrong, by trouble.
    pub raised: BTreeMap<Trouble, u64>,
    /// How much is over, by trouble.
    pub recovered: BTreeMap<Trouble, u64>,
    /// When the first of it happened.
    pub first_at: Micros,
    /// When the last of it happened.
    pub last_at: Micros,
    /// The first of it, at most [`MOST_LINES`]: what went wrong before what is over.
    pub lines: Vec<AlertLine>,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AlertLine {
    /// When it happened.
    pub at: Micros,
    /// What is wrong, or was.
    pub trouble: Trouble,
    /// With what.
    pub subject: String,
    /// Whether it went wrong; otherwise it is over.
    pub raised: bool,
    /// What happened, for people.
    pub text: String,
    /// The run in which it happened.
    pub run: Option<RunId>,
}

impl AlertMessage {
    /// The message that tells these lines.
    pub fn of(id: MessageId, alert: &str, lines: &[AlertLine]) -> Self {
        let count = |raised: bool| {
            let mut counts: BTreeMap<Trouble, u64> = BTreeMap::new();
            for line in lines.iter().filter(|line| line.raised == raised) {
                *counts.entry(line.trouble).or_default() += 1;
            }
            counts
        };
        let (wrong, over): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.raised);
        Self {
            id,
            alert: alert.to_owned(),
            raised: count(true),
            recovered: count(false),
            first_at: lines.iter().map(|line| line.at).min().unwrap_or_default(),
            last_at: lines.iter().map(|line| line.at).max().unwrap_or_default(),
            lines: wrong.into_iter().chain(over).take(MOST_LINES).cloned().collect(),
        }
    }

    /// A message that tells of nothing, to see whether it arrives.
    pub fn test(id: MessageId, alert: &str, at: Micros) -> Self {
        Self {
            id,
            alert: alert.to_owned(),
            raised: BTreeMap::new(),
            recovered: BTreeMap::new(),
            first_at: at,
            last_at: at,
            lines: Vec::new(),
        }
    }

    /// How much it tells, counted.
    pub fn told(&self) -> u64 {
        self.raised.values().chain(self.recovered.values()).sum()
    }

    /// How much it tells beyond its lines.
    pub fn more(&self) -> u64 {
        self.told().saturating_sub(self.lines.len() as u64)
    }

    /// What it tells in one line: `3 failed, 1 check failed, 2 recovered`; of a single thing what happened to it.
    pub fn title(&self) -> String {
        if self.told() == 0 {
            return format!("a test of alert {}: nothing is wrong", self.alert);
        }
        if let (1, [line]) = (self.told(), &self.lines[..]) {
            return match line.raised {
                true => format!("{}: {}", line.subject, line.trouble.words()),
                false => format!("{}: recovered", line.subject),
            };
        }
        let raised = self
            .raised
            .iter()
            .map(|(trouble, count)| format!("{count} {}", trouble.words()));
        let recovered: u64 = self.recovered.values().sum();
        let recovered = (recovered > 0).then(|| format!("{recovered} recovered"));
        raised.chain(recovered).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(subject: usize, trouble: Trouble, raised: bool) -> AlertLine {
        AlertLine {
            at: subject as Micros,
            trouble,
            subject: format!("gold.a@{subject}"),
            raised,
            text: "what happened".to_owned(),
            run: None,
        }
    }

    #[test]
    fn a_flood_is_counted_and_a_single_thing_is_named() {
        let id = MessageId::from_bits(1);
        let mut lines: Vec<AlertLine> = (0..1000).map(|n| line(n, Trouble::RunFailed, n % 10 != 0)).collect();
        lines.push(line(7, Trouble::CheckFailed, true));
        let message = AlertMessage::of(id.clone(), "team", &lines);
        assert_eq!(message.title(), "900 failed, 1 check failed, 100 recovered");
        assert_eq!(
            (message.lines.len(), message.more()),
            (MOST_LINES, 1001 - MOST_LINES as u64)
        );
        assert!(message.lines.iter().all(|line| line.raised));
        assert_eq!((message.first_at, message.last_at), (0, 999));
        let one = AlertMessage::of(id.clone(), "team", &lines[1..2]);
        assert_eq!((one.title().as_str(), one.more()), ("gold.a@1: failed", 0));
        assert_eq!(AlertMessage::of(id, "team", &lines[..1]).title(), "gold.a@0: recovered");
    }
}
