//! Results as text: an aligned table for people, CSV, JSON lines or Parquet for programs, cells for pages. Rows stream; only a
//! table is held in memory, and that is cut at a number of rows.

use std::io::Write;

use arrow::array::{Array, RecordBatch};
use arrow::json::writer::LineDelimited;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultFormat {
    /// Aligned columns, at most this many rows.
    Table {
        /// Rows shown; the rest is not read.
        most: usize,
    },
    /// Comma separated, with a header; empty for null.
    Csv,
    /// One object per line.
    JsonLines,
    /// For pages: a line with the columns, a line for each row with its cells as texts, and a line that tells how many there
    /// were. Two columns of one name stay two.
    Cells {
        /// Rows written; the rest is not read.
        most: usize,
    },
    /// A Parquet file.
    Parquet,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rendered {
    /// Rows written.
    pub rows: usize,
    /// There were more.
    pub cut: bool,
}

/// Why a result was not written to its end.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The query.
    #[error("{0}")]
    Query(#[from] DataFusionError),
    /// The output.
    #[error("{0}")]
    Output(#[from] std::io::Error),
}

/// Widest cell of a table, in characters.
const WIDEST: usize = 60;
/// Longest text of a cell on a page, in characters.
const LONGEST_CELL: usize = 2_000;

/// Writes a result.
pub async fn render(
    rows: SendableRecordBatchStream,
    format: ResultFormat,
    output: &mut (dyn Write + Send),
) -> Result<Rendered, RenderError> {
    match format {
        ResultFormat::Table { most } => as_table(rows, most, output).await,
        ResultFormat::Csv => as_csv(rows, output).await,
        ResultFormat::JsonLines => as_json_lines(rows, output).await,
        ResultFormat::Cells { most } => as_cells(rows, most, output).await,
        ResultFormat::Parquet => as_parquet(rows, output).await,
    }
}

async fn as_table(
    mut rows: SendableRecordBatchStream,
    most: usize,
    output: &mut (dyn Write + Send),
) -> Result<Rendered, RenderError> {
    let names: Vec<String> = rows
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let mut written = Rendered { rows: 0, cut: false };
    let mut held: Vec<RecordBatch> = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let room = most - written.rows;
        if batch.num_rows() > room {
            written = Rendered { rows: most, cut: true };
            held.push(batch.slice(0, room));
            break;
        }
        written.rows += batch.num_rows();
        held.push(batch);
    }
    output.write_all(table(&names, &held)?.as_bytes())?;
    output.flush()?;
    Ok(written)
}

async fn as_csv(mut rows: SendableRecordBatchStream, output: &mut (dyn Write + Send)) -> Result<Rendered, RenderError> {
    let schema = rows.schema();
    let names: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
    writeln!(output, "{}", names.join(","))?;
    let mut written = Rendered { rows: 0, cut: false };
    {
        let mut writer = arrow::csv::WriterBuilder::new().with_header(false).build(&mut *output);
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            written.rows += batch.num_rows();
            writer.write(&batch).map_err(DataFusionError::from)?;
        }
    }
    output.flush()?;
    Ok(written)
}

async fn as_json_lines(
    mut rows: SendableRecordBatchStream,
    output: &mut (dyn Write + Send),
) -> Result<Rendered, RenderError> {
    let mut written = Rendered { rows: 0, cut: false };
    {
        // A null is written: without it a reader cannot tell the columns from one row.
        let mut writer = arrow::json::WriterBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, LineDelimited>(&mut *output);
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            written.rows += batch.num_rows();
            writer.write(&batch).map_err(DataFusionError::from)?;
        }
        writer.finish().map_err(DataFusionError::from)?;
    }
    output.flush()?;
    Ok(written)
}

async fn as_cells(
    mut rows: SendableRecordBatchStream,
    most: usize,
    output: &mut (dyn Write + Send),
) -> Result<Rendered, RenderError> {
    let columns: Vec<serde_json::Value> = rows
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let kind = field.data_type();
            serde_json::json!({
                "name": field.name(),
                "type": kind.to_string(),
                "number": kind.is_numeric(),
                "time": kind.is_temporal(),
            })
        })
        .collect();
    writeln!(output, "{}", serde_json::json!({ "columns": columns }))?;
    let options = FormatOptions::default();
    let mut written = Rendered { rows: 0, cut: false };
    while let Some(batch) = rows.next().await {
        let mut batch = batch?;
        let room = most - written.rows;
        if batch.num_rows() > room {
            written.cut = true;
            batch = batch.slice(0, room);
        }
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()
            .map_err(DataFusionError::from)?;
        for row in 0..batch.num_rows() {
            let cells: Vec<Option<String>> = formatters
                .iter()
                .zip(batch.columns())
                .map(|(formatter, column)| {
                    (!column.is_null(row)).then(|| {
                        let text = formatter.value(row).to_string();
                        match text.char_indices().nth(LONGEST_CELL) {
                            Some((end, _)) => format!("{}…", &text[..end]),
                            None => text,
                        }
                    })
                })
                .collect();
            writeln!(output, "{}", serde_json::json!(cells))?;
        }
        written.rows += batch.num_rows();
        if written.cut {
            break;
        }
    }
    writeln!(
        output,
        "{}",
        serde_json::json!({ "rows": written.rows, "cut": written.cut })
    )?;
    output.flush()?;
    Ok(written)
}

async fn as_parquet(
    mut rows: SendableRecordBatchStream,
    output: &mut (dyn Write + Send),
) -> Result<Rendered, RenderError> {
    let mut written = Rendered { rows: 0, cut: false };
    {
        let mut writer =
            parquet::arrow::ArrowWriter::try_new(&mut *output, rows.schema(), None).map_err(DataFusionError::from)?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            written.rows += batch.num_rows();
            writer.write(&batch).map_err(DataFusionError::from)?;
        }
        writer.close().map_err(DataFusionError::from)?;
    }
    output.flush()?;
    Ok(written)
}

fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

fn table(names: &[String], batches: &[RecordBatch]) -> Result<String, DataFusionError> {
    let options = FormatOptions::default().with_null("null");
    let mut cells: Vec<Vec<String>> = vec![names.to_vec()];
    let mut right = vec![!batches.is_empty(); names.len()];
    for batch in batches {
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()?;
        for (column, array) in batch.columns().iter().enumerate() {
            right[column] &= array.data_type().is_numeric();
        }
        for row in 0..batch.num_rows() {
            cells.push(
                formatters
                    .iter()
                    .map(|formatter| shortened(&formatter.value(row).to_string()))
                    .collect(),
            );
        }
    }
    let widths: Vec<usize> = (0..names.len())
        .map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (number, row) in cells.iter().enumerate() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column] - cell.chars().count());
            // Numbers end where their column ends, so that digits line up.
            line.push_str(&if right[column] {
                padding + cell
            } else {
                cell.clone() + &padding
            });
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
        if number == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            text.push_str(&rules.join("  "));
            text.push('\n');
        }
    }
    Ok(text)
}

fn shortened(cell: &str) -> String {
    let cell: String = cell
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if cell.chars().count() <= WIDEST {
        return cell;
    }
    let mut short: String = cell.chars().take(WIDEST - 1).collect();
    short.push('…');
    short
}
