//! The door to the clocks of this machine.
#![expect(clippy::disallowed_methods, reason = "this is the door")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use state::event::Micros;

/// The time of day, in microseconds since 1970.
pub fn now() -> Micros {
    Timestamp::now().as_microsecond()
}

/// The time of day.
pub fn timestamp() -> Timestamp {
    Timestamp::now()
}

/// The clock as a value, for code that may not read one by itself.
pub fn clock() -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    Arc::new(Timestamp::now)
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
