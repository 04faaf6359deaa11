//! One checked query.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sqlparser::ast::{SetExpr, Statement};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::cache::QueryCache;
use super::place::Places;
use super::{STEP_PARAMETERS, depth, tables};
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink};
use crate::key::AssetKey;
use crate::span::{SourceId, Span};

/// The longest query, in bytes: its tokens take a hundred times as much.
const MOST_BYTES: usize = 1024 * 1024;

/// A query of a declaration.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The query as written, without what surrounds it.
    pub text: Arc<str>,
    /// The query reduced to its tokens: comments, white space and the case of words outside quotes do not matter. Part of the
    /// fingerprint.
    pub code: String,
    /// The assets it reads, each once, in the order of their first mention.
    pub tables: Vec<TableReference>,
    /// The parameters it uses, without `$`.
    pub parameters: BTreeSet<String>,
    /// Whether it reads `this` (only the query of a check may).
    pub reads_this: bool,
}

/// An asset that a query reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReference {
    /// The asset.
    pub asset: AssetKey,
    /// Where the query names it, in the file that holds the query.
    pub span: Span,
}

impl Query {
    /// The same query with the places of the file that holds it, which was not known when it was parsed.
    pub(crate) fn moved_to(mut self, source: SourceId) -> Self {
        for table in &mut self.tables {
            table.span.source = source;
        }
        self
    }
}

/// The text of a query and where each of its bytes stands.
#[derive(Clone)]
pub(crate) struct QueryText {
    pub(crate) text: Arc<str>,
    pub(crate) origin: Origin,
}

/// Where a query is written.
#[derive(Clone)]
pub(crate) enum Origin {
    /// A file of its own, or a piece of text that stands byte for byte in a file.
    Plain(Span),
    /// A TOML string with escapes: for each byte of the query (and its end) the byte of the file.
    Escaped(Span, Arc<[u32]>),
}

impl QueryText {
    /// The place of a range of bytes of the query, in the file that holds it.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        match &self.origin {
            Origin::Plain(whole) => {
                let base = whole.start as usize;
                Span::new(whole.source, base + start..base + end)
            }
            Origin::Escaped(whole, map) => {
                let at = |offset: usize| map.get(offset).or(map.last()).map_or(whole.start, |at| *at) as usize;
                Span::new(whole.source, at(start)..at(end))
            }
        }
    }

    /// The place of the whole query.
    pub(crate) fn whole(&self) -> Span {
        match &self.origin {
            Origin::Plain(whole) | Origin::Escaped(whole, _) => *whole,
        }
    }
}

/// What a query may use.
pub(crate) struct Surroundings<'a> {
    /// Names in the project's `[params]`.
    pub(crate) params: &'a BTreeMap<String, serde_json::Value>,
    /// Whether `params` are all there are: not so when the file that declares them could not be read whole.
    pub(crate) params_complete: bool,
    /// Whether `this` stands for the staged rows.
    pub(crate) this: bool,
}

/// A query of a file that was perhaps parsed by an earlier start; it is parsed if not, without a word about mistakes.
pub(crate) fn parse_or_recall(text: &QueryText, surroundings: &Surroundings<'_>, cache: &QueryCache) -> Option<Query> {
    if let Some(query) = cache.get(&text.text) {
        // One that nothing binds is told by the parser, with its place.
        let bound = |name: &String| STEP_PARAMETERS.contains(&name.as_str()) || surroundings.params.contains_key(name);
        if !surroundings.params_complete || query.parameters.iter().all(bound) {
            return Some(query);
        }
    }
    let query = parse(text, surroundings, &DiagnosticSink::default())?;
    cache.learn(&query);
    Some(query)
}

