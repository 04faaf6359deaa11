//! Learns the columns and their types from all rows of all files.
//!
//! Never from a sample: a null text or a fraction that first shows in row 5,000 would make the types of one day
//! differ from those of the next. Files are looked at side by side on several threads; the result depends on
//! their order alone.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::datatypes::SchemaRef;

use super::bad_row::BadRowLog;
use super::column_type::ColumnType;
use super::columns::{check_declared, merge_names, nullable_schema};
use super::delimited::{DelimitedFile, Step};
use super::error::FormatError;
use super::json::{self, JsonFile, JsonKind, LineStep};
use super::kind::{Sample, Seen};
use super::null_texts::NullTexts;
use super::options::{Format, ReadOptions};
use super::parquet;
use super::source::SourceFile;

/// The columns of a set of files.
#[derive(Debug, Clone)]
pub struct Inferred {
    /// The columns in the order of the first file, all nullable.
    pub schema: SchemaRef,
    /// Columns that became text because a few values spoil a narrower type: often a null text that was not given.
    pub widened: Vec<Widened>,
}

/// A column that became text, and the first value that made it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Widened {
    /// The column.
    pub column: String,
    /// What its other values are.
    pub expected: String,
    /// Where the value is.
    pub file: String,
    /// The 1-based physical line of the value's row.
    pub line: u64,
    /// The value, shortened.
    pub text: String,
}

/// Learns the columns of the files. Declared types stand; all other columns get the narrowest type that holds all
/// their values. CSV and TSV whose columns are all declared are not read beyond their header.
///
/// # Errors
/// All that [`read`](super::read()) gives for rows without regard to types, and [`FormatError::Schema`] when
/// files disagree about their columns.
pub fn infer(files: &[SourceFile], options: &ReadOptions) -> Result<Inferred, FormatError> {
    let files: Vec<Arc<SourceFile>> = files.iter().cloned().map(Arc::new).collect();
    match Format::of_all(&files, options)? {
        format @ (Format::Csv | Format::Tsv) => infer_delimited(&files, format, options),
        Format::JsonLines => infer_json(&files, options),
        Format::Parquet => parquet::infer(&files, options),
    }
}

/// Runs `look` on all files, some at once. Of several errors the one of the first file counts.
pub(super) fn for_each_file<T: Send>(
    files: &[Arc<SourceFile>],
    threads: usize,
    look: impl Fn(usize, &Arc<SourceFile>) -> Result<T, FormatError> + Sync,
) -> Result<Vec<T>, FormatError> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut done = Vec::new();
        // Files are handed out in order, so that every file before a failed one has been looked at too.
        while !stop.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index) else { break };
            let result = look(index, file);
            if result.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            done.push((index, result));
        }
        done
    };
    let mut all = if threads.min(files.len()) <= 1 {
        work()
    } else {
        std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads.min(files.len())).map(|_| scope.spawn(work)).collect();
            handles
                .into_iter()
                .flat_map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    };
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}

fn declared<'a>(options: &'a ReadOptions, name: &str) -> Option<&'a ColumnType> {
    options
        .columns
        .iter()
        .find(|(declared, _)| declared == name)
        .map(|(_, kind)| kind)
}

fn widened(files: &[Arc<SourceFile>], column: &str, expected: String, sample: &Sample) -> Widened {
    Widened {
        column: column.to_owned(),
        expected,
        file: files[sample.file].path.clone(),
        line: sample.line,
        text: sample.text.clone(),
    }
}

fn infer_delimited(files: &[Arc<SourceFile>], format: Format, options: &ReadOptions) -> Result<Inferred, FormatError> {
    let looked = for_each_file(files, options.threads, |index, file| {
        look_at_delimited(index, file, format, options)
    })?;
    let names = merge_names(
        files
            .iter()
            .zip(&looked)
            .map(|(file, (names, _))| (&**file, &names[..])),
        options,
    )?;
    let mut seen = vec![Seen::default(); names.len()];
    let places: std::collections::HashMap<&str, usize> = names
        .iter()
        .enumerate()
        .map(|(place, name)| (name.as_str(), place))
        .collect();
    for (file_names, file_seen) in &looked {
        for (name, one) in file_names.iter().zip(file_seen) {
            // One that is not read has no place.
            if let Some(place) = places.get(name.as_str()) {
                seen[*place].merge(one);
            }
        }
    }
    let mut notes = Vec::new();
    let fields: Vec<_> = names
        .iter()
        .zip(&seen)
        .map(|(name, seen)| {
            let kind = declared(options, name).cloned().unwrap_or_else(|| {
                if let Some((expected, sample)) = seen.spoiled_by() {
                    notes.push(widened(files, name, expected.to_string(), sample));
                }
                seen.column_type()
            });
            (name.clone(), kind.to_arrow())
        })
        .collect();
    Ok(Inferred {
        schema: nullable_schema(fields),
        widened: notes,
    })
}

