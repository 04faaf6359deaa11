//! The distinct values of one column, without decoding the others.
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;

use super::bad_row::BadRowLog;
use super::delimited::{DelimitedFile, Step};
use super::error::{FormatError, did_you_mean, name_list};
use super::infer::infer;
use super::json::{Json, JsonFile, LineStep};
use super::null_texts::NullTexts;
use super::options::{Format, ReadOptions};
use super::read::read;
use super::source::SourceFile;

/// The distinct texts of one column of a file, nulls left out: how a new file says which days it holds.
///
/// Values are the texts as they are written. For Parquet they are printed the way Arrow prints them: days as
/// `2013-03-01`, instants as `2013-03-01T05:00:00Z`.
///
/// # Errors
/// As [`read`](super::read()); [`FormatError::Schema`] for a column that the file does not have and
/// [`FormatError::Unsupported`] beyond `limits.distinct_values`.
pub fn distinct_values(
    file: &SourceFile,
    options: &ReadOptions,
    column: &str,
) -> Result<BTreeSet<String>, FormatError> {
    let source = Arc::new(file.clone());
    let mut values = Values::new(&source, options.limits.distinct_values);
    match Format::of(file, options)? {
        format @ (Format::Csv | Format::Tsv) => delimited(&source, format, options, column, &mut values)?,
        Format::JsonLines => json_lines(&source, options, column, &mut values)?,
        Format::Parquet => parquet(file, options, column, &mut values)?,
    }
    Ok(values.into_texts())
}

struct Values {
    source: Arc<SourceFile>,
    found: HashSet<Box<[u8]>, ahash::RandomState>,
    /// Files are mostly sorted by what they are partitioned by.
    last: Vec<u8>,
    most: usize,
}

impl Values {
    fn new(source: &Arc<SourceFile>, most: usize) -> Self {
        Values {
            source: Arc::clone(source),
            found: HashSet::default(),
            last: Vec::new(),
            most,
        }
    }

    fn add(&mut self, text: &[u8]) -> Result<(), FormatError> {
        if !self.found.is_empty() && self.last == text {
            return Ok(());
        }
        self.last.clear();
        self.last.extend_from_slice(text);
        if !self.found.contains(text) {
            if self.found.len() >= self.most {
                let reason = format!("the column has more than {} distinct values", self.most);
                return Err(self.source.unsupported(reason));
            }
            self.found.insert(text.into());
        }
        Ok(())
    }

    fn into_texts(self) -> BTreeSet<String> {
        self.found
            .into_iter()
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .collect()
    }
}

fn no_column(source: &SourceFile, column: &str, names: &[String]) -> FormatError {
    let near = did_you_mean(column, names.iter().map(String::as_str));
    source.schema(
        vec![column.to_owned()],
        format!("no column `{column}`{near}; there are {}", name_list(names)),
    )
}

fn delimited(
    source: &Arc<SourceFile>,
    format: Format,
    options: &ReadOptions,
    column: &str,
    values: &mut Values,
) -> Result<(), FormatError> {
    let mut file = DelimitedFile::open(source, format, options)?;
    let Some(place) = file.names.iter().position(|name| name == column) else {
        return Err(no_column(source, column, &file.names));
    };
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
                let (row, fields) = file.rows.row();
                let field = fields[place];
                let text = field.text(row, &mut scratch);
                if !nulls.matches(text, field.is_quoted()) {
                    values.add(text)?;
                }
            }
        }
    }
    file.rows.finish()?;
    Ok(())
}

fn json_lines(
    source: &Arc<SourceFile>,
    options: &ReadOptions,
    column: &str,
    values: &mut Values,
) -> Result<(), FormatError> {
    let mut file = JsonFile::open(source, options)?;
    let nulls = NullTexts::new(options, Format::JsonLines);
    let mut log = BadRowLog::new(options.on_bad_row);
    let (mut found, mut rows, mut other_keys) = (false, 0_u64, BTreeSet::new());
    loop {
        let reason = match file.next()? {
            LineStep::End => break,
            LineStep::Bad(reason) => reason,
            LineStep::Line => match file.object() {
                Ok(entries) => {
                    rows += 1;
                    match entries.iter().find(|(key, _)| key == column) {
                        Some((_, value)) => {
                            found = true;
                            let null = *value == Json::Null
                                || matches!(value, Json::Text(text) if nulls.matches(text.as_bytes(), false));
                            if !null {
                                values.add(value.as_text().as_bytes())?;
                            }
                        }
                        None if rows == 1 => other_keys.extend(entries.iter().map(|(key, _)| key.to_string())),
                        None => {}
                    }
                    continue;
                }
                Err(reason) => reason,
            },
        };
        file.verify()?;
        log.admit(file.bad_row(reason))?;
    }
    file.finish()?;
    if !found && rows > 0 {
        return Err(no_column(source, column, &other_keys.into_iter().collect::<Vec<_>>()));
    }
    Ok(())
}

fn parquet(file: &SourceFile, options: &ReadOptions, column: &str, values: &mut Values) -> Result<(), FormatError> {
    let files = std::slice::from_ref(file);
    // The file's own types serve: what is declared is for the reading proper.
    let options = ReadOptions {
        columns: Vec::new(),
        format: Some(Format::Parquet),
        ..options.clone()
    };
    let schema = infer(files, &options)?.schema;
    for batch in read(files, &options, &schema, Some(&[column]))? {
        let batch = batch?.batch;
        let array = arrow::compute::cast(batch.column(0), &DataType::Utf8).map_err(|error| {
            file.schema(
                vec![column.to_owned()],
                format!("column `{column}` has no distinct texts ({error})"),
            )
        })?;
        let texts = array.as_string::<i32>();
        for row in 0..texts.len() {
            if texts.is_valid(row) {
                values.add(texts.value(row).as_bytes())?;
            }
        }
    }
    Ok(())
}