/// Parses and judges a query. `None` after a report.
pub(crate) fn parse(text: &QueryText, surroundings: &Surroundings<'_>, sink: &DiagnosticSink) -> Option<Query> {
    let before = sink.count();
    if text.text.len() > MOST_BYTES {
        sink.report(
            Diagnostic::new(Code::TooLarge, "a query has more than 1 MiB", text.span(0, 1))
                .help("rows do not belong in a query: put them into a file, and a kind that reads files"),
        );
        return None;
    }
    let places = Places::new(&text.text);
    let mut tokens: Vec<TokenWithSpan> = Vec::new();
    if let Err(error) = Tokenizer::new(&GenericDialect, &text.text).tokenize_with_location_into_buf(&mut tokens) {
        let at = places.offset(error.location);
        sink.report(Diagnostic::new(
            Code::SqlSyntax,
            lowercase_first(&error.message),
            text.span(at, places.next(at)),
        ));
        return None;
    }
    let code = reduced(&tokens, &text.text, &places);
    if let Some(mistake) = depth::judge(&tokens) {
        let at = places.offset(mistake.at);
        sink.report(
            Diagnostic::new(Code::QueryTooDeep, mistake.message, text.span(at, places.next(at))).help(mistake.help),
        );
        return None;
    }
    if tokens
        .iter()
        .all(|token| matches!(token.token, Token::Whitespace(_) | Token::SemiColon))
    {
        sink.report(Diagnostic::new(Code::NotAQuery, "there is no query", text.whole()).help("write one SELECT"));
        return None;
    }
    let quick = Parser::new(&GenericDialect)
        .with_tokens_with_locations(without_lines(tokens, &places))
        .parse_statements();
    let mut parser = Parser::new(&GenericDialect);
    // What is wrong is told with its line and column.
    let parsed = quick.or_else(|_| {
        parser = Parser::new(&GenericDialect).try_with_sql(&text.text)?;
        parser.parse_statements()
    });
    let mut statements = match parsed {
        Ok(statements) => statements,
        Err(ParserError::RecursionLimitExceeded) => {
            sink.report(
                Diagnostic::new(Code::QueryTooDeep, "the query is nested too deep", text.whole())
                    .help("split it with WITH, or into several assets"),
            );
            return None;
        }
        Err(ParserError::TokenizerError(message) | ParserError::ParserError(message)) => {
            let at = parser.get_current_token().span;
            let (message, at) = places.split_message(&message, at.start);
            // The end has no place of its own: the last character that says something stands for it.
            let at = if message.ends_with("found: EOF") {
                places.last()
            } else {
                at
            };
            let end = places.end_of_word(at);
            sink.report(Diagnostic::new(
                Code::SqlSyntax,
                lowercase_first(message),
                text.span(at, end),
            ));
            return None;
        }
    };
    let statement = match statements.len() {
        1 => statements.pop().expect("there is one"),
        0 => {
            sink.report(Diagnostic::new(Code::NotAQuery, "there is no query", text.whole()).help("write one SELECT"));
            return None;
        }
        number => {
            let second = tables::start_of(&statements[1]).map_or(0, |location| places.offset(location));
            let span = if second > 0 {
                text.span(second, places.end_of_word(second))
            } else {
                text.whole()
            };
            sink.report(
                Diagnostic::new(
                    Code::NotAQuery,
                    format!("{number} statements where one query is expected"),
                    span,
                )
                .help("make each table an asset of its own"),
            );
            return None;
        }
    };
    let Statement::Query(query) = statement else {
        not_a_query(&statement, text, sink);
        return None;
    };
    if let SetExpr::Insert(statement)
    | SetExpr::Update(statement)
    | SetExpr::Delete(statement)
    | SetExpr::Merge(statement) = &*query.body
    {
        not_a_query(statement, text, sink);
        return None;
    }
    let found = tables::read(&query, text, &places, surroundings.this, sink);
    for (name, start, end) in &found.parameters {
        let name = name.as_str();
        let span = text.span(*start, *end);
        let Some(plain) = name
            .strip_prefix('$')
            .filter(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.is_empty())
        else {
            sink.report(
                Diagnostic::new(Code::UnknownParameter, format!("`{name}` has no name"), span)
                    .help("parameters are `$name`: `$partition_key`, `$partition_start`, `$partition_end` and those of `[params]`"),
            );
            continue;
        };
        if !STEP_PARAMETERS.contains(&plain) && !surroundings.params.contains_key(plain) && surroundings.params_complete
        {
            let known = STEP_PARAMETERS
                .into_iter()
                .chain(surroundings.params.keys().map(String::as_str));
            sink.report(
                Diagnostic::new(
                    Code::UnknownParameter,
                    format!("nothing binds the parameter `${plain}`"),
                    span,
                )
                .help(format!("declare `{plain}` under `[params]` in millpond.toml"))
                .did_you_mean(plain, known),
            );
        }
    }
    if sink.count() > before {
        return None;
    }
    let parameters = found
        .parameters
        .into_iter()
        .map(|(name, ..)| name.trim_start_matches('$').to_owned())
        .collect();
    Some(Query {
        text: text.text.clone(),
        code,
        tables: found.tables,
        parameters,
        reads_this: found.reads_this,
    })
}

