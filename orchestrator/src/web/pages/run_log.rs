//! The log on the page of a run: of the attempt that is asked for, or of the one most worth looking at.

use state::sqlite::queries::attempts::AttemptRow;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::figures::bytes;
use super::log::{self, LEVELS, LogFacts, STREAMS, tail_offset};
use super::markup::query;
use super::run::{Asked, RunFacts};

/// Something to choose.
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What is read.
    pub text: String,
    /// Whether it is chosen.
    pub here: bool,
}

/// One choice.
pub fn choice(value: &str, text: &str, chosen: Option<&str>) -> Choice {
    Choice {
        value: value.to_owned(),
        text: text.to_owned(),
        here: chosen == Some(value),
    }
}

/// The log and what is around it.
pub struct LogView {
    /// Its lines.
    pub facts: LogFacts,
    /// The attempts.
    pub choices: Vec<Choice>,
    /// The least level.
    pub levels: Vec<Choice>,
    /// Where lines come from.
    pub streams: Vec<Choice>,
    /// The partitions of the attempt, if it has several.
    pub partitions: Vec<Choice>,
    /// What is looked for.
    pub find: String,
    /// Whether only some lines are shown.
    pub filtered: bool,
    /// Where a link to a line leads, up to the number of the line.
    pub line_href: String,
    /// The whole file.
    pub download: String,
    /// The begin.
    pub first: Option<String>,
    /// The part before.
    pub earlier: Option<String>,
    /// The part after.
    pub next: Option<String>,
    /// The end.
    pub end: Option<String>,
    /// How large the file is.
    pub size: String,
    /// How far one has looked, where a filter passed over much without finding enough.
    pub looked: Option<String>,
}

fn text_of(attempt: &AttemptRow) -> String {
    let partitions = match attempt.partitions.as_slice() {
        [None] => String::new(),
        [Some(one)] => format!(" @ {one}"),
        [Some(first), .., Some(last)] => format!(" @ {first} … {last}"),
        _ => String::new(),
    };
    let end = match (&attempt.failure, attempt.ended_at) {
        (Some(_), _) => ", failed",
        (None, None) => ", running",
        (None, Some(_)) => "",
    };
    format!("{}{partitions}, attempt {}{end}", attempt.asset, attempt.number)
}

/// The attempt that one wants to see first: the last that failed, one that runs, the last.
fn worth_looking_at(facts: &RunFacts) -> Option<String> {
    let attempts = || facts.attempts.iter().rev();
    let failed = facts.failures.iter().rev().find_map(|step| step.attempt.clone());
    let failed = failed.or_else(|| Some(attempts().find(|attempt| attempt.failure.is_some())?.attempt.clone()));
    let running = || Some(facts.bars.iter().find(|bar| bar.ended_at.is_none())?.attempt.clone());
    let last = || Some(attempts().next()?.attempt.clone());
    failed.or_else(running).or_else(last).map(|attempt| attempt.to_string())
}

/// The log to show, if the run has any attempt.
pub async fn log_view(state: &WebState, facts: &RunFacts, asked: &Asked) -> Result<Option<LogView>, ErrorPage> {
    let run = &facts.run.row.run;
    let log_asked = asked.log();
    let asked_for = log_asked.attempt.clone().map_or_else(|| worth_looking_at(facts), Some);
    let Some(attempt) = asked_for else { return Ok(None) };
    let log_asked = log::Asked {
        attempt: Some(attempt),
        ..log_asked
    };
    let found = log::facts(state, run.as_str(), &log_asked).await?;
    let own = facts.attempts.iter().find(|attempt| attempt.attempt == found.attempt);
    let (level, find) = (log_asked.level.clone(), log_asked.find.clone());
    let (stream, partition) = (log_asked.stream.clone(), log_asked.partition.clone());
    let filtered = log_asked.filters();
    let link = |offset: u64| {
        let pairs = [
            ("attempt", Some(found.attempt.to_string())),
            ("offset", Some(offset.to_string())),
            ("level", level.clone()),
            ("stream", stream.clone()),
            ("only", partition.clone()),
            ("find", find.clone()),
        ];
        format!("/runs/{run}{}#log", query(&pairs))
    };
    let mut partitions = Vec::new();
    if let Some(own) = own.filter(|own| own.partitions.len() > 1) {
        let keys = own.partitions.iter().flatten();
        partitions.extend(keys.map(|key| choice(key.as_str(), key.as_str(), partition.as_deref())));
    }
    let mut choices: Vec<Choice> = facts
        .attempts
        .iter()
        .map(|attempt| {
            choice(
                attempt.attempt.as_str(),
                &text_of(attempt),
                Some(found.attempt.as_str()),
            )
        })
        .collect();
    if own.is_none() {
        // One of those that are not listed.
        choices.push(choice(
            found.attempt.as_str(),
            found.attempt.as_str(),
            Some(found.attempt.as_str()),
        ));
    }
    let more = !found.complete && found.next_offset < found.size;
    Ok(Some(LogView {
        choices,
        levels: LEVELS
            .iter()
            .map(|found| choice(found, found, Some(level.as_deref().unwrap_or("trace"))))
            .collect(),
        streams: STREAMS
            .iter()
            .map(|(value, word)| choice(value, word, stream.as_deref()))
            .collect(),
        partitions,
        filtered,
        line_href: format!("/runs/{run}?attempt={}&line=", found.attempt),
        download: format!("/runs/{run}/log/{}", found.attempt),
        first: (found.offset > 0).then(|| link(0)),
        earlier: (found.offset > 0 && !filtered).then(|| link(found.offset.saturating_sub(log::PIECE as u64))),
        next: more.then(|| link(found.next_offset)),
        end: (more && tail_offset(found.size) > found.next_offset).then(|| link(tail_offset(found.size))),
        size: bytes(found.size),
        looked: (filtered && more)
            .then(|| format!("looked through {} of {}", bytes(found.next_offset), bytes(found.size))),
        find: find.unwrap_or_default(),
        facts: found,
    }))
}
