//! Gradient boosting.

use arrow::array::RecordBatch;

use super::super::{GradientBoosting, Metric, ModelError, Task, Trainer, train};
use super::data::{fit, flights, floats, integers, metric, one, spec, strings, table, two};

fn boosting(parameters: GradientBoosting) -> Trainer {
    Trainer::GradientBoosting(parameters)
}

fn small() -> GradientBoosting {
    GradientBoosting {
        trees: 30,
        max_depth: 4,
        ..GradientBoosting::default()
    }
}

/// The value of a metric on rows that training did not see.
fn judged(trained: &super::super::Trained, rows: &RecordBatch, target: &str, name: &str) -> f64 {
    let predictions = trained.artifact.predict(rows).unwrap();
    let targets = arrow::compute::cast(
        rows.column_by_name(target).unwrap(),
        &arrow::datatypes::DataType::Float64,
    )
    .unwrap();
    let targets = arrow::array::AsArray::as_primitive::<arrow::datatypes::Float64Type>(&targets)
        .values()
        .to_vec();
    Metric::named(name)
        .unwrap()
        .compute(&targets, predictions.values())
        .unwrap()
}

#[test]
fn one_split_of_squared_error_is_the_one_by_hand() {
    // Halves of mean 1 and 5 about the mean 3: leaves are -sum(residual) / (rows + l2).
    let rows = table(vec![
        ("x", integers([1, 2, 3, 4])),
        ("y", floats([1.0, 1.0, 5.0, 5.0].map(Some))),
    ]);
    let parameters = GradientBoosting {
        trees: 1,
        learning_rate: 1.0,
        max_depth: 1,
        l2: 0.0,
        min_child_weight: 1.0,
        ..small()
    };
    let trained = fit(&rows, "y", boosting(parameters.clone()));
    assert_eq!(trained.artifact.task, Task::Regression);
    assert_eq!(
        trained.artifact.predict(&rows).unwrap().values().to_vec(),
        [1.0, 1.0, 5.0, 5.0]
    );
    // The bound lies halfway, and values beyond those seen go to the ends.
    let between = table(vec![(
        "x",
        floats([Some(2.5), Some(2.51), Some(-100.0), Some(f64::INFINITY)]),
    )]);
    assert_eq!(
        trained.artifact.predict(&between).unwrap().values().to_vec(),
        [1.0, 5.0, 1.0, 5.0]
    );

    let shrunk = fit(
        &rows,
        "y",
        boosting(GradientBoosting {
            l2: 2.0,
            ..parameters.clone()
        }),
    );
    assert_eq!(
        shrunk.artifact.predict(&rows).unwrap().values().to_vec(),
        [2.0, 2.0, 4.0, 4.0]
    );
    let heavy = fit(
        &rows,
        "y",
        boosting(GradientBoosting {
            min_child_weight: 3.0,
            ..parameters.clone()
        }),
    );
    assert_eq!(
        heavy.artifact.predict(&rows).unwrap().values().to_vec(),
        [3.0; 4],
        "no side has three rows"
    );
    // The split saves half of 16/2 on each side: 8 in all.
    let stingy = fit(
        &rows,
        "y",
        boosting(GradientBoosting {
            gamma: 8.1,
            ..parameters.clone()
        }),
    );
    assert_eq!(stingy.artifact.predict(&rows).unwrap().values().to_vec(), [3.0; 4]);
    let fair = fit(
        &rows,
        "y",
        boosting(GradientBoosting {
            gamma: 7.9,
            ..parameters
        }),
    );
    assert_eq!(
        fair.artifact.predict(&rows).unwrap().values().to_vec(),
        [1.0, 1.0, 5.0, 5.0]
    );
}

