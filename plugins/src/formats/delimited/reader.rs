//! Builds typed batches from the rows of one delimited file.
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::formats::bad_row::{BadReason, BadRow, BadRowLog, shorten};
use crate::formats::batch::{BatchBuilder, FileBatch};
use crate::formats::column_type::type_name;
use crate::formats::columns::compare;
use crate::formats::error::FormatError;
use crate::formats::input::InputEnd;
use crate::formats::null_texts::NullTexts;
use crate::formats::options::{Format, ReadOptions};
use crate::formats::source::SourceFile;

use super::file::DelimitedFile;
use super::rows::Step;

/// Reads one file.
pub(in crate::formats) struct DelimitedReader {
    file: DelimitedFile,
    builder: BatchBuilder,
    /// For each field of the file, its column among those that are wanted.
    targets: Vec<Option<usize>>,
    /// Wanted columns that the file does not have.
    absent: Vec<usize>,
    nulls: NullTexts,
    scratch: Vec<u8>,
}

impl DelimitedReader {
    /// `schema` is all that the file should have, `wanted` what is read of it.
    pub(in crate::formats) fn open(
        source: &Arc<SourceFile>,
        format: Format,
        options: &ReadOptions,
        schema: &SchemaRef,
        wanted: &SchemaRef,
    ) -> Result<Self, FormatError> {
        let file = DelimitedFile::open(source, format, options)?;
        let expected: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        compare(source, &file.names, &expected, "the expected schema", options)?;
        let targets: Vec<Option<usize>> = file.names.iter().map(|name| wanted.index_of(name).ok()).collect();
        let absent = (0..wanted.fields().len())
            .filter(|column| !targets.contains(&Some(*column)))
            .collect();
        let builder = BatchBuilder::new(source, wanted, options)?;
        let nulls = NullTexts::new(options, format);
        Ok(DelimitedReader {
            file,
            builder,
            targets,
            absent,
            nulls,
            scratch: Vec::new(),
        })
    }

    /// The next batch, `None` at the end of the file.
    pub(in crate::formats) fn next(&mut self, log: &mut BadRowLog) -> Result<Option<FileBatch>, FormatError> {
        loop {
            match self.file.next()? {
                Step::End => return Ok(self.builder.finish()),
                Step::Bad(reason) => self.bad(reason, log)?,
                Step::Row => match self.append() {
                    Ok(()) => self
                        .builder
                        .row_done(self.file.rows.line(), self.file.rows.row().0.len()),
                    Err(reason) => {
                        self.builder.undo_row();
                        self.bad(reason, log)?;
                    }
                },
            }
            if self.builder.is_full() {
                return Ok(self.builder.finish());
            }
        }
    }

    fn bad(&mut self, reason: BadReason, log: &mut BadRowLog) -> Result<(), FormatError> {
        // A file that is being written looks wrong in many ways; that it changed is the better answer.
        self.file.verify()?;
        let row: BadRow = log.admit(self.file.bad_row(reason))?;
        self.builder.bad_row(row);
        Ok(())
    }

    fn append(&mut self) -> Result<(), BadReason> {
        let (row, fields) = self.file.rows.row();
        let (columns, zone) = self.builder.columns();
        for (place, (field, target)) in fields.iter().zip(&self.targets).enumerate() {
            let Some(target) = target else { continue };
            let column = &mut columns[*target];
            let text = field.text(row, &mut self.scratch);
            if self.nulls.matches(text, field.is_quoted()) {
                column.append_null();
            } else if let Err(fault) = column.append_text(text, zone) {
                let text = shorten(text, 80);
                let expected = type_name(self.builder.schema().field(*target).data_type());
                return Err(BadReason::Value {
                    column: self.file.names[place].clone(),
                    expected,
                    text,
                    fault,
                });
            }
        }
        for column in &self.absent {
            columns[*column].append_null();
        }
        Ok(())
    }

    pub(in crate::formats) fn finish(&mut self) -> Result<InputEnd, FormatError> {
        self.file.rows.finish()
    }
}
