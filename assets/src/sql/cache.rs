//! What queries said when they were parsed, kept from one start of the program to the next: parsing is the larger part of what loading
//! ten thousand assets takes, and nearly all of their queries are those of the last time.
//!
//! One line for each query: the fingerprint of its text, one over the rest of the line, and what the text says as JSON. A line that
//! is cut off or altered is as good as none. Only what parsed without a word is kept, so a mistake is always told by the parser. The
//! first line names the program that wrote the rest; what another one wrote is not read, for its parser may read a text
//! otherwise. Whoever runs the loader keeps the text: nothing here touches a file.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::query::{Query, TableReference};
use crate::fingerprint::Fingerprint;
use crate::key::AssetKey;
use crate::span::{SourceId, Span};

/// So many queries have to be new before the cache is worth writing again: they are parsed in some milliseconds.
const WORTH_WRITING: usize = 256;
/// Digits of a fingerprint.
const DIGITS: usize = 32;
/// The form of the lines.
const FORM: &str = "queries 1";

/// Queries that were parsed before. Many threads may ask at once.
#[derive(Debug, Default)]
pub struct QueryCache {
    text: String,
    /// The lines after the first, by fingerprint, and whether each was asked for.
    lines: Vec<(u32, AtomicBool)>,
    learned: Mutex<Vec<String>>,
}

/// A parsed query without its text and the file that holds it.
#[derive(Serialize, Deserialize)]
struct Parsed {
    code: String,
    /// Layer, name, and the bytes of the text that name it.
    tables: Vec<(String, String, u32, u32)>,
    parameters: BTreeSet<String>,
}

impl QueryCache {
    /// Reads what [`QueryCache::write`] wrote for the same `program`; anything else is an empty cache.
    pub fn new(text: String, program: &str) -> Self {
        if text.lines().next() != Some(&*first_line(program)) {
            return Self::default();
        }
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = starts
            .filter(|start| *start < text.len())
            .filter_map(|start| Some((u32::try_from(start).ok()?, AtomicBool::new(false))))
            .collect();
        Self {
            text,
            lines,
            learned: Mutex::default(),
        }
    }

    /// The query that a text is, if it was parsed before. The places in it are those of the text alone.
    pub(super) fn get(&self, text: &Arc<str>) -> Option<Query> {
        if self.lines.is_empty() {
            return None;
        }
        let key = Fingerprint::of([&**text]);
        let key_of = |start: u32| self.text.as_bytes().get(start as usize..start as usize + DIGITS);
        let at = self
            .lines
            .binary_search_by(|(start, _)| key_of(*start).cmp(&Some(key.as_str().as_bytes())))
            .ok()?;
        let (start, asked) = &self.lines[at];
        let line = self.text[*start as usize..].lines().next()?;
        let (check, parsed) = line.get(DIGITS + 1..)?.split_once(' ')?;
        if check != Fingerprint::of([key.as_str(), parsed]).as_str() {
            return None;
        }
        let parsed: Parsed = serde_json::from_str(parsed).ok()?;
        let tables = parsed.tables.iter().map(|(layer, name, start, end)| {
            let place = *start as usize..*end as usize;
            text.get(place.clone())?;
            Some(TableReference {
                asset: AssetKey::new(layer, name).ok()?,
                span: Span::new(SourceId::default(), place),
            })
        });
        let query = Query {
            text: Arc::clone(text),
            tables: tables.collect::<Option<_>>()?,
            code: parsed.code,
            parameters: parsed.parameters,
            reads_this: false,
        };
        asked.store(true, Ordering::Relaxed);
        Some(query)
    }

    /// Keeps a query that parsed without a word, whose places are those of its text alone.
    pub(super) fn learn(&self, query: &Query) {
        let tables = query.tables.iter().map(|table| {
            let (layer, name) = (table.asset.layer().to_owned(), table.asset.name().to_owned());
            (layer, name, table.span.start, table.span.end)
        });
        let parsed = Parsed {
            code: query.code.clone(),
            tables: tables.collect(),
            parameters: query.parameters.clone(),
        };
        let parsed = serde_json::to_string(&parsed).expect("texts and numbers have a JSON form");
        let key = Fingerprint::of([&*query.text]);
        let check = Fingerprint::of([key.as_str(), &*parsed]);
        self.learned().push(format!("{key} {check} {parsed}\n"));
    }

