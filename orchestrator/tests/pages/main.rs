//! The dashboard of the real program: pages over plain HTTP as a browser without JavaScript sees them, who may ask, and (second
//! tier) the same pages in a real browser. One file for each page; `daemon` and `project` are what they share.
//!
//! The second tier: `MILLPOND_CHROMIUM=chromium MILLPOND_AXE=axe.min.js cargo test --workspace --test pages -- --ignored`.

#![allow(clippy::disallowed_methods, missing_docs)]

mod assets;
mod automation;
mod backfills;
mod browser;
mod busy_project;
mod daemon;
mod everywhere;
mod guard;
mod log;
mod models;
mod preferences;
mod project;
mod query;
mod replay;
mod runs;
mod schedules;
mod sensors;
mod tables;
mod whole_project;
