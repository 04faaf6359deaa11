//! Values as bins of one byte, laid out in groups of neighbouring features, row by row.

use super::super::feature::{FeatureKind, UNSEEN};
use super::super::matrix::TrainingMatrix;
use super::super::parallel;
use super::super::seed::Seed;

/// The bin of missing values (and of categories that were not learned).
pub(super) const MISSING: u8 = 255;
/// Cells of a histogram: a bin for each byte.
pub(super) const CELLS: usize = 256;
/// The widest group: its unrolled loops are written out up to here.
pub(super) const WIDEST: usize = 16;
/// Rows looked at to place the bounds of a feature's bins.
const SAMPLED_ROWS: usize = 1 << 19;
/// The purpose number of the sample's seed.
const BIN_SAMPLE: u64 = 1;

/// The bins of one feature.
#[derive(Debug, Clone)]
pub(super) enum FeatureBins {
    /// Bin `b` holds the values in `(upper[b - 1], upper[b]]`; the last bound is the largest finite number.
    Ordered {
        /// Upper bounds, ascending, one per bin.
        upper: Vec<f64>,
    },
    /// Bin `b` holds category `b`.
    Categories {
        /// How many.
        count: usize,
    },
}

/// Some neighbouring features of all rows.
#[derive(Debug)]
pub(super) struct Group {
    /// The first feature.
    pub(super) first: usize,
    /// How many features.
    pub(super) width: usize,
    /// `bins[row * width + feature - first]`.
    pub(super) bins: Vec<u8>,
}

/// All rows, binned.
#[derive(Debug)]
pub(super) struct BinnedRows {
    pub(super) features: Vec<FeatureBins>,
    pub(super) groups: Vec<Group>,
}

impl BinnedRows {
    /// Bins every feature. The number of threads sets the layout, never a bin.
    pub(super) fn new(matrix: &TrainingMatrix, max_bins: usize, seed: u64, threads: usize) -> Self {
        let value_bins = max_bins - 1;
        let sample = sampled_rows(matrix.rows(), seed);
        let mut features: Vec<(usize, Option<FeatureBins>)> = (0..matrix.columns.len()).map(|f| (f, None)).collect();
        parallel::for_each(threads, &mut features, |(feature, bins)| {
            *bins = Some(match &matrix.features[*feature].kind {
                FeatureKind::Category(categories) => FeatureBins::Categories {
                    count: categories.len(),
                },
                FeatureKind::Number | FeatureKind::Time => FeatureBins::Ordered {
                    upper: bounds(&matrix.columns[*feature], sample.as_deref(), value_bins),
                },
            });
        });
        let features: Vec<FeatureBins> = features
            .into_iter()
            .map(|(_, bins)| bins.expect("every feature was visited"))
            .collect();

        let groups = features.len().div_ceil(WIDEST).max(threads.min(features.len()));
        let width = features.len().div_ceil(groups);
        let mut groups: Vec<Group> = (0..features.len())
            .step_by(width)
            .map(|first| Group {
                first,
                width: width.min(features.len() - first),
                bins: Vec::new(),
            })
            .collect();
        parallel::for_each(threads, &mut groups, |group| {
            group.bins = vec![MISSING; matrix.rows() * group.width];
            for offset in 0..group.width {
                let column = &matrix.columns[group.first + offset];
                let places = group.bins.iter_mut().skip(offset).step_by(group.width);
                fill(&features[group.first + offset], column, places);
            }
        });
        Self { features, groups }
    }

    /// The group of a feature, and its place in it.
    pub(super) fn place(&self, feature: usize) -> (&Group, usize) {
        let group = &self.groups[feature / self.groups[0].width];
        (group, feature - group.first)
    }

    /// The bin of a value.
    pub(super) fn bin(&self, row: usize, feature: usize) -> u8 {
        let (group, offset) = self.place(feature);
        group.bins[row * group.width + offset]
    }
}

