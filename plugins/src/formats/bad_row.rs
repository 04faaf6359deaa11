//! Rows that cannot be used: why, where, and what to do with them.
use std::fmt;

use super::error::FormatError;

/// What happens to a row that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBadRow {
    /// The first one stops the reading with [`FormatError::BadRow`].
    #[default]
    Fail,
    /// They are left out of the batches and handed to the caller, up to `limit` over all files of one read.
    Collect {
        /// How many are allowed before [`FormatError::TooManyBadRows`].
        limit: u64,
    },
}

/// A row that was left out, or that stopped the reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// The file, as [`SourceFile::path`](super::SourceFile) names it.
    pub file: String,
    /// The 1-based physical line on which the row starts; the header is line 1.
    pub line: u64,
    /// Why the row cannot be used.
    pub reason: BadReason,
    /// The row's text, shortened, bytes that are not UTF-8 replaced.
    pub raw: String,
}

impl BadRow {
    /// The column that it is about, where it is about one.
    pub fn column(&self) -> Option<&str> {
        match &self.reason {
            BadReason::Value { column, .. } => Some(column),
            _ => None,
        }
    }
}

/// Why a row cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadReason {
    /// More or fewer fields than the header or the given names.
    #[error("{found} {} instead of {expected}", if *found == 1 { "field" } else { "fields" })]
    Ragged {
        /// How many fields a row has.
        expected: usize,
        /// How many this one has.
        found: usize,
    },
    /// A field that is not of its column's type.
    #[error("`{text}` {fault} (column type {expected})")]
    Value {
        /// The column; a dotted path inside a nested one.
        column: String,
        /// The column's type by its declared name.
        expected: String,
        /// The field's text, shortened.
        text: String,
        /// What is wrong with it.
        fault: ValueFault,
    },
    /// Bytes that are not UTF-8.
    #[error("invalid UTF-8 at byte {at} of the row; save the file as UTF-8")]
    InvalidUtf8 {
        /// The 1-based byte within the row.
        at: usize,
    },
    /// A NUL byte.
    #[error("a NUL byte at byte {at} of the row")]
    NulByte {
        /// The 1-based byte within the row.
        at: usize,
    },
    /// A quote that is opened and never closed.
    #[error("a quote is opened and not closed before the end of the file; reading goes on at the next line")]
    UnterminatedQuote,
    /// Text between a closing quote and the delimiter.
    #[error("text follows the closing quote at byte {at} of the row; a quote inside quotes is written twice")]
    TextAfterQuote {
        /// The 1-based byte within the row.
        at: usize,
    },
    /// A line, or a row with line ends inside quotes, that is longer than the limit.
    #[error("longer than {limit} bytes{}", if *open_quote { ", a quote stays open" } else { "" })]
    TooLong {
        /// The limit.
        limit: usize,
        /// Whether a quote was open where the limit was passed.
        open_quote: bool,
    },
    /// A line that is not JSON.
    #[error("not JSON at byte {at} of the line: {what}")]
    Json {
        /// The 1-based byte within the line.
        at: usize,
        /// What was found.
        what: String,
    },
    /// JSON, but not an object.
    #[error("{found} instead of an object")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// The last line has no line end and stops inside a value.
    #[error("the last line is cut off; the file may still be growing")]
    CutOff,
}

/// What is wrong with one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueFault {
    /// The text has another form.
    #[error("does not read as one")]
    Form,
    /// The form is right, the value does not fit.
    #[error("is out of range")]
    Range,
    /// A decimal with more digits after the point than its scale.
    #[error("has more digits after the point than the scale")]
    Scale,
    /// A day or a time that does not exist, such as 30 February.
    #[error("is not a day or time that exists")]
    NoSuchMoment,
    /// A `timestamptz` without an offset.
    #[error("has no offset; end it with Z or +hh:mm, give a zone, or declare timestamp")]
    NoOffset,
    /// A `timestamp` with an offset.
    #[error("has an offset; declare timestamptz")]
    HasOffset,
    /// A local time that happens twice or never in the given zone.
    #[error("happens twice or never in the zone (the clocks change)")]
    Ambiguous,
    /// A JSON value of another kind.
    #[error("is JSON of another kind")]
    Kind,
    /// A key that the struct does not have.
    #[error("has a key that the struct does not have")]
    UnknownKey,
}

impl fmt::Display for BadRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} line {}", self.file, self.line)?;
        match &self.reason {
            BadReason::Value { column, .. } => write!(formatter, ", column {column}: {}", self.reason),
            reason => write!(formatter, ": {reason}: `{}`", shorten(self.raw.as_bytes(), 80)),
        }
    }
}

/// Text for a message: at most `limit` bytes, cut at a character, with "…" where it was cut and control
/// characters escaped.
pub(super) fn shorten(text: &[u8], limit: usize) -> String {
    let cut = text.len() > limit;
    let mut end = limit.min(text.len());
    // A cut inside a character would show as a replacement character that is not in the file.
    while cut && end > 0 && text[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    let mut shown = String::with_capacity(end + 3);
    for character in String::from_utf8_lossy(&text[..end]).chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if cut {
        shown.push('…');
    }
    shown
}

/// A row's text as it is kept in [`BadRow::raw`]: cut at `limit` bytes, otherwise as it is.
pub(super) fn raw_text(row: &[u8], limit: usize) -> String {
    if row.len() <= limit {
        return String::from_utf8_lossy(row).into_owned();
    }
    let mut end = limit;
    while end > 0 && row[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    format!("{}…", String::from_utf8_lossy(&row[..end]))
}

/// Counts bad rows against the policy. One per read, or one per file while types are inferred.
#[derive(Debug)]
pub(super) struct BadRowLog {
    policy: OnBadRow,
    count: u64,
    first: Vec<BadRow>,
}

/// How many bad rows an error shows.
const SHOWN: usize = 3;

impl BadRowLog {
    pub(super) fn new(policy: OnBadRow) -> Self {
        BadRowLog {
            policy,
            count: 0,
            first: Vec::new(),
        }
    }

    /// Hands the row back when it may be collected.
    pub(super) fn admit(&mut self, row: BadRow) -> Result<BadRow, FormatError> {
        let OnBadRow::Collect { limit } = self.policy else {
            return Err(FormatError::BadRow(Box::new(row)));
        };
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(row.clone());
        }
        if self.count > limit {
            return Err(FormatError::TooManyBadRows {
                limit,
                count: self.count,
                first: std::mem::take(&mut self.first),
            });
        }
        Ok(row)
    }
}
