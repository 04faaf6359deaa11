//! Whether an artifact that was read can predict: a damaged one is refused when it is loaded, not when it scores.

use hashbrown::HashSet;

use super::super::algorithm::Trainer;
use super::super::feature::FeatureKind;
use super::super::matrix::Task;
use super::{Artifact, Model};

impl Artifact {
    /// Says what keeps the artifact from predicting.
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.features.is_empty() {
            return Err("it has no features".to_owned());
        }
        let mut names = HashSet::new();
        for feature in &self.features {
            if !names.insert(&feature.name) {
                return Err(format!("it has the feature {:?} twice", feature.name));
            }
            if let FeatureKind::Category(categories) = &feature.kind {
                let mut known = HashSet::new();
                if let Some(twice) = categories.iter().find(|category| !known.insert(*category)) {
                    return Err(format!("feature {:?} has the category {twice:?} twice", feature.name));
                }
            }
        }
        let fits = match (&self.trainer, &self.model) {
            (Trainer::GradientBoosting(_), Model::Trees(_)) => true,
            (Trainer::LogisticRegression(_), Model::Linear(_)) => self.task == Task::Binary,
            (Trainer::LinearRegression(_), Model::Linear(_)) => self.task == Task::Regression,
            _ => false,
        };
        if !fits {
            return Err(format!("its model is not one of {}", self.trainer.algorithm()));
        }
        match &self.model {
            Model::Trees(ensemble) => {
                if !ensemble.base_score.is_finite() {
                    return Err(format!("its base score is {}", ensemble.base_score));
                }
                for (number, tree) in ensemble.trees.iter().enumerate() {
                    let in_tree = |reason: String| format!("tree {number}: {reason}");
                    tree.validate(self.features.len()).map_err(in_tree)?;
                    for node in 0..tree.left.len() {
                        let split = tree.left[node] != 0;
                        let codes = tree.categories.get(&(node as u32));
                        let sound = match &self.features[tree.feature[node] as usize].kind {
                            FeatureKind::Category(categories) if split => codes.is_some_and(|codes| {
                                codes
                                    .iter()
                                    .all(|&code| (code as usize) < categories.len() && code < 255)
                            }),
                            _ => codes.is_none(),
                        };
                        if !sound {
                            return Err(in_tree(format!("node {node} does not split as its feature does")));
                        }
                    }
                }
            }
            Model::Linear(model) => {
                if !model.intercept.is_finite() {
                    return Err(format!("its intercept is {}", model.intercept));
                }
                if model.terms.len() != self.features.len() {
                    return Err(format!(
                        "it has {} terms for {} features",
                        model.terms.len(),
                        self.features.len()
                    ));
                }
                for (term, feature) in model.terms.iter().zip(&self.features) {
                    term.validate(&feature.kind)
                        .map_err(|reason| format!("feature {:?}: {reason}", feature.name))?;
                }
            }
        }
        Ok(())
    }
}
