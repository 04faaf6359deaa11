//! Checks: what the rows of one partition must be before readers may see them.
//!
//! ```text
//! rows of the step ──► Checking::observe(batch) ──► Checking::finish()      one pass, while the rows are written
//! staged files ──────► query checks over `this`  (sql, foreign_key)         after the files are written
//! ```
//!
//! A check either gives a verdict or says why it cannot; one that cannot has not passed. Severity decides only whether a
//! failure blocks, never how a check is computed. What a check asks for is declared in `assets::check`; nothing here reads a
//! declaration or decides what is published.
//!
//! | rule | file | figure | failing rows |
//! |---|---|---|---|
//! | `not_null` | `not_null.rs` | nulls | rows with a null |
//! | `accepted` | `accepted.rs` | rows outside the list | the same |
//! | `range` | `range.rs` | rows outside the range | the same |
//! | `row_count` | `row_count.rs` | rows | – |
//! | `null_share` | `null_share.rs` | share of nulls | rows with a null |
//! | `unique` | `unique.rs` | rows that repeat an earlier one | the same |
//! | `sql` | `sql.rs` | rows returned | the same |
//! | `foreign_key` | `foreign_key.rs` | rows without a counterpart | the same |

mod accepted;
mod column;
mod foreign_key;
mod not_null;
mod null_share;
mod query;
mod range;
mod row_count;
mod run;
mod sample;
mod sql;
mod unique;
mod verdict;

#[cfg(test)]
mod tests;

pub(crate) use column::missing as missing_column;
pub use query::QueryCheck;
pub(crate) use run::asked;
pub use run::{Checking, Finished, StreamingCheck};
pub use sample::{SAMPLE_ROWS, SampleOfRows};
pub use verdict::Verdict;