    /// Whether enough is new to be worth keeping for the next start.
    pub fn has_grown(&self) -> bool {
        self.learned().len() >= WORTH_WRITING
    }

    /// Writes the text for the next start. What nobody asked for is left out.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, program: &str, out: &mut impl Write) -> io::Result<()> {
        let learned = self.learned();
        let asked = self.lines.iter().filter(|(_, asked)| asked.load(Ordering::Relaxed));
        let asked = asked.filter_map(|(start, _)| self.text[*start as usize..].split_inclusive('\n').next());
        let mut lines: Vec<&str> = asked.chain(learned.iter().map(String::as_str)).collect();
        lines.sort_unstable();
        lines.dedup();
        writeln!(out, "{}", first_line(program))?;
        lines.into_iter().try_for_each(|line| out.write_all(line.as_bytes()))
    }

    fn learned(&self) -> MutexGuard<'_, Vec<String>> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first_line(program: &str) -> String {
    format!("{FORM} {}", program.replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::DiagnosticSink;
    use crate::sql::{Origin, QueryText, Surroundings, parse};

    const PROGRAM: &str = "millpond 1 of today";

    fn text(number: usize) -> Arc<str> {
        format!("SELECT a.\"Été\", 'é' -- {number}\nFROM silver.a{number} AS a, gold.b WHERE x > $least").into()
    }

    fn parsed(text: &Arc<str>) -> Query {
        let written = QueryText {
            text: Arc::clone(text),
            origin: Origin::Plain(Span::new(SourceId::default(), 0..text.len())),
        };
        let surroundings = Surroundings {
            params: &[("least".to_owned(), 1.into())].into(),
            params_complete: true,
            this: false,
        };
        parse(&written, &surroundings, &DiagnosticSink::default()).expect("it is a query")
    }

    fn kept(numbers: std::ops::Range<usize>) -> String {
        let cache = QueryCache::default();
        for number in numbers {
            cache.learn(&parsed(&text(number)));
        }
        assert!(cache.has_grown());
        written(&cache)
    }

    fn written(cache: &QueryCache) -> String {
        let mut text = Vec::new();
        cache.write(PROGRAM, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_was_learned_is_what_the_parser_says() {
        let cache = QueryCache::new(kept(0..WORTH_WRITING), PROGRAM);
        for number in 0..WORTH_WRITING {
            assert_eq!(cache.get(&text(number)), Some(parsed(&text(number))));
        }
        assert_eq!(cache.get(&text(WORTH_WRITING)), None);
        assert!(!cache.has_grown(), "nothing is new");
    }

    #[test]
    fn only_what_was_asked_for_stays() {
        let cache = QueryCache::new(kept(0..WORTH_WRITING), PROGRAM);
        cache.get(&text(7)).expect("it is known");
        for number in WORTH_WRITING..2 * WORTH_WRITING {
            cache.learn(&parsed(&text(number)));
        }
        let cache = QueryCache::new(written(&cache), PROGRAM);
        assert_eq!(cache.get(&text(7)), Some(parsed(&text(7))));
        assert_eq!(cache.get(&text(8)), None);
        assert_eq!(cache.get(&text(300)), Some(parsed(&text(300))));
    }

    #[test]
    fn another_program_and_altered_or_cut_lines_are_not_believed() {
        let whole = kept(0..WORTH_WRITING);
        assert_eq!(QueryCache::new(whole.clone(), "another").get(&text(1)), None);
        let altered = whole.replace("gold", "gild");
        assert_eq!(QueryCache::new(altered, PROGRAM).get(&text(1)), None);
        let one = Fingerprint::of([&*text(1)]);
        let start = whole.find(one.as_str()).expect("it is kept");
        let end = start + whole[start..].find('\n').expect("lines end");
        for cut in (start..end).filter(|cut| whole.is_char_boundary(*cut)) {
            assert_eq!(
                QueryCache::new(whole[..cut].to_owned(), PROGRAM).get(&text(1)),
                None,
                "cut at {cut}"
            );
        }
        assert_eq!(
            QueryCache::new(whole[..end].to_owned(), PROGRAM).get(&text(1)),
            Some(parsed(&text(1)))
        );
    }
}
