//! One try to deliver one message.

use std::path::PathBuf;

use assets::Alert;
use assets::alert::Receiver;
use state::alert::AlertMessage;

use super::super::engine::EngineHandle;
use super::{command, mail, webhook};

/// A message with what its receivers are told beside it.
pub struct Letter {
    /// The project's name.
    pub project: String,
    /// The project's folder.
    pub root: PathBuf,
    /// IANA name of the zone that times are shown in.
    pub timezone: String,
    /// What to tell.
    pub message: AlertMessage,
    /// The number of this try, from 1.
    pub attempt: u32,
}

impl Letter {
    /// A message of a project that runs.
    pub fn new(engine: &EngineHandle, message: AlertMessage, attempt: u32) -> Self {
        Self {
            project: engine.project_name().to_owned(),
            root: PathBuf::from(&engine.settings().root),
            timezone: engine.settings().timezone.clone(),
            message,
            attempt,
        }
    }
}

/// Sends a message to the receiver of its alert.
///
/// # Errors
/// Why it was not taken, for people, without the value of any secret.
pub async fn deliver(alert: &Alert, letter: &Letter) -> Result<(), String> {
    match &alert.receiver {
        Receiver::Webhook(to) => webhook::send(to, letter).await,
        Receiver::Mail(to) => mail::send(to, letter).await,
        Receiver::Command(words) => command::send(words, letter).await,
    }
}
