//! Lengths of time, counted by how long they were.

/// Upper bounds in seconds: from half a millisecond to a day, so that a commit and a backfill fit on one scale.
pub const BOUNDS: [f64; 18] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 1800.0, 7200.0,
    86400.0,
];

/// How many lengths there were up to each bound, and their sum.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// How many were within each bound and above the one before.
    counts: [u64; BOUNDS.len()],
    /// How many there were.
    count: u64,
    /// All of them together, in seconds.
    sum: f64,
}

impl Histogram {
    /// Counts one length. A negative one (a clock was set back) counts as none at all.
    pub fn observe(&mut self, seconds: f64) {
        let seconds = seconds.max(0.0);
        self.count += 1;
        self.sum += seconds;
        if let Some(bound) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.counts[bound] += 1;
        }
    }

    /// How many were within each bound, those within smaller ones included.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        BOUNDS.into_iter().zip(sums)
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_counts_in_its_bound_and_in_all_larger_ones() {
        let mut histogram = Histogram::default();
        for seconds in [0.0005, 0.3, 100_000.0, -5.0] {
            histogram.observe(seconds);
        }
        let within: Vec<(f64, u64)> = histogram.cumulative().collect();
        assert_eq!(within[0], (0.0005, 2));
        assert_eq!(within[9], (0.5, 3));
        assert_eq!(within[17], (86400.0, 3));
        assert_eq!((histogram.count(), histogram.sum()), (4, 100_000.3005));
    }
}
