//! The outside world: clocks, environment, files, processes, threads. Everything with an effect is here, so that
//! [`crate::core`] can be without any.
//!
//! ```text
//!            ┌──────────── driver (one thread) ────────────┐
//!  requests ─►  core::turn ─► state::Store::commit ─► effects ─┬─► pool ─► worker processes ─► reports ─┐
//!            └───────▲──────────────────────────────────────┘ └─► committer ─► new table versions ────┤
//!                    └──────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! | file | what |
//! |---|---|
//! | `engine` | a running Millpond: state folder, driver, workers, requests |
//! | `driver` | decide, commit, act |
//! | `definitions`, `kept_files` | takes up edited files of the project; its last good copy |
//! | `ticker` | wakes the core when a schedule is due |
//! | `alerts`, `secrets` | tells people what went wrong; looks secrets up |
//! | `lineage` | tells other tools what ran (OpenLineage) |
//! | `sensors` | looks at what sensors watch |
//! | `pool`, `worker_process`, `messages`, `frame` | workers, seen from the daemon |
//! | `own_process` | how workers and queries are started |
//! | `worker`, `fault` | a worker, seen from inside |
//! | `query_cache` | queries that an earlier start has parsed |
//! | `query_process`, `console`, `queried` | a query of the console, seen from the daemon and from inside; what it reads |
//! | `reserve` | space that is kept for a full disk |
//! | `replay` | makes what was published again, to compare: here, or for a page in a process of its own |
//! | `retention` | when what is too old is removed |
//! | `kept_staged` | rows that a check kept back: to be looked at, published by hand, or dropped |
//! | `environments` | the project as it is at one moment, to change it unseen; merged or dropped |
//! | `maintenance`, `compaction` | when versions of tables that nobody needs are; few files of many |
//! | `log`, `kept_lines` | the program's own log, and the newest of its lines |
//! | `backup` | one file with the state of a moment |
//! | `fsck` | is everything still what it says |
//! | `committer`, `order` | from decisions to commits and orders |
//! | `opened`, `disk`, `folder` | a project and its state folder on disk |
//! | `warehouse` | opens the tables; keys of a store |
//! | `clock`, `environment`, `processes` | the doors; clippy keeps everyone else out |

pub mod alerts;
pub mod backup;
pub mod clock;
mod committer;
mod compaction;
pub mod console;
pub mod definitions;
pub mod disk;
pub mod driver;
pub mod engine;
pub mod environment;
pub mod environments;
mod fault;
pub mod folder;
mod frame;
pub mod fsck;
pub mod kept_files;
pub mod kept_lines;
pub mod kept_staged;
mod lineage;
pub mod log;
pub mod maintenance;
pub mod messages;
pub mod opened;
mod order;
mod own_process;
mod pool;
pub mod process_figures;
pub mod processes;
pub mod queried;
pub mod query_cache;
pub mod query_process;
pub mod readers;
pub mod replay;
mod reserve;
mod retention;
pub mod retry;
pub mod secrets;
pub mod sensors;
mod ticker;
pub mod warehouse;
pub mod worker;
pub mod worker_process;
pub mod write_ahead_log;
