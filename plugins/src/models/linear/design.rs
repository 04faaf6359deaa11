//! Features as the terms of a linear model: dense standardized numbers, and columns of 0 and 1 of which a row has few.

use super::super::feature::{FeatureKind, UNSEEN};
use super::super::matrix::TrainingMatrix;
use super::cholesky::Symmetric;
use super::model::Term;

/// A one-hot column that a row does not have.
const NONE: u32 = u32::MAX;

/// Training rows as terms. Coefficients are numbered: the dense ones first (the intercept is number 0), then the one-hot.
pub(super) struct Design {
    rows: usize,
    /// Dense columns, the intercept included.
    dense: usize,
    /// `values[row * dense + column]`.
    values: Vec<f64>,
    /// One-hot columns that a row has at most, one per feature that has any.
    hot: usize,
    /// `ones[row * hot + place]`: the number of a coefficient, or [`NONE`].
    ones: Vec<u32>,
    coefficients: usize,
    layout: Vec<Layout>,
}

/// Which coefficients belong to a feature.
enum Layout {
    Number {
        mean: f64,
        scale: f64,
        dense: Option<usize>,
        missing: Option<usize>,
    },
    Category {
        first: usize,
        count: usize,
        other: Option<usize>,
        missing: Option<usize>,
    },
}

impl Design {
    /// Lays out the rows of a matrix.
    pub(super) fn new(matrix: &TrainingMatrix) -> Self {
        let rows = matrix.rows();
        let mut dense = 1;
        let mut layout = Vec::with_capacity(matrix.features.len());
        for (feature, column) in matrix.features.iter().zip(&matrix.columns) {
            layout.push(match &feature.kind {
                FeatureKind::Number | FeatureKind::Time => {
                    let (mean, scale) = moments(column);
                    // A constant says nothing: it gets no coefficient.
                    let place = (scale > 0.0).then_some(dense);
                    dense += usize::from(place.is_some());
                    Layout::Number {
                        mean,
                        scale,
                        dense: place,
                        missing: None,
                    }
                }
                FeatureKind::Category(categories) => Layout::Category {
                    first: 0,
                    count: categories.len(),
                    other: None,
                    missing: None,
                },
            });
        }
        let mut coefficients = dense;
        let mut hot = 0;
        let mut next = |wanted: bool, count: usize| {
            let first = coefficients;
            coefficients += if wanted { count } else { 0 };
            wanted.then_some(first)
        };
        for (layout, column) in layout.iter_mut().zip(&matrix.columns) {
            let any_missing = column.iter().any(|value| value.is_nan());
            match layout {
                Layout::Number { missing, .. } => {
                    *missing = next(any_missing, 1);
                    hot += usize::from(any_missing);
                }
                Layout::Category {
                    first,
                    count,
                    other,
                    missing,
                } => {
                    *first = next(true, *count).unwrap_or_default();
                    *other = next(column.contains(&UNSEEN), 1);
                    *missing = next(any_missing, 1);
                    hot += 1;
                }
            }
        }

        let mut design = Self {
            rows,
            dense,
            values: vec![0.0; rows * dense],
            hot,
            ones: vec![NONE; rows * hot],
            coefficients,
            layout,
        };
        design.fill(matrix);
        design
    }

    fn fill(&mut self, matrix: &TrainingMatrix) {
        for row in self.values.chunks_exact_mut(self.dense) {
            row[0] = 1.0;
        }
        let mut place = 0;
        for (layout, column) in self.layout.iter().zip(&matrix.columns) {
            match *layout {
                Layout::Number {
                    mean,
                    scale,
                    dense,
                    missing,
                } => {
                    for (row, &value) in column.iter().enumerate() {
                        if value.is_nan() {
                            if let Some(missing) = missing {
                                self.ones[row * self.hot + place] = missing as u32;
                            }
                        } else if let Some(dense) = dense {
                            self.values[row * self.dense + dense] = (value - mean) / scale;
                        }
                    }
                    place += usize::from(missing.is_some());
                }
                Layout::Category {
                    first, other, missing, ..
                } => {
                    for (row, &code) in column.iter().enumerate() {
                        let coefficient = if code.is_nan() {
                            missing
                        } else if code == UNSEEN {
                            other
                        } else {
                            Some(first + code as usize)
                        };
                        if let Some(coefficient) = coefficient {
                            self.ones[row * self.hot + place] = coefficient as u32;
                        }
                    }
                    place += 1;
                }
            }
        }
    }

