//! Where a text of the project stands: byte ranges into the files that were read, and lines and columns for people.
//!
//! A [`Span`] is small and copies; only [`Sources`] knows the texts. Nothing here reads a file.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::asset::Location;

/// Which file of [`Sources`] a span points into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(u32);

/// A range of bytes in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte; equal to `start` for a place between two characters.
    pub end: u32,
}

impl Span {
    /// The span of `range` in `source`. Offsets fit because a file has at most 16 MiB.
    pub fn new(source: SourceId, range: Range<usize>) -> Self {
        Self {
            source,
            start: range.start as u32,
            end: range.end.max(range.start) as u32,
        }
    }

    /// The bytes, as an index into the file's text.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and where it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Pairs a value with its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned {
            value: change(self.value),
            span: self.span,
        }
    }
}

/// The files that were read, so that diagnostics can show their lines.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<Source>,
}

#[derive(Debug, Clone)]
struct Source {
    name: Arc<str>,
    text: Arc<str>,
    /// Offsets of the first byte of each line, made when first asked for.
    line_starts: OnceLock<Vec<u32>>,
    /// Ranges whose characters are never shown: literal secrets.
    masked: Vec<Range<usize>>,
}

impl Sources {
    /// Adds a file under its path relative to the project.
    pub fn add(&mut self, name: &str, text: Arc<str>) -> SourceId {
        let id = SourceId(self.files.len() as u32);
        self.files.push(Source {
            name: name.into(),
            text,
            line_starts: OnceLock::new(),
            masked: Vec::new(),
        });
        id
    }

    /// The file's path relative to the project, `/` between parts.
    pub fn name(&self, source: SourceId) -> &str {
        &self.files[source.0 as usize].name
    }

    /// The file's whole text.
    pub fn text(&self, source: SourceId) -> &Arc<str> {
        &self.files[source.0 as usize].text
    }

    /// The files by name, in the order they were read.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &str, &Arc<str>)> {
        self.files
            .iter()
            .enumerate()
            .map(|(index, file)| (SourceId(index as u32), &*file.name, &file.text))
    }

    /// From now on the characters of `span` are shown as `*`.
    pub fn mask(&mut self, span: Span) {
        self.files[span.source.0 as usize].masked.push(span.range());
    }

    /// The place where `span` starts, for people.
    pub fn location(&self, span: Span) -> Location {
        let (line, column) = self.line_column(span.source, span.start as usize);
        Location {
            file: self.name(span.source).to_owned(),
            line,
            column,
        }
    }

    /// Line and column (in characters) of a byte, both from 1.
    pub fn line_column(&self, source: SourceId, offset: usize) -> (u32, u32) {
        let line = self.line_of(source, offset);
        let text = self.text(source);
        let start = self.line_range(source, line).start;
        let end = floor_boundary(text, offset.max(start));
        (line as u32 + 1, text[start..end].chars().count() as u32 + 1)
    }

    /// The index (from 0) of the line that holds a byte.
    pub(crate) fn line_of(&self, source: SourceId, offset: usize) -> usize {
        self.line_starts(source)
            .partition_point(|start| *start as usize <= offset)
            .saturating_sub(1)
    }

    /// The bytes of a line (index from 0) without its line break.
    pub(crate) fn line_range(&self, source: SourceId, line: usize) -> Range<usize> {
        let starts = self.line_starts(source);
        let text = self.text(source);
        let start = starts.get(line).map_or(text.len(), |start| *start as usize);
        let end = starts.get(line + 1).map_or(text.len(), |next| *next as usize);
        start..start + text[start..end].trim_end_matches(['\n', '\r']).len()
    }

    /// A piece of a file with masked characters replaced by `*`, one for each.
    pub(crate) fn shown(&self, source: SourceId, range: Range<usize>) -> String {
        let file = &self.files[source.0 as usize];
        let hidden = |at: usize| file.masked.iter().any(|masked| masked.contains(&at));
        let text = &file.text[range.clone()];
        text.char_indices()
            .map(|(at, c)| if hidden(range.start + at) { '*' } else { c })
            .collect()
    }

    fn line_starts(&self, source: SourceId) -> &[u32] {
        let file = &self.files[source.0 as usize];
        file.line_starts.get_or_init(|| {
            let breaks = file
                .text
                .bytes()
                .enumerate()
                .filter(|(_, byte)| *byte == b'\n')
                .map(|(at, _)| at as u32 + 1);
            std::iter::once(0).chain(breaks).collect()
        })
    }
}

/// The greatest character boundary that is not after `offset`.
pub(crate) fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
