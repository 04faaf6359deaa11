//! The sink that readers report to while they work, and the finished list.

use std::cell::{Cell, RefCell};

use super::{Diagnostic, Level};

/// Takes diagnostics from readers that work side by side on one project. Shared by reference within one thread.
#[derive(Debug, Default)]
pub struct DiagnosticSink {
    reported: RefCell<Vec<Diagnostic>>,
    omitted: Cell<usize>,
}

/// How many mistakes are kept. Who has more begins with the first thousand.
const MOST_KEPT: usize = 1000;

impl DiagnosticSink {
    /// Remembers a mistake.
    pub fn report(&self, diagnostic: Diagnostic) {
        let mut reported = self.reported.borrow_mut();
        if reported.len() < MOST_KEPT {
            reported.push(diagnostic);
        } else {
            self.omitted.set(self.omitted.get() + 1);
        }
    }

    /// How many mistakes of any level were reported so far: readers compare two counts to learn whether a part was clean.
    pub fn count(&self) -> usize {
        self.reported.borrow().len() + self.omitted.get()
    }

    /// Whether a mistake was reported so far that keeps the project from loading.
    pub fn has_errors(&self) -> bool {
        self.reported
            .borrow()
            .iter()
            .any(|diagnostic| diagnostic.level == Level::Error)
    }

    /// The finished list.
    pub fn finish(self) -> Diagnostics {
        let mut list = self.reported.into_inner();
        // By place, so that the list reads like the files; what has no place comes first.
        list.sort_by_key(|diagnostic| diagnostic.span);
        list.dedup();
        Diagnostics {
            list,
            omitted: self.omitted.get(),
        }
    }
}

/// All mistakes of a project, by file and place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    omitted: usize,
}

impl Diagnostics {
    /// Whether something keeps the project from loading.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.level == Level::Error)
    }

    /// No mistakes and no warnings.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// How many of one level there are.
    pub fn count(&self, level: Level) -> usize {
        self.list.iter().filter(|diagnostic| diagnostic.level == level).count()
    }

    /// How many more there were than are kept.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }
}

impl<'d> IntoIterator for &'d Diagnostics {
    type Item = &'d Diagnostic;
    type IntoIter = std::slice::Iter<'d, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}
