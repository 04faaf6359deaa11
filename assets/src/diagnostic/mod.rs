//! Mistakes in a project's files, told so that they can be mended: what, where, and what to write instead.
//!
//! A user's mistake is a [`Diagnostic`], never an `Err`: readers report it to a [`DiagnosticSink`] and go on, so that one pass
//! shows all of them. [`Diagnostics`] is the finished list; `render` draws it like rustc, `json` gives it to editors.

mod code;
mod json;
mod list;
mod render;

pub use code::Code;
pub use list::{DiagnosticSink, Diagnostics};

use crate::span::Span;

/// Whether the project can be used in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The project does not load.
    Error,
    /// The project loads; something in it will not do what it seems to.
    Warning,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which mistake it is.
    pub code: Code,
    /// Whether it keeps the project from loading.
    pub level: Level,
    /// What is wrong, one line, lowercase, names in backticks.
    pub message: String,
    /// Where; `None` if there is no such place, as for a missing file.
    pub span: Option<Span>,
    /// A few words under the caret.
    pub label: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// Other places that matter.
    pub notes: Vec<Note>,
}

/// Another place that has to do with a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is there.
    pub message: String,
    /// The place, if it has one.
    pub span: Option<Span>,
}

impl Diagnostic {
    /// A mistake at a place. Its level follows from its code.
    pub fn new(code: Code, message: impl Into<String>, span: Span) -> Self {
        Self {
            span: Some(span),
            ..Self::without_place(code, message)
        }
    }

    /// A mistake that has no place in a file.
    pub fn without_place(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            level: code.level(),
            message: message.into(),
            span: None,
            label: None,
            help: None,
            notes: Vec::new(),
        }
    }

    /// Adds words under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds `did you mean …?` if one of the candidates is close to what was written.
    #[must_use]
    pub fn did_you_mean<'c>(self, written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Self {
        match closest(written, candidates) {
            Some(candidate) => {
                let help = format!("did you mean `{candidate}`?");
                self.help(help)
            }
            None => self,
        }
    }

    /// Adds another place.
    #[must_use]
    pub fn note(mut self, message: impl Into<String>, span: Option<Span>) -> Self {
        self.notes.push(Note {
            message: message.into(),
            span,
        });
        self
    }
}

/// The candidate most like `written`, if one is like it at all.
///
/// Damerau-Levenshtein distance (a swap of neighbours counts once) of at most a third of the length; a longer common part
/// (`flights` in `silver.flights`) is enough too.
pub fn closest<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let length = written.chars().count();
    // Comparing costs the product of both lengths; what is longer than any name is no slip of the fingers.
    if length == 0 || length > 300 {
        return None;
    }
    let limit = (length / 3).max(1);
    let lowercase = written.to_lowercase();
    let mut best: Option<(usize, &'c str)> = None;
    for candidate in candidates {
        let candidate_length = candidate.chars().count();
        let distance = if candidate.to_lowercase() == lowercase {
            0
        } else if candidate_length.abs_diff(length) <= limit {
            strsim::osa_distance(&lowercase, candidate)
        } else if length >= 4 && is_word_of(&lowercase, candidate) {
            limit
        } else {
            continue;
        };
        if distance <= limit && best.is_none_or(|(least, name)| (distance, candidate) < (least, name)) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Whether one of the two is a whole word (between `.`, `_`, `/`) of the other.
fn is_word_of(written: &str, candidate: &str) -> bool {
    let mut words = candidate.split(['.', '_', '/']);
    words.any(|word| word == written)
        || (candidate.len() >= 4 && written.split(['.', '_', '/']).any(|word| word == candidate))
}
