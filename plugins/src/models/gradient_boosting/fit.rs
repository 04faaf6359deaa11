//! The rounds: derivatives, a tree, new scores; and when to stop.

use super::super::ModelError;
use super::super::exponential::exp;
use super::super::matrix::{Task, TrainingMatrix};
use super::super::seed::Seed;
use super::bins::BinnedRows;
use super::gradients::Gradients;
use super::grow::{Ground, add_leaves, grow};
use super::parameters::GradientBoosting;
use super::split::Rules;
use super::tree::Ensemble;

/// Purpose numbers of the seeds.
const VALIDATION: u64 = 2;
const ROWS: u64 = 3;
const FEATURES: u64 = 4;

/// Fits an ensemble. A binary target is fitted by logistic loss, another one by squared error.
///
/// # Errors
/// When a binary target has one class, or `stop` says so before a tree.
pub(in super::super) fn fit(
    matrix: &TrainingMatrix,
    parameters: &GradientBoosting,
    threads: usize,
    stop: &dyn Fn() -> bool,
) -> Result<(Ensemble, Task), ModelError> {
    let task = if matrix.binary { Task::Binary } else { Task::Regression };
    if task == Task::Binary {
        matrix.require_two_classes()?;
    }
    let rows = matrix.rows();
    let stopping = parameters.early_stopping_rounds > 0;
    let held_out = Seed::of(parameters.seed, VALIDATION, 0);
    let (validation, training): (Vec<u32>, Vec<u32>) =
        (0..rows as u32).partition(|&row| stopping && held_out.chooses(u64::from(row), parameters.validation_share));
    if training.is_empty() {
        return Err(ModelError::NothingToLearn {
            rows: 0,
            features: matrix.features.len(),
            target: matrix.target_name.clone(),
        });
    }

    let binned = BinnedRows::new(matrix, parameters.max_bins, parameters.seed, threads);
    let base_score = base_score(task, &matrix.target, &training);
    let mut scores = vec![base_score; rows];
    let mut gradients = Gradients::new(rows);
    let mut ensemble = Ensemble {
        base_score,
        trees: Vec::new(),
    };
    let mut best = (loss(task, &scores, &matrix.target, &validation), 0);
    for round in 0..parameters.trees {
        if stop() {
            return Err(ModelError::Stopped);
        }
        gradients.update(task, &scores, &matrix.target, threads);
        let sampled = Seed::of(parameters.seed, ROWS, round as u64);
        let sees_row = |row: u32| sampled.chooses(u64::from(row), parameters.subsample);
        let (mut seen, unseen): (Vec<u32>, Vec<u32>) = if parameters.subsample >= 1.0 {
            (training.clone(), Vec::new())
        } else {
            training.iter().partition(|&&row| sees_row(row))
        };
        let sees = seen_features(parameters, matrix.features.len(), round);
        let ground = Ground {
            binned: &binned,
            gradients: &gradients,
            rules: Rules {
                l2: parameters.l2,
                gamma: parameters.gamma,
                min_child_weight: parameters.min_child_weight,
                first_unit: gradients.first_unit,
                second_unit: gradients.second_unit,
            },
            max_depth: parameters.max_depth,
            learning_rate: parameters.learning_rate,
            sees: sees.as_deref(),
            threads,
        };
        let (tree, leaves) = grow(&ground, &mut seen);
        add_leaves(&mut scores, &seen, &leaves, threads);
        for &row in unseen.iter().chain(&validation) {
            scores[row as usize] += tree.follow(&binned, row as usize);
        }
        ensemble.trees.push(tree.finish());
        if stopping {
            let now = loss(task, &scores, &matrix.target, &validation);
            if now < best.0 {
                best = (now, ensemble.trees.len());
            } else if ensemble.trees.len() - best.1 >= parameters.early_stopping_rounds {
                break;
            }
        }
    }
    if stopping && !validation.is_empty() {
        ensemble.trees.truncate(best.1);
    }
    Ok((ensemble, task))
}

/// The constant that fits best: log-odds of the share of ones, or the mean.
fn base_score(task: Task, target: &[f64], training: &[u32]) -> f64 {
    let mean = training.iter().map(|&row| target[row as usize]).sum::<f64>() / training.len() as f64;
    match task {
        Task::Regression => mean,
        Task::Binary => {
            // Held-out rows may leave one class alone in the rest: keep the odds finite.
            let share = mean.clamp(1e-6, 1.0 - 1e-6);
            (share / (1.0 - share)).ln()
        }
    }
}

/// The features that a tree sees; `None` for all.
fn seen_features(parameters: &GradientBoosting, features: usize, round: usize) -> Option<Vec<usize>> {
    if parameters.colsample >= 1.0 {
        return None;
    }
    let count = ((features as f64 * parameters.colsample).round() as usize).clamp(1, features);
    Some(Seed::of(parameters.seed, FEATURES, round as u64).sample(features, count))
}

/// Mean loss over some rows.
fn loss(task: Task, scores: &[f64], target: &[f64], rows: &[u32]) -> f64 {
    let of_row = |&row: &u32| {
        let (score, target) = (scores[row as usize], target[row as usize]);
        match task {
            // ln(1 + e^s) - y s, written so that nothing overflows.
            Task::Binary => score.max(0.0) - target * score + exp(-score.abs()).ln_1p(),
            Task::Regression => (score - target) * (score - target),
        }
    };
    rows.iter().map(of_row).sum::<f64>() / rows.len().max(1) as f64
}