    /// How many coefficients there are, that of the intercept (number 0) included.
    pub(super) fn coefficients(&self) -> usize {
        self.coefficients
    }

    fn row(&self, row: usize) -> (&[f64], impl Iterator<Item = usize> + Clone + '_) {
        let ones = &self.ones[row * self.hot..(row + 1) * self.hot];
        (
            &self.values[row * self.dense..(row + 1) * self.dense],
            ones.iter().filter(|&&one| one != NONE).map(|&one| one as usize),
        )
    }

    /// The score of a row under these coefficients.
    pub(super) fn score(&self, row: usize, coefficients: &[f64]) -> f64 {
        let (dense, ones) = self.row(row);
        let of_dense: f64 = dense
            .iter()
            .zip(coefficients)
            .map(|(value, factor)| value * factor)
            .sum();
        of_dense + ones.map(|one| coefficients[one]).sum::<f64>()
    }

    /// The weighted normal equations: `sum of weight * x xᵀ` and `sum of residual * x`, where `of_row` gives the weight
    /// and the residual of a row.
    pub(super) fn equations(&self, mut of_row: impl FnMut(usize) -> (f64, f64)) -> (Symmetric, Vec<f64>) {
        let mut products = Symmetric::zero(self.coefficients);
        let mut right = vec![0.0; self.coefficients];
        for row in 0..self.rows {
            let (weight, residual) = of_row(row);
            let (dense, ones) = self.row(row);
            for (column, &value) in dense.iter().enumerate() {
                right[column] += residual * value;
                let weighted = weight * value;
                if weighted != 0.0 {
                    for (cell, other) in products.row_mut(column).iter_mut().zip(dense) {
                        *cell += weighted * other;
                    }
                }
            }
            for (position, one) in ones.clone().enumerate() {
                right[one] += residual;
                let cells = products.row_mut(one);
                for (cell, value) in cells.iter_mut().zip(dense) {
                    *cell += weight * value;
                }
                // Features come in order, and so do their coefficients: the earlier ones lie in this row.
                for earlier in ones.clone().take(position + 1) {
                    cells[earlier] += weight;
                }
            }
        }
        (products, right)
    }

    /// Adds the penalty's derivatives: `l2` to the diagonal and `l2 * coefficient` off the right side.
    pub(super) fn penalize(&self, l2: f64, coefficients: &[f64], products: &mut Symmetric, right: &mut [f64]) {
        for number in 1..self.coefficients {
            products.row_mut(number)[number] += l2;
            right[number] -= l2 * coefficients[number];
        }
    }

    /// The coefficients by feature.
    pub(super) fn terms(&self, coefficients: &[f64]) -> Vec<Term> {
        let optional = |place: &Option<usize>| place.map_or(0.0, |place| coefficients[place]);
        self.layout
            .iter()
            .map(|layout| match layout {
                Layout::Number {
                    mean,
                    scale,
                    dense,
                    missing,
                } => Term::Number {
                    mean: *mean,
                    scale: if *scale > 0.0 { *scale } else { 1.0 },
                    coefficient: optional(dense),
                    missing: optional(missing),
                },
                Layout::Category {
                    first,
                    count,
                    other,
                    missing,
                } => Term::Category {
                    coefficients: coefficients[*first..first + count].to_vec(),
                    other: optional(other),
                    missing: optional(missing),
                },
            })
            .collect()
    }
}

/// Mean and standard deviation of what is not missing; the deviation is 0 for a constant.
fn moments(column: &[f64]) -> (f64, f64) {
    let present = || column.iter().copied().filter(|value| !value.is_nan());
    let count = present().count();
    if count == 0 {
        return (0.0, 0.0);
    }
    // Divided first, so that the largest numbers do not overflow.
    let mean = present().map(|value| value / count as f64).sum::<f64>();
    let deviation = present()
        .map(|value| (value - mean) * (value - mean) / count as f64)
        .sum::<f64>()
        .sqrt();
    // What rounding leaves of a constant is not a deviation.
    if deviation.is_finite() && deviation > mean.abs() * 1e-12 {
        (mean, deviation)
    } else {
        (mean, 0.0)
    }
}
