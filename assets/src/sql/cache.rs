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
/// Bytes that are written at a time.
const PIECE: usize = 64 << 10;
/// Digits of a fingerprint.
const DIGITS: usize = 32;
/// The form of the lines.
const FORM: &str = "queries 1";

/// Where what is new goes while queries are read: it is not held in memory until all are.
pub type CacheSink = Box<dyn Write + Send>;

/// Queries that were parsed before. Many threads may ask at once.
#[derive(Default)]
pub struct QueryCache {
    text: String,
    /// The lines after the first, by fingerprint, and whether each was asked for.
    lines: Vec<(u32, AtomicBool)>,
    learned: Mutex<Learned>,
}

/// What was parsed this time.
#[derive(Default)]
struct Learned {
    queries: usize,
    /// Lines that are not written yet.
    lines: String,
    /// Opens the sink; once.
    open: Option<Box<dyn FnOnce() -> io::Result<CacheSink> + Send>>,
    sink: Option<CacheSink>,
    /// Nothing more is written.
    failed: Option<io::Error>,
}

impl Learned {
    /// Writes what waits to be written.
    fn drain(&mut self) -> io::Result<()> {
        if let Some(open) = self.open.take() {
            self.sink = Some(open()?);
        }
        if let Some(sink) = &mut self.sink {
            sink.write_all(self.lines.as_bytes())?;
        }
        self.lines.clear();
        Ok(())
    }
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
    /// Reads what was written for the same `program`; what another one wrote is as good as nothing. `open` opens where this one writes,
    /// if enough is new.
    pub fn new(text: String, program: &str, open: impl FnOnce() -> io::Result<CacheSink> + Send + 'static) -> Self {
        let first = format!("{FORM} {}", program.replace('\n', " "));
        let known = text.lines().next() == Some(&*first);
        let text = if known { text } else { String::new() };
        let key_of = |start: &u32| text.as_bytes().get(*start as usize..*start as usize + DIGITS);
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        let mut starts: Vec<u32> = starts
            .filter(|start| *start < text.len())
            .filter_map(|start| u32::try_from(start).ok())
            .collect();
        starts.sort_unstable_by(|a, b| key_of(a).cmp(&key_of(b)));
        Self {
            lines: starts
                .into_iter()
                .map(|start| (start, AtomicBool::new(false)))
                .collect(),
            text,
            learned: Mutex::new(Learned {
                lines: first + "\n",
                open: Some(Box::new(open)),
                ..Learned::default()
            }),
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
        let mut learned = self.learned();
        learned.queries += 1;
        if learned.open.is_none() && learned.sink.is_none() {
            return;
        }
        learned.lines.push_str(&format!("{key} {check} {parsed}\n"));
        if learned.queries >= WORTH_WRITING && learned.lines.len() >= PIECE {
            let drained = learned.drain();
            if let Err(error) = drained {
                (learned.sink, learned.failed) = (None, Some(error));
            }
        }
    }

    /// Writes the rest for the next start; whether there is something to keep. What nobody asked for is left out.
    ///
    /// # Errors
    /// Those of where it writes.
    pub fn finish(self) -> io::Result<bool> {
        let mut learned = self.learned.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(failed) = learned.failed {
            return Err(failed);
        }
        if learned.queries < WORTH_WRITING {
            return Ok(false);
        }
        learned.drain()?;
        let Some(sink) = &mut learned.sink else {
            return Ok(false);
        };
        for (start, _) in self.lines.iter().filter(|(_, asked)| asked.load(Ordering::Relaxed)) {
            let line = self.text[*start as usize..].lines().next().unwrap_or_default();
            writeln!(sink, "{line}")?;
        }
        sink.flush()?;
        Ok(true)
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    /// Bytes that are seen from outside.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A cache with a text in it, and where it writes.
    fn open(text: String, program: &str) -> (QueryCache, Shared) {
        let shared = Shared::default();
        let sink = shared.clone();
        (QueryCache::new(text, program, || Ok(Box::new(sink))), shared)
    }

    fn of(text: String) -> QueryCache {
        open(text, PROGRAM).0
    }

    fn written((cache, shared): (QueryCache, Shared)) -> Option<String> {
        let kept = cache.finish().unwrap();
        let bytes = shared.0.lock().unwrap().clone();
        assert_eq!(kept, !bytes.is_empty());
        kept.then(|| String::from_utf8(bytes).unwrap())
    }

    fn kept(numbers: std::ops::Range<usize>) -> String {
        let opened = open(String::new(), PROGRAM);
        for number in numbers {
            opened.0.learn(&parsed(&text(number)));
        }
        written(opened).expect("enough is new")
    }

    #[test]
    fn what_was_learned_is_what_the_parser_says() {
        let opened = open(kept(0..WORTH_WRITING), PROGRAM);
        for number in 0..WORTH_WRITING {
            assert_eq!(opened.0.get(&text(number)), Some(parsed(&text(number))));
        }
        assert_eq!(opened.0.get(&text(WORTH_WRITING)), None);
        assert_eq!(written(opened), None, "nothing is new");
    }

    #[test]
    fn only_what_was_asked_for_stays() {
        let opened = open(kept(0..WORTH_WRITING), PROGRAM);
        opened.0.get(&text(7)).expect("it is known");
        for number in WORTH_WRITING..2 * WORTH_WRITING {
            opened.0.learn(&parsed(&text(number)));
        }
        let cache = of(written(opened).expect("enough is new"));
        assert_eq!(cache.get(&text(7)), Some(parsed(&text(7))));
        assert_eq!(cache.get(&text(8)), None);
        assert_eq!(cache.get(&text(300)), Some(parsed(&text(300))));
    }

    #[test]
    fn what_cannot_be_written_is_told_and_harms_nothing() {
        let cache = QueryCache::new(String::new(), PROGRAM, || Err(io::ErrorKind::StorageFull.into()));
        for number in 0..2 * WORTH_WRITING {
            cache.learn(&parsed(&text(number)));
        }
        assert_eq!(cache.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn another_program_and_altered_or_cut_lines_are_not_believed() {
        let whole = kept(0..WORTH_WRITING);
        assert_eq!(open(whole.clone(), "another").0.get(&text(1)), None);
        assert_eq!(of(whole.replace("gold", "gild")).get(&text(1)), None);
        let one = Fingerprint::of([&*text(1)]);
        let start = whole.find(one.as_str()).expect("it is kept");
        let end = start + whole[start..].find('\n').expect("lines end");
        for cut in (start..end).filter(|cut| whole.is_char_boundary(*cut)) {
            assert_eq!(of(whole[..cut].to_owned()).get(&text(1)), None, "cut at {cut}");
        }
        assert_eq!(of(whole[..end].to_owned()).get(&text(1)), Some(parsed(&text(1))));
    }
}
