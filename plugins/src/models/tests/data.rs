//! Rows to train on, from seeds.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};

use super::super::seed::Seed;
use super::super::{Trained, Trainer, TrainingSpec, default_features, train};

pub(super) fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

pub(super) fn floats(values: impl IntoIterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Float64Array>())
}

pub(super) fn integers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int64Array>())
}

pub(super) fn strings(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

pub(super) fn booleans(values: impl IntoIterator<Item = bool>) -> ArrayRef {
    Arc::new(values.into_iter().map(Some).collect::<BooleanArray>())
}

/// Uniform numbers in [0, 1).
pub(super) struct Uniform(Seed);

impl Uniform {
    pub(super) fn new(seed: u64) -> Self {
        Self(Seed::of(seed, 99, 0))
    }

    pub(super) fn next(&mut self) -> f64 {
        (self.0.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

pub(super) const CITIES: [&str; 6] = ["Boston", "Denver", "Fargo", "Miami", "Reno", "Tulsa"];

/// Rows with two numbers (one with gaps), a string with gaps and an integer; `late` depends on all but `noise`.
pub(super) fn flights(rows: usize, seed: u64) -> RecordBatch {
    let mut uniform = Uniform::new(seed);
    let (mut wind, mut load, mut city, mut noise, mut late, mut minutes) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rows {
        let (w, l, c) = (uniform.next() * 40.0, (uniform.next() * 200.0).floor(), uniform.next());
        let city_number = (c * 6.0) as usize;
        let gap = uniform.next() < 0.1;
        let score =
            (w - 20.0) / 8.0 + if city_number.is_multiple_of(2) { 1.5 } else { -1.5 } + if gap { 2.0 } else { 0.0 }
                - (l - 100.0) * (l - 100.0) / 5_000.0;
        let probability = 1.0 / (1.0 + (-score).exp());
        wind.push((!gap).then_some(w));
        load.push(l as i64);
        city.push((uniform.next() >= 0.05).then_some(CITIES[city_number]));
        noise.push(Some(uniform.next()));
        late.push(uniform.next() < probability);
        minutes.push(Some(10.0 * score + uniform.next()));
    }
    table(vec![
        ("wind", floats(wind)),
        ("load", integers(load)),
        ("city", strings(&city)),
        ("noise", floats(noise)),
        ("late", booleans(late)),
        ("minutes", floats(minutes)),
    ])
}

pub(super) fn two() -> NonZeroUsize {
    NonZeroUsize::new(2).unwrap()
}

pub(super) fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

/// A specification with every column of the batch but the targets.
pub(super) fn spec(batch: &RecordBatch, target: &str, trainer: Trainer) -> TrainingSpec {
    let features = default_features(&batch.schema(), &[target, "late", "minutes"]);
    TrainingSpec {
        target: target.to_owned(),
        features,
        trainer,
    }
}

pub(super) fn fit(batch: &RecordBatch, target: &str, trainer: Trainer) -> Trained {
    train(&spec(batch, target, trainer), std::slice::from_ref(batch), two()).unwrap()
}

pub(super) fn metric(trained: &Trained, name: &str) -> f64 {
    trained
        .training_metrics
        .iter()
        .find(|(metric, _)| *metric == name)
        .unwrap()
        .1
}
