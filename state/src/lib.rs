//! Floor 1: what is remembered. One SQLite file holds events, runs, the catalog's pointers and the model registry.
//!
//! One thread writes (the driver of `orchestrator`); every write is a list of [`event::Event`]s and the page tables they
//! change, in one transaction with `synchronous = FULL`. Readers open the file read-only.
//! Log lines never come here: they are files beside it ([`logs`]).
//!
//! ```text
//!  driver ── commit(&[Recorded]) ──▶ Store ── events, runs, steps, partitions, checks, models, pointers
//!  start  ◀── load() ────────────────  │
//!  page, command ◀── queries::… ───────┘  (a second Store, opened with open_reader)
//! ```

pub mod alert;
pub mod automation;
pub mod event;
pub mod freshness;
pub mod ids;
pub mod logs;
pub mod schedule;
pub mod sensor;
pub mod sqlite;
pub mod status;

pub use sqlite::load::Loaded;
pub use sqlite::{CommitError, Committed, OpenMode, Owner, OwnerLock, StateError, Store, fsck, queries};
