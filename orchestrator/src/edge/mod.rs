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
//! | `ticker` | wakes the core when a schedule is due |
//! | `alerts`, `secrets` | tells people what went wrong; looks secrets up |
//! | `lineage` | tells other tools what ran (OpenLineage) |
//! | `sensors` | looks at what sensors watch |
//! | `pool`, `worker_process`, `messages`, `frame` | workers, seen from the daemon |
//! | `worker`, `fault` | a worker, seen from inside |
//! | `committer`, `order` | from decisions to commits and orders |
//! | `opened`, `disk`, `folder` | a project and its state folder on disk |
//! | `clock`, `environment`, `processes` | the doors; clippy keeps everyone else out |

pub mod alerts;
pub mod clock;
mod committer;
pub mod disk;
pub mod driver;
pub mod engine;
pub mod environment;
mod fault;
pub mod folder;
mod frame;
mod lineage;
mod messages;
pub mod opened;
mod order;
mod pool;
pub mod process_figures;
pub mod processes;
pub mod secrets;
pub mod sensors;
mod ticker;
pub mod worker;
mod worker_process;
