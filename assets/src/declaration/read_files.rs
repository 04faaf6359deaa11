//! Files that declarations name: read once, and queries among them parsed ahead on several threads.
//!
//! Parsing is two thirds of what loading a large project takes, and no query needs another. Only what parses without a word is
//! kept: a query with a mistake is parsed again when its asset is compiled, which reports it there, in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::context::is_sql_path;
use crate::diagnostic::DiagnosticSink;
use crate::files::{ProjectFiles, project_path};
use crate::span::{SourceId, Sources, Span};
use crate::sql::{self, Origin, Query, QueryText, Surroundings};
use crate::table::read_source;

/// More threads than this save nothing: reading and everything else is done by one.
const THREADS: usize = 4;
/// Fewer queries than this are not worth a thread.
const LEAST: usize = 16;

/// What was read so far.
#[derive(Default)]
pub(crate) struct ReadFiles {
    by_path: HashMap<String, SourceId>,
    /// Queries that were parsed ahead, until their asset takes them.
    parsed: HashMap<SourceId, Query>,
    /// Paths by extension, for words on missing files.
    listed: HashMap<String, Vec<String>>,
}

impl ReadFiles {
    /// The file at a path of the project, if it was read.
    pub(crate) fn get(&self, path: &str) -> Option<SourceId> {
        self.by_path.get(path).copied()
    }

    /// Notes a file that was read.
    pub(crate) fn insert(&mut self, path: String, source: SourceId) {
        self.by_path.insert(path, source);
    }

    /// The query of a file, if it was parsed ahead and not taken yet.
    pub(crate) fn take(&mut self, source: SourceId) -> Option<Query> {
        self.parsed.remove(&source)
    }

    /// Every file of the project with this extension. The folders are looked through once.
    pub(crate) fn like(&mut self, extension: &str, files: &dyn ProjectFiles) -> &[String] {
        self.listed
            .entry(extension.to_owned())
            .or_insert_with(|| files.list("", extension).unwrap_or_default())
    }

    /// Reads the files of these queries and parses them, if there are enough of them.
    pub(crate) fn parse_ahead<'p>(
        &mut self,
        written: impl Iterator<Item = &'p str>,
        params: &BTreeMap<String, Value>,
        params_complete: bool,
        files: &dyn ProjectFiles,
        sources: &mut Sources,
    ) {
        let mut paths: Vec<String> = written
            .filter(|text| is_sql_path(text))
            .filter_map(|text| project_path("", text).ok())
            .filter(|path| !self.by_path.contains_key(path))
            .collect();
        paths.sort_unstable();
        paths.dedup();
        if paths.len() < LEAST {
            return;
        }
        let mut texts: Vec<(SourceId, Arc<str>)> = Vec::with_capacity(paths.len());
        for path in paths {
            // What cannot be read is read again, and told, where it is named.
            if let Ok(source) = read_source(files, &path, None, sources) {
                texts.push((source, Arc::clone(sources.text(source))));
                self.by_path.insert(path, source);
            }
        }
        let parse = |(source, text): &(SourceId, Arc<str>)| {
            let text = QueryText {
                text: Arc::clone(text),
                origin: Origin::Plain(Span::new(*source, 0..text.len())),
            };
            let surroundings = Surroundings {
                params,
                params_complete,
                this: false,
            };
            let query = sql::parse(&text, &surroundings, &DiagnosticSink::default())?;
            Some((*source, query))
        };
        let share = texts.len().div_ceil(THREADS).max(1);
        let parsed: Vec<(SourceId, Query)> = std::thread::scope(|scope| {
            let threads: Vec<_> = texts
                .chunks(share)
                .map(|chunk| scope.spawn(move || chunk.iter().filter_map(parse).collect::<Vec<_>>()))
                .collect();
            // A thread that panicked has parsed nothing; the same panic comes back where the query is compiled.
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap_or_default())
                .collect()
        });
        self.parsed.extend(parsed);
    }
}
