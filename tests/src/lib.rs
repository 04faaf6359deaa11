//! Floor 3: whole-program tests and what they share.

pub mod bench;
pub mod program;
pub mod simulator;
