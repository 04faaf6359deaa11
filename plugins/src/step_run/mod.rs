//! Running a work order: everything around a kind's `materialize` that is the same for all kinds.
//!
//! ```text
//! execute ─► per partition (or once for a batch)
//!              StepContext: inputs as tables of a query session, scoped to the partition; parameters; log
//!              kind.materialize ─► rows ─► staging writer and streaming checks ─┐
//!                                                                               └─► finish: fsync, query checks ─► StepReport
//!              next partition computes while the last one is finished
//! ```
//! A failure of one partition, a panic included, is reported and the batch goes on. Nothing here publishes: what is staged
//! becomes visible when the daemon commits it.

mod cancel;
mod compute;
mod context;
mod environment;
mod execute;
mod failure;
mod finish;
mod log;
mod merge;
mod panic;
mod parameters;
pub(crate) mod scratch;
mod session;

#[cfg(test)]
mod tests;

pub use cancel::Cancellation;
pub use context::StepContext;
pub use environment::StepEnvironment;
pub use execute::execute;
pub use failure::of_io;
pub use log::{Clock, FILE_BYTES, Level, LogStream, StepLog};
