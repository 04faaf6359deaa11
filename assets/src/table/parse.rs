//! From bytes to a TOML table with places: encoding and limits first, so that no input can exhaust the stack or the memory.

use std::sync::Arc;

use toml::de::{DeTable, Error};

use crate::diagnostic::{Code, Diagnostic, DiagnosticSink};
use crate::files::{FileError, ProjectFiles};
use crate::span::{SourceId, Sources, Span};

/// The largest file that is read, in bytes: 16 MiB.
pub const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The largest file of which all syntax errors are told: 1 MiB.
const MOST_RECOVERED: usize = 1024 * 1024;

/// How deep tables, arrays and dotted keys may be nested. (The TOML parser stops at 80 brackets by itself.)
pub const MOST_DEPTH: usize = 128;

/// Reads a file into the sources. The mistake stands at `named_at` if a file names this one.
pub(crate) fn read_source(
    files: &dyn ProjectFiles,
    path: &str,
    named_at: Option<Span>,
    sources: &mut Sources,
) -> Result<SourceId, Box<Diagnostic>> {
    let at = |code, message: String| match named_at {
        Some(span) => Diagnostic::new(code, message, span),
        None => Diagnostic::without_place(code, message),
    };
    let bytes = match files.read(path) {
        Ok(bytes) if bytes.len() <= MOST_BYTES => bytes,
        Ok(_) | Err(FileError::TooLarge(_)) => {
            let diagnostic = at(Code::TooLarge, format!("`{path}` has more than 16 MiB"));
            return Err(Box::new(diagnostic.help("split it into several files")));
        }
        Err(FileError::Missing) => return Err(Box::new(at(Code::MissingFile, format!("there is no file `{path}`")))),
        Err(FileError::Other(reason)) => {
            return Err(Box::new(at(
                Code::Unreadable,
                format!("failed to read `{path}`: {reason}"),
            )));
        }
    };
    // A byte order mark is no part of the text.
    let bytes = match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => rest.to_vec(),
        None => bytes,
    };
    let error = match String::from_utf8(bytes) {
        Ok(text) => return Ok(sources.add(path, text.into())),
        Err(error) => error,
    };
    let bad = error.utf8_error().valid_up_to();
    let bytes = error.into_bytes();
    let byte = bytes[bad];
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    // Shown with a sign in the place of each bad byte; up to the first one both texts are the same.
    let id = sources.add(path, String::from_utf8_lossy(&bytes).into());
    let sign = '\u{fffd}'.len_utf8();
    let what = if utf16 {
        "it looks like UTF-16"
    } else {
        "it is part of no character"
    };
    Err(Box::new(
        Diagnostic::new(
            Code::Encoding,
            format!("`{path}` is not UTF-8"),
            Span::new(id, bad..bad + sign),
        )
        .label(format!("byte {bad} is 0x{byte:02x}: {what}"))
        .help("save the file as UTF-8"),
    ))
}

/// The file's table. Every syntax error is reported, and what could be read in spite of them is handed out.
pub(crate) fn parse<'t>(text: &'t Arc<str>, source: SourceId, sink: &DiagnosticSink) -> Option<DeTable<'t>> {
    if let Some(place) = too_deep(text) {
        sink.report(
            Diagnostic::new(
                Code::TooDeep,
                format!("nested more than {MOST_DEPTH} deep"),
                Span::new(source, place..place + 1),
            )
            .label("the first bracket or dot too many"),
        );
        return None;
    }
    // Each error takes memory: of a large file that is nothing but errors only the first is told.
    let (table, errors) = if text.len() <= MOST_RECOVERED {
        DeTable::parse_recoverable(text)
    } else {
        match DeTable::parse(text) {
            Ok(table) => (table, Vec::new()),
            Err(error) => {
                sink.report(syntax_error(text, source, &error));
                return None;
            }
        }
    };
    let mut last_place = None;
    // Of a table that is written again, every key is: the table alone is told.
    let mut written_again = 0..0;
    for error in &errors {
        let place = error.span().map(|span| span.start);
        // One slip makes the parser stumble more than once over the same place.
        if place.is_some() && place == last_place {
            continue;
        }
        last_place = place;
        let diagnostic = syntax_error(text, source, error);
        if let (Code::DuplicateKey, Some(at)) = (diagnostic.code, place) {
            if written_again.contains(&at) {
                continue;
            }
            let line = text[..at].rfind('\n').map_or(0, |at| at + 1);
            if text[line..].trim_start().starts_with('[') {
                written_again = at..text[at..].find("\n[").map_or(text.len(), |next| at + next);
            }
        }
        sink.report(diagnostic);
    }
    Some(table.into_inner())
}

