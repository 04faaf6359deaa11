//! How long a plan would take and how much it would write, by what its assets took before.

use std::collections::BTreeMap;

use assets::AssetKey;
use serde::Serialize;
use state::event::Micros;
use state::sqlite::queries::materializations::Cost;

use crate::figures::{bytes, count, duration};

/// Materializations of an asset that are looked at.
pub const LOOKED_AT: usize = 200;

/// What a plan would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Estimate {
    /// What its steps take one after the other, in microseconds.
    pub work: Micros,
    /// What they take with as many workers as may be used at once. Steps that wait for each other make it longer.
    pub time: Micros,
    /// With how many workers.
    pub workers: u64,
    /// Rows that it would write.
    pub rows: u64,
    /// Bytes that it would write.
    pub bytes: u64,
    /// Steps of assets that were never made, of which nothing is known.
    pub unknown: u64,
}

/// The estimate for so many steps of each asset; `None` if none of them was ever made.
pub fn estimate(steps: &BTreeMap<AssetKey, u64>, costs: &BTreeMap<AssetKey, Cost>, workers: u64) -> Option<Estimate> {
    let workers = workers.max(1);
    let mut estimate = Estimate {
        work: 0,
        time: 0,
        workers,
        rows: 0,
        bytes: 0,
        unknown: 0,
    };
    let mut known = false;
    for (asset, steps) in steps {
        let Some(cost) = costs.get(asset).filter(|cost| cost.partitions > 0 && cost.tried > 0) else {
            estimate.unknown += steps;
            continue;
        };
        known = true;
        let share = |of: u64, by: u64| (u128::from(of) * u128::from(*steps) / u128::from(by)) as u64;
        estimate.work += share(cost.micros.max(0) as u64, cost.tried) as Micros;
        estimate.rows += share(cost.rows, cost.partitions);
        estimate.bytes += share(cost.bytes, cost.partitions);
    }
    let all: u64 = steps.values().sum();
    // Fewer steps than workers leave some of them idle.
    estimate.time = estimate.work / workers.min(all).max(1) as Micros;
    known.then_some(estimate)
}

impl Estimate {
    /// `about 4 min 10 s with 2 workers, some 1,200 rows and 3.4 MB, by what they took before; nothing is known of 3 steps`
    pub fn words(&self) -> String {
        let unknown = match self.unknown {
            0 => String::new(),
            unknown => format!("; nothing is known of {}", count(unknown, "step", "steps")),
        };
        format!(
            "about {} with {}, some {} and {}, by what they took before{unknown}",
            duration(self.time),
            count(self.workers, "worker", "workers"),
            count(self.rows, "row", "rows"),
            bytes(self.bytes),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_made_is_told_and_not_guessed() {
        let key = |text: &str| -> AssetKey { text.parse().unwrap() };
        let steps = BTreeMap::from([(key("silver.a"), 100), (key("silver.b"), 7)]);
        let cost = Cost {
            partitions: 10,
            rows: 1_000,
            bytes: 50_000,
            micros: 20_000_000,
            tried: 20,
        };
        assert_eq!(estimate(&steps, &BTreeMap::new(), 2), None);
        let found = estimate(&steps, &BTreeMap::from([(key("silver.a"), cost)]), 2).unwrap();
        assert_eq!(
            found.words(),
            "about 50 s with 2 workers, some 10,000 rows and 500.0 kB, by what they took before; nothing is known of 7 steps"
        );
    }
}
