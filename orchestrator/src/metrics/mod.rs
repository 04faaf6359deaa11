//! Figures for Prometheus: what is counted while the program runs, and how it is written down.
//!
//! Counters and histograms are kept by the driver, which sees every committed event exactly once ([`Tally`]); gauges are read
//! from the world and the store when someone asks ([`exposition`] writes both). Labels have few values, all known in advance:
//! never an asset, a partition or a run.

mod exposition;
mod histogram;
mod tally;

pub use exposition::{Exposition, Labels};
pub use histogram::Histogram;
pub use tally::Tally;
