//! What can go wrong while raw files are found and read.
use std::io;

use super::bad_row::BadRow;

/// A file, a pattern or a row that could not be used. Each variant is a case that a caller can act on:
/// [`Changed`](FormatError::Changed) asks for another attempt, the others for a person.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The operating system refused a read.
    #[error("read {file}: {source}")]
    Io {
        /// The file or folder, relative to the project where it lies inside it.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// No file matches the pattern.
    #[error("find files: nothing matches `{pattern}`; the nearest folder, `{nearest}`, {holds}")]
    NoMatch {
        /// The pattern as it was given.
        pattern: String,
        /// The deepest folder of the pattern that exists.
        nearest: String,
        /// What that folder holds, such as "holds 3 entries: a.csv, b.csv, old".
        holds: String,
    },
    /// The pattern cannot be used at all, or leads out of the project.
    #[error("find files by `{pattern}`: {reason}")]
    Pattern {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it, and what to write.
        reason: String,
    },
    /// Compressed or binary data that does not decode, or ends too early.
    #[error("read {file}: {reason}{}; put a whole copy of the file in its place", at_byte(*offset))]
    Corrupt {
        /// The file.
        file: String,
        /// How many bytes of the file (as it lies on disk) had been taken in when decoding stopped; Parquet is not
        /// read from front to back and says its row in the reason.
        offset: Option<u64>,
        /// What the decoder found.
        reason: String,
    },
    /// Data that grows suspiciously while it is decompressed.
    #[error(
        "read {file}: {output} bytes came out of the first {offset}: {reason}; raise the read limits if this is meant"
    )]
    Bomb {
        /// The file.
        file: String,
        /// How many bytes of the file had been taken in.
        offset: u64,
        /// How many bytes had come out.
        output: u64,
        /// Which limit was passed.
        reason: String,
    },
    /// A row that cannot be used, where bad rows are not collected.
    #[error("read {0}")]
    BadRow(Box<BadRow>),
    /// More bad rows than may be collected.
    #[error(
        "read on after {count} bad rows, more than the {limit} allowed: {}",
        first_few(first)
    )]
    TooManyBadRows {
        /// How many bad rows may be collected.
        limit: u64,
        /// How many there were when reading stopped.
        count: u64,
        /// The first few of them.
        first: Vec<BadRow>,
    },
    /// The columns of a file are not those that are wanted.
    #[error("read {file}: {reason}")]
    Schema {
        /// The file.
        file: String,
        /// The 1-based physical line, where one applies.
        line: Option<u64>,
        /// The columns that it is about.
        columns: Vec<String>,
        /// What is wrong, with the names, and what to do.
        reason: String,
    },
    /// The file is no longer the one that was found.
    #[error("read {file}: it changed while it was read ({how}); read it again once it is complete")]
    Changed {
        /// The file.
        file: String,
        /// What differs.
        how: String,
    },
    /// A kind of file or content that is not read here.
    #[error("read {file}: {reason}")]
    Unsupported {
        /// The file.
        file: String,
        /// What it is, and what to do.
        reason: String,
    },
}

impl FormatError {
    /// The file that the error is about, where it is about one.
    pub fn file(&self) -> Option<&str> {
        match self {
            FormatError::Io { file, .. }
            | FormatError::Corrupt { file, .. }
            | FormatError::Bomb { file, .. }
            | FormatError::Schema { file, .. }
            | FormatError::Changed { file, .. }
            | FormatError::Unsupported { file, .. } => Some(file),
            FormatError::BadRow(row) => Some(&row.file),
            FormatError::TooManyBadRows { first, .. } => first.first().map(|row| row.file.as_str()),
            FormatError::NoMatch { .. } | FormatError::Pattern { .. } => None,
        }
    }
}

fn at_byte(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| format!(" at byte {offset}"))
}

fn first_few(rows: &[BadRow]) -> String {
    rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// "`a`, `b` and 3 more" for messages.
pub(super) fn name_list<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The candidate nearest to a name, when it is near enough to be a slip of the pen.
pub(super) fn nearest_name<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lowered = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&lowered, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= 1 + name.len().min(candidate.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// " (did you mean `x`?)" or nothing.
pub(super) fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest_name(name, candidates).map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"))
}
