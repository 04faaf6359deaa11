//! JSON under `/api/v1`: what commands use, and the twins of the pages.

mod actions;
mod events;

pub use actions::{cancel_run, move_alias, submit_run};
pub use events::events;