fn fill<'a>(bins: &FeatureBins, column: &[f64], places: impl Iterator<Item = &'a mut u8>) {
    match bins {
        FeatureBins::Ordered { upper } => {
            for (place, &value) in places.zip(column) {
                if !value.is_nan() {
                    *place = upper.partition_point(|&bound| bound < value) as u8;
                }
            }
        }
        FeatureBins::Categories { .. } => {
            for (place, &code) in places.zip(column) {
                if !code.is_nan() && code != UNSEEN {
                    *place = code as u8;
                }
            }
        }
    }
}

/// The rows that bounds are placed by; none means all.
fn sampled_rows(rows: usize, seed: u64) -> Option<Vec<u32>> {
    if rows <= SAMPLED_ROWS {
        return None;
    }
    let seed = Seed::of(seed, BIN_SAMPLE, 0);
    let share = SAMPLED_ROWS as f64 / rows as f64;
    Some(
        (0..rows as u32)
            .filter(|&row| seed.chooses(u64::from(row), share))
            .collect(),
    )
}

/// Upper bounds of at most `most` bins of about equal numbers of rows. Few distinct values get a bin each.
fn bounds(column: &[f64], sample: Option<&[u32]>, most: usize) -> Vec<f64> {
    let mut values: Vec<f64> = match sample {
        None => column.iter().copied().filter(|value| !value.is_nan()).collect(),
        Some(rows) => rows
            .iter()
            .map(|&row| column[row as usize])
            .filter(|value| !value.is_nan())
            .collect(),
    };
    values.sort_unstable_by(f64::total_cmp);
    let mut distinct: Vec<(f64, usize)> = Vec::new();
    for value in values {
        match distinct.last_mut() {
            Some((last, count)) if *last == value => *count += 1,
            _ => distinct.push((value, 1)),
        }
    }
    let mut upper = Vec::with_capacity(most.min(distinct.len()));
    let mut rows_left: usize = distinct.iter().map(|(_, count)| count).sum();
    let mut in_bin = 0;
    for (position, &(value, count)) in distinct.iter().enumerate() {
        let bins_left = most - upper.len();
        let Some(&(next, next_count)) = distinct.get(position + 1) else {
            break;
        };
        if bins_left == 1 {
            break;
        }
        in_bin += count;
        let wanted = rows_left as f64 / bins_left as f64;
        // A heavy value that follows gets a bin of its own rather than being mixed with what came before it.
        let heavy_next = next_count as f64 >= wanted && in_bin as f64 >= wanted / 2.0;
        if distinct.len() <= most || in_bin as f64 >= wanted || heavy_next {
            upper.push(between(value, next));
            rows_left -= in_bin;
            in_bin = 0;
        }
    }
    upper.push(f64::MAX);
    upper
}

/// A number in `[low, high)`, halfway where there is room.
fn between(low: f64, high: f64) -> f64 {
    let middle = low / 2.0 + high / 2.0;
    if middle >= low && middle < high { middle } else { low }
}

#[cfg(test)]
mod tests {
    use super::{between, bounds};

    #[test]
    fn few_distinct_values_get_a_bin_each() {
        assert_eq!(bounds(&[3.0, 1.0, f64::NAN, 1.0, 2.0], None, 255), [1.5, 2.5, f64::MAX]);
        assert_eq!(bounds(&[f64::NAN], None, 255), [f64::MAX]);
        assert_eq!(bounds(&[-0.0, 0.0], None, 255), [f64::MAX]);
    }

    #[test]
    fn many_values_are_spread_evenly() {
        let column: Vec<f64> = (0..10_000).map(f64::from).collect();
        let upper = bounds(&column, None, 10);
        assert_eq!(upper.len(), 10);
        for (bin, bound) in upper[..9].iter().enumerate() {
            assert!(
                (bound - (bin as f64 + 1.0) * 1_000.0).abs() <= 1.0,
                "bin {bin} ends at {bound}"
            );
        }
    }

    #[test]
    fn a_bound_parts_neighbouring_numbers_and_extremes() {
        let next = f64::from_bits(1.0_f64.to_bits() + 1);
        assert_eq!(between(1.0, next).to_bits(), 1.0_f64.to_bits());
        let wide = between(f64::MIN, f64::MAX);
        assert!((f64::MIN..f64::MAX).contains(&wide));
    }
}
