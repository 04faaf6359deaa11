//! Trainers on rows whose answer is known, metrics against sums by hand, and artifacts whole and damaged.

mod artifact;
mod boosting;
mod data;
mod linear;
mod metrics;
mod settings;
