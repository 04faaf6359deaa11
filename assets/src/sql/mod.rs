//! Queries as the declarations hold them: one plain query, its tables, its parameters and its reduced text.
//!
//! `depth` judges the tokens before the parser sees them, `tables` walks the tree, `query` joins both and makes reports, `origins`
//! tells where columns come from, `cache` keeps what was parsed for the next start. Nothing here knows types: that is the business of the engine that runs the query.

mod cache;
mod depth;
mod origins;
mod place;
mod query;
mod tables;

pub use cache::{CacheSink, QueryCache};
pub use depth::{DeepQuery, too_deep};
pub use origins::{AssetColumn, ColumnOrigin, ColumnOrigins, ColumnsOf, column_origins};
pub(crate) use query::{Origin, QueryText, Surroundings, parse, parse_or_recall};
pub use query::{Query, TableReference};

/// Parameters that every step binds: its partition's key, and the start and end (exclusive) of a partition by time.
pub const STEP_PARAMETERS: [&str; 3] = ["partition_key", "partition_start", "partition_end"];

/// The name that stands for the staged rows in the query of a check.
pub const THIS: &str = "this";
