//! A program that looks: it is run, prints events, and is over. It gets up to where it has read in `MILLPOND_CURSOR`, and says
//! how far it has read now in a line of its own.
//!
//! ```text
//! {"key": "order 17", "what": "order 17 of Ann", "partition": "2013-01-01"}
//! {"cursor": "17"}
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use assets::sensor::CommandSource;
use plugins::command::{ProcessEnd, ProcessOrder};
use serde_json::{Map, Value};
use state::sensor::SensorEvent;

use super::super::engine::EngineHandle;
use super::super::{environment, processes};
use super::http::partitions_at;
use super::look::{Sight, shown, told_before};
use super::task::Known;
use crate::core::SensorSight;

/// Most bytes that a program may print.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Most bytes of a key, and of what an event is.
const LONGEST: usize = 1024;
/// How much of what it said to standard error is told.
const LAST_WORDS: usize = 400;

/// Runs the program; what it printed.
pub(super) async fn look(known: &Known, source: &CommandSource, engine: &EngineHandle) -> Result<Sight, String> {
    let (program, arguments) = source.words.split_first().ok_or("`command` names no program")?;
    let mut variables: BTreeMap<String, String> = source.variables.iter().cloned().collect();
    for (name, value) in [
        ("MILLPOND_SENSOR", known.sensor.name.clone()),
        ("MILLPOND_CURSOR", known.cursor.clone().unwrap_or_default()),
        ("MILLPOND_MAX_EVENTS", known.sensor.most_events.to_string()),
    ] {
        variables.insert(name.to_owned(), value);
    }
    let order = ProcessOrder {
        program: program.clone(),
        arguments: arguments.to_vec(),
        working_directory: engine.settings().root.clone().into(),
        environment: variables,
        mark: format!("sensor-{}-{:016x}", known.sensor.name, environment::seed()),
    };
    let deadline = Duration::from_secs(known.sensor.deadline_seconds);
    let ran = processes::run(&order, Vec::new(), MOST_BYTES + 1, deadline)
        .await
        .map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    let last_words = || {
        let text = String::from_utf8_lossy(&ran.errors);
        let text = text.trim();
        let from = text.len().saturating_sub(LAST_WORDS);
        let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        match text.is_empty() {
            true => String::new(),
            false => format!(": {}", &text[from..]),
        }
    };
    match ran.end {
        Some(ProcessEnd::Code(0)) => {}
        Some(end) => return Err(format!("`{program}` ended with {end}{}", last_words())),
        None => {
            return Err(format!(
                "`{program}` did not end within its deadline of {} s, and was ended with all that it had started{}",
                deadline.as_secs(),
                last_words()
            ));
        }
    }
    if ran.output.len() > MOST_BYTES {
        return Err(format!("`{program}` printed more than {} MiB", MOST_BYTES >> 20));
    }
    let text = std::str::from_utf8(&ran.output).map_err(|_| format!("`{program}` printed what is not text"))?;
    let printed = read(text)?;
    let keys = printed.events().map(|event| event.key.clone()).collect();
    let told = told_before(engine, &known.sensor.name, keys).await?;
    let shown = shown(known, printed.events().map(|event| event.key.as_str()));
    let sight = printed.cut(&told, known.cursor.clone(), known.sensor.most_events as usize);
    Ok(Sight {
        sight: SensorSight { shown, ..sight },
        ..Sight::default()
    })
}

/// One line.
enum Line {
    Event(SensorEvent),
    Cursor(String),
}

/// What a program printed, in order.
struct Printed(Vec<Line>);

impl Printed {
    fn events(&self) -> impl Iterator<Item = &SensorEvent> {
        self.0.iter().filter_map(|line| match line {
            Line::Event(event) => Some(event),
            Line::Cursor(_) => None,
        })
    }

    /// What one tick takes of it: as many events that were not told of before (`told`, by the order of the events) as it may
    /// hold, and the newest cursor before the first that is left out, so that the program prints that again.
    fn cut(self, told: &[bool], cursor: Option<String>, most: usize) -> SensorSight {
        let mut sight = SensorSight {
            cursor,
            ..SensorSight::default()
        };
        let mut told = told.iter();
        for line in self.0 {
            match line {
                Line::Cursor(cursor) if sight.lag == 0 => sight.cursor = Some(cursor),
                Line::Cursor(_) => {}
                Line::Event(event) => {
                    if told.next().copied().unwrap_or(false) {
                        continue;
                    }
                    if sight.events.len() == most {
                        sight.lag += 1;
                    } else {
                        sight.events.push(event);
                    }
                }
            }
        }
        sight
    }
}

