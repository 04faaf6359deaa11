//! `millpond alert list`: alerts with what is open and what was told last; of one alert, all of it.

use assets::Alert;
use clap::Args;
use serde_json::{Value, json};
use state::alert::MessageStatus;
use state::sqlite::queries::alerts::{AlertRow, MessageRow, messages, open_alerts};

use super::super::look::{Look, Place};
use super::super::terminal::{Terminal, moment, table};
use super::super::{Exit, Stop};
use super::named;

/// Most open things that are listed.
const MOST: usize = 10_000;

/// List alerts: what each is on, what is open, and what became of its last message.
#[derive(Args)]
pub struct List {
    /// One alert, with what is open and its messages.
    name: Option<String>,
    /// How many messages of it.
    #[arg(long, short = 'n', default_value_t = 20)]
    number: usize,
}

impl List {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let look = Look::new(place, terminal)?;
        let zone = look.project.settings.timezone.clone();
        let declared: Vec<&Alert> = match &self.name {
            Some(name) => vec![named(&look.project.definitions, name)?],
            None => look.project.definitions.alerts().values().collect(),
        };
        let number = if self.name.is_some() { self.number } else { 1 };
        let mut listed = Vec::new();
        for alert in declared {
            let (open, told) = match &look.store {
                Some(store) => (
                    open_alerts(store, Some(&alert.name), None, MOST)?.rows,
                    messages(store, Some(&alert.name), None, number)?.rows,
                ),
                None => (Vec::new(), Vec::new()),
            };
            listed.push((alert, open, told));
        }
        if terminal.json() {
            let listed: Vec<Value> = listed
                .iter()
                .map(|(alert, open, told)| as_json(alert, open, told))
                .collect();
            terminal.answer(&json!({ "alerts": listed }));
            return Ok(Exit::Done);
        }
        if listed.is_empty() {
            terminal.note("no alert is declared: `[alert.NAME]` with one of `webhook`, `mail` and `command`");
            return Ok(Exit::Done);
        }
        let head = ["alert", "on", "about", "to", "open", "last message"];
        let mut rows: Vec<Vec<String>> = vec![head.iter().map(|head| terminal.dim(head)).collect()];
        for (alert, open, told) in &listed {
            rows.push(vec![
                terminal.bold(&alert.name),
                on(alert).join(", "),
                alert
                    .selection
                    .as_ref()
                    .map_or("*", |select| select.as_str())
                    .to_owned(),
                alert.receiver.words().to_owned(),
                match open.len() {
                    0 => terminal.dim("0"),
                    open => terminal.red(&open.to_string()),
                },
                told.first().map_or_else(String::new, |message| {
                    format!("{} {}", status(message, terminal), moment(message.at, &zone))
                }),
            ]);
        }
        terminal.say(table(&rows));
        if self.name.is_some() {
            let (_, open, told) = &listed[0];
            let rows = open.iter().map(|open| {
                vec![
                    moment(open.at, &zone),
                    terminal.red(open.trouble.words()),
                    open.subject.clone(),
                    open.run.as_ref().map_or_else(String::new, ToString::to_string),
                    terminal.dim(&open.text),
                ]
            });
            section("open", rows.collect(), terminal);
            let rows = told.iter().map(|message| {
                vec![
                    moment(message.at, &zone),
                    status(message, terminal),
                    message.message.title(),
                    terminal.dim(message.error.as_deref().unwrap_or_default()),
                ]
            });
            section("messages", rows.collect(), terminal);
        }
        Ok(Exit::Done)
    }
}

fn section(title: &str, rows: Vec<Vec<String>>, terminal: &Terminal) {
    terminal.say(format!("\n{}", terminal.bold(title)));
    match rows.is_empty() {
        true => terminal.say(terminal.dim("none")),
        false => terminal.say(table(&rows)),
    }
}

fn status(message: &MessageRow, terminal: &Terminal) -> String {
    let word = message.status.as_str();
    match message.status {
        MessageStatus::Delivered => terminal.green(word),
        MessageStatus::Waiting if message.tries > 0 => {
            terminal.yellow(&format!("{word} (tried {} times)", message.tries))
        }
        MessageStatus::Waiting => terminal.yellow(word),
        MessageStatus::Failed => terminal.red(word),
    }
}

/// The words of `on`.
fn on(alert: &Alert) -> Vec<&'static str> {
    let on = alert.on.iter().map(|trouble| trouble.as_str());
    on.chain(alert.recovered.then_some("recovered")).collect()
}

fn as_json(alert: &Alert, open: &[AlertRow], told: &[MessageRow]) -> Value {
    json!({
        "alert": alert.name,
        "description": alert.description,
        "on": on(alert),
        "select": alert.selection.as_ref().map(assets::selection::Selection::as_str),
        "to": alert.receiver.words(),
        "group_wait_seconds": alert.group_wait_seconds,
        "most_per_hour": alert.most_per_hour,
        "open": open,
        "messages": told,
    })
}
