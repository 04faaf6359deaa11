//! Floor 1: what is remembered. One SQLite file holds events, runs, the catalog's pointers and the model registry.
//!
//! One thread writes (the driver of `orchestrator`); every write is a list of [`event::Event`]s and the page tables they
//! change, in one transaction with `synchronous = FULL`. Readers open the file read-only.
//! Log lines never come here: they are files beside it.

pub mod event;
pub mod ids;
pub mod status;
