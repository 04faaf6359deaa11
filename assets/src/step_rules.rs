//! How the steps of an asset are run, whatever they compute: when one that failed is tried again, how long it may take, which
//! pools it needs a place in, how much memory it is given. None of it is part of what the asset's code is: a change makes
//! nothing stale.

use serde::{Deserialize, Serialize};

use crate::outcome::FailureClass;

/// How the steps of an asset are run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StepRules {
    /// When a step that failed is tried again; `None` is never.
    pub retry: Option<Retry>,
    /// Most seconds that one attempt may work on one step; `None` has no end.
    pub timeout_seconds: Option<u64>,
    /// The pools in which an attempt takes a place, each once, in the order of their names.
    pub pools: Vec<String>,
    /// Bytes that the queries of a step may use; `None` leaves it to the project.
    pub memory_bytes: Option<u64>,
    /// Whether one pass makes all partitions that a worker takes at a time.
    pub together: bool,
    /// What a run makes of the assets with this word for a partition is published at once, or not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub atomic_group: Option<String>,
}

/// A number of places that limits how many attempts are under way at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// What it is for, for people.
    pub description: Option<String>,
    /// How many attempts may have a place in it at once.
    pub limit: u32,
    /// Assets with one of these tags take a place in it without naming it.
    pub tags: Vec<String>,
}

/// When a step that failed is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// How often, beside the first attempt.
    pub max: u32,
    /// Seconds to wait before the first retry.
    pub delay_seconds: u64,
    /// How the wait grows from one retry to the next.
    pub backoff: Backoff,
    /// Most seconds that any wait grows to, before jitter.
    pub max_delay_seconds: u64,
    /// By up to what share of itself a wait is made longer or shorter at random, from 0 to 1.
    pub jitter: f64,
    /// The failures after which another try can end otherwise.
    pub on: Vec<FailureClass>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max: 3,
            delay_seconds: 10,
            backoff: Backoff::Exponential,
            max_delay_seconds: 3600,
            jitter: 0.1,
            on: Self::USUAL.to_vec(),
        }
    }
}

impl Retry {
    /// Failures that may be retried: what happened may have been of the moment. All others come of what was declared or of what
    /// the data is, and would be the same again.
    pub const RETRYABLE: [FailureClass; 8] = [
        FailureClass::Command,
        FailureClass::Crash,
        FailureClass::DiskFull,
        FailureClass::Io,
        FailureClass::Killed,
        FailureClass::Memory,
        FailureClass::Panic,
        FailureClass::Timeout,
    ];

    /// Failures that are retried when a retry does not say which: those of the moment more often than not. A step that needs
    /// more memory than it may use, or that panics, mostly does so again.
    pub const USUAL: [FailureClass; 6] = [
        FailureClass::Command,
        FailureClass::Crash,
        FailureClass::DiskFull,
        FailureClass::Io,
        FailureClass::Killed,
        FailureClass::Timeout,
    ];

    /// Microseconds to wait before the `number`th retry (1 is the first). `random` is uniform over all of `u64`.
    pub fn wait_micros(&self, number: u32, random: u64) -> i64 {
        let first = self.delay_seconds as f64;
        let grown = match self.backoff {
            Backoff::Constant => first,
            Backoff::Linear => first * f64::from(number),
            Backoff::Exponential => first * 2f64.powi(i32::try_from(number.saturating_sub(1)).unwrap_or(i32::MAX)),
        };
        let capped = grown.min(self.max_delay_seconds.max(self.delay_seconds) as f64);
        // From -1 to 1.
        let place = random as f64 / u64::MAX as f64 * 2.0 - 1.0;
        (capped * (1.0 + place * self.jitter) * 1e6) as i64
    }

    /// Whether a failure of this class is tried again, after it was tried again `retries` times.
    pub fn applies(&self, class: FailureClass, retries: u32) -> bool {
        retries < self.max && self.on.contains(&class)
    }
}

/// How the wait grows from one retry to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// It does not.
    Constant,
    /// By the first delay each time.
    Linear,
    /// Twice as long each time.
    Exponential,
}

impl Backoff {
    /// The word used in TOML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Exponential => "exponential",
        }
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Constant, Self::Linear, Self::Exponential]
            .into_iter()
            .find(|backoff| backoff.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(backoff: Backoff) -> Vec<i64> {
        let retry = Retry {
            backoff,
            jitter: 0.0,
            max_delay_seconds: 60,
            ..Retry::default()
        };
        let numbers = [1, 2, 3, 4, 100, u32::MAX];
        numbers.map(|number| retry.wait_micros(number, 7) / 1_000_000).to_vec()
    }

    #[test]
    fn waits_grow_as_declared_up_to_the_longest() {
        assert_eq!(waits(Backoff::Constant), [10, 10, 10, 10, 10, 10]);
        assert_eq!(waits(Backoff::Linear), [10, 20, 30, 40, 60, 60]);
        assert_eq!(waits(Backoff::Exponential), [10, 20, 40, 60, 60, 60]);
    }

    #[test]
    fn jitter_stays_within_its_share_and_uses_all_of_it() {
        let retry = Retry {
            jitter: 0.5,
            ..Retry::default()
        };
        let ends = [0, u64::MAX / 2, u64::MAX].map(|random| retry.wait_micros(1, random));
        assert_eq!(ends[0], 5_000_000);
        assert!((ends[1] - 10_000_000).abs() < 2);
        assert_eq!(ends[2], 15_000_000);
    }

    #[test]
    fn a_delay_above_the_longest_wait_is_kept() {
        let retry = Retry {
            delay_seconds: 7200,
            jitter: 0.0,
            ..Retry::default()
        };
        assert_eq!(retry.wait_micros(3, 0), 7_200_000_000);
    }

    #[test]
    fn only_what_is_named_is_retried_and_only_so_often() {
        let retry = Retry::default();
        assert!(retry.applies(FailureClass::Io, 2));
        assert!(!retry.applies(FailureClass::Io, 3));
        for class in [FailureClass::Check, FailureClass::Declaration, FailureClass::Memory] {
            assert!(!retry.applies(class, 0), "{class:?}");
        }
    }
}
