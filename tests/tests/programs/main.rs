//! The whole program on small projects, one theme per file: what a user does, what goes wrong, and what the program says
//! and leaves behind then. Everything here runs the real binary with its worker processes.
#![expect(clippy::disallowed_methods, reason = "tests tell how long something takes")]

mod append;
mod automation;
mod backfill;
mod backfill_kills;
mod bad_input;
mod changing_files;
mod compaction;
mod contract;
mod environments;
mod everyday;
mod full_disk;
mod gc;
mod impact;
mod interrupt;
mod keeping;
mod live_definitions;
mod merge;
mod merged_environments;
mod objects;
mod observation;
mod odd_tables;
mod quarantine;
mod queue;
mod repartition;
mod replay;
mod retries;
mod rollback;
mod schema_change;
mod sensor_kinds;
mod sensors;
mod service;
mod show;
mod snapshots;
mod spill;
mod staged;
mod starter;
mod together;
