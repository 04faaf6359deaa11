//! Giving events to a server or a file.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assets::openlineage::LineageTarget;
use serde_json::Value;

use super::super::secrets::{hide, look_up};

/// How long a server may take for one event.
const LONGEST: Duration = Duration::from_secs(20);

/// What became of an event.
pub enum Given {
    /// It was taken.
    Taken,
    /// It will never be taken: the server calls it wrong. Says why.
    Refused(String),
    /// It was not taken now. Says why.
    NotNow(String),
}

/// Gives one event to a server.
pub async fn post(client: &reqwest::Client, target: &LineageTarget, root: &Path, event: &Value) -> Given {
    let LineageTarget::Url { url, token } = target else {
        return Given::Taken;
    };
    let mut request = client
        .post(format!("{url}/api/v1/lineage"))
        .timeout(LONGEST)
        .json(event);
    let mut secret = None;
    if let Some(token) = token {
        match look_up(token, root).await {
            Ok(token) => {
                request = request.bearer_auth(token.value());
                secret = Some(token);
            }
            Err(error) => return Given::NotNow(error.to_string()),
        }
    }
    let secrets: Vec<_> = secret.iter().collect();
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Given::Taken,
        Ok(answer) => {
            let status = answer.status();
            let text = answer.text().await.unwrap_or_default();
            let text: String = text
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .chars()
                .take(200)
                .collect();
            let told = hide(&format!("{url} answered {status}: {text}"), &secrets);
            // What a server calls malformed, too large or of no type that it knows stays so.
            match status.as_u16() {
                400 | 413 | 415 | 422 => Given::Refused(told),
                _ => Given::NotNow(told),
            }
        }
        Err(error) => Given::NotNow(hide(&format!("{url} cannot be reached: {error}"), &secrets)),
    }
}

/// Adds lines to a file and syncs it.
pub async fn append(path: PathBuf, events: &[Value]) -> std::io::Result<()> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event)?;
        lines.push(b'\n');
    }
    let written = tokio::task::spawn_blocking(move || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(&lines)?;
        file.sync_data()
    });
    written.await.map_err(std::io::Error::other)?
}
