//! Which columns the files have, compared with one another and with what is wanted.
use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::compression::Compression;
use super::error::{FormatError, did_you_mean, name_list};
use super::options::{Format, MissingColumns, ReadOptions};
use super::source::SourceFile;

impl Format {
    /// What the end of a file's name says, the ending of a compression aside.
    pub fn of_name(name: &str) -> Option<Format> {
        let (_, name) = Compression::of_name(name);
        let extension = name.rsplit('/').next()?.rsplit_once('.')?.1.to_ascii_lowercase();
        match extension.as_str() {
            "csv" => Some(Format::Csv),
            "tsv" | "tab" => Some(Format::Tsv),
            "jsonl" | "ndjson" | "json" => Some(Format::JsonLines),
            "parquet" | "pq" => Some(Format::Parquet),
            _ => None,
        }
    }

    pub(super) fn of(source: &SourceFile, options: &ReadOptions) -> Result<Format, FormatError> {
        options.format.or_else(|| Format::of_name(&source.path)).ok_or_else(|| {
            source.unsupported(
                "its name does not tell the format (.csv, .tsv, .jsonl, .parquet, with .gz, .zst, .bz2 or .xz behind \
                 it); give `format`",
            )
        })
    }

    /// The one format of all files.
    pub(super) fn of_all(files: &[Arc<SourceFile>], options: &ReadOptions) -> Result<Format, FormatError> {
        let Some(first) = files.first() else {
            return Ok(options.format.unwrap_or(Format::Csv));
        };
        let format = Format::of(first, options)?;
        for file in &files[1..] {
            let other = Format::of(file, options)?;
            if other != format {
                let reason = format!("it is {}, but `{}` is {}", other.name(), first.path, format.name());
                return Err(file.unsupported(format!("{reason}; read one format at a time, with a narrower pattern")));
            }
        }
        Ok(format)
    }

    fn name(self) -> &'static str {
        match self {
            Format::Csv => "CSV",
            Format::Tsv => "TSV",
            Format::JsonLines => "JSON lines",
            Format::Parquet => "Parquet",
        }
    }
}

/// A schema of nullable fields.
pub(super) fn nullable_schema(fields: impl IntoIterator<Item = (String, arrow::datatypes::DataType)>) -> SchemaRef {
    let fields: Vec<Field> = fields
        .into_iter()
        .map(|(name, kind)| Field::new(name, kind, true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// Compares the columns of one file with the wanted ones. Columns that the file lacks are an error unless they
/// are to be null; columns that are not wanted are an error, since leaving them out would lose data unseen, unless it is said
/// that they were dropped.
pub(super) fn compare(
    file: &SourceFile,
    names: &[String],
    wanted: &[&str],
    whose: &str,
    options: &ReadOptions,
) -> Result<(), FormatError> {
    let here: HashSet<&str> = names.iter().map(String::as_str).collect();
    let there: HashSet<&str> = wanted.iter().copied().collect();
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| !here.contains(name)).collect();
    let extra: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !there.contains(name) && !options.earlier.is_dropped(name))
        .collect();
    let missing_matters = options.missing_columns == MissingColumns::Fail && !missing.is_empty();
    if !missing_matters && extra.is_empty() {
        return Ok(());
    }
    let mut parts = Vec::new();
    if missing_matters {
        let near = if missing.len() == 1 {
            did_you_mean(missing[0], extra.iter().copied())
        } else {
            String::new()
        };
        parts.push(format!("it lacks {} that {whose} has{near}", name_list(&missing)));
    }
    if !extra.is_empty() {
        parts.push(format!("it has {} that {whose} does not have", name_list(&extra)));
    }
    let help = if missing_matters && extra.is_empty() {
        "; `missing_columns = \"null\"` fills them with null"
    } else {
        ""
    };
    let columns = missing
        .iter()
        .filter(|_| missing_matters)
        .chain(&extra)
        .map(|name| (*name).to_owned())
        .collect();
    Err(file.schema(columns, format!("{}{help}", parts.join(", and "))))
}

/// The names of all files together: the same set in all of them, or the union where missing ones become null.
pub(super) fn merge_names<'a>(
    files: impl IntoIterator<Item = (&'a SourceFile, &'a [String])>,
    options: &ReadOptions,
) -> Result<Vec<String>, FormatError> {
    let mut files = files.into_iter();
    let Some((first, names)) = files.next() else {
        return Ok(Vec::new());
    };
    let read = |name: &&String| !options.earlier.is_dropped(name);
    let mut union: Vec<String> = names.iter().filter(read).cloned().collect();
    let mut known: HashSet<String> = union.iter().cloned().collect();
    let whose = format!("`{}`", first.path);
    for (file, names) in files {
        match options.missing_columns {
            MissingColumns::Fail => {
                let wanted: Vec<&str> = union.iter().map(String::as_str).collect();
                compare(file, names, &wanted, &whose, options)?;
            }
            MissingColumns::Null => {
                for name in names.iter().filter(read) {
                    if known.insert(name.clone()) {
                        union.push(name.clone());
                    }
                }
            }
        }
    }
    check_declared(first, &mut union, options)?;
    Ok(union)
}

/// Declared columns exist in the files, or become null columns where that is allowed.
pub(super) fn check_declared(
    first: &SourceFile,
    names: &mut Vec<String>,
    options: &ReadOptions,
) -> Result<(), FormatError> {
    for (declared, _) in &options.columns {
        if names.contains(declared) {
            continue;
        }
        if options.missing_columns == MissingColumns::Null {
            names.push(declared.clone());
            continue;
        }
        let near = did_you_mean(declared, names.iter().map(String::as_str));
        let reason = format!(
            "declared column `{declared}` is not in the file{near}; it has {}",
            name_list(names)
        );
        return Err(first.schema(vec![declared.clone()], reason));
    }
    Ok(())
}
