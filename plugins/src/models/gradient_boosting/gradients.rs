//! First and second derivatives of the loss by row, as fixed-point integers.

use super::super::exponential::logistic;
use super::super::matrix::Task;
use super::super::parallel;

/// Bits of the largest magnitude: sums over 2^32 rows still fit in 64 bits.
const BITS: i32 = 30;
/// Rows per piece of work.
const PIECE: usize = 1 << 14;

/// The derivatives of one round. A stored integer times its unit is the derivative.
#[derive(Debug)]
pub(super) struct Gradients {
    /// By row: first and second derivative.
    pub(super) rows: Vec<[i32; 2]>,
    /// The size of one unit of the first derivative.
    pub(super) first_unit: f64,
    /// The size of one unit of the second derivative.
    pub(super) second_unit: f64,
}

impl Gradients {
    /// Room for so many rows.
    pub(super) fn new(rows: usize) -> Self {
        Self {
            rows: vec![[0; 2]; rows],
            first_unit: 1.0,
            second_unit: 1.0,
        }
    }

    /// The derivatives at these scores (log-odds, or predictions) for these targets.
    pub(super) fn update(&mut self, task: Task, scores: &[f64], target: &[f64], threads: usize) {
        let pieces = self
            .rows
            .chunks_mut(PIECE)
            .zip(scores.chunks(PIECE))
            .zip(target.chunks(PIECE));
        match task {
            Task::Binary => {
                // Probability minus target is within ±1, p (1 - p) at most a quarter.
                let (first, second) = (power_of_two(BITS), power_of_two(BITS + 2));
                (self.first_unit, self.second_unit) = (1.0 / first, 1.0 / second);
                let mut pieces: Vec<_> = pieces.collect();
                parallel::for_each(threads, &mut pieces, |((rows, scores), target)| {
                    for ((row, &score), &target) in rows.iter_mut().zip(*scores).zip(*target) {
                        let probability = logistic(score);
                        let weight = probability * (1.0 - probability);
                        *row = [((probability - target) * first) as i32, (weight * second) as i32];
                    }
                });
            }
            Task::Regression => {
                let largest = scores
                    .iter()
                    .zip(target)
                    .map(|(score, y)| (score - y).abs())
                    .fold(0.0, f64::max);
                // The power of two just above the largest difference, so that scaling rounds nothing.
                let exponent = if largest > 0.0 {
                    largest.log2().floor() as i32 + 1
                } else {
                    0
                };
                let first = power_of_two(BITS - exponent);
                (self.first_unit, self.second_unit) = (1.0 / first, 1.0);
                let mut pieces: Vec<_> = pieces.collect();
                parallel::for_each(threads, &mut pieces, |((rows, scores), target)| {
                    for ((row, &score), &target) in rows.iter_mut().zip(*scores).zip(*target) {
                        *row = [((score - target) * first) as i32, 1];
                    }
                });
            }
        }
    }
}

/// 2 to the power of `exponent`, clamped to what a normal number holds.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent.clamp(-1000, 1000) + 1023) as u64) << 52)
}
