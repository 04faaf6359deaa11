//! What a kind may ask for while it compiles an asset: files of the project, queries, the asset's common part.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::ahead::{Ahead, ReadQuery};
use super::read_files::ReadFiles;
use crate::asset::PartitionedBy;
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink, closest};
use crate::files::{ProjectFiles, folder_of, project_path};
use crate::key::AssetKey;
use crate::span::{SourceId, Sources, Span, Spanned};
use crate::sql::{self, Origin, Query, QueryText, Surroundings};
use crate::table::read_source;

/// The door of a kind to everything outside its own table.
pub struct CompileContext<'a> {
    pub(crate) asset: &'a AssetKey,
    pub(crate) partitions: Option<&'a PartitionedBy>,
    pub(crate) key_columns: &'a [String],
    pub(crate) timezone: &'a str,
    pub(crate) params: &'a BTreeMap<String, Value>,
    pub(crate) params_complete: bool,
    /// Parameters of the queries so far: their values are part of the fingerprint.
    pub(crate) used: BTreeSet<String>,
    pub(crate) files: &'a dyn ProjectFiles,
    pub(crate) ahead: &'a Ahead<'a>,
    pub(crate) read: &'a mut ReadFiles,
    pub(crate) sources: &'a mut Sources,
    pub(crate) sink: &'a DiagnosticSink,
}

/// A file of the project that a declaration names.
#[derive(Debug, Clone)]
pub struct ProjectText {
    /// Path relative to the project.
    pub path: String,
    /// The whole text.
    pub text: Arc<str>,
    /// The place of the whole text, for diagnostics that point into it.
    pub span: Span,
}

impl CompileContext<'_> {
    /// The asset under way.
    pub fn asset(&self) -> &AssetKey {
        self.asset
    }

    /// How the asset is cut, if it is.
    pub fn partitions(&self) -> Option<&PartitionedBy> {
        self.partitions
    }

    /// The column that tells a row's partition, if the asset has partitions.
    pub fn partition_column(&self) -> Option<&str> {
        self.partitions.map(|partitions| partitions.column.as_str())
    }

    /// The columns of `key`, if declared.
    pub fn key_columns(&self) -> &[String] {
        self.key_columns
    }

    /// The project's time zone.
    pub fn timezone(&self) -> &str {
        self.timezone
    }

    /// The project's `[params]`. (The values that queries use become part of the fingerprint by themselves.)
    pub fn params(&self) -> &BTreeMap<String, Value> {
        self.params
    }

    /// Reports a mistake.
    pub fn report(&self, diagnostic: Diagnostic) {
        self.sink.report(diagnostic);
    }

    /// The text of a file named in a declaration, by its path from the project's folder. A file that is not there or cannot be
    /// read is reported where it is named.
    pub fn read_text(&mut self, path: Spanned<&str>) -> Option<ProjectText> {
        let plain = match project_path("", path.value) {
            Ok(plain) => plain,
            Err(error) => {
                self.report(
                    Diagnostic::new(Code::BadPath, error.to_string(), path.span)
                        .help("name a file by its path from the project's folder"),
                );
                return None;
            }
        };
        let source = match self.read.get(&plain).or_else(|| self.read_ahead(&plain)) {
            Some(source) => source,
            None => match read_source(self.files, &plain, Some(path.span), self.sources) {
                Ok(source) => {
                    self.read.insert(plain.clone(), source);
                    source
                }
                Err(diagnostic) if diagnostic.code == Code::MissingFile => {
                    let help = self.near(&plain);
                    self.report(diagnostic.help(help));
                    return None;
                }
                Err(diagnostic) => {
                    self.report(*diagnostic);
                    return None;
                }
            },
        };
        let text = self.sources.text(source).clone();
        let span = Span::new(source, 0..text.len());
        Some(ProjectText {
            path: plain,
            text,
            span,
        })
    }

    /// The file at a path, if another thread has read it, with the query in it.
    fn read_ahead(&mut self, path: &str) -> Option<SourceId> {
        let ReadQuery { text, query } = self.ahead.take(path)?;
        let source = self.sources.add(path, text);
        self.read.insert(path.to_owned(), source);
        if let Some(query) = query {
            self.read.keep(source, query.moved_to(source));
        }
        Some(source)
    }

    /// A query written in place, or in a file if the text is a path that ends in `.sql`.
    pub fn parse_query(&mut self, written: Spanned<&str>) -> Option<Query> {
        self.parse(written, false)
    }

    /// The query of a check: `this` stands for the staged rows.
    pub(crate) fn parse_check(&mut self, written: Spanned<&str>) -> Option<Query> {
        self.parse(written, true)
    }

    fn parse(&mut self, written: Spanned<&str>, this: bool) -> Option<Query> {
        let text = if is_sql_path(written.value) {
            let file = self.read_text(written)?;
            if let Some(query) = (!this).then(|| self.read.take(file.span.source)).flatten() {
                self.used.extend(query.parameters.iter().cloned());
                return Some(query);
            }
            QueryText {
                text: file.text,
                origin: Origin::Plain(file.span),
            }
        } else {
            inline_text(written, self.sources)
        };
        let surroundings = Surroundings {
            params: self.params,
            params_complete: self.params_complete,
            this,
        };
        let query = sql::parse(&text, &surroundings, self.sink)?;
        if !this {
            self.used.extend(query.parameters.iter().cloned());
        }
        Some(query)
    }

    /// A word on a missing file: one that has nearly its name, in its own folder before others.
    fn near(&mut self, path: &str) -> String {
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        let all = self.read.like(extension, self.files);
        let beside = all.iter().filter(|other| folder_of(other) == folder_of(path));
        let near = closest(path, beside.map(String::as_str)).or_else(|| closest(path, all.iter().map(String::as_str)));
        match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "paths start at the project's folder".to_owned(),
        }
    }
}

