//! A message to a program: as JSON on its standard input, in the project's folder. It took the message if it ends with code 0.

use std::collections::BTreeMap;
use std::time::Duration;

use plugins::command::{ProcessEnd, ProcessOrder};

use super::super::processes;
use super::Letter;
use super::words;

/// How long a program may take.
const LONGEST: Duration = Duration::from_secs(30);
/// Most bytes of what a program says that are looked at.
const MOST: usize = 4096;

pub(super) async fn send(command: &[String], letter: &Letter) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("the alert names no program")?;
    let message = &letter.message;
    let order = ProcessOrder {
        program: program.clone(),
        arguments: arguments.to_vec(),
        working_directory: letter.root.clone(),
        environment: BTreeMap::from([
            ("MILLPOND_ALERT".to_owned(), message.alert.clone()),
            ("MILLPOND_ALERT_TITLE".to_owned(), message.title()),
            ("MILLPOND_ALERT_MESSAGE".to_owned(), message.id.to_string()),
        ]),
        mark: format!("alert-{}-{}", message.id, letter.attempt),
    };
    let mut input = words::json(letter).to_string();
    input.push('\n');
    let ran = processes::run(&order, input.into_bytes(), MOST, LONGEST)
        .await
        .map_err(|error| format!("failed to run `{program}`: {error}"))?;
    match ran.end {
        Some(ProcessEnd::Code(0)) => Ok(()),
        Some(end) => Err(format!("`{program}` ended with {end}{}", last_line(&ran.errors))),
        None => Err(format!(
            "`{program}` did not end within {} seconds and was killed",
            LONGEST.as_secs()
        )),
    }
}

/// `: what it said last`, if it said anything.
fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    line.map_or_else(String::new, |line| {
        format!(": {}", line.chars().take(200).collect::<String>())
    })
}
