//! Benchmarks beside peers: the same data, the same answer, in turns.
//!
//! A benchmark is a file and a line in [`BENCHMARKS`]. It makes its data from fixed seeds in a folder of its own, runs ours
//! and the peer's in turns (so that a busy machine slows both), checks that the answers agree, and gives the medians.
//! Peers are Python packages, run by a script beside the benchmark that prints one JSON line.

mod automation;
mod daemon;
mod flights;
mod gradient_boosting;
mod large_project;
mod large_state;
mod loading;
mod pages;
mod peer;
mod point_in_time;
mod processes;
mod queue;
mod scan;
mod soak;
mod steps;
mod tables;
mod timers;

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
    /// How long a soak goes on.
    pub minutes: u64,
}

/// A benchmark.
#[derive(Debug, Clone, Copy)]
pub struct Benchmark {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is measured against: a peer, or [`LIMIT`].
    pub peer: &'static str,
    /// The unit of both figures.
    pub unit: &'static str,
    /// The largest ratio of ours to the peer's that is good enough.
    pub goal: f64,
    /// Measures.
    pub run: fn(&Settings) -> Result<Measured, BenchError>,
}

/// The peer of a benchmark whose goal is a figure of its own.
pub const LIMIT: &str = "the limit";

const fn benchmark(
    name: &'static str,
    peer: &'static str,
    unit: &'static str,
    goal: f64,
    run: fn(&Settings) -> Result<Measured, BenchError>,
) -> Benchmark {
    Benchmark {
        name,
        peer,
        unit,
        goal,
        run,
    }
}

/// Removes what benchmarks leave to each other: a state of 15 GB.
pub fn clean_up() {
    large_state::forget();
}

/// Benchmarks that take hours or tens of gigabytes: they run when they are named.
pub const BY_NAME: &[&str] = &[
    "soak",
    "large_state_open",
    "large_state_pages",
    "large_sort",
    "large_join",
];

/// Every benchmark.
pub const BENCHMARKS: &[Benchmark] = &[
    benchmark("large_project_time", LIMIT, "s", 1.0, large_project::seconds),
    benchmark("large_project_memory", LIMIT, "MB", 1.0, large_project::megabytes),
    benchmark("automation_decision", LIMIT, "s", 1.0, automation::one_decision),
    benchmark("no_op_chain", "one fsync", "ms", 1.5, steps::no_op_chain),
    benchmark(
        "no_op_chain_slow_disk",
        "one fsync",
        "ms",
        1.5,
        steps::no_op_chain_slow_disk,
    ),
    benchmark("no_op_wide", LIMIT, "ms", 1.0, steps::no_op_wide),
    benchmark("backfill_one_by_one", LIMIT, "s", 1.0, queue::backfill_one_by_one),
    benchmark("backfill_batched", LIMIT, "s", 1.0, queue::backfill_batched),
    benchmark("run_requests", LIMIT, "ms", 1.0, queue::run_requests),
    benchmark("no_op_runs", LIMIT, "ms", 1.0, queue::no_op_runs),
    benchmark("due_idle", LIMIT, "ms", 1.0, timers::due_idle),
    benchmark("due_under_backfill", LIMIT, "ms", 1.0, timers::due_under_backfill),
    benchmark("many_timers", LIMIT, "%", 1.0, timers::many),
    benchmark("page_latency", LIMIT, "ms", 1.0, pages::latency),
    benchmark("live_viewers", LIMIT, "%", 1.0, pages::viewers),
    benchmark("large_state_open", LIMIT, "s", 1.0, large_state::open),
    benchmark("large_state_pages", LIMIT, "ms", 1.0, large_state::pages),
    benchmark("soak", "memory early in a life", "MB", 1.25, soak::run),
    benchmark("small_table_chain", "one fsync", "ms", 12.0, steps::small_table_chain),
    benchmark(
        "small_table_chain_slow_disk",
        "one fsync",
        "ms",
        12.0,
        steps::small_table_chain_slow_disk,
    ),
    benchmark("flights_time", LIMIT, "s", 1.0, flights::cold_seconds),
    benchmark("flights_memory", LIMIT, "MB", 1.0, flights::cold_megabytes),
    benchmark("flights_again", LIMIT, "s", 1.0, flights::again_seconds),
    benchmark("scan", "DataFusion's listing", "s", 1.1, scan::run),
    benchmark("replace_one_of_many", LIMIT, "ms", 1.0, tables::replace_one_of_many),
    benchmark("commit_after_many", LIMIT, "ms", 1.0, tables::commit_after_many),
    benchmark("compaction", LIMIT, "s", 1.0, tables::compaction),
    benchmark("csv_to_table", "DuckDB COPY", "s", 1.2, loading::csv_to_table),
    benchmark("merge", "DuckDB", "s", 1.5, loading::merge),
    benchmark("large_sort", LIMIT, "MB", 1.0, loading::large_sort),
    benchmark("large_join", LIMIT, "MB", 1.0, loading::large_join),
    benchmark("point_in_time_join", "DuckDB ASOF JOIN", "s", 0.7, point_in_time::run),
    benchmark("gradient_boosting", "xgboost hist", "s", 1.0, gradient_boosting::run),
    benchmark("up", LIMIT, "s", 1.0, daemon::first_answer),
    benchmark("idle_memory", LIMIT, "MB", 1.0, daemon::idle_megabytes),
    benchmark("idle_processor", LIMIT, "%", 1.0, daemon::idle_percent),
];

/// What goes wrong in a benchmark ends it.
pub type BenchError = Box<dyn std::error::Error + Send + Sync>;

/// A figure of each side, in the benchmark's unit.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Our median.
    pub ours: f64,
    /// The peer's median, or the limit.
    pub peer: f64,
    /// What else is worth saying.
    pub remark: String,
}

impl Measured {
    /// A figure and the most that it may be.
    fn against_limit(ours: f64, limit: f64, remark: String) -> Self {
        Self {
            ours,
            peer: limit,
            remark,
        }
    }

    /// Ours over the peer's.
    pub fn ratio(&self) -> f64 {
        self.ours / self.peer
    }
}

impl Benchmark {
    /// The line to print.
    pub fn line(&self, measured: &Measured) -> String {
        let (ours, peer, ratio, unit) = (measured.ours, measured.peer, measured.ratio(), self.unit);
        let mut line = format!(
            "{}: ours {ours:.3} {unit}, {} {peer:.3} {unit}, ratio {ratio:.2} (goal {:.2})",
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
