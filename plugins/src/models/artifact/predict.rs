//! Prediction by column name.

use arrow::array::{Float64Array, RecordBatch};

use super::super::ModelError;
use super::super::exponential::logistic;
use super::super::gradient_boosting::Forest;
use super::super::matrix::{Task, position};
use super::{Artifact, Model};

impl Artifact {
    /// One prediction per row, never null: a probability for a binary task, a number for regression. Features are found by
    /// name; other columns are ignored.
    ///
    /// # Errors
    /// When a feature is missing, or of a type that cannot be read as it was in training.
    pub fn predict(&self, rows: &RecordBatch) -> Result<Float64Array, ModelError> {
        let schema = rows.schema();
        let mut columns = Vec::with_capacity(self.features.len());
        for feature in &self.features {
            let mut values = Vec::with_capacity(rows.num_rows());
            feature.encode(rows.column(position(&schema, &feature.name)?), &mut values)?;
            columns.push(values);
        }
        Ok(self.predict_columns(&columns, rows.num_rows(), 1).into())
    }

    /// Predictions for encoded columns, the same on any number of threads.
    pub(in super::super) fn predict_columns(&self, columns: &[Vec<f64>], rows: usize, threads: usize) -> Vec<f64> {
        let mut scores = match &self.model {
            Model::Trees(ensemble) => {
                let forest = self.forest.get_or_init(|| Forest::new(ensemble));
                forest.scores(columns, rows, threads)
            }
            Model::Linear(model) => model.scores(columns, rows),
        };
        if self.task == Task::Binary {
            for score in &mut scores {
                *score = logistic(*score);
            }
        }
        scores
    }
}
