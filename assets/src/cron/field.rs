//! One field of a cron: its entries, as a set of bits.

use std::ops::Range;

use super::parse::{CronMistake, MistakeKind};

/// What one field counts.
pub(super) struct Field {
    /// `minute`, `day of the month`.
    pub(super) name: &'static str,
    /// `minutes`, `days of the month`.
    pub(super) plural: &'static str,
    pub(super) least: u8,
    pub(super) most: u8,
    /// Names of values, the first for `least`.
    names: &'static [&'static str],
}

pub(super) const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The five fields, in their order.
pub(super) static FIELDS: [Field; 5] = [
    Field::numbers("minute", "minutes", 0, 59),
    Field::numbers("hour", "hours", 0, 23),
    Field::numbers("day of the month", "days of the month", 1, 31),
    Field {
        name: "month",
        plural: "months",
        least: 1,
        most: 12,
        names: &MONTHS,
    },
    // 7 is Sunday too; it is taken as such where it is written.
    Field {
        name: "day of the week",
        plural: "days of the week",
        least: 0,
        most: 6,
        names: &WEEKDAYS,
    },
];

/// What the entries of a field come to.
pub(super) struct Entries {
    /// Bit `n` is value `n`.
    pub(super) bits: u64,
    /// Whether an entry begins with `*`: such a field does not restrict the days by itself.
    pub(super) star: bool,
}

impl Field {
    const fn numbers(name: &'static str, plural: &'static str, least: u8, most: u8) -> Self {
        Self {
            name,
            plural,
            least,
            most,
            names: &[],
        }
    }

    fn is_weekday(&self) -> bool {
        self.least == 0 && self.most == 6
    }

    /// Reads the field's text, which stands at byte `at` of the cron. Every wrong entry is reported.
    pub(super) fn read(&self, text: &str, at: usize, mistakes: &mut Vec<CronMistake>) -> Option<Entries> {
        let mut entries = Entries { bits: 0, star: false };
        let before = mistakes.len();
        let mut start = at;
        for entry in text.split(',') {
            let place = start..start + entry.len();
            start = place.end + 1;
            entries.star |= entry.starts_with('*');
            match self.entry(entry, place) {
                Ok(bits) => entries.bits |= bits,
                Err(mistake) => mistakes.push(*mistake),
            }
        }
        (mistakes.len() == before).then_some(entries)
    }

    fn entry(&self, entry: &str, at: Range<usize>) -> Result<u64, Box<CronMistake>> {
        if entry.is_empty() {
            let message = format!("an entry of the {} is empty", self.plural);
            // A caret needs something to stand under: the comma beside it.
            let at = at.start.saturating_sub(1)..at.end.max(1);
            return Err(CronMistake::new(MistakeKind::Syntax, message, at).help("take a comma away"));
        }
        let (base, step) = match entry.split_once('/') {
            Some((base, step)) => (base, Some(step)),
            None => (entry, None),
        };
        let base_at = at.start..at.start + base.len();
        let (from, to) = if base == "*" {
            (self.least, self.most)
        } else if let Some((from, to)) = base.split_once('-') {
            let middle = base_at.start + from.len();
            let low = self.value(from, base_at.start..middle, entry, &at)?;
            let high = self.value(to, middle + 1..base_at.end, entry, &at)?;
            // `FRI-SUN`: at the end of a range Sunday is the seventh day.
            let high = if self.is_weekday() && high == 0 && low > 0 {
                7
            } else {
                high
            };
            if low > high {
                let message = format!("the range `{base}` runs backwards");
                let help = format!("write `{from}-{},{}-{to}`", self.most, self.least);
                return Err(CronMistake::new(MistakeKind::Range, message, base_at).help(help));
            }
            (low, high)
        } else {
            let value = self.value(base, base_at, entry, &at)?;
            if step.is_some() {
                let message = format!("`{entry}` has a step and nothing to step through");
                let help = format!("write `{base}-{}/{}`", self.most, step.unwrap_or_default());
                return Err(CronMistake::new(MistakeKind::Syntax, message, at).help(help));
            }
            (value, value)
        };
        let step = match step {
            Some(step) => self.step(step, at.start + base.len() + 1..at.end, from, to)?,
            None => 1,
        };
        let bits: u64 = (from..=to).step_by(usize::from(step)).map(|value| 1 << value).sum();
        // 7 is Sunday.
        Ok(if self.is_weekday() {
            (bits | bits >> 7) & 0x7f
        } else {
            bits
        })
    }

