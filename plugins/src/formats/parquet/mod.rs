//! Parquet files, whose columns have types of their own.
//!
//! `schema` maps those types to the ones that tables have and compares files; `open` guards against files that
//! are not what they say; `reader` reads the wanted columns only. A panic inside the Parquet library is caught
//! and becomes an error that names the file.
mod open;
mod reader;
mod schema;

pub(super) use reader::ParquetReader;
pub(super) use schema::infer;
