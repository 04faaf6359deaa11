//! What commands print: answers to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use serde_json::json;

use super::Stop;
use crate::edge::environment;
use crate::edge::log::{self, LogFormat};

pub use crate::figures::{bytes, count, duration, number as thousands};

/// The two outputs and how they are to look.
pub struct Terminal {
    json: bool,
    colour: bool,
    error_colour: bool,
}

impl Terminal {
    /// The outputs of this process. Colours only on terminals, and never with `NO_COLOR`.
    pub fn new(json: bool) -> Self {
        let wanted = environment::variable("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            json,
            colour: wanted && !json && io::stdout().is_terminal(),
            error_colour: wanted && io::stderr().is_terminal(),
        }
    }

    /// Whether answers are JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Whether standard error is a terminal that a person watches.
    pub fn watched(&self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// Whether errors are coloured.
    pub fn error_colour(&self) -> bool {
        self.error_colour
    }

    /// An answer, as text with a newline at its end.
    pub fn say(&self, text: impl AsRef<str>) {
        let mut out = io::stdout().lock();
        // A reader that closed the pipe has read enough.
        writeln!(out, "{}", text.as_ref()).ok();
    }

    /// An answer, as JSON on one line.
    pub fn answer(&self, value: &impl Serialize) {
        self.say(serde_json::to_string(value).expect("answers are plain records, which have a JSON form"));
    }

    /// A remark beside the answer.
    pub fn note(&self, text: impl AsRef<str>) {
        let mut out = io::stderr().lock();
        writeln!(out, "{}", text.as_ref()).ok();
    }

    /// Why the command stops.
    pub fn stop(&self, stop: &Stop) {
        if self.json {
            self.answer(&json!({ "error": stop.message, "help": stop.help, "exit": stop.exit as u8 }));
        }
        let (red, bold, plain) = if self.error_colour {
            ("\x1b[1;31m", "\x1b[1m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        self.note(format!("{red}error{plain}{bold}:{plain} {}", stop.message));
        if let Some(help) = &stop.help {
            self.note(format!("{bold}help:{plain} {help}"));
        }
    }

    /// Text in bold, where colours are.
    pub fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }

    /// Text that steps back.
    pub fn dim(&self, text: &str) -> String {
        self.styled("2", text)
    }

    /// Text in green.
    pub fn green(&self, text: &str) -> String {
        self.styled("32", text)
    }

    /// Text in red.
    pub fn red(&self, text: &str) -> String {
        self.styled("31", text)
    }

    /// Text in yellow.
    pub fn yellow(&self, text: &str) -> String {
        self.styled("33", text)
    }

    fn styled(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Sends the program's own log to standard error, for people. `MILLPOND_LOG` says what is worth a line (`debug`,
/// `orchestrator=trace`).
pub fn start_log(default: &str) {
    log::start(default, LogFormat::Text);
}

/// A moment in the project's time zone.
pub fn moment(at: state::event::Micros, zone: &str) -> String {
    let Ok(timestamp) = jiff::Timestamp::from_microsecond(at) else {
        return at.to_string();
    };
    match timestamp.in_tz(zone) {
        Ok(zoned) => zoned.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => timestamp.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    }
}

/// Rows as aligned columns; the first row is the head.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |text: &str| unstyled(text).chars().count();
    let widths: Vec<usize> = (0..columns)
        .map(|c| {
            rows.iter()
                .filter_map(|row| row.get(c))
                .map(|cell| width(cell))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if c + 1 < row.len() {
                line.push_str(&" ".repeat(widths[c] - width(cell) + 2));
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

/// Text without the codes of [`Terminal::bold`] and its siblings.
fn unstyled(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        plain.push_str(&rest[..at]);
        rest = rest[at..].split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_their_style() {
        let rows = [
            vec!["\x1b[1mname\x1b[0m".to_owned(), "n".to_owned()],
            vec!["ü".to_owned(), "1".to_owned()],
        ];
        assert_eq!(table(&rows), "\x1b[1mname\x1b[0m  n\nü     1");
    }
}
