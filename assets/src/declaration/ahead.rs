//! Queries in files of their own, read and parsed on other threads while one thread reads the declarations.
//!
//! Parsing queries is the larger part of what loading a large project takes, and no query needs another. What to read follows
//! from the texts of the declarations before they are parsed: whatever stands in quotes and ends in `.sql`. That is a guess and
//! nothing more: a query that was not guessed is read when its asset is compiled, one that no asset names is dropped, and one
//! with a mistake is parsed again where it is named, which reports it there, in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;

use super::context::is_sql_path;
use crate::files::{ProjectFiles, project_path};
use crate::span::{SourceId, Span};
use crate::sql::{self, Origin, Query, QueryCache, QueryText, Surroundings};
use crate::table::MOST_BYTES;

/// Beside the thread that reads the declarations. More save nothing: that thread has a third of the work.
const THREADS: usize = 2;
/// Fewer queries than this are not worth a thread.
const LEAST: usize = 32;
/// Guesses beyond this are left to the thread that reads the declarations.
const MOST: usize = 100_000;

/// The queries that are read ahead.
pub(crate) struct Ahead<'p> {
    files: &'p dyn ProjectFiles,
    params: &'p BTreeMap<String, Value>,
    params_complete: bool,
    cache: &'p QueryCache,
    paths: Vec<String>,
    places: HashMap<String, usize>,
    /// One for each path. Whoever needs one that nobody has begun reads it itself, and waits for one that is under way.
    slots: Vec<OnceLock<Mutex<Option<ReadQuery>>>>,
    next: AtomicUsize,
}

/// A file that was read ahead.
pub(crate) struct ReadQuery {
    pub(crate) text: Arc<str>,
    /// The query, if it parses without a word. Its places are those of another file until [`Query::moved_to`].
    pub(crate) query: Option<Query>,
}

impl<'p> Ahead<'p> {
    /// Guesses which queries these declarations name.
    pub(crate) fn new<'t>(
        declarations: impl Iterator<Item = &'t str>,
        files: &'p dyn ProjectFiles,
        params: &'p BTreeMap<String, Value>,
        params_complete: bool,
        cache: &'p QueryCache,
    ) -> Self {
        let mut paths = Vec::new();
        let mut places = HashMap::new();
        for guess in declarations.flat_map(guesses) {
            let Ok(path) = project_path("", guess) else { continue };
            if !places.contains_key(&path) && paths.len() < MOST {
                places.insert(path.clone(), paths.len());
                paths.push(path);
            }
        }
        if paths.len() < LEAST {
            paths.clear();
            places.clear();
        }
        Self {
            files,
            params,
            params_complete,
            cache,
            slots: paths.iter().map(|_| OnceLock::new()).collect(),
            paths,
            places,
            next: AtomicUsize::new(0),
        }
    }

    /// Does `work` while other threads read the queries.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.paths.is_empty() {
            return work();
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| self.read_on())).collect();
            let done = work();
            // What is left is named by nobody.
            self.next.store(self.paths.len(), Ordering::Relaxed);
            for thread in threads {
                // One that panicked has left its query undone; the same panic came back where the query was compiled.
                drop(thread.join());
            }
            done
        })
    }

    fn read_on(&self) {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let (Some(path), Some(slot)) = (self.paths.get(at), self.slots.get(at)) else {
                return;
            };
            slot.get_or_init(|| Mutex::new(self.read(path)));
        }
    }

    /// The file at a path, if it was guessed, can be read, and nobody took it before.
    pub(crate) fn take(&self, path: &str) -> Option<ReadQuery> {
        let at = *self.places.get(path)?;
        let slot = self.slots[at].get_or_init(|| Mutex::new(self.read(path)));
        slot.lock().ok()?.take()
    }

    /// `None` for whatever is worth a word: the reader of the declarations finds the words.
    fn read(&self, path: &str) -> Option<ReadQuery> {
        let bytes = self.files.read(path).ok()?;
        if bytes.len() > MOST_BYTES || bytes.starts_with(b"\xef\xbb\xbf") {
            return None;
        }
        let text: Arc<str> = String::from_utf8(bytes).ok()?.into();
        let written = QueryText {
            text: Arc::clone(&text),
            origin: Origin::Plain(Span::new(SourceId::default(), 0..text.len())),
        };
        let surroundings = Surroundings {
            params: self.params,
            params_complete: self.params_complete,
            this: false,
        };
        let query = sql::parse_or_recall(&written, &surroundings, self.cache);
        Some(ReadQuery { text, query })
    }
}

/// What stands in quotes, on one line, and is the path of a query.
fn guesses(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(".sql").filter_map(|(at, ending)| {
        let end = at + ending.len();
        let quote = text[end..].chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let start = text[..at].rfind([quote, '\n'])? + 1;
        let path = &text[start..end];
        (!path.contains('\\') && is_sql_path(path)).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_queries_are_found_in_text_that_is_no_toml_yet() {
        let text = "sql = \"silver/flights.sql\"\nfrom = 'a.sql' # or \"b.sql\"\nsql = \"\"\"SELECT 1\n\"\"\"\nx = \"a b.sql\"\ny = \"c\\\\d.sql\"\nz = e.sql\n\"f.sql";
        assert_eq!(
            guesses(text).collect::<Vec<_>>(),
            ["silver/flights.sql", "a.sql", "b.sql"]
        );
    }
}