/// Whether a text is the path of a query and not the query: one word that ends in `.sql`.
pub(super) fn is_sql_path(text: &str) -> bool {
    text.rsplit_once('.').is_some_and(|(_, extension)| extension == "sql") && !text.contains(char::is_whitespace)
}

/// A text in a TOML string, with the place of each byte.
pub(super) fn inline_text(written: Spanned<&str>, sources: &Sources) -> QueryText {
    let raw = &sources.text(written.span.source)[written.span.range()];
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") {
        3
    } else {
        1
    };
    let inside = raw.get(quotes..raw.len().saturating_sub(quotes)).unwrap_or_default();
    // The line break right after the opening quotes is no part of the text.
    let skipped = if quotes == 3 {
        inside.len()
            - inside
                .strip_prefix("\r\n")
                .or(inside.strip_prefix('\n'))
                .unwrap_or(inside)
                .len()
    } else {
        0
    };
    let base = written.span.start as usize + quotes + skipped;
    let origin = if &inside[skipped..] == written.value {
        Origin::Plain(Span::new(written.span.source, base..base + written.value.len()))
    } else {
        Origin::Escaped(
            written.span,
            places_of_escaped(&inside[skipped..], written.value, base).into(),
        )
    };
    QueryText {
        text: written.value.into(),
        origin,
    }
}

/// For each byte of `value` (and its end) the byte of the file, where `raw` is the same text with TOML escapes.
fn places_of_escaped(raw: &str, value: &str, base: usize) -> Vec<u32> {
    let mut places = Vec::with_capacity(value.len() + 1);
    let mut at = 0;
    for c in value.chars() {
        // A backslash at the end of a line swallows all white space that follows.
        while let Some(rest) = raw[at..].strip_prefix('\\') {
            let blank = rest.len() - rest.trim_start().len();
            if blank == 0 || !rest[..blank].contains('\n') {
                break;
            }
            at += 1 + blank;
        }
        // A line break may be written as two bytes and read as one.
        if c == '\n' && raw[at..].starts_with("\r\n") {
            at += 1;
        }
        places.extend(std::iter::repeat_n((base + at) as u32, c.len_utf8()));
        let length = match raw[at..].strip_prefix('\\').and_then(|rest| rest.chars().next()) {
            Some('x') => 4,
            Some('u') => 6,
            Some('U') => 10,
            Some(_) => 2,
            None => raw[at..].chars().next().map_or(0, char::len_utf8),
        };
        at = crate::span::floor_boundary(raw, at + length);
    }
    places.push((base + at) as u32);
    places
}
