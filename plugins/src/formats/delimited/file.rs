//! Opens a delimited file and settles the names of its columns.
use std::collections::HashSet;
use std::sync::Arc;

use crate::formats::bad_row::{BadReason, BadRow, raw_text};
use crate::formats::error::{FormatError, name_list};
use crate::formats::input::Input;
use crate::formats::options::{Format, ReadOptions};
use crate::formats::source::SourceFile;
use crate::formats::window::Window;

use super::rows::{Rows, Step};
use super::scan::Dialect;

/// An open file, at its first row of data.
pub(in crate::formats) struct DelimitedFile {
    pub(in crate::formats) source: Arc<SourceFile>,
    pub(in crate::formats) rows: Rows,
    pub(in crate::formats) names: Vec<String>,
    raw_text_bytes: usize,
}

impl DelimitedFile {
    pub(in crate::formats) fn open(
        source: &Arc<SourceFile>,
        format: Format,
        options: &ReadOptions,
    ) -> Result<Self, FormatError> {
        let dialect = dialect(source, format, options)?;
        let window = Window::new(Input::open(source, options.limits)?)?;
        let empty = window.bytes().is_empty();
        let mut rows = Rows::new(window, dialect, options.limits.longest_row());
        let mut names = options.delimited.names.clone();
        if options.delimited.header {
            let found = header(source, &mut rows, empty, options)?;
            names.get_or_insert_with(|| names_now(&found, options));
        }
        let Some(names) = names else {
            return Err(source.schema(
                Vec::new(),
                "without a header line the columns need names: give them as `names`",
            ));
        };
        check_names(source, &names, options)?;
        let raw_text_bytes = options.limits.raw_text_bytes;
        Ok(DelimitedFile {
            source: Arc::clone(source),
            rows,
            names,
            raw_text_bytes,
        })
    }

    /// The next row with as many fields as there are columns, a bad one, or the end.
    pub(in crate::formats) fn next(&mut self) -> Result<Step, FormatError> {
        let step = self.rows.next()?;
        if matches!(step, Step::Row) {
            let (_, fields) = self.rows.row();
            if fields.len() != self.names.len() {
                return Ok(Step::Bad(BadReason::Ragged {
                    expected: self.names.len(),
                    found: fields.len(),
                }));
            }
        }
        Ok(step)
    }

    /// The current row as a bad one.
    pub(in crate::formats) fn bad_row(&self, reason: BadReason) -> BadRow {
        let (row, _) = self.rows.row();
        BadRow {
            file: self.source.path.clone(),
            line: self.rows.line(),
            reason,
            raw: raw_text(row, self.raw_text_bytes),
        }
    }

    /// A file that is being written looks wrong in many ways; that it changed is the better answer.
    pub(in crate::formats) fn verify(&self) -> Result<(), FormatError> {
        self.rows.window().input().verify()
    }
}

fn dialect(source: &SourceFile, format: Format, options: &ReadOptions) -> Result<Dialect, FormatError> {
    let usual = if format == Format::Tsv { b'\t' } else { b',' };
    let delimiter = options.delimited.delimiter.unwrap_or(usual);
    let quote = options.delimited.quote;
    if matches!(delimiter, 0 | b'\n' | b'\r') || !delimiter.is_ascii() {
        return Err(source.unsupported("the delimiter is one ASCII byte, and not a line end"));
    }
    if quote.is_some_and(|quote| matches!(quote, 0 | b'\n' | b'\r') || !quote.is_ascii() || quote == delimiter) {
        return Err(source.unsupported("the quote is one ASCII byte, not a line end and not the delimiter"));
    }
    Ok(Dialect { delimiter, quote })
}

fn header(
    source: &SourceFile,
    rows: &mut Rows,
    empty: bool,
    options: &ReadOptions,
) -> Result<Vec<String>, FormatError> {
    let missing = |what: &str| {
        let reason = format!("{what}; a header line is expected (without one, set `header = false` and give `names`)");
        source.schema(Vec::new(), reason)
    };
    if empty {
        return Err(missing("the file is empty"));
    }
    match rows.next()? {
        Step::End => Err(missing("the file holds blank lines only")),
        Step::Bad(reason) => Err(FormatError::BadRow(Box::new(BadRow {
            file: source.path.clone(),
            line: rows.line(),
            reason,
            raw: raw_text(rows.row().0, options.limits.raw_text_bytes),
        }))),
        Step::Row => {
            let (row, fields) = rows.row();
            let mut scratch = Vec::new();
            // The row was checked to be UTF-8, and the delimiters are ASCII.
            Ok(fields
                .iter()
                .map(|field| String::from_utf8_lossy(field.text(row, &mut scratch)).into_owned())
                .collect())
        }
    }
}

/// The names of a header as they are today.
fn names_now(found: &[String], options: &ReadOptions) -> Vec<String> {
    let has = |name: &str| found.iter().any(|other| other == name);
    let now = found
        .iter()
        .map(|name| options.earlier.name_now(name, has).unwrap_or(name));
    now.map(str::to_owned).collect()
}

fn check_names(source: &SourceFile, names: &[String], options: &ReadOptions) -> Result<(), FormatError> {
    if names.len() > options.limits.columns {
        let reason = format!(
            "{} columns, more than the {} allowed",
            names.len(),
            options.limits.columns
        );
        return Err(source.schema(Vec::new(), reason));
    }
    let unnamed: Vec<usize> = (1..=names.len()).filter(|at| names[at - 1].trim().is_empty()).collect();
    if let Some(first) = unnamed.first() {
        let reason = format!(
            "column {first} of {} has no name; name all columns with `names`",
            names.len()
        );
        return Err(source.schema(Vec::new(), reason));
    }
    let mut seen = HashSet::new();
    let twice: Vec<String> = names
        .iter()
        .filter(|name| !seen.insert(name.as_str()))
        .cloned()
        .collect();
    if !twice.is_empty() {
        let reason = format!(
            "several columns are called {}; name all columns with `names`",
            name_list(&twice)
        );
        return Err(source.schema(twice, reason));
    }
    Ok(())
}
