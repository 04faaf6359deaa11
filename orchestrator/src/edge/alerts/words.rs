//! A message in the words of its receiver.

use std::collections::BTreeMap;

use assets::alert::Trouble;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use state::alert::AlertLine;
use state::event::Micros;

use super::Letter;

/// Most characters of the text of one block of Slack's (3,000 are allowed).
const SLACK_TEXT: usize = 2800;
/// Most characters of a title of Slack's (150 are allowed).
const SLACK_TITLE: usize = 140;

/// As Millpond has it.
pub(super) fn json(letter: &Letter) -> Value {
    let message = &letter.message;
    let counts = |counts: &BTreeMap<Trouble, u64>| -> BTreeMap<&str, u64> {
        counts
            .iter()
            .map(|(trouble, count)| (trouble.as_str(), *count))
            .collect()
    };
    let lines: Vec<Value> = message
        .lines
        .iter()
        .map(|line| {
            json!({
                "at": utc(line.at),
                "trouble": line.trouble.as_str(),
                "subject": line.subject,
                "status": if line.raised { "raised" } else { "recovered" },
                "text": line.text,
                "run": line.run,
            })
        })
        .collect();
    json!({
        "message": message.id,
        "project": letter.project,
        "alert": message.alert,
        "title": message.title(),
        "attempt": letter.attempt,
        "first_at": utc(message.first_at),
        "last_at": utc(message.last_at),
        "raised": counts(&message.raised),
        "recovered": counts(&message.recovered),
        "lines": lines,
        "more": message.more(),
    })
}

/// The subject of a mail.
pub(super) fn subject(letter: &Letter) -> String {
    format!("[{}] {}", letter.project, letter.message.title())
}

/// Plain text.
pub(super) fn text(letter: &Letter) -> String {
    let message = &letter.message;
    let mut text = format!("{}\n\n", message.title());
    for line in &message.lines {
        let word = word(line);
        text.push_str(&format!(
            "{}  {word}: {}\n",
            local(line.at, &letter.timezone),
            line.subject
        ));
        text.push_str(&format!("    {}\n", line.text));
        if let Some(run) = &line.run {
            text.push_str(&format!("    run {run}: millpond logs {run}\n"));
        }
        text.push('\n');
    }
    if let Some(more) = more(letter) {
        text.push_str(&format!("{more}\n\n"));
    }
    text.push_str(&format!(
        "--\nMillpond, project {}, alert {}. Times are {}.\nWhat is open: millpond alert list\n",
        letter.project, message.alert, letter.timezone
    ));
    text
}

/// An incoming webhook of Slack: <https://api.slack.com/messaging/webhooks>.
pub(super) fn slack(letter: &Letter) -> Value {
    let title = format!("{}: {}", letter.project, letter.message.title());
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": shortened(&title, SLACK_TITLE), "emoji": false },
    })];
    let lines = letter.message.lines.iter().map(|line| {
        let mark = if line.raised {
            ":red_circle:"
        } else {
            ":large_green_circle:"
        };
        let run = line.run.as_ref().map_or_else(String::new, |run| format!(" (`{run}`)"));
        format!(
            "{mark} *{}* {}: {}{run}",
            escaped(&line.subject),
            word(line),
            escaped(&line.text)
        )
    });
    for text in together(lines.chain(more(letter)), SLACK_TEXT) {
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }));
    }
    blocks.push(json!({
        "type": "context",
        "elements": [{ "type": "mrkdwn", "text": format!("alert `{}`, since {}", letter.message.alert,
            local(letter.message.first_at, &letter.timezone)) }],
    }));
    json!({ "text": escaped(&title), "blocks": blocks })
}

