//! Benchmarks beside peers: the same data, the same answer, in turns.
//!
//! A benchmark is a file and a line in [`BENCHMARKS`]. It makes its data from fixed seeds in a folder of its own, runs ours
//! and the peer's in turns (so that a busy machine slows both), checks that the answers agree, and gives the medians.
//! Peers are Python packages, run by a script beside the benchmark that prints one JSON line.

mod gradient_boosting;
mod peer;
mod point_in_time;

use std::fmt::Write;
use std::path::PathBuf;

/// How benchmarks are run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A Python that has the peers' packages.
    pub python: PathBuf,
    /// Rows are divided by this.
    pub divide: usize,
    /// Threads of each side.
    pub threads: usize,
}

/// A benchmark.
#[derive(Debug, Clone, Copy)]
pub struct Benchmark {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is measured against.
    pub peer: &'static str,
    /// The largest ratio of our time to the peer's that is good enough.
    pub goal: f64,
    /// Measures.
    pub run: fn(&Settings) -> Result<Measured, BenchError>,
}

/// Every benchmark.
pub const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "point_in_time_join",
        peer: "DuckDB ASOF JOIN",
        goal: 0.7,
        run: point_in_time::run,
    },
    Benchmark {
        name: "gradient_boosting",
        peer: "xgboost hist",
        goal: 1.0,
        run: gradient_boosting::run,
    },
];

/// What goes wrong in a benchmark ends it.
pub type BenchError = Box<dyn std::error::Error + Send + Sync>;

/// Seconds of each side.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Our median.
    pub ours: f64,
    /// The peer's median.
    pub peer: f64,
    /// What else is worth saying.
    pub remark: String,
}

impl Measured {
    /// Our time over the peer's.
    pub fn ratio(&self) -> f64 {
        self.ours / self.peer
    }
}

impl Benchmark {
    /// The line to print.
    pub fn line(&self, measured: &Measured) -> String {
        let (ours, peer, ratio) = (measured.ours, measured.peer, measured.ratio());
        let mut line = format!(
            "{}: ours {ours:.2} s, {} {peer:.2} s, ratio {ratio:.2} (goal {:.2})",
            self.name, self.peer, self.goal
        );
        if !measured.remark.is_empty() {
            write!(line, "; {}", measured.remark).expect("a string takes all");
        }
        line
    }
}

/// The middle one of an odd number of measurements.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