/// Any line that is neither an event nor a cursor keeps all of it from counting: half of what was meant is worse than none.
fn read(text: &str) -> Result<Printed, String> {
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = number + 1;
        let object: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| format!("line {number} is no JSON object: {error}"))?;
        let wrong = |what: &str| format!("line {number}: {what}");
        if let Some(stranger) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let known = format!("there is no `{stranger}`: an event has `key`, `what`, `partition`");
            return Err(wrong(&known));
        }
        match object.get("key") {
            Some(key) => lines.push(Line::Event(event(key, &object).map_err(|what| wrong(&what))?)),
            None if object.contains_key("cursor") && object.len() == 1 => {}
            None => return Err(wrong("an event has a `key`")),
        }
        match object.get("cursor") {
            None => {}
            Some(Value::String(cursor)) => lines.push(Line::Cursor(cursor.clone())),
            Some(_) => return Err(wrong("`cursor` is a text")),
        }
    }
    Ok(Printed(lines))
}

const KEYS: [&str; 4] = ["key", "what", "partition", "cursor"];

fn event(key: &Value, object: &Map<String, Value>) -> Result<SensorEvent, String> {
    let key = match key {
        Value::String(key) if !key.is_empty() => key.clone(),
        Value::Number(key) => key.to_string(),
        _ => return Err("`key` is a text or a number".to_owned()),
    };
    let what = match object.get("what") {
        None | Some(Value::Null) => key.clone(),
        Some(Value::String(what)) => what.clone(),
        Some(other) => other.to_string(),
    };
    if key.len() > LONGEST || what.len() > LONGEST {
        return Err(format!("`key` and `what` have at most {LONGEST} bytes"));
    }
    let partitions = match object.get("partition") {
        None | Some(Value::Null) => Vec::new(),
        Some(partition) => partitions_at(partition, "")?,
    };
    Ok(SensorEvent {
        key,
        what,
        partitions,
        payload: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a tick of `most` events takes where `told` were told of before.
    fn sight(text: &str, told: &[&str], cursor: Option<&str>, most: usize) -> (Vec<String>, u64, Option<String>) {
        let printed = read(text).unwrap();
        let told: Vec<bool> = printed
            .events()
            .map(|event| told.contains(&event.key.as_str()))
            .collect();
        let sight = printed.cut(&told, cursor.map(str::to_owned), most);
        let keys = sight.events.iter().map(|event| event.key.clone());
        (keys.collect(), sight.lag, sight.cursor)
    }

    fn seen(keys: &[&str], lag: u64, cursor: Option<&str>) -> (Vec<String>, u64, Option<String>) {
        let keys = keys.iter().map(|key| (*key).to_owned());
        (keys.collect(), lag, cursor.map(str::to_owned))
    }

    #[test]
    fn events_and_cursors_are_read_line_by_line() {
        let text = "{\"key\": \"a\", \"partition\": \"x\"}\n\n{\"key\": 7, \"what\": \"seven\", \"partition\": [\"y\", 1]}\n{\"cursor\": \"7\"}\n";
        assert_eq!(sight(text, &[], Some("3"), 10), seen(&["a", "7"], 0, Some("7")));
        let printed = read(text).unwrap();
        let events: Vec<&SensorEvent> = printed.events().collect();
        assert_eq!((events[0].what.as_str(), events[1].what.as_str()), ("a", "seven"));
        assert_eq!(events[1].partitions.len(), 2);
        assert_eq!(sight("", &[], Some("3"), 10), seen(&[], 0, Some("3")));
    }

    #[test]
    fn what_is_too_much_for_a_tick_is_left_to_the_next() {
        let text = "{\"key\": \"a\", \"cursor\": \"1\"}\n{\"key\": \"b\", \"cursor\": \"2\"}\n{\"key\": \"c\", \"cursor\": \"3\"}\n";
        assert_eq!(sight(text, &[], None, 2), seen(&["a", "b"], 1, Some("2")));
        // Without a cursor on the way the program prints the same again, and what was told of makes room for the rest.
        let text = "{\"key\": \"a\"}\n{\"key\": \"b\"}\n{\"cursor\": \"2\"}\n";
        assert_eq!(sight(text, &[], None, 1), seen(&["a"], 1, None));
        assert_eq!(sight(text, &["a"], None, 1), seen(&["b"], 0, Some("2")));
    }

    #[test]
    fn half_of_what_was_meant_counts_for_nothing() {
        for (text, said) in [
            ("{\"key\": \"a\"}\nloading…\n", "line 2 is no JSON object"),
            ("{\"key\": \"a\"}\n{\"key\": \"b\"", "line 2 is no JSON object"),
            ("[1]", "line 1 is no JSON object"),
            ("{\"what\": \"a\"}", "an event has a `key`"),
            ("{\"key\": null}", "`key` is a text or a number"),
            ("{\"key\": \"\"}", "`key` is a text or a number"),
            ("{\"key\": \"a\", \"partitions\": []}", "no `partitions`"),
            ("{\"key\": \"a\", \"partition\": {}}", "no partition"),
            ("{\"cursor\": 7}", "`cursor` is a text"),
        ] {
            let error = read(text).err().unwrap();
            assert!(error.contains(said), "{error}");
        }
    }
}