fn syntax_error(text: &str, source: SourceId, error: &Error) -> Diagnostic {
    let range = error.span().unwrap_or(0..0);
    let span = Span::new(source, range.clone());
    if error.message().starts_with("duplicate key") {
        let key = text.get(range.clone()).unwrap_or_default();
        let first = first_of(text, range.start, key).map(|at| Span::new(source, at..at + key.len()));
        let diagnostic =
            Diagnostic::new(Code::DuplicateKey, format!("`{key}` is written twice"), span).label("again here");
        return match first {
            Some(first) => diagnostic.note("first written here", Some(first)),
            None => diagnostic,
        };
    }
    if error.message().contains("recursion limit") {
        return Diagnostic::new(Code::TooDeep, "nested too deep", span);
    }
    Diagnostic::new(Code::Syntax, error.message().to_owned(), span)
}

/// Where a key or header that is written again at `again` was written first: the same header earlier in the file, or the same
/// key earlier in the same table. The parser does not keep this place.
fn first_of(text: &str, again: usize, key: &str) -> Option<usize> {
    let line_start = text[..again].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default().trim();
    if key.is_empty() {
        return None;
    }
    if line.starts_with('[') {
        let header = line.split('#').next().unwrap_or_default().trim_end();
        let mut at = 0;
        for earlier in text[..line_start].split_inclusive('\n') {
            if earlier
                .trim_start()
                .trim_end()
                .split('#')
                .next()
                .unwrap_or_default()
                .trim_end()
                == header
            {
                return earlier.rfind(key).map(|within| at + within);
            }
            at += earlier.len();
        }
        return None;
    }
    // Inside one line (an inline table) the first is on the same line.
    if let Some(at) = text[line_start..again]
        .find(key)
        .filter(|_| text[line_start..again].contains('{'))
    {
        return Some(line_start + at);
    }
    let mut end = line_start;
    while end > 0 {
        let start = text[..end - 1].rfind('\n').map_or(0, |at| at + 1);
        let earlier = &text[start..end];
        let begin = earlier.len() - earlier.trim_start().len();
        let trimmed = earlier.trim_start();
        if trimmed.starts_with('[') {
            return None;
        }
        if trimmed
            .strip_prefix(key)
            .is_some_and(|rest| rest.trim_start().starts_with(['=', '.']))
        {
            return Some(start + begin);
        }
        end = start;
    }
    None
}

/// The first bracket or dot that goes deeper than [`MOST_DEPTH`]. Counts as a parser would nest: brackets inside strings and
/// comments do not count, dots of a key do, and the keys below a header lie as deep as the header.
fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open: Vec<usize> = Vec::new();
    // Levels of the header of the current table, of everything open, and dots since the last separator.
    let (mut header, mut in_header, mut dots) = (0usize, false, 0usize);
    let mut below = 0usize;
    let mut line_start = true;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b'#' => {
                at = end_of_line(bytes, at);
                continue;
            }
            b'"' | b'\'' => {
                line_start = false;
                at = end_of_string(bytes, at);
                continue;
            }
            b'[' if line_start && open.is_empty() => {
                in_header = true;
                header = 0;
                dots = 0;
            }
            b'[' | b'{' if !in_header => {
                open.push(dots + 1);
                below += dots + 1;
                dots = 0;
            }
            b']' if in_header => {
                in_header = false;
                header = dots + 1;
                dots = 0;
            }
            b']' | b'}' => {
                below -= open.pop().unwrap_or(0);
                dots = 0;
            }
            b'.' => dots += 1,
            b',' => dots = 0,
            b'\n' => {
                if in_header {
                    header = dots + 1;
                }
                in_header = false;
                dots = 0;
            }
            _ => {}
        }
        if header + below + dots > MOST_DEPTH {
            return Some(at);
        }
        line_start = byte == b'\n' || (line_start && (byte == b' ' || byte == b'\t'));
        at += 1;
    }
    None
}

fn end_of_line(bytes: &[u8], from: usize) -> usize {
    bytes[from..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |at| from + at)
}

/// The byte after a string that begins at `from`; a string that is not closed ends with its line, or the text.
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let quote = bytes[from];
    let long = bytes[from..].starts_with(&[quote, quote, quote]);
    let mut at = from + if long { 3 } else { 1 };
    while at < bytes.len() {
        match bytes[at] {
            b'\n' if !long => return at,
            b'\\' if quote == b'"' && (long || bytes.get(at + 1) != Some(&b'\n')) => at += 2,
            byte if byte == quote && !long => return at + 1,
            byte if byte == quote && bytes[at..].starts_with(&[quote, quote, quote]) => return at + 3,
            _ => at += 1,
        }
    }
    bytes.len()
}
