//! The best split of a node, from its histograms.

use super::bins::{CELLS, FeatureBins, MISSING};
use super::histogram::{FeatureHistogram, Sums};

/// Added to the second derivatives of a category before categories are ordered, and to the L2 penalty when a split by
/// categories is judged: sets fitted to rare categories must win by more than chance.
const CATEGORY_SMOOTHING: f64 = 10.0;

/// How a split is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) l2: f64,
    pub(super) gamma: f64,
    pub(super) min_child_weight: f64,
    /// Units of the derivatives of this round.
    pub(super) first_unit: f64,
    pub(super) second_unit: f64,
}

impl Rules {
    /// Twice the loss that a leaf with these sums saves: `G² / (H + lambda)`.
    fn score(&self, [first, second]: Sums, penalty: f64) -> f64 {
        let first = first as f64 * self.first_unit;
        let weight = second as f64 * self.second_unit + penalty;
        if weight > 0.0 { first * first / weight } else { 0.0 }
    }

    fn heavy_enough(&self, sums: Sums) -> bool {
        sums[1] > 0 && sums[1] as f64 * self.second_unit >= self.min_child_weight
    }

    /// Whether any split of a node with these sums could be allowed.
    pub(super) fn splittable(&self, sums: Sums) -> bool {
        sums[1] > 1 && sums[1] as f64 * self.second_unit >= 2.0 * self.min_child_weight
    }

    /// The value of a leaf, before the learning rate: `-G / (H + lambda)`.
    pub(super) fn leaf(&self, [first, second]: Sums) -> f64 {
        let weight = second as f64 * self.second_unit + self.l2;
        if weight > 0.0 {
            -(first as f64 * self.first_unit) / weight
        } else {
            0.0
        }
    }
}

/// Which bins go left.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Side {
    /// Bins up to and with this one.
    UpTo(u8),
    /// These categories, ascending.
    Categories(Vec<u8>),
}

/// A split that is allowed and gains something.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Split {
    pub(super) gain: f64,
    pub(super) feature: usize,
    pub(super) side: Side,
    pub(super) missing_left: bool,
    /// Sums of the left child.
    pub(super) left: Sums,
}

impl Split {
    /// Which bins go left, as a table.
    pub(super) fn table(&self) -> [bool; CELLS] {
        let mut table = [false; CELLS];
        match &self.side {
            Side::UpTo(bin) => table[..=*bin as usize].fill(true),
            Side::Categories(bins) => bins.iter().for_each(|&bin| table[bin as usize] = true),
        }
        table[MISSING as usize] = self.missing_left;
        table
    }
}

/// Looks through the candidates of one node, keeping the best. Equal gains: the first one looked at.
pub(super) struct Search<'a> {
    rules: &'a Rules,
    node: Sums,
    best: Option<Split>,
}

impl<'a> Search<'a> {
    pub(super) fn new(rules: &'a Rules, node: Sums) -> Self {
        Self {
            rules,
            node,
            best: None,
        }
    }

    /// The best split found.
    pub(super) fn best(self) -> Option<Split> {
        self.best
    }

    /// Looks through the splits on one feature.
    pub(super) fn feature(&mut self, feature: usize, bins: &FeatureBins, histogram: &FeatureHistogram) {
        match bins {
            FeatureBins::Ordered { upper } => self.ordered(feature, &histogram[..upper.len()], histogram[255]),
            FeatureBins::Categories { count } => self.categories(feature, &histogram[..*count], histogram[255]),
        }
    }

    fn ordered(&mut self, feature: usize, bins: &[Sums], missing: Sums) {
        let parent = self.rules.score(self.node, self.rules.l2);
        let mut left = [0, 0];
        for (bin, sums) in bins.iter().enumerate() {
            // An empty bin splits as the one before it does.
            if *sums == [0, 0] {
                continue;
            }
            left = plus(left, *sums);
            self.offer(feature, left, missing, parent, self.rules.l2, || Side::UpTo(bin as u8));
        }
    }

    fn categories(&mut self, feature: usize, bins: &[Sums], missing: Sums) {
        let penalty = self.rules.l2 + CATEGORY_SMOOTHING;
        let parent = self.rules.score(self.node, penalty);
        let lean = |sums: Sums| {
            (sums[0] as f64 * self.rules.first_unit) / (sums[1] as f64 * self.rules.second_unit + CATEGORY_SMOOTHING)
        };
        let mut present: Vec<(f64, u8)> = bins
            .iter()
            .enumerate()
            .filter(|(_, s)| **s != [0, 0])
            .map(|(bin, &s)| (lean(s), bin as u8))
            .collect();
        present.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut left = [0, 0];
        for (position, &(_, bin)) in present.iter().enumerate() {
            left = plus(left, bins[bin as usize]);
            self.offer(feature, left, missing, parent, penalty, || {
                let mut set: Vec<u8> = present[..=position].iter().map(|&(_, bin)| bin).collect();
                set.sort_unstable();
                Side::Categories(set)
            });
        }
    }

    /// Offers a split with the missing values on either side.
    fn offer(&mut self, feature: usize, left: Sums, missing: Sums, parent: f64, penalty: f64, side: impl Fn() -> Side) {
        let with_missing = plus(left, missing);
        let none_missing = missing == [0, 0];
        for (missing_left, left) in [(false, left), (true, with_missing)] {
            if none_missing && missing_left {
                return;
            }
            let right = [self.node[0] - left[0], self.node[1] - left[1]];
            if !self.rules.heavy_enough(left) || !self.rules.heavy_enough(right) {
                continue;
            }
            let gain = 0.5 * (self.rules.score(left, penalty) + self.rules.score(right, penalty) - parent);
            let least = self.best.as_ref().map_or(self.rules.gamma.max(1e-12), |best| best.gain);
            if gain > least {
                // Where training saw nothing missing, what is missing later goes with the heavier side.
                let missing_left = if none_missing {
                    left[1] >= right[1]
                } else {
                    missing_left
                };
                self.best = Some(Split {
                    gain,
                    feature,
                    side: side(),
                    missing_left,
                    left,
                });
            }
        }
    }
}

fn plus(a: Sums, b: Sums) -> Sums {
    [a[0] + b[0], a[1] + b[1]]
}
