//! Processes as the system lists them under `/proc`: who started whom, and what they have computed.

use std::fs;
use std::time::Duration;

/// Ticks of processor time in a second (`USER_HZ`, 100 wherever Linux runs).
const TICKS: u64 = 100;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: u32,
    /// The process that started it, or that took it over.
    pub parent: u32,
    /// Its arguments, with spaces between.
    pub line: String,
    /// Processor time that it has used, over all its threads.
    pub computed: Duration,
    /// When it started, in ticks since the system did: with the id, this is one process and no other.
    pub started: u64,
}

/// Every living process that may be looked at. What has ended and was not waited for does not live.
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        panic!("these tests need /proc");
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(look)
        .collect()
}

/// One process, if it lives.
pub fn look(id: u32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name of the program stands in parentheses and may hold any character, a parenthesis too.
    let (_, rest) = status.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line).replace('\0', " ").trim_end().to_owned();
    Some(Process {
        id,
        parent: u32::try_from(number(1)?).ok()?,
        line,
        computed: Duration::from_millis((number(11)? + number(12)?) * 1000 / TICKS),
        started: number(19)?,
    })
}

/// The worker processes of a command.
pub fn workers_of(command: u32) -> Vec<Process> {
    all()
        .into_iter()
        .filter(|process| process.parent == command && process.line.ends_with(" worker"))
        .collect()
}

/// The living processes whose arguments hold this text.
pub fn with(text: &str) -> Vec<Process> {
    all()
        .into_iter()
        .filter(|process| process.line.contains(text))
        .collect()
}

/// Whether this very process still lives.
pub fn lives(process: &Process) -> bool {
    look(process.id).is_some_and(|now| now.started == process.started)
}
