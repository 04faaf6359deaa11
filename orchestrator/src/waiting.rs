//! What runs and steps wait for, in words: the same on the command line, in the API and on pages.

use serde::Serialize;
use state::event::Micros;
use state::ids::RunId;

use crate::core::{Wait, WaitsFor};
use crate::figures::bytes;

/// A wait as programs read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct WaitFact {
    /// Which steps, and for what.
    #[serde(flatten)]
    pub wait: Wait,
    /// For people: `waits for pool …`.
    pub text: String,
}

impl WaitFact {
    /// A wait; `when` writes a moment.
    pub fn new(wait: Wait, when: impl Fn(Micros) -> String) -> Self {
        let text = words(&wait.waits_for, when);
        Self { wait, text }
    }
}

/// `waits for pool `duckdb`: 2 of 2 in use by run_…`.
pub fn words(waits_for: &WaitsFor, when: impl Fn(Micros) -> String) -> String {
    match waits_for {
        WaitsFor::Resume => "waits to be resumed: its run is paused".to_owned(),
        WaitsFor::NextStart => {
            "waits for the next start: the daemon is being stopped, and starts nothing more".to_owned()
        }
        WaitsFor::EarlierRun { run, paused } => {
            format!(
                "waits for {run}, an earlier run of its schedule{}",
                which_is_paused(*paused)
            )
        }
        WaitsFor::Upstream { asset } => format!("waits for {asset}, which it reads"),
        WaitsFor::Together { asset } => format!("is made, and waits for {asset}, which is published together with it"),
        WaitsFor::Retry { retry, due } => format!("waits until {} for retry {retry}", when(*due)),
        WaitsFor::Pace { max_in_flight } => {
            format!("waits for steps of its run: no more than {max_in_flight} may be in flight")
        }
        WaitsFor::Partition { run, paused } => {
            format!(
                "waits for {run}, which makes the same partition{}",
                which_is_paused(*paused)
            )
        }
        WaitsFor::Pool {
            pool,
            limit,
            used,
            runs,
        } => format!("waits for pool `{pool}`: {used} of {limit} in use by {}", some(runs)),
        WaitsFor::Memory {
            needs,
            used,
            total,
            runs,
        } => format!(
            "waits for memory: it needs {}, {} of {} are in use by {}",
            bytes(*needs),
            bytes(*used),
            bytes(*total),
            some(runs)
        ),
        WaitsFor::KeptFree { run } => format!("waits for {run}, which has waited longer for what both need"),
        WaitsFor::Worker { workers: 1, runs } => format!("waits for the worker, in use by {}", some(runs)),
        WaitsFor::Worker { workers, runs } => {
            format!("waits for a worker: {workers} of {workers} in use by {}", some(runs))
        }
    }
}

fn which_is_paused(paused: bool) -> &'static str {
    if paused { " and is paused" } else { "" }
}

/// The first of the runs, and how many more there are.
fn some(runs: &[RunId]) -> String {
    match runs {
        [] => "nobody any more".to_owned(),
        [one] => one.to_string(),
        [one, other] => format!("{one} and {other}"),
        [one, other, more @ ..] => format!("{one}, {other} and {} more", more.len()),
    }
}
