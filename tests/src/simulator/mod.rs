//! The simulator: the real core and the real store (in memory) under a seeded heap of (time, what happens), without threads
//! and without a runtime. Workers finish slowly, late, twice, or are lost; the committer comes back with stale versions; the
//! process dies before or after a commit; sources, definitions and the clock change under it.
//!
//! ```text
//!  dice      the one source of chance                lake      tables as files on a disk
//!  rows      what steps make, as numbers             tending   which versions and files may go
//!  tables    what must hold of tables that are taken back, told from the events
//!  project   random graphs and edits of them         workers   what workers and the committer say, and when
//!  instants  what must hold of schedules, told from the events        alerts   the same of alerts
//!  sensors   what there is to see, and what must hold of sensors, told from the events
//!  world     the loop: turn, commit, effects         history   what must hold of the events, told without the core
//!  sabotage  bugs put in on purpose, to see that the promises notice them
//! ```
//!
//! Every fault is drawn from the seed, so a seed that breaks a promise breaks it again.

mod alerts;
mod dice;
mod history;
mod instants;
mod lake;
mod project;
mod rows;
mod sabotage;
mod sensors;
mod tables;
mod tending;
mod upkeep;
mod workers;
mod world;

pub use sabotage::Sabotage;
pub use world::{BrokenSeed, Outcome, simulate};
