//! The store as its callers use it: against a plain model, across kills, under faults, and at size.

mod faults;
mod kill;
mod model;
mod words;

mod property;
mod questions;
mod size;
