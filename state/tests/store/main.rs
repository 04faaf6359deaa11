//! The store as its callers use it: against a plain model, across kills, under faults, and at size.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod agreement;
mod alerts;
mod automation;
mod definitions;
mod faults;
mod forgetting;
mod kill;
mod model;
mod property;
mod questions;
mod retention;
mod rollbacks;
mod sensors;
mod size;
mod words;
