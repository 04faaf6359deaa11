//! Places in a query: the parser counts lines and characters, spans count bytes.

use std::cell::Cell;

use sqlparser::tokenizer::{Location, Span};

use crate::span::floor_boundary;

/// The lines of a text.
pub(super) struct Places<'q> {
    text: &'q str,
    lines: Vec<usize>,
    ascii: bool,
    /// Line index, column from 0 and byte of the last place asked for: places come in the order of the text, and a line may be
    /// as long as the text.
    last: Cell<(usize, usize, usize)>,
}

impl<'q> Places<'q> {
    pub(super) fn new(text: &'q str) -> Self {
        let breaks = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Self {
            text,
            lines: std::iter::once(0).chain(breaks).collect(),
            ascii: text.is_ascii(),
            last: Cell::new((0, 0, 0)),
        }
    }

    /// The byte of a place; the end of the text for a place that is not in it.
    pub(super) fn offset(&self, location: Location) -> usize {
        let Some(line) = (location.line as usize).checked_sub(1) else {
            // It is in bytes, or no place.
            return (location.column as usize).saturating_sub(1).min(self.text.len());
        };
        let Some(start) = self.lines.get(line).copied() else {
            return self.text.len();
        };
        let column = (location.column as usize).saturating_sub(1);
        if self.ascii {
            return (start + column).min(self.text.len());
        }
        let (from_column, from) = match self.last.get() {
            (last_line, last_column, at) if last_line == line && last_column <= column => (last_column, at),
            _ => (0, start),
        };
        let mut rest = self.text[from..].char_indices();
        let at = rest
            .nth(column - from_column)
            .map_or(self.text.len(), |(at, _)| from + at);
        self.last.set((line, column, at));
        at
    }

    /// A place in another notation, which [`Places::offset`] knows too: no line, and the byte, from 1, for the column.
    pub(super) fn in_bytes(&self, span: Span) -> Span {
        let byte = |location: Location| Location {
            line: 0,
            column: self.offset(location) as u64 + 1,
        };
        Span::new(byte(span.start), byte(span.end))
    }

    /// The start of the character after the one at `at`.
    pub(super) fn next(&self, at: usize) -> usize {
        self.text[floor_boundary(self.text, at)..]
            .chars()
            .next()
            .map_or(at, |c| at + c.len_utf8())
    }

    /// The start of the last character that is not white space.
    pub(super) fn last(&self) -> usize {
        self.text.trim_end().char_indices().next_back().map_or(0, |(at, _)| at)
    }

    /// The end of the word or sign that begins at `at`.
    pub(super) fn end_of_word(&self, at: usize) -> usize {
        let rest = &self.text[floor_boundary(self.text, at)..];
        let word = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        if word == 0 { self.next(at) } else { at + word }
    }

    /// A message of the parser without the place at its end, and that place; `otherwise` if it names none.
    pub(super) fn split_message<'m>(&self, message: &'m str, otherwise: Location) -> (&'m str, usize) {
        let Some((words, place)) = message.rsplit_once(" at Line: ") else {
            return (message, self.offset(otherwise));
        };
        let mut numbers = place.split(", Column: ").map(|number| number.trim().parse::<u64>());
        match (numbers.next(), numbers.next()) {
            (Some(Ok(line)), Some(Ok(column))) => (words, self.offset(Location { line, column })),
            _ => (message, self.offset(otherwise)),
        }
    }
}
