//! How files are read: format, columns, null texts, bad rows and limits.
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::bad_row::OnBadRow;
use super::column_type::ColumnType;

/// The format of a file's content, once it is decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Fields separated by commas, unless another delimiter is given.
    Csv,
    /// Fields separated by tabs, unless another delimiter is given.
    Tsv,
    /// One JSON object on each line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
}

/// How the fields of CSV and TSV are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delimited {
    /// The byte between fields; by default a comma, or a tab for TSV.
    pub delimiter: Option<u8>,
    /// The byte around fields that contain delimiters or line ends, written twice inside; `None` where quotes
    /// have no meaning.
    pub quote: Option<u8>,
    /// Whether the first line holds the names of the columns.
    pub header: bool,
    /// The names of the columns: needed without a header, used in place of it with one.
    pub names: Option<Vec<String>>,
}

impl Default for Delimited {
    fn default() -> Self {
        Delimited {
            delimiter: None,
            quote: Some(b'"'),
            header: true,
            names: None,
        }
    }
}

/// What happens when a file lacks a column that other files have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingColumns {
    /// An error that names the file and the columns.
    #[default]
    Fail,
    /// The column is null in the rows of that file.
    Null,
}

/// Columns that files of another time call otherwise, or have still.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierColumns {
    /// Names of now with the names of then, the latest first.
    pub renamed: Vec<(String, Vec<String>)>,
    /// These are not read where a file has them.
    pub dropped: Vec<String>,
}

impl EarlierColumns {
    /// What a column of a file is called now, unless the file has a column of that name, or of a later one, too.
    pub(super) fn name_now(&self, name: &str, has: impl Fn(&str) -> bool) -> Option<&str> {
        let mut renamed = self.renamed.iter();
        let (now, later) = renamed.find_map(|(now, then)| {
            let place = then.iter().position(|then| then == name)?;
            Some((now.as_str(), &then[..place]))
        })?;
        (!has(now) && !later.iter().any(|later| has(later))).then_some(now)
    }

    /// Whether all files are as they are read.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a column is not read.
    pub(super) fn is_dropped(&self, name: &str) -> bool {
        self.dropped.iter().any(|dropped| dropped == name)
    }
}

/// How a set of files is read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The format; by default what the file's name says.
    pub format: Option<Format>,
    /// How CSV and TSV are written.
    pub delimited: Delimited,
    /// The texts that stand for null. By default the empty field in CSV and TSV, and none in JSON, which has a
    /// null of its own. A list replaces the default: with `["NA"]` an empty field is the empty text.
    pub null: Option<Vec<String>>,
    /// Whether a quoted field can be null too.
    pub quoted_null: bool,
    /// Declared types; the columns that are not here are inferred.
    pub columns: Vec<(String, ColumnType)>,
    /// What happens when a file lacks a column.
    pub missing_columns: MissingColumns,
    /// Columns that files of another time call otherwise, or have still.
    pub earlier: EarlierColumns,
    /// The zone of `timestamptz` texts without an offset; without one they are bad values.
    pub zone: Option<TimeZone>,
    /// What happens to rows that cannot be used.
    pub on_bad_row: OnBadRow,
    /// How many rows a batch holds at most.
    pub batch_rows: usize,
    /// How many threads may infer types at once, one file each.
    pub threads: usize,
    /// Bounds on what a file may cost.
    pub limits: ReadLimits,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            format: None,
            delimited: Delimited::default(),
            null: None,
            quoted_null: true,
            columns: Vec::new(),
            missing_columns: MissingColumns::Fail,
            earlier: EarlierColumns::default(),
            zone: None,
            on_bad_row: OnBadRow::Fail,
            batch_rows: 8192,
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(8),
            limits: ReadLimits::default(),
        }
    }
}

/// Bounds on what one file may cost, so that no input can take the machine down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// The longest row, line ends inside quotes included, in bytes.
    pub row_bytes: usize,
    /// How many bytes may come out of one compressed byte, once `ratio_after` bytes have come out.
    pub ratio: u64,
    /// How many bytes may come out before the ratio counts.
    pub ratio_after: u64,
    /// How many bytes may come out of one compressed file in all.
    pub output_bytes: u64,
    /// How much memory a decompressor may ask for, in bytes.
    pub decoder_memory: u64,
    /// How many bytes of a bad row are kept.
    pub raw_text_bytes: usize,
    /// How deep JSON may nest.
    pub json_depth: usize,
    /// How many columns a file may have.
    pub columns: usize,
    /// How many distinct values [`distinct_values`](super::distinct_values) may gather.
    pub distinct_values: usize,
}

/// Arrow's 32-bit text offsets hold one batch of rows of this length with room to spare.
const LONGEST_ROW: usize = 512 << 20;

impl ReadLimits {
    /// The row limit that is used, however high the one asked for.
    pub(super) fn longest_row(&self) -> usize {
        self.row_bytes.clamp(1, LONGEST_ROW)
    }
}

impl Default for ReadLimits {
    fn default() -> Self {
        ReadLimits {
            row_bytes: 16 << 20,
            ratio: 200,
            ratio_after: 64 << 20,
            output_bytes: 64 << 30,
            decoder_memory: 256 << 20,
            raw_text_bytes: 1024,
            json_depth: 64,
            columns: 10_000,
            distinct_values: 1_000_000,
        }
    }
}
