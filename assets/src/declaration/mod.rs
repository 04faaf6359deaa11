//! The tables of a project's files, one file per table: what they hold and what they come to.
//!
//! A declaration is checked as far as it can be without the others; names of other assets are resolved in [`crate::project`].

mod context;

pub use context::{CompileContext, ProjectText};
