//! Builds typed batches from the objects of one file of JSON lines.
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::formats::bad_row::{BadReason, BadRowLog, shorten};
use crate::formats::batch::{BatchBuilder, FileBatch};
use crate::formats::column_builder::JsonFault;
use crate::formats::column_type::type_name;
use crate::formats::error::{FormatError, did_you_mean, name_list};
use crate::formats::input::InputEnd;
use crate::formats::null_texts::NullTexts;
use crate::formats::options::{Format, ReadOptions};
use crate::formats::source::SourceFile;

use super::kind::is_null;
use super::lines::{JsonFile, LineStep};
use super::value::Json;

/// Reads one file.
pub(in crate::formats) struct JsonReader {
    file: JsonFile,
    builder: BatchBuilder,
    schema: SchemaRef,
    /// For each column of the schema, its place among those that are wanted.
    targets: Vec<Option<usize>>,
    /// For each wanted column, whether the current object has set it.
    set: Vec<bool>,
    nulls: NullTexts,
}

/// Why an object could not be appended.
enum Refused {
    Row(BadReason),
    UnknownKeys(Vec<String>),
}

impl JsonReader {
    /// `schema` is all that the file may have, `wanted` what is read of it.
    pub(in crate::formats) fn open(
        source: &Arc<SourceFile>,
        options: &ReadOptions,
        schema: &SchemaRef,
        wanted: &SchemaRef,
    ) -> Result<Self, FormatError> {
        Ok(JsonReader {
            file: JsonFile::open(source, options)?,
            builder: BatchBuilder::new(source, wanted, options)?,
            schema: Arc::clone(schema),
            targets: schema
                .fields()
                .iter()
                .map(|field| wanted.index_of(field.name()).ok())
                .collect(),
            set: vec![false; wanted.fields().len()],
            nulls: NullTexts::new(options, Format::JsonLines),
        })
    }

    /// The next batch, `None` at the end of the file.
    pub(in crate::formats) fn next(&mut self, log: &mut BadRowLog) -> Result<Option<FileBatch>, FormatError> {
        loop {
            let reason = match self.file.next()? {
                LineStep::End => return Ok(self.builder.finish()),
                LineStep::Bad(reason) => Some(reason),
                LineStep::Line => match self.append() {
                    Ok(bytes) => {
                        self.builder.row_done(self.file.line(), bytes);
                        None
                    }
                    Err(refused) => {
                        self.builder.undo_row();
                        match refused {
                            Refused::Row(reason) => Some(reason),
                            Refused::UnknownKeys(keys) => return Err(self.unknown_keys(keys)),
                        }
                    }
                },
            };
            if let Some(reason) = reason {
                // A file that is being written looks wrong in many ways; that it changed is the better answer.
                self.file.verify()?;
                self.builder.bad_row(log.admit(self.file.bad_row(reason))?);
            }
            if self.builder.is_full() {
                return Ok(self.builder.finish());
            }
        }
    }

    fn append(&mut self) -> Result<usize, Refused> {
        let entries = self.file.object().map_err(Refused::Row)?;
        let (columns, zone) = self.builder.columns();
        self.set.fill(false);
        let mut unknown = Vec::new();
        let mut bytes = 0;
        for (position, (key, value)) in entries.iter().enumerate() {
            // Most objects have their keys in the order of the schema.
            let place = match self.schema.fields().get(position) {
                Some(field) if field.name() == key => position,
                _ => match self.schema.index_of(key) {
                    Ok(place) => place,
                    Err(_) if self.file.earlier.is_dropped(key) => continue,
                    Err(_) => {
                        unknown.push(key.to_string());
                        continue;
                    }
                },
            };
            let Some(target) = self.targets[place] else { continue };
            self.set[target] = true;
            bytes += value.as_text().len();
            if is_null(value, &self.nulls) {
                columns[target].append_null();
            } else if let Err(fault) = columns[target].append_json(value, zone) {
                return Err(Refused::Row(value_reason(key, value, fault, &self.schema, place)));
            }
        }
        if !unknown.is_empty() {
            return Err(Refused::UnknownKeys(unknown));
        }
        for (column, set) in columns.iter_mut().zip(&self.set) {
            if !set {
                column.append_null();
            }
        }
        Ok(bytes)
    }

    fn unknown_keys(&self, keys: Vec<String>) -> FormatError {
        let near = match &keys[..] {
            [key] => did_you_mean(key, self.schema.fields().iter().map(|field| field.name().as_str())),
            _ => String::new(),
        };
        FormatError::Schema {
            file: self.file.source.path.clone(),
            line: Some(self.file.line()),
            reason: format!(
                "line {} has {} that the expected schema does not have{near}",
                self.file.line(),
                name_list(&keys)
            ),
            columns: keys,
        }
    }

    pub(in crate::formats) fn finish(&mut self) -> Result<InputEnd, FormatError> {
        self.file.finish()
    }
}

fn value_reason(key: &str, value: &Json<'_>, fault: JsonFault, schema: &SchemaRef, place: usize) -> BadReason {
    let whole = value.as_text();
    let text = fault.text.as_deref().unwrap_or(&whole);
    BadReason::Value {
        column: format!("{key}{}", fault.path),
        expected: type_name(schema.field(place).data_type()),
        text: shorten(text.as_bytes(), 80),
        fault: fault.fault,
    }
}