/// The tokens that the parser looks at, with bytes in place of lines and columns (see [`Places::in_bytes`]).
///
/// The parser tries one reading after the other, and drops what it says of those that fail; but to write the places into these
/// messages is a tenth of its work. A place without a line is not written.
fn without_lines(mut tokens: Vec<TokenWithSpan>, places: &Places<'_>) -> Vec<TokenWithSpan> {
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    for token in &mut tokens {
        token.span = places.in_bytes(token.span);
    }
    tokens
}

fn not_a_query(statement: &Statement, text: &QueryText, sink: &DiagnosticSink) {
    let words: Vec<String> = text
        .text
        .split_whitespace()
        .skip_while(|word| word.starts_with("--"))
        .take(1)
        .map(|word| {
            word.chars()
                .filter(char::is_ascii_alphabetic)
                .collect::<String>()
                .to_uppercase()
        })
        .collect();
    let word = match statement {
        Statement::Insert(_) => "INSERT".to_owned(),
        Statement::Update { .. } => "UPDATE".to_owned(),
        Statement::Delete(_) => "DELETE".to_owned(),
        Statement::Explain { .. } => "EXPLAIN".to_owned(),
        _ => words.into_iter().next().unwrap_or_default(),
    };
    sink.report(
        Diagnostic::new(Code::NotAQuery, format!("`{word}` is not allowed here"), text.whole())
            .label("only one SELECT, WITH or VALUES")
            .help("an asset says what its rows are; Millpond creates, replaces and extends the table"),
    );
}

/// Each token as written, words outside quotes in lowercase, one line each; the semicolon at the end does not count.
fn reduced(tokens: &[TokenWithSpan], text: &str, places: &Places<'_>) -> String {
    let mut code = String::with_capacity(text.len());
    let end = tokens
        .iter()
        .rposition(|token| !matches!(token.token, Token::Whitespace(_) | Token::SemiColon | Token::EOF));
    for token in &tokens[..end.map_or(0, |end| end + 1)] {
        match &token.token {
            Token::Whitespace(_) | Token::EOF => continue,
            Token::Word(word) if word.quote_style.is_none() => push_lowercase(&mut code, &word.value),
            _ => {
                let (start, end) = (places.offset(token.span.start), places.offset(token.span.end));
                code.push_str(&text[start..end.max(start)]);
            }
        }
        code.push('\n');
    }
    code
}

fn push_lowercase(code: &mut String, word: &str) {
    if word.is_ascii() {
        let start = code.len();
        code.push_str(word);
        code[start..].make_ascii_lowercase();
    } else {
        code.push_str(&word.to_lowercase());
    }
}

fn lowercase_first(message: &str) -> String {
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
    let mut characters = message.chars();
    match characters.next() {
        // A word in capitals is a word of SQL.
        Some(first) if !characters.clone().next().is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => message.to_owned(),
    }
}
