//! CSV, TSV and their kin (RFC 4180, with any one-byte delimiter).
//!
//! `scan` finds the fields of one row, `rows` walks a file row by row and keeps the physical line, `file` opens
//! a file and settles its column names, `reader` builds typed columns.
mod file;
mod reader;
mod rows;
mod scan;

pub(super) use file::DelimitedFile;
pub(super) use reader::DelimitedReader;
pub(super) use rows::Step;