    fn step(&self, text: &str, at: Range<usize>, from: u8, to: u8) -> Result<u8, Box<CronMistake>> {
        let at = if at.is_empty() { at.start - 1..at.end } else { at };
        match digits(text) {
            None => {
                let message = format!("`{text}` is no step");
                Err(CronMistake::new(MistakeKind::Syntax, message, at).help("a step is a number: `*/15`"))
            }
            Some(0) => Err(CronMistake::new(MistakeKind::Range, "a step of 0 never moves", at)
                .help("a step is at least 1: `*/15`")),
            Some(step) if step > u32::from(to - from) && step > 1 => {
                let message = format!("a step of {step} leaves `{from}` alone: the {} start anew", self.plural);
                let help = match self.name {
                    "minute" => "for every so many hours name the hours: `0 */2 * * *`".to_owned(),
                    "hour" => "for every so many days name the days: `0 0 */2 * *`".to_owned(),
                    _ => format!("write `{from}`, or a step of at most {}", to - from),
                };
                Err(CronMistake::new(MistakeKind::Range, message, at).help(help))
            }
            Some(step) => Ok(step as u8),
        }
    }

    /// One number or name; `entry` is what it is part of.
    fn value(&self, text: &str, at: Range<usize>, entry: &str, all: &Range<usize>) -> Result<u8, Box<CronMistake>> {
        if let Some(number) = digits(text) {
            let most = u32::from(if self.is_weekday() { 7 } else { self.most });
            if (u32::from(self.least)..=most).contains(&number) {
                return Ok(number as u8);
            }
            let message = format!("`{text}` is no {}", self.name);
            let help = format!("{} go from {} to {most}", self.plural, self.least);
            return Err(CronMistake::new(MistakeKind::Range, message, at).help(help));
        }
        let upper = text.to_ascii_uppercase();
        if let Some(index) = self.names.iter().position(|name| *name == upper) {
            return Ok(self.least + index as u8);
        }
        let at = if at.is_empty() { all.clone() } else { at };
        if let Some((letter, help)) = extension(entry) {
            let message = format!("`{letter}` is an extension of other crons and is not read here");
            return Err(CronMistake::new(MistakeKind::Syntax, message, all.clone()).help(help));
        }
        let message = format!("`{}` is no {}", if text.is_empty() { entry } else { text }, self.name);
        let mistake = CronMistake::new(MistakeKind::Syntax, message, at);
        // `MONDAY`, `JANU`.
        let near = self
            .names
            .iter()
            .find(|name| upper.len() > name.len() && upper.starts_with(**name));
        Err(match (near, self.names.first()) {
            (Some(near), _) => mistake.help(format!("did you mean `{near}`?")),
            (None, Some(first)) => mistake.help(format!(
                "{} are numbers from {} to {}, or names such as `{first}`",
                self.plural, self.least, self.most
            )),
            (None, None) => mistake.help(format!(
                "{} are numbers from {} to {}",
                self.plural, self.least, self.most
            )),
        })
    }
}

/// A number of at most four digits and nothing else; a longer one stands for one that is too large.
fn digits(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u32::MAX))
}

/// The letter of another program's cron, and what to write instead.
fn extension(entry: &str) -> Option<(char, &'static str)> {
    let upper = entry.to_ascii_uppercase();
    let number_beside = |letter: char| {
        let rest = upper.replace(letter, "");
        rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    };
    if entry.contains('?') {
        return Some(('?', "write `*`"));
    }
    if upper.contains('#') {
        return Some((
            '#',
            "name the days of the month: the first Monday is one of the days 1 to 7",
        ));
    }
    if upper.starts_with('H') && (upper.len() == 1 || upper.contains('(') || upper.contains('/')) {
        return Some(('H', "name a number, and spread the start with `jitter`"));
    }
    if upper.contains('W') && number_beside('W') {
        return Some(('W', "name days of the week: `MON-FRI`"));
    }
    if upper.contains('L') && number_beside('L') {
        return Some((
            'L',
            "run on the 1st of the next month: what the month held is complete then",
        ));
    }
    None
}
