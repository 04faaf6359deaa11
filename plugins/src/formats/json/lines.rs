//! Walks through a file line by line.
use std::borrow::Cow;
use std::sync::Arc;

use crate::formats::bad_row::{BadReason, BadRow, raw_text};
use crate::formats::error::FormatError;
use crate::formats::input::{Input, InputEnd};
use crate::formats::options::{EarlierColumns, ReadOptions};
use crate::formats::source::SourceFile;
use crate::formats::window::{ByteFault, Window};

use super::value::{Json, parse};

/// An open file of JSON lines. Blank lines are passed over.
pub(in crate::formats) struct JsonFile {
    pub(in crate::formats) source: Arc<SourceFile>,
    window: Window,
    /// The current line, taken out of the window when the next one is asked for.
    current: usize,
    content: usize,
    lines: u64,
    line: u64,
    longest: usize,
    deepest: usize,
    raw_text_bytes: usize,
    /// Keys that were called otherwise, or are not read.
    pub(in crate::formats) earlier: EarlierColumns,
}

/// What the next line is.
#[derive(Debug)]
pub(in crate::formats) enum LineStep {
    /// A line of UTF-8; see [`JsonFile::object`].
    Line,
    /// A line that cannot be used.
    Bad(BadReason),
    /// The end of the file.
    End,
}

impl JsonFile {
    pub(in crate::formats) fn open(source: &Arc<SourceFile>, options: &ReadOptions) -> Result<Self, FormatError> {
        let window = Window::new(Input::open(source, options.limits)?)?;
        let first = window.bytes().iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'[') {
            return Err(source.unsupported(
                "it is a JSON array; write one object on each line (with jq: `jq -c '.[]'`) and call it .jsonl",
            ));
        }
        Ok(JsonFile {
            source: Arc::clone(source),
            window,
            current: 0,
            content: 0,
            lines: 0,
            line: 1,
            longest: options.limits.longest_row(),
            deepest: options.limits.json_depth.min(256),
            raw_text_bytes: options.limits.raw_text_bytes,
            earlier: options.earlier.clone(),
        })
    }

    pub(in crate::formats) fn line(&self) -> u64 {
        self.line
    }

    pub(in crate::formats) fn finish(&mut self) -> Result<InputEnd, FormatError> {
        self.window.finish()
    }

    pub(in crate::formats) fn verify(&self) -> Result<(), FormatError> {
        self.window.input().verify()
    }

    fn content(&self) -> &[u8] {
        &self.window.bytes()[..self.content]
    }

    pub(in crate::formats) fn bad_row(&self, reason: BadReason) -> BadRow {
        BadRow {
            file: self.source.path.clone(),
            line: self.line,
            reason,
            raw: raw_text(self.content(), self.raw_text_bytes),
        }
    }

    /// Goes to the next line.
    pub(in crate::formats) fn next(&mut self) -> Result<LineStep, FormatError> {
        loop {
            self.window.consume(self.current);
            self.line += self.lines;
            (self.current, self.content, self.lines) = (0, 0, 0);
            let found = self.whole_line()?;
            let Some(consumed) = found else {
                let lines = self.window.skip_line()?;
                self.lines = lines;
                return Ok(LineStep::Bad(BadReason::TooLong {
                    limit: self.longest,
                    open_quote: false,
                }));
            };
            if consumed == 0 {
                return Ok(LineStep::End);
            }
            let line = &self.window.bytes()[..consumed];
            let content = line.strip_suffix(b"\n").unwrap_or(line);
            let content = content.strip_suffix(b"\r").unwrap_or(content).len();
            (self.current, self.content, self.lines) = (consumed, content, 1);
            if self.content > self.longest {
                return Ok(LineStep::Bad(BadReason::TooLong {
                    limit: self.longest,
                    open_quote: false,
                }));
            }
            if self.content().iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return Ok(match self.window.check(self.content) {
                Ok(()) => LineStep::Line,
                Err(ByteFault::Utf8(at)) => LineStep::Bad(BadReason::InvalidUtf8 { at }),
                Err(ByteFault::Nul(at)) => LineStep::Bad(BadReason::NulByte { at }),
            });
        }
    }

    /// Bytes of the next line with its end: 0 at the end of the file, `None` when it is longer than the limit and
    /// does not end within the window.
    fn whole_line(&mut self) -> Result<Option<usize>, FormatError> {
        let mut searched = 0;
        loop {
            let bytes = self.window.bytes();
            if let Some(at) = memchr::memchr(b'\n', &bytes[searched..]) {
                return Ok(Some(searched + at + 1));
            }
            searched = bytes.len();
            if self.window.at_end() {
                return Ok(Some(searched));
            }
            if searched > self.longest {
                return Ok(None);
            }
            self.window.fill()?;
        }
    }

    fn call_as_now(&self, entries: &mut [(Cow<'_, str>, Json<'_>)]) {
        let has = |name: &str| entries.iter().any(|(key, _)| key == name);
        let now: Vec<Option<&str>> = entries.iter().map(|(key, _)| self.earlier.name_now(key, has)).collect();
        for ((key, _), now) in entries.iter_mut().zip(now) {
            if let Some(now) = now {
                *key = Cow::Owned(now.to_owned());
            }
        }
    }

    /// The keys, as they are called today, and values of the current line.
    pub(in crate::formats) fn object(&self) -> Result<Vec<(Cow<'_, str>, Json<'_>)>, BadReason> {
        let text = std::str::from_utf8(self.content()).expect("the line was checked to be UTF-8");
        match parse(text, self.deepest) {
            Ok(Json::Object { mut entries, .. }) => {
                if !self.earlier.renamed.is_empty() {
                    self.call_as_now(&mut entries);
                }
                Ok(entries)
            }
            Ok(other) => Err(BadReason::NotAnObject {
                found: match other {
                    Json::Null => "null",
                    Json::Boolean(_) => "a boolean",
                    Json::Number(_) => "a number",
                    Json::Text(_) => "a string",
                    Json::List { .. } | Json::Object { .. } => "a list",
                },
            }),
            // Only a last line without its line end can still be growing.
            Err(error) if error.cut_off && self.current == self.content => Err(BadReason::CutOff),
            Err(error) => Err(BadReason::Json {
                at: error.at,
                what: error.what,
            }),
        }
    }
}
