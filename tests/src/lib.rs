//! Floor 3: whole-program tests and what they share.
#![allow(
    clippy::disallowed_methods,
    reason = "tests and benchmarks start programs and read the clock"
)]

pub mod bench;
pub mod program;
pub mod simulator;
