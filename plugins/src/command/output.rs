//! The files that a program leaves in its output folder, as the rows of its asset.
//!
//! Parquet files, read in the order of their names. They must have the same columns; types follow the first file, and a later file
//! whose types differ is cast if no value is lost by it. No file at all is an asset without rows.

use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::SchemaRef;
use assets::outcome::{Failure, FailureClass};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ParquetRecordBatchStreamBuilder;

use crate::step_run::of_io;

/// The rows of the files in `folder`; `None` if it holds none.
pub(super) async fn rows(folder: &Path) -> Result<Option<SendableRecordBatchStream>, Failure> {
    let files = files(folder)?;
    let Some(first) = files.first() else { return Ok(None) };
    let schema = open(first).await?.schema().clone();
    // Field metadata (pandas, another table's field ids) belongs to the file, not to the asset.
    let plain = schema
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_metadata(Default::default()));
    let schema: SchemaRef = arrow::datatypes::Schema::new(plain.collect::<Vec<_>>()).into();
    let wanted = SchemaRef::clone(&schema);
    let batches = futures::stream::iter(files)
        .then(move |file| {
            let wanted = SchemaRef::clone(&wanted);
            async move {
                let batches = open(&file).await?.build().map_err(|error| unreadable(&file, &error))?;
                let named = file.clone();
                Ok::<_, Failure>(batches.map(move |batch| {
                    let batch = batch.map_err(|error| unreadable(&named, &error))?;
                    adapt(&batch, &wanted, &named)
                }))
            }
        })
        .try_flatten()
        .map_err(|failure| DataFusionError::External(Box::new(failure)));
    Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, Box::pin(batches)))))
}

/// The files by name. What is not data (a name that begins with `.` or `_`, as marks of other tools do) is let be;
/// a file of another format is an error rather than rows that silently go missing.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| unlisted(&error))? {
            let entry = entry.map_err(|error| unlisted(&error))?;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(['.', '_']) {
                continue;
            }
            if entry.file_type().map_err(|error| unlisted(&error))?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                files.push(path);
            } else {
                return Err(Failure::new(
                    FailureClass::Command,
                    format!("the program left `{name}` in its output folder, which is no Parquet file"),
                )
                .with_help("write the asset's rows as Parquet, and other files elsewhere"));
            }
        }
    }
    files.sort();
    Ok(files)
}

async fn open(file: &Path) -> Result<ParquetRecordBatchStreamBuilder<tokio::fs::File>, Failure> {
    let opened = tokio::fs::File::open(file)
        .await
        .map_err(|error| of_io(&format!("open the output file `{}`", file.display()), &error))?;
    ParquetRecordBatchStreamBuilder::new(opened)
        .await
        .map_err(|error| unreadable(file, &error))
}

/// The batch with the columns of the first file, in their order and with their types.
fn adapt(batch: &RecordBatch, wanted: &SchemaRef, file: &Path) -> Result<RecordBatch, Failure> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    if let Some(extra) = batch
        .schema()
        .fields()
        .iter()
        .find(|field| wanted.index_of(field.name()).is_err())
    {
        return Err(different(
            file,
            &format!("it has a column `{}` that the first file lacks", extra.name()),
        ));
    }
    let columns: Vec<ArrayRef> = wanted
        .fields()
        .iter()
        .map(|field| {
            let column = batch
                .column_by_name(field.name())
                .ok_or_else(|| different(file, &format!("it lacks the column `{}`", field.name())))?;
            cast_with_options(column, field.data_type(), &strict)
                .map_err(|error| different(file, &format!("its column `{}` differs: {error}", field.name())))
        })
        .collect::<Result<_, Failure>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(SchemaRef::clone(wanted), columns, &rows)
        .map_err(|error| different(file, &error.to_string()))
}

fn unlisted(error: &std::io::Error) -> Failure {
    of_io("list the output folder", error)
}

fn different(file: &Path, reason: &str) -> Failure {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Failure::new(
        FailureClass::Data,
        format!("the output file `{name}` does not go with the others: {reason}"),
    )
}

fn unreadable(file: &Path, error: &parquet::errors::ParquetError) -> Failure {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Failure::new(
        FailureClass::Data,
        format!("failed to read the output file `{name}`: {error}"),
    )
}
