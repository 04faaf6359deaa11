//! Trainers from declarations.

use std::collections::BTreeMap;

use super::super::{ALGORITHMS, GradientBoosting, Setting, Trainer};

fn settings(set: &[(&str, Setting)]) -> BTreeMap<String, Setting> {
    set.iter()
        .map(|(key, setting)| ((*key).to_owned(), setting.clone()))
        .collect()
}

#[test]
fn what_is_set_is_taken_and_the_rest_has_defaults() {
    let set = settings(&[
        ("trees", Setting::Integer(200)),
        ("learning_rate", Setting::Number(0.05)),
    ]);
    let expected = GradientBoosting {
        trees: 200,
        learning_rate: 0.05,
        ..GradientBoosting::default()
    };
    assert_eq!(
        Trainer::from_settings("gradient_boosting", &set),
        Ok(Trainer::GradientBoosting(expected))
    );
    for algorithm in ALGORITHMS {
        let trainer = Trainer::from_settings(algorithm.name, &BTreeMap::new()).unwrap();
        assert_eq!(trainer.algorithm(), algorithm.name);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let set = settings(&[
        ("tres", Setting::Integer(200)),
        ("learning_rate", Setting::Integer(0)),
        ("max_depth", Setting::Number(2.5)),
        ("seed", Setting::Other("\"seven\"".to_owned())),
        ("l2", Setting::Number(f64::NAN)),
    ]);
    let problems = Trainer::from_settings("gradient_boosting", &set).unwrap_err();
    let lines: Vec<String> = problems
        .iter()
        .map(|p| format!("{}: {} {:?}", p.key, p.message, p.suggestion))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    l2: l2 is a number of at least 0, not NaN None
    learning_rate: learning_rate is a number above 0 and at most 1, not 0 None
    max_depth: max_depth is a whole number from 1 to 12, not 2.5 None
    seed: seed is a whole number from 0 to 9007199254740992, not "seven" None
    tres: gradient_boosting has no parameter "tres"; it has trees, learning_rate, max_depth, min_child_weight, l2, gamma, max_bins, subsample, colsample, early_stopping_rounds, validation_share, seed Some("trees")
    "#);
    let unknown = Trainer::from_settings("gradient_bosting", &BTreeMap::new()).unwrap_err();
    assert_eq!(unknown[0].suggestion.as_deref(), Some("gradient_boosting"));
}
