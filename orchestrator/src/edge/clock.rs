//! The door to the clocks of this machine.
#![expect(clippy::disallowed_methods, reason = "this is the door")]

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use state::event::Micros;

use super::environment;

/// By how much the time of day is another one than the machine's: `MILLPOND_CLOCK_OFFSET`, in seconds. So that tests can be
/// there when a schedule is due, or come back after days.
fn offset() -> Micros {
    static OFFSET: OnceLock<Micros> = OnceLock::new();
    *OFFSET.get_or_init(|| {
        let seconds: Option<f64> = environment::variable("MILLPOND_CLOCK_OFFSET").and_then(|text| text.parse().ok());
        seconds.map_or(0, |seconds| (seconds * 1e6) as Micros)
    })
}

/// The time of day, in microseconds since 1970.
pub fn now() -> Micros {
    Timestamp::now().as_microsecond().saturating_add(offset())
}

/// The time of day.
pub fn timestamp() -> Timestamp {
    Timestamp::from_microsecond(now()).unwrap_or(Timestamp::MAX)
}

/// The clock as a value, for code that may not read one by itself.
pub fn clock() -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    Arc::new(timestamp)
}

/// Measures how long something takes, whatever happens to the time of day.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
