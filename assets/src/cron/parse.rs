//! The text of a cron.

use std::ops::Range;

use super::calendar::Cron;
use super::field::{FIELDS, MONTHS};
use crate::diagnostic::closest;

/// Longest text; all lists of all values fit.
const LONGEST: usize = 1000;

/// Texts that stand for a whole cron.
const SHORTHANDS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// What kind of mistake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MistakeKind {
    /// It is not a cron.
    Syntax,
    /// It has more or fewer than five fields.
    Fields,
    /// A value, a range or a step is not one of its field.
    Range,
    /// No day of the calendar matches, ever.
    Never,
    /// It is longer than any cron.
    TooLong,
}

/// One mistake in the text of a cron.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CronMistake {
    /// Which kind.
    pub kind: MistakeKind,
    /// What is wrong, a lowercase fragment.
    pub message: String,
    /// The bytes of the text that it is about.
    pub at: Range<usize>,
    /// What to do.
    pub help: Option<String>,
}

impl CronMistake {
    pub(super) fn new(kind: MistakeKind, message: impl Into<String>, at: Range<usize>) -> Box<Self> {
        Box::new(Self {
            kind,
            message: message.into(),
            at,
            help: None,
        })
    }

    pub(super) fn help(mut self: Box<Self>, help: impl Into<String>) -> Box<Self> {
        self.help = Some(help.into());
        self
    }
}

impl Cron {
    /// Reads a cron.
    ///
    /// # Errors
    /// Every mistake that it has, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<CronMistake>> {
        let all = 0..text.len();
        let alone = |mistake: Box<CronMistake>| Err(vec![*mistake]);
        if text.len() > LONGEST {
            let message = format!("a cron of {} characters", text.len());
            return alone(
                CronMistake::new(MistakeKind::TooLong, message, 0..0).help("a cron has five fields: `0 6 * * MON-FRI`"),
            );
        }
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return alone(
                CronMistake::new(MistakeKind::Fields, "an empty cron", all)
                    .help("a cron has five fields, `0 6 * * MON-FRI`, or is a word such as `@daily`"),
            );
        }
        if trimmed.starts_with('@') {
            return shorthand(text, trimmed);
        }
        let fields = split(text);
        if fields.len() != FIELDS.len() {
            return alone(wrong_number(text, &fields));
        }
        let mut mistakes = Vec::new();
        let mut read = Vec::new();
        for (field, at) in FIELDS.iter().zip(&fields) {
            read.push(field.read(&text[at.clone()], at.start, &mut mistakes));
        }
        let read: Option<Vec<_>> = read.into_iter().collect();
        let Some([minutes, hours, days, months, weekdays]) = read.as_deref() else {
            return Err(mistakes);
        };
        let cron = Self {
            text: text.to_owned(),
            minutes: minutes.bits,
            hours: hours.bits as u32,
            days: days.bits as u32,
            months: months.bits as u16,
            weekdays: weekdays.bits as u8,
            either_day: !days.star && !weekdays.star,
        };
        if cron.ever() {
            Ok(cron)
        } else {
            alone(never(&cron, fields[2].start..fields[3].end))
        }
    }
}

fn shorthand(text: &str, word: &str) -> Result<Cron, Vec<CronMistake>> {
    let lower = word.to_ascii_lowercase();
    if let Some((_, stands_for)) = SHORTHANDS.iter().find(|(name, _)| *name == lower) {
        let cron = Cron::parse(stands_for)?;
        return Ok(Cron {
            text: text.to_owned(),
            ..cron
        });
    }
    let start = text.len() - text.trim_start().len();
    let mistake = CronMistake::new(
        MistakeKind::Syntax,
        format!("`{word}` is no cron"),
        start..start + word.len(),
    );
    let help = if lower.starts_with("@every") {
        "name the times: `*/5 * * * *` is every five minutes".to_owned()
    } else if lower == "@reboot" {
        "a schedule has times; what a start of the daemon missed is caught up by `catch_up`".to_owned()
    } else {
        let names = SHORTHANDS.map(|(name, _)| name);
        match closest(&lower, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("such words are {}", names.map(|name| format!("`{name}`")).join(", ")),
        }
    };
    Err(vec![*mistake.help(help)])
}

/// Where the fields stand.
fn split(text: &str) -> Vec<Range<usize>> {
    let mut fields = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, c.is_whitespace()) {
            (None, false) => start = Some(at),
            (Some(from), true) => {
                fields.push(from..at);
                start = None;
            }
            (None, true) | (Some(_), false) => {}
        }
    }
    fields
}

fn wrong_number(text: &str, fields: &[Range<usize>]) -> Box<CronMistake> {
    let count = fields.len();
    let at = fields[0].start..fields[count - 1].end;
    let message = format!(
        "a cron has five fields, this one has {}",
        if count == 1 {
            "one".to_owned()
        } else {
            count.to_string()
        }
    );
    let mistake = CronMistake::new(MistakeKind::Fields, message, at);
    let from = |first: usize| &text[fields[first].start..fields[first + 4].end];
    match count {
        6 => mistake.help(format!(
            "they are minute, hour, day of the month, month, day of the week; without seconds it is `{}`, without a year `{}`",
            from(1),
            from(0)
        )),
        7 => mistake.help(format!("without seconds and year it is `{}`", from(1))),
        _ => mistake.help("they are minute, hour, day of the month, month, day of the week: `0 6 * * MON-FRI`"),
    }
}

fn never(cron: &Cron, at: Range<usize>) -> Box<CronMistake> {
    let day = cron.days.trailing_zeros();
    let months: Vec<String> = (1..=12)
        .filter(|month| cron.months & 1 << month != 0)
        .map(|month| format!("{day} {}", MONTHS[month - 1]))
        .collect();
    CronMistake::new(
        MistakeKind::Never,
        format!("this cron never runs: there is no {}", months.join(", no ")),
        at,
    )
    .help("for the end of a month run on the 1st of the next: what the month held is complete then")
}
