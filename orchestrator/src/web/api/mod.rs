//! JSON under `/api/v1`: what commands use, and the twins of the pages.

mod actions;
mod events;
mod twins;

pub use actions::{cancel_run, move_alias, pause_run, resume_run, submit_run};
pub use events::events;
pub use twins::{list_assets, list_models, list_runs, overview, show_asset, show_log, show_model, show_run};