#[test]
fn missing_values_go_where_they_belong() {
    let gaps = [Some(1.0), Some(2.0), Some(3.0), Some(4.0), None, None];
    let parameters = GradientBoosting {
        trees: 1,
        learning_rate: 1.0,
        max_depth: 1,
        l2: 0.0,
        ..small()
    };
    let with_high = table(vec![
        ("x", floats(gaps)),
        ("y", floats([0.0, 0.0, 9.0, 9.0, 9.0, 9.0].map(Some))),
    ]);
    let trained = fit(&with_high, "y", boosting(parameters.clone()));
    assert_eq!(
        trained.artifact.predict(&with_high).unwrap().values().to_vec(),
        [0.0, 0.0, 9.0, 9.0, 9.0, 9.0]
    );
    let with_low = table(vec![
        ("x", floats(gaps)),
        ("y", floats([0.0, 0.0, 9.0, 9.0, 0.0, 0.0].map(Some))),
    ]);
    let trained = fit(&with_low, "y", boosting(parameters.clone()));
    assert_eq!(
        trained.artifact.predict(&with_low).unwrap().values().to_vec(),
        [0.0, 0.0, 9.0, 9.0, 0.0, 0.0]
    );
    // Only whether it is missing says anything.
    let alone = table(vec![
        ("x", floats(gaps)),
        ("y", floats([0.0, 0.0, 0.0, 0.0, 9.0, 9.0].map(Some))),
    ]);
    let trained = fit(&alone, "y", boosting(parameters));
    assert_eq!(
        trained.artifact.predict(&alone).unwrap().values().to_vec(),
        [0.0, 0.0, 0.0, 0.0, 9.0, 9.0]
    );
}

#[test]
fn categories_split_by_sets_and_unseen_ones_count_as_missing() {
    let names: Vec<Option<&str>> = ["b", "a", "d", "c"]
        .iter()
        .cycle()
        .take(80)
        .map(|name| Some(*name))
        .collect();
    let y = names
        .iter()
        .map(|name| Some(if matches!(name, Some("a" | "d")) { 1.0 } else { -1.0 }));
    let rows = table(vec![("x", strings(&names)), ("y", floats(y.collect::<Vec<_>>()))]);
    let parameters = GradientBoosting {
        trees: 1,
        learning_rate: 1.0,
        max_depth: 1,
        l2: 0.0,
        ..small()
    };
    let trained = fit(&rows, "y", boosting(parameters));
    let asked = table(vec![(
        "x",
        strings(&[Some("a"), Some("b"), Some("c"), Some("d"), Some("never"), None]),
    )]);
    let got = trained.artifact.predict(&asked).unwrap().values().to_vec();
    assert_eq!(got[..4], [1.0, -1.0, -1.0, 1.0]);
    assert_eq!(got[4].to_bits(), got[5].to_bits());
}

#[test]
fn log_loss_falls_with_every_tree() {
    let rows = flights(3_000, 1);
    let mut last = f64::INFINITY;
    for trees in [1, 2, 4, 8, 16, 32] {
        let trained = fit(&rows, "late", boosting(GradientBoosting { trees, ..small() }));
        let loss = metric(&trained, "log_loss");
        assert!(loss < last, "{trees} trees: {loss} is not below {last}");
        last = loss;
    }
}

#[test]
fn it_learns_what_the_rows_say_and_ignores_noise() {
    let trained = fit(&flights(20_000, 1), "late", boosting(GradientBoosting::default()));
    let unseen = flights(10_000, 2);
    // The best possible auc of these rows is about 0.90: the rest is chance.
    let auc = judged(&trained, &unseen, "late", "auc");
    assert!(auc > 0.87, "auc {auc}");
    let last = trained.artifact.summary.importance.last().unwrap();
    assert_eq!(last.feature, "noise");
    let whole: f64 = trained
        .artifact
        .summary
        .importance
        .iter()
        .map(|importance| importance.share)
        .sum();
    assert!((whole - 1.0).abs() < 1e-12);

    let numbers = fit(&flights(20_000, 1), "minutes", boosting(GradientBoosting::default()));
    let rmse = judged(&numbers, &unseen, "minutes", "rmse");
    assert!(
        rmse < 6.0,
        "rmse {rmse}, where the target spreads about 30 and its gaps in city cannot be known"
    );
}

