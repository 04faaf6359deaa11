//! Running the real `millpond` on projects of a test's own.
//!
//! ```text
//! Project ──run──> Said          a command to its end
//!         ──begin─> Running      one that is still under way: its lines as they come, signals
//! Daemon                         `millpond up`, and what it answers over HTTP
//! processes                      what a command started, as the system sees it
//! SmallDisk                      a disk of a few megabytes that really runs full
//! ```

mod daemon;
pub mod processes;
mod project;
mod running;
mod small_disk;

pub use daemon::{Client, Daemon, Reply};
pub use project::{Project, Said, program};
pub use running::{PATIENCE, Running, until};
pub use small_disk::SmallDisk;
