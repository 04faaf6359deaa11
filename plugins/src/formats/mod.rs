//! Raw files (CSV, TSV, JSON lines, Parquet; plain or compressed) to Arrow record batches.
//!
//! The way of a file: [`discover`] finds it; [`infer`] learns the columns of all files from all their rows;
//! [`read`] turns them into batches, with the physical line of every row, the rows that could not be used, and
//! the hash of every file. [`distinct_values`] says which days a file holds before it is read.
//!
//! Inside, from the disk up: `source` (is it still the same file?) · `raw_input` (count and hash the bytes) ·
//! `compression` and `input` (decompress, guard against bombs) · `window` (whole rows, valid UTF-8) ·
//! `delimited`, `json`, `parquet` (the formats) · `column_builder` and `batch` (typed columns) · `read`.
//!
//! Any file may be damaged, hostile or still growing: every such case ends in a [`FormatError`] or a [`BadRow`]
//! that names the file and the place, in memory bounded by [`ReadLimits`].
//!
//! Deliberately not here: the network, archives with several files inside (zip, tar), the meaning of columns, and
//! what a partition is beyond the text that `{partition}` captures.
mod bad_row;
mod batch;
mod column_builder;
mod column_type;
mod columns;
mod compression;
mod delimited;
mod discover;
mod distinct;
mod error;
mod infer;
mod input;
mod json;
mod kind;
mod null_texts;
mod objects;
mod options;
mod parquet;
mod raw_input;
mod read;
mod source;
mod text_value;
mod window;

pub use bad_row::{BadReason, BadRow, OnBadRow, ValueFault};
pub use column_type::{ColumnType, UTC, UnknownColumnType};
pub use compression::Compression;
pub use discover::{check_pattern, discover};
pub use distinct::distinct_values;
pub use error::FormatError;
pub use infer::{Inferred, Widened, infer};
pub use objects::Objects;
pub use options::{Delimited, EarlierColumns, Format, MissingColumns, ReadLimits, ReadOptions};
pub use raw_input::content_hash;
pub use read::{FileRead, ReadBatch, Reader, read};
pub use source::SourceFile;

#[cfg(test)]
mod tests;
