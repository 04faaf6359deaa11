//! From the configuration to the words of `formats`.

use std::path::{Path, PathBuf};

use assets::asset::Asset;
use assets::outcome::{Failure, FailureClass};
use assets::pattern::is_object;

use super::IngestConfig;
use crate::formats::{self, ColumnType, Delimited, Format, MissingColumns, Objects, OnBadRow, ReadOptions};

impl IngestConfig {
    /// The configuration of a compiled asset.
    pub(super) fn of(asset: &Asset) -> Result<Self, Failure> {
        serde_json::from_value(asset.config.clone()).map_err(|error| {
            let message = format!("the compiled form of {} cannot be read: {error}", asset.key);
            Failure::new(FailureClass::Internal, message)
        })
    }

    /// How the files are read.
    pub(super) fn options(&self, on_bad_row: OnBadRow) -> Result<ReadOptions, Failure> {
        let internal = |message: String| Failure::new(FailureClass::Internal, message);
        let format = match self.format.as_deref() {
            None => None,
            Some("csv") => Some(Format::Csv),
            Some("tsv") => Some(Format::Tsv),
            Some("json") => Some(Format::JsonLines),
            Some("parquet") => Some(Format::Parquet),
            Some(other) => return Err(internal(format!("no files are read as `{other}`"))),
        };
        let mut columns = Vec::with_capacity(self.columns.len());
        for (name, kind) in &self.columns {
            let kind: ColumnType = kind
                .parse()
                .map_err(|error| internal(format!("column {name}: {error}")))?;
            columns.push((name.clone(), kind));
        }
        Ok(ReadOptions {
            format,
            delimited: Delimited {
                delimiter: self.delimiter,
                quote: self.quote,
                header: self.header,
                names: self.names.clone(),
            },
            null: self.null.clone(),
            columns,
            missing_columns: if self.missing_columns_null {
                MissingColumns::Null
            } else {
                MissingColumns::Fail
            },
            earlier: self.earlier.clone(),
            on_bad_row,
            ..ReadOptions::default()
        })
    }

    /// What the declaration says of bad rows.
    pub(super) fn on_bad_row(&self) -> OnBadRow {
        match self.quarantine_limit {
            None => OnBadRow::Fail,
            Some(limit) => OnBadRow::Collect { limit },
        }
    }
}

/// A file to read, as it was when it was observed.
pub(super) fn observed_file(root: &Path, objects: &Objects, file: &assets::outcome::SourceFile) -> formats::SourceFile {
    if is_object(&file.path) {
        return objects.observed(&file.path, file.bytes, file.modified_ns);
    }
    // `join` leaves an absolute path as it is.
    let absolute: PathBuf = root.join(&file.path);
    formats::SourceFile::observed(absolute, file.path.clone(), file.bytes, file.modified_ns)
}