/// An Adaptive Card for a workflow of Microsoft Teams that posts what its webhook is given:
/// <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>.
pub(super) fn teams(letter: &Letter) -> Value {
    let wrong = !letter.message.raised.is_empty();
    let mut body = vec![json!({
        "type": "TextBlock",
        "text": format!("{}: {}", letter.project, letter.message.title()),
        "weight": "Bolder",
        "size": "Medium",
        "color": if wrong { "Attention" } else { "Good" },
        "wrap": true,
    })];
    body.extend(letter.message.lines.iter().map(|line| {
        let run = line.run.as_ref().map_or_else(String::new, |run| format!(" ({run})"));
        json!({
            "type": "TextBlock",
            "text": format!("{} {}: {}{run}", line.subject, word(line), line.text),
            "wrap": true,
        })
    }));
    let about = format!(
        "alert {}, since {}",
        letter.message.alert,
        local(letter.message.first_at, &letter.timezone)
    );
    for text in more(letter).into_iter().chain([about]) {
        body.push(json!({ "type": "TextBlock", "text": text, "isSubtle": true, "size": "Small", "wrap": true }));
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
            },
        }],
    })
}

fn word(line: &AlertLine) -> &'static str {
    match line.raised {
        true => line.trouble.words(),
        false => "recovered",
    }
}

fn more(letter: &Letter) -> Option<String> {
    match letter.message.more() {
        0 => None,
        more => Some(format!("and {more} more: see `millpond alert list`")),
    }
}

/// Lines joined to as few texts as their length allows.
fn together(lines: impl Iterator<Item = String>, most: usize) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for line in lines {
        let line = shortened(&line, most);
        match texts.last_mut() {
            Some(text) if text.chars().count() + line.chars().count() < most => {
                text.push('\n');
                text.push_str(&line);
            }
            _ => texts.push(line),
        }
    }
    texts
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most - 1) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What stands for something else in Slack's texts.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn utc(at: Micros) -> String {
    Timestamp::from_microsecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

fn local(at: Micros, zone: &str) -> String {
    match (Timestamp::from_microsecond(at), TimeZone::get(zone)) {
        (Ok(at), Ok(zone)) => at.to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string(),
        _ => utc(at),
    }
}

#[cfg(test)]
mod tests {
    use state::alert::AlertMessage;
    use state::ids::{MessageId, RunId};

    use super::*;

    fn letter(lines: usize) -> Letter {
        let line = |n: usize| AlertLine {
            at: 1_710_050_400_000_000,
            trouble: Trouble::RunFailed,
            subject: format!("gold.a@{n}"),
            raised: n != 1,
            text: "column `<b>` & more".repeat(20),
            run: Some(RunId::from_bits(7)),
        };
        let lines: Vec<AlertLine> = (0..lines).map(line).collect();
        Letter {
            project: "flights".to_owned(),
            root: "/".into(),
            timezone: "America/New_York".to_owned(),
            message: AlertMessage::of(MessageId::from_bits(1), "team", &lines),
            attempt: 1,
        }
    }

    #[test]
    fn slack_gets_blocks_within_its_limits() {
        let told = slack(&letter(1000));
        let blocks = told["blocks"].as_array().unwrap();
        assert!((3..=50).contains(&blocks.len()), "{}", blocks.len());
        for block in blocks {
            let text = block["text"]["text"].as_str().unwrap_or_default();
            assert!(text.chars().count() <= 3000);
            assert!(!text.contains('<'), "{text}");
        }
        assert_eq!(told["text"], "flights: 999 failed, 1 recovered");
        assert!(told.to_string().contains("and 980 more"));
    }

    #[test]
    fn teams_gets_a_card() {
        let told = teams(&letter(2));
        let card = &told["attachments"][0]["content"];
        assert_eq!(card["type"], "AdaptiveCard");
        assert_eq!(card["body"].as_array().unwrap().len(), 4);
        assert!(teams(&letter(1000)).to_string().len() < 28_000);
    }

    #[test]
    fn text_names_the_time_the_run_and_what_to_do() {
        let told = text(&letter(2));
        assert!(
            told.starts_with("1 failed, 1 recovered\n\n2024-03-10 01:00  failed: gold.a@0\n    column"),
            "{told}"
        );
        assert!(told.contains("millpond logs run_"));
        let json = json(&letter(2));
        assert_eq!(json["lines"][1]["status"], "recovered");
        assert_eq!(json["raised"]["run_failed"], 1);
        assert_eq!(json["first_at"], "2024-03-10T06:00:00Z");
    }
}
