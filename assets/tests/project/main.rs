//! The language of a project, from text to diagnostics and resolved assets.
//!
//! `cases` runs the files in `tests/ui`: a project and what must be said about it. `kinds` are small kinds of assets, made as
//! the real ones are.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing fails")]

mod cases;
mod examples;
mod kinds;
mod limits;
mod many;
mod mutations;
mod resolved;
mod schemas;
mod told;
