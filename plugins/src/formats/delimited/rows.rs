//! Walks through a file row by row and knows the physical line of each.
use crate::formats::bad_row::BadReason;
use crate::formats::error::FormatError;
use crate::formats::input::InputEnd;
use crate::formats::window::{ByteFault, Window};

use super::scan::{Dialect, Field, Scan, scan_row};

/// What the next row is.
#[derive(Debug)]
pub(in crate::formats) enum Step {
    /// A row whose bytes are in order; see [`Rows::row`].
    Row,
    /// A row that cannot be used.
    Bad(BadReason),
    /// The end of the file.
    End,
}

/// The rows of one file. Blank lines are passed over.
pub(in crate::formats) struct Rows {
    window: Window,
    dialect: Dialect,
    fields: Vec<Field>,
    /// The current row, taken out of the window when the next one is asked for.
    current: usize,
    content: usize,
    /// Physical lines of the current row.
    lines: u64,
    /// The 1-based physical line on which the current row starts.
    line: u64,
    longest: usize,
}

impl Rows {
    pub(super) fn new(window: Window, dialect: Dialect, longest: usize) -> Self {
        Rows {
            window,
            dialect,
            fields: Vec::new(),
            current: 0,
            content: 0,
            lines: 0,
            line: 1,
            longest,
        }
    }

    /// The bytes of the current row, without its line end, and its fields.
    pub(in crate::formats) fn row(&self) -> (&[u8], &[Field]) {
        (&self.window.bytes()[..self.content], &self.fields)
    }

    /// The line on which the current row starts.
    pub(in crate::formats) fn line(&self) -> u64 {
        self.line
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    pub(in crate::formats) fn finish(&mut self) -> Result<InputEnd, FormatError> {
        self.window.finish()
    }

    fn set(&mut self, consumed: usize, content: usize, lines: u64) {
        self.current = consumed;
        self.content = content;
        self.lines = lines;
    }

    /// Goes to the next row.
    pub(in crate::formats) fn next(&mut self) -> Result<Step, FormatError> {
        loop {
            self.window.consume(self.current);
            self.line += self.lines;
            self.set(0, 0, 0);
            if self.window.bytes().is_empty() {
                self.window.fill()?;
                if self.window.bytes().is_empty() {
                    return Ok(Step::End);
                }
            }
            match scan_row(
                self.window.bytes(),
                self.window.at_end(),
                self.dialect,
                &mut self.fields,
            ) {
                Scan::Row {
                    content,
                    consumed,
                    lines_inside,
                    text_after_quote,
                } => {
                    if content > self.longest {
                        return self.too_long(lines_inside > 0);
                    }
                    self.set(consumed, content, lines_inside + 1);
                    if content == 0 {
                        continue;
                    }
                    return Ok(self.checked(text_after_quote));
                }
                Scan::More { open_quote } => {
                    if self.window.bytes().len() > self.longest {
                        return self.too_long(open_quote);
                    }
                    self.window.fill()?;
                }
                Scan::Unterminated => {
                    self.first_line_only();
                    return Ok(Step::Bad(BadReason::UnterminatedQuote));
                }
            }
        }
    }

    fn checked(&self, text_after_quote: Option<usize>) -> Step {
        match self.window.check(self.content) {
            Err(ByteFault::Utf8(at)) => Step::Bad(BadReason::InvalidUtf8 { at }),
            Err(ByteFault::Nul(at)) => Step::Bad(BadReason::NulByte { at }),
            Ok(()) => match text_after_quote {
                Some(at) => Step::Bad(BadReason::TextAfterQuote { at: at + 1 }),
                None => Step::Row,
            },
        }
    }

    /// Takes the first physical line as the row, so that a quote which was left open costs one line and not the
    /// rest of the file.
    fn first_line_only(&mut self) {
        let bytes = self.window.bytes();
        match memchr::memchr(b'\n', bytes) {
            Some(at) => self.set(at + 1, at, 1),
            None => self.set(bytes.len(), bytes.len(), 1),
        }
    }

    fn too_long(&mut self, open_quote: bool) -> Result<Step, FormatError> {
        let reason = BadReason::TooLong {
            limit: self.longest,
            open_quote,
        };
        if memchr::memchr(b'\n', self.window.bytes()).is_some() {
            self.first_line_only();
        } else {
            // The line alone is longer than the window: nothing of it is kept.
            let lines = self.window.skip_line()?;
            self.set(0, 0, lines);
        }
        Ok(Step::Bad(reason))
    }
}