#[test]
fn the_same_artifact_whatever_the_threads_and_batches() {
    let rows = flights(9_000, 3);
    for parameters in [
        small(),
        GradientBoosting {
            subsample: 0.7,
            colsample: 0.6,
            seed: 11,
            ..small()
        },
        GradientBoosting {
            early_stopping_rounds: 3,
            trees: 200,
            learning_rate: 0.5,
            ..small()
        },
    ] {
        for target in ["late", "minutes"] {
            let spec = spec(&rows, target, boosting(parameters.clone()));
            let whole = train(&spec, std::slice::from_ref(&rows), one())
                .unwrap()
                .artifact
                .to_bytes();
            let batches = [rows.slice(0, 1_234), rows.slice(1_234, 5_000), rows.slice(6_234, 2_766)];
            assert!(
                whole == train(&spec, &batches, two()).unwrap().artifact.to_bytes(),
                "{target} {parameters:?}"
            );
            let three = 3.try_into().unwrap();
            assert!(
                whole == train(&spec, &batches, three).unwrap().artifact.to_bytes(),
                "{target} {parameters:?}"
            );
        }
    }
}

#[test]
fn another_seed_takes_other_samples() {
    let rows = flights(3_000, 3);
    let artifact = |seed| {
        let parameters = GradientBoosting {
            subsample: 0.5,
            colsample: 0.5,
            seed,
            trees: 3,
            ..small()
        };
        fit(&rows, "late", boosting(parameters))
            .artifact
            .predict(&rows)
            .unwrap()
    };
    assert_eq!(artifact(1), artifact(1));
    assert_ne!(artifact(1), artifact(2));
}

#[test]
fn early_stopping_keeps_the_best_trees() {
    let rows = flights(2_000, 5);
    let parameters = GradientBoosting {
        trees: 2_000,
        learning_rate: 0.5,
        early_stopping_rounds: 10,
        validation_share: 0.3,
        ..GradientBoosting::default()
    };
    let stopped = fit(&rows, "late", boosting(parameters.clone()));
    let trees = stopped.artifact.summary.trees.unwrap();
    assert!((1..200).contains(&trees), "{trees} trees");
    let unseen = flights(10_000, 6);
    let all = GradientBoosting {
        early_stopping_rounds: 0,
        trees: 300,
        ..parameters
    };
    let overfitted = fit(&rows, "late", boosting(all));
    let (early, late) = (
        judged(&stopped, &unseen, "late", "log_loss"),
        judged(&overfitted, &unseen, "late", "log_loss"),
    );
    assert!(early < late, "{early} against {late}");
}

#[test]
fn training_scores_are_those_of_prediction() {
    let rows = flights(2_000, 8);
    let trained = fit(
        &rows,
        "late",
        boosting(GradientBoosting {
            subsample: 0.8,
            ..small()
        }),
    );
    assert!((metric(&trained, "log_loss") - judged(&trained, &rows, "late", "log_loss")).abs() < 1e-15);
}

#[test]
fn what_cannot_be_learned_says_why() {
    let trainer = || boosting(small());
    let problem = |rows: RecordBatch| train(&spec(&rows, "late", trainer()), &[rows], one()).unwrap_err();
    let one_class = table(vec![("x", integers([1, 2])), ("late", integers([1, 1]))]);
    assert!(matches!(problem(one_class), ModelError::SingleClass { rows: 2, .. }));
    let nothing_known = table(vec![("x", integers([1])), ("late", floats([None]))]);
    assert!(matches!(
        problem(nothing_known),
        ModelError::NothingToLearn { rows: 0, .. }
    ));
    let no_features = table(vec![("late", integers([1, 0]))]);
    assert!(matches!(
        problem(no_features),
        ModelError::NothingToLearn { features: 0, .. }
    ));
    let text = table(vec![("x", integers([1])), ("late", strings(&[Some("yes")]))]);
    assert!(matches!(problem(text), ModelError::UnfitType { .. }));
    let infinite = table(vec![
        ("x", integers([1, 2])),
        ("late", floats([Some(f64::NAN), Some(1.0)])),
    ]);
    assert!(matches!(problem(infinite), ModelError::TargetNotFinite { .. }));
}

#[test]
fn rows_without_a_target_are_left_out_and_counted() {
    let rows = table(vec![
        ("x", integers([1, 2, 3, 4, 5])),
        ("late", floats([Some(0.0), None, Some(1.0), Some(1.0), None])),
    ]);
    let summary = fit(&rows, "late", boosting(small())).artifact.summary;
    assert_eq!((summary.rows, summary.dropped_rows), (3, 2));
}
