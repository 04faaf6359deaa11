//! Making what was published again, from what it was made from, and telling whether the same comes out. Nothing is published: rows
//! are staged, compared and removed.
//!
//! ```text
//! published (which partitions, from what) ─► attempt (one of them, made again and compared) ─► a verdict
//! ```
//! It takes no part in what the owner of the state does, so it may run beside a daemon: `millpond replay` does so in its own
//! process. Asked for on a page, it is a process that the daemon starts (`running`), whose verdicts it keeps for a while (`kept`).

mod attempt;
mod kept;
mod published;
mod running;

pub use attempt::Replayed;
pub use kept::{NoReplay, ReplayCounts, ReplayFacts, Replays};
pub use published::{Published, Verdict, With};
pub use running::{ReplayOrder, Word};
