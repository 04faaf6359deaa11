//! Gradient boosted trees on histograms: logistic loss for yes/no targets, squared error for numbers.
//!
//! The method is that of Chen & Guestrin, "XGBoost: A Scalable Tree Boosting System" (2016): second-order boosting with
//! L2-regularized leaves, trees grown level by level, splits found on histograms of binned values, and a default direction
//! for missing values learned at each split. Categories split by sets, found by ordering them by their gradient (Fisher
//! 1958, as in LightGBM).
//!
//! What is ours: gradients are fixed-point integers and histograms sum them as 64-bit integers. Sums of integers do not
//! depend on their order, so a model is the same for any number of threads, and a histogram that is had by subtraction
//! (parent minus sibling) is exact.
//!
//! ```text
//!  columns ──bins──> a byte per value, in groups of neighbouring features, row by row
//!  per tree:  gradients ──> grow: per level, per group (threads): histogram of the smaller child, subtraction, split
//!                                 then rows of each node are parted in place (threads)
//!             leaves ──> predictions of the next round
//! ```
//!
//! Files: `parameters`, `bins`, `gradients`, `histogram`, `split` (the best split of a node), `grow` (one tree), `fit` (the
//! rounds), `tree` (arrays of the artifact, prediction). What it does not do: ranking, multi-class, monotone constraints,
//! row weights, growth by leaves.

mod bins;
mod fit;
mod gradients;
mod grow;
mod histogram;
mod parameters;
mod split;
mod tree;

pub(super) use fit::fit;
pub use parameters::GradientBoosting;
pub(super) use parameters::PARAMETERS;
pub(super) use tree::{Ensemble, Forest};
