//! Alerts: who is told of what went wrong, and how, as declared.
//!
//! What comes of an alert (what is open, which messages were sent) is decided by the core and remembered by the store.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::asset::Location;
use crate::key::AssetKey;
use crate::secret::SecretReference;
use crate::selection::Selection;

/// What can go wrong with something, and be over again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// A step failed, and its run with it.
    RunFailed,
    /// A check failed and kept the rows from being published.
    CheckFailed,
    /// A check failed that only warns: the rows were published.
    CheckWarned,
    /// The newest materialization of an asset is older than its freshness policy allows.
    FreshnessLate,
    /// An instant of a schedule was missed, or its run could not be planned.
    ScheduleMissed,
    /// A sensor cannot look at what it watches.
    SensorFailing,
}

impl Trouble {
    /// Every trouble.
    pub const ALL: [Self; 6] = [
        Self::RunFailed,
        Self::CheckFailed,
        Self::CheckWarned,
        Self::FreshnessLate,
        Self::ScheduleMissed,
        Self::SensorFailing,
    ];

    /// The word used in TOML and in the store; never renamed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunFailed => "run_failed",
            Self::CheckFailed => "check_failed",
            Self::CheckWarned => "check_warned",
            Self::FreshnessLate => "freshness_late",
            Self::ScheduleMissed => "schedule_missed",
            Self::SensorFailing => "sensor_failing",
        }
    }

    /// The trouble of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trouble| trouble.as_str() == word)
    }

    /// For people: `failed`, `late`.
    pub fn words(self) -> &'static str {
        match self {
            Self::RunFailed => "failed",
            Self::CheckFailed => "check failed",
            Self::CheckWarned => "check warned",
            Self::FreshnessLate => "late",
            Self::ScheduleMissed => "missed",
            Self::SensorFailing => "sensor failing",
        }
    }
}

/// An alert without mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its name, unique in the project.
    pub name: String,
    /// What it is for, for people.
    pub description: Option<String>,
    /// What it tells of.
    pub on: BTreeSet<Trouble>,
    /// Whether it also tells that something is over.
    pub recovered: bool,
    /// Which assets it is about, as written; all if left out.
    pub selection: Option<Selection>,
    /// The assets that the selection means in this project; `None` for all.
    pub assets: Option<BTreeSet<AssetKey>>,
    /// Where messages go.
    pub receiver: Receiver,
    /// Seconds to wait for more of the same before a message goes out.
    pub group_wait_seconds: u64,
    /// Most messages in an hour; what comes beyond waits and is told together.
    pub most_per_hour: u32,
    /// Where it is declared.
    pub location: Location,
}

impl Alert {
    /// Whether it is about this asset.
    pub fn is_about(&self, asset: &AssetKey) -> bool {
        self.assets.as_ref().is_none_or(|assets| assets.contains(asset))
    }
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    /// An HTTP address.
    Webhook(Webhook),
    /// Mail.
    Mail(Mail),
    /// A program, run in the project's folder, with the message as JSON on standard input.
    Command(Vec<String>),
}

impl Receiver {
    /// `webhook`, `slack`, `teams`, `mail`, `command`.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Webhook(webhook) => match webhook.shape {
                WebhookShape::Json => "webhook",
                WebhookShape::Slack => "slack",
                WebhookShape::Teams => "teams",
            },
            Self::Mail(_) => "mail",
            Self::Command(_) => "command",
        }
    }
}

/// A message by HTTP POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The address. Whoever knows it can write to it, so it is a secret.
    pub url: SecretReference,
    /// What the receiver understands.
    pub shape: WebhookShape,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<SecretReference>,
}

/// What the receiver of a webhook understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookShape {
    /// The message as Millpond has it.
    #[default]
    Json,
    /// An incoming webhook of Slack, and of what understands the same (Mattermost, Rocket.Chat, Discord's `/slack`).
    Slack,
    /// A workflow webhook of Microsoft Teams: an Adaptive Card.
    Teams,
}

impl WebhookShape {
    /// The word used in TOML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Slack => "slack",
            Self::Teams => "teams",
        }
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Json, Self::Slack, Self::Teams]
            .into_iter()
            .find(|shape| shape.as_str() == word)
    }
}

/// A message by mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The mail server that takes it (SMTP, RFC 5321).
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept private.
    pub tls: MailTls,
    /// Who logs in, and with which password.
    pub login: Option<(String, SecretReference)>,
    /// The sender.
    pub from: String,
    /// The receivers.
    pub to: Vec<String>,
}

/// How the connection to a mail server is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MailTls {
    /// It begins in the clear and goes over to TLS before anything is said (RFC 3207); refused if the server cannot.
    #[default]
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// Not at all; only to this machine.
    None,
}

impl MailTls {
    /// The word used in TOML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::None => "none",
        }
    }

    /// The usual port.
    pub fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::StartTls, Self::Tls, Self::None]
            .into_iter()
            .find(|tls| tls.as_str() == word)
    }
}
