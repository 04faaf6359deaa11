//! Metrics against sums by hand, and AUC against its definition.

use super::super::{METRICS, Metric, MetricError, Task, calibration, evaluate};
use super::data::Uniform;

#[track_caller]
fn check(name: &str, targets: &[f64], predictions: &[f64], expected: f64) {
    let got = Metric::named(name).unwrap().compute(targets, predictions).unwrap();
    assert!(
        (got - expected).abs() < 1e-12,
        "{name} of {targets:?} and {predictions:?} is {got}, not {expected}"
    );
}

#[test]
fn values_by_hand() {
    let (y, p) = ([1.0, 0.0, 1.0, 0.0], [0.8, 0.4, 0.5, 0.6]);
    check("auc", &y, &p, 0.75);
    check(
        "log_loss",
        &y,
        &p,
        -(0.8_f64.ln() + 0.6_f64.ln() + 0.5_f64.ln() + 0.4_f64.ln()) / 4.0,
    );
    check("brier", &y, &p, (0.04 + 0.16 + 0.25 + 0.36) / 4.0);
    check("accuracy", &y, &p, 0.75);
    check("rmse", &[1.0, 2.0], &[4.0, -2.0], 12.5_f64.sqrt());
    check("mae", &[1.0, 2.0], &[4.0, -2.0], 3.5);
}

#[test]
fn ties_count_half() {
    check("auc", &[1.0, 0.0], &[0.5, 0.5], 0.5);
    check(
        "auc",
        &[1.0, 0.0, 1.0, 0.0, 0.0],
        &[0.9, 0.9, 0.1, 0.1, 0.05],
        (0.5 + 2.0 + 0.5 + 1.0) / 6.0,
    );
}

#[test]
fn certainty_that_is_wrong_costs_much_but_not_everything() {
    check("log_loss", &[1.0], &[0.0], -(1e-15_f64.ln()));
}

#[test]
fn auc_is_the_share_of_pairs_in_order() {
    for seed in 0..50 {
        let mut uniform = Uniform::new(seed);
        let rows = 2 + (uniform.next() * 40.0) as usize;
        let mut y: Vec<f64> = (0..rows).map(|_| uniform.next().round()).collect();
        (y[0], y[1]) = (0.0, 1.0);
        let p: Vec<f64> = (0..rows).map(|_| (uniform.next() * 8.0).floor() / 8.0).collect();
        let (mut pairs, mut won) = (0.0, 0.0);
        for (positive, _) in y.iter().enumerate().filter(|(_, y)| **y == 1.0) {
            for (negative, _) in y.iter().enumerate().filter(|(_, y)| **y == 0.0) {
                pairs += 1.0;
                won += if p[positive] > p[negative] {
                    1.0
                } else if p[positive] < p[negative] {
                    0.0
                } else {
                    0.5
                };
            }
        }
        check("auc", &y, &p, won / pairs);
    }
}

#[test]
fn what_has_no_value_says_why() {
    let auc = Metric::named("auc").unwrap();
    assert_eq!(
        auc.compute(&[1.0, 1.0], &[0.1, 0.2]),
        Err(MetricError::SingleClass { metric: "auc" })
    );
    assert_eq!(auc.compute(&[], &[]), Err(MetricError::NoRows { metric: "auc" }));
    assert!(matches!(
        auc.compute(&[1.0, 0.0], &[0.5, f64::NAN]),
        Err(MetricError::Unfit { row: 1, .. })
    ));
    assert!(matches!(
        auc.compute(&[2.0], &[0.5]),
        Err(MetricError::Unfit { row: 0, .. })
    ));
    let unknown = Metric::named("logloss").unwrap_err().to_string();
    assert!(unknown.contains("did you mean \"log_loss\"?"), "{unknown}");
}

#[test]
fn each_task_has_its_metrics() {
    let names = |task| {
        evaluate(task, &[1.0, 0.0], &[0.7, 0.3])
            .iter()
            .map(|(metric, _)| metric.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(Task::Binary), ["auc", "log_loss", "brier", "accuracy"]);
    assert_eq!(names(Task::Regression), ["rmse", "mae"]);
    assert_eq!(METRICS.len(), 6);
    let better: Vec<&str> = METRICS
        .iter()
        .filter(|metric| metric.higher_is_better)
        .map(|metric| metric.name)
        .collect();
    assert_eq!(better, ["auc", "accuracy"]);
}

#[test]
fn calibration_groups_rows_by_their_predictions() {
    // Twenty rows, 0.05 to 1: the upper half came true.
    let predictions: Vec<f64> = (1..=20).map(|number| f64::from(number) / 20.0).collect();
    let targets: Vec<f64> = (1..=20).map(|number| f64::from(u8::from(number > 10))).collect();
    let bins = calibration(Task::Binary, &targets, &predictions).unwrap();
    assert_eq!(bins.len(), 10);
    assert!(bins.iter().all(|bin| bin.rows == 2), "{bins:?}");
    assert_eq!(
        bins.iter().map(|bin| bin.observed).collect::<Vec<_>>(),
        [0., 0., 0., 0., 0., 1., 1., 1., 1., 1.]
    );
    assert!((bins[0].predicted - 0.075).abs() < 1e-12, "{bins:?}");
    // Equal predictions are never torn apart.
    let equal = calibration(Task::Binary, &[0.0, 1.0, 1.0, 0.0, 1.0], &[0.5; 5]).unwrap();
    assert_eq!((equal.len(), equal[0].rows), (1, 5));
    assert!((equal[0].observed - 0.6).abs() < 1e-12);
    assert_eq!(calibration(Task::Regression, &[1.0], &[1.0]), None);
    assert_eq!(calibration(Task::Binary, &[], &[]), None);
}