fn look_at_delimited(
    index: usize,
    source: &Arc<SourceFile>,
    format: Format,
    options: &ReadOptions,
) -> Result<(Vec<String>, Vec<Seen>), FormatError> {
    let mut file = DelimitedFile::open(source, format, options)?;
    let open: Vec<bool> = file
        .names
        .iter()
        .map(|name| declared(options, name).is_none() && !options.earlier.is_dropped(name))
        .collect();
    let mut seen = vec![Seen::default(); file.names.len()];
    if !open.contains(&true) {
        return Ok((file.names, seen));
    }
    let nulls = NullTexts::new(options, format);
    let mut log = BadRowLog::new(options.on_bad_row);
    let mut scratch = Vec::new();
    loop {
        match file.next()? {
            Step::End => break,
            Step::Bad(reason) => {
                file.verify()?;
                log.admit(file.bad_row(reason))?;
            }
            Step::Row => {
                let line = file.rows.line();
                let (row, fields) = file.rows.row();
                for ((field, seen), open) in fields.iter().zip(&mut seen).zip(&open) {
                    if *open {
                        let text = field.text(row, &mut scratch);
                        if !nulls.matches(text, field.is_quoted()) {
                            seen.add_text(text, index, line);
                        }
                    }
                }
            }
        }
    }
    file.rows.finish()?;
    Ok((file.names, seen))
}

fn infer_json(files: &[Arc<SourceFile>], options: &ReadOptions) -> Result<Inferred, FormatError> {
    let looked = for_each_file(files, options.threads, |index, file| look_at_json(index, file, options))?;
    let mut columns: Vec<(String, JsonKind)> = Vec::new();
    for (file, kinds) in files.iter().zip(looked) {
        for (position, (name, kind)) in kinds.into_iter().enumerate() {
            json::field_mut(&mut columns, &name, position).merge(kind);
        }
        check_width(file, columns.len(), options)?;
    }
    let mut names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    if let Some(first) = files.first() {
        check_declared(first, &mut names, options)?;
    }
    let mut notes = Vec::new();
    let mut fields = Vec::new();
    for (place, name) in names.into_iter().enumerate() {
        let kind = match (declared(options, &name), columns.get(place)) {
            (Some(kind), _) => kind.clone(),
            (None, Some((_, kind))) => {
                if let Some((expected, sample)) = kind.spoiled_by() {
                    notes.push(widened(files, &name, expected, sample));
                }
                kind.column_type()
            }
            (None, None) => unreachable!("names beyond those of the files are declared ones"),
        };
        fields.push((name, kind.to_arrow()));
    }
    Ok(Inferred {
        schema: nullable_schema(fields),
        widened: notes,
    })
}

fn check_width(file: &SourceFile, width: usize, options: &ReadOptions) -> Result<(), FormatError> {
    if width <= options.limits.columns {
        return Ok(());
    }
    Err(file.schema(
        Vec::new(),
        format!(
            "more than {} different keys, the most columns allowed",
            options.limits.columns
        ),
    ))
}

fn look_at_json(
    index: usize,
    source: &Arc<SourceFile>,
    options: &ReadOptions,
) -> Result<Vec<(String, JsonKind)>, FormatError> {
    let mut file = JsonFile::open(source, options)?;
    let nulls = NullTexts::new(options, Format::JsonLines);
    let mut log = BadRowLog::new(options.on_bad_row);
    let mut columns: Vec<(String, JsonKind)> = Vec::new();
    loop {
        let reason = match file.next()? {
            LineStep::End => break,
            LineStep::Bad(reason) => reason,
            LineStep::Line => match file.object() {
                Ok(entries) => {
                    let place = json::Place {
                        file: index,
                        line: file.line(),
                        nulls: &nulls,
                    };
                    let read = entries.iter().filter(|(key, _)| !options.earlier.is_dropped(key));
                    for (position, (key, value)) in read.enumerate() {
                        json::field_mut(&mut columns, key, position).add(value, place);
                    }
                    check_width(source, columns.len(), options)?;
                    continue;
                }
                Err(reason) => reason,
            },
        };
        file.verify()?;
        log.admit(file.bad_row(reason))?;
    }
    file.finish()?;
    Ok(columns)
}
