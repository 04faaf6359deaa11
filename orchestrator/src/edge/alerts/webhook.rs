//! A message by HTTP POST. Its address is a secret, so no error may show it.

use std::error::Error;
use std::time::Duration;

use assets::alert::{Webhook, WebhookShape};
use reqwest::redirect::Policy;

use super::super::secrets::{Secret, hide, look_up};
use super::Letter;
use super::words;

/// How long a receiver may take to answer.
const LONGEST: Duration = Duration::from_secs(20);
/// Most bytes of an answer that are looked at.
const MOST: usize = 2048;

pub(super) async fn send(to: &Webhook, letter: &Letter) -> Result<(), String> {
    let told = |error: super::super::secrets::SecretError| error.to_string();
    let url = look_up(&to.url, &letter.root).await.map_err(told)?;
    let token = match &to.token {
        Some(token) => Some(look_up(token, &letter.root).await.map_err(told)?),
        None => None,
    };
    let address = reqwest::Url::parse(url.value())
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| format!("the {} does not hold an address that begins with https://", to.url))?;
    let body = match to.shape {
        WebhookShape::Json => words::json(letter),
        WebhookShape::Slack => words::slack(letter),
        WebhookShape::Teams => words::teams(letter),
    };
    // An answer that leads elsewhere would take the message, and the token, where nobody said they may go.
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        .timeout(LONGEST)
        .build()
        .map_err(|error| format!("failed to prepare for HTTP: {error}"))?;
    let mut request = client
        .post(address.clone())
        .header("User-Agent", concat!("millpond/", env!("CARGO_PKG_VERSION")))
        .header("Idempotency-Key", letter.message.id.as_str())
        .json(&body);
    if let Some(token) = &token {
        request = request.bearer_auth(token.value());
    }
    let secrets: Vec<_> = std::iter::once(&url).chain(&token).collect();
    // A receiver may repeat a part of its address, and each part alone lets one write to it.
    let parts: Vec<String> = address_parts(&address);
    let hide = |text: &str, secrets: &[&Secret]| {
        let text = hide(text, secrets);
        parts.iter().fold(text, |text, part| text.replace(part.as_str(), "***"))
    };
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return Err(hide(&causes(&error.without_url()), &secrets)),
    };
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let said = beginning(answer).await;
    let said = match said.is_empty() {
        true => String::new(),
        false => format!(": {said}"),
    };
    Err(hide(&format!("the receiver answered {status}{said}"), &secrets))
}

/// The parts of an address that may be secrets, the longest first.
fn address_parts(address: &reqwest::Url) -> Vec<String> {
    let whole = [address.path(), address.query().unwrap_or_default()];
    let segments = address
        .path()
        .split('/')
        .chain(address.query().unwrap_or_default().split(['&', '=']));
    let mut parts: Vec<String> = whole
        .into_iter()
        .chain(segments)
        .filter(|part| part.len() >= 4)
        .map(str::to_owned)
        .collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts.dedup();
    parts
}

/// An error and what it came from, in one line.
fn causes(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("the receiver did not answer within {} seconds", LONGEST.as_secs());
    }
    let mut text = "the receiver cannot be reached".to_owned();
    let mut cause = error.source();
    let mut last = String::new();
    while let Some(error) = cause {
        last = error.to_string();
        cause = error.source();
    }
    if !last.is_empty() {
        text.push_str(&format!(": {last}"));
    }
    text
}

/// The first words of an answer.
async fn beginning(mut answer: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= MOST {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(200).collect()
}
