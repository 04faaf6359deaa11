//! What `schedule list` and `sensor list` share: what has ticks is listed with its last one, and one alone with many.

use serde_json::{Value, json};
use state::schedule::TickStatus;
use state::sqlite::Owner;

use super::Exit;
use super::look::Look;
use super::terminal::{Terminal, moment, table};
use crate::edge::folder::StateFolder;

/// One schedule or sensor.
pub struct Listed {
    /// For programs.
    pub json: Value,
    /// Its row: name first, then what is under the heads.
    pub row: Vec<String>,
    /// Its ticks, newest first: when, what became of it, and the rest of the row.
    pub ticks: Vec<TickRow>,
}

/// A tick as a row.
pub struct TickRow {
    /// When it was decided.
    pub at: i64,
    /// What became of it.
    pub status: TickStatus,
    /// When, as shown.
    pub when: String,
    /// The run that was requested, what was seen, and why.
    pub rest: Vec<String>,
}

/// What is said of the whole list.
pub struct Words {
    /// The name of the list for programs.
    pub list: &'static str,
    /// The heads of the columns but the last, which is what became of the last tick.
    pub head: &'static [&'static str],
    /// What to say if there is none.
    pub none: &'static str,
    /// What does not happen while no daemon runs.
    pub idle: &'static str,
}

/// Prints the list; with `alone` also the ticks of the only one.
pub fn print(listed: &[Listed], alone: bool, words: &Words, look: &Look, terminal: &Terminal) -> Exit {
    if terminal.json() {
        let listed: Vec<&Value> = listed.iter().map(|one| &one.json).collect();
        terminal.answer(&json!({ words.list: listed }));
        return Exit::Done;
    }
    if listed.is_empty() {
        terminal.note(words.none);
        return Exit::Done;
    }
    let zone = &look.project.settings.timezone;
    let heads = words.head.iter().chain(&["last"]);
    let mut rows: Vec<Vec<String>> = vec![heads.map(|head| terminal.dim(head)).collect()];
    for one in listed {
        let last = one.ticks.first().map_or_else(String::new, |tick| {
            format!("{} {}", status(tick.status, terminal), moment(tick.at, zone))
        });
        rows.push(one.row.iter().cloned().chain([last]).collect());
    }
    terminal.say(table(&rows));
    if let ([one], true) = (listed, alone) {
        let rows: Vec<Vec<String>> = one
            .ticks
            .iter()
            .map(|tick| {
                let first = [tick.when.clone(), status(tick.status, terminal)];
                first.into_iter().chain(tick.rest.iter().cloned()).collect()
            })
            .collect();
        terminal.say("");
        terminal.say(table(&rows));
    }
    let owner = Owner::of(StateFolder::of(&look.project.root).path());
    if !matches!(owner, Some(Owner { url: Some(_), .. })) {
        terminal.note(format!("no daemon runs, so {}: `millpond up`", words.idle));
    }
    Exit::Done
}

fn status(status: TickStatus, terminal: &Terminal) -> String {
    let word = status.as_str();
    match status {
        TickStatus::Requested => terminal.green(word),
        TickStatus::Skipped => terminal.dim(word),
        TickStatus::Missed => terminal.yellow(word),
        TickStatus::Failed => terminal.red(word),
    }
}
