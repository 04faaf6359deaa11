//! Linear and logistic regression.

use super::super::{LinearRegression, LogisticRegression, Metric, ModelError, Trainer, train};
use super::data::{fit, flights, floats, integers, metric, one, spec, strings, table, two};

fn logistic(l2: f64) -> Trainer {
    Trainer::LogisticRegression(LogisticRegression {
        l2,
        ..LogisticRegression::default()
    })
}

fn linear(l2: f64) -> Trainer {
    Trainer::LinearRegression(LinearRegression {
        l2,
        ..LinearRegression::default()
    })
}

#[test]
fn a_line_is_found_exactly() {
    let rows = table(vec![
        ("a", integers([1, 2, 3, 4, 7])),
        ("b", floats([3.0, -1.0, 0.5, 8.0, 2.0].map(Some))),
        (
            "y",
            floats(
                [(1, 3.0), (2, -1.0), (3, 0.5), (4, 8.0), (7, 2.0)]
                    .map(|(a, b)| Some(5.0 + 2.0 * f64::from(a) - 3.0 * b)),
            ),
        ),
    ]);
    let trained = fit(&rows, "y", linear(0.0));
    let asked = table(vec![("b", floats([Some(10.0)])), ("a", integers([-4]))]);
    let predicted = trained.artifact.predict(&asked).unwrap().value(0);
    assert!((predicted - (5.0 - 8.0 - 30.0)).abs() < 1e-9, "{predicted}");
}

#[test]
fn ridge_shrinks_as_its_formula_says() {
    // One standardized feature z = ±1, target ±2: the coefficient is sum(z y) / (n + l2).
    let rows = table(vec![
        ("x", integers([0, 2, 0, 2])),
        ("y", floats([-2.0, 2.0, -2.0, 2.0].map(Some))),
    ]);
    let predicted = fit(&rows, "y", linear(4.0)).artifact.predict(&rows).unwrap();
    assert!((predicted.value(1) - 1.0).abs() < 1e-12, "{predicted:?}");
}

#[test]
fn log_odds_of_one_category_are_those_of_its_counts() {
    // Without a penalty a saturated model gives back the shares: 3 of 4, and 1 of 4.
    let x = [Some("a"), Some("a"), Some("a"), Some("a"), None, None, None, None];
    let rows = table(vec![("x", strings(&x)), ("late", integers([1, 1, 1, 0, 1, 0, 0, 0]))]);
    let trained = fit(&rows, "late", logistic(1e-9));
    let predicted = trained.artifact.predict(&rows).unwrap();
    assert!(
        (predicted.value(0) - 0.75).abs() < 1e-6 && (predicted.value(7) - 0.25).abs() < 1e-6,
        "{predicted:?}"
    );
}

#[test]
fn the_gradient_is_zero_where_it_stops() {
    // At the optimum, sum((p - y) * z) + l2 * coefficient = 0; here by finite differences of the loss that it minimizes.
    let rows = table(vec![
        ("x", floats([0.5, 1.5, 2.0, 3.0, 4.5, 5.0].map(Some))),
        ("late", integers([0, 0, 1, 0, 1, 1])),
    ]);
    let trained = fit(&rows, "late", logistic(1.0));
    let predicted = trained.artifact.predict(&rows).unwrap();
    let y = [0.0, 0.0, 1.0, 0.0, 1.0, 1.0];
    let sum: f64 = predicted.values().iter().zip(y).map(|(p, y)| p - y).sum();
    assert!(
        sum.abs() < 1e-7,
        "the free intercept makes the residuals sum to zero, not {sum}"
    );
    let x = [0.5, 1.5, 2.0, 3.0, 4.5, 5.0];
    let mean = x.iter().sum::<f64>() / 6.0;
    let scale = (x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 6.0).sqrt();
    let log_odds = |p: f64| (p / (1.0 - p)).ln();
    let coefficient = (log_odds(predicted.value(5)) - log_odds(predicted.value(0))) / ((5.0 - 0.5) / scale);
    let gradient: f64 = predicted
        .values()
        .iter()
        .zip(y)
        .zip(x)
        .map(|((p, y), x)| (p - y) * (x - mean) / scale)
        .sum();
    assert!((gradient + coefficient).abs() < 1e-7, "{gradient} and {coefficient}");
}

#[test]
fn gaps_and_rare_categories_have_coefficients_of_their_own() {
    let rows = flights(20_000, 1);
    let trained = fit(&rows, "late", logistic(1.0));
    let auc = metric(&trained, "auc");
    assert!(
        auc > 0.8,
        "auc {auc}: the square of load is out of reach, the rest is not"
    );
    let parameters = LogisticRegression {
        max_categories: 2,
        ..LogisticRegression::default()
    };
    let coarse = fit(&rows, "late", Trainer::LogisticRegression(parameters));
    assert!(metric(&coarse, "auc") < auc, "four of six cities share a coefficient");
    // A city that was never seen is like those that share one.
    let asked = |city| {
        table(vec![
            ("wind", floats([Some(10.0)])),
            ("load", integers([50])),
            ("city", strings(&[city])),
            ("noise", floats([Some(0.0)])),
        ])
    };
    let rare = super::data::CITIES
        .into_iter()
        .map(|city| coarse.artifact.predict(&asked(Some(city))).unwrap().value(0));
    let unseen = coarse.artifact.predict(&asked(Some("Nowhere"))).unwrap().value(0);
    assert_eq!(rare.filter(|p| p.to_bits() == unseen.to_bits()).count(), 4);
}

#[test]
fn the_same_bytes_every_time() {
    let rows = flights(3_000, 1);
    for (target, trainer) in [("late", logistic(1.0)), ("minutes", linear(1.0))] {
        let spec = spec(&rows, target, trainer);
        let once = train(&spec, std::slice::from_ref(&rows), one())
            .unwrap()
            .artifact
            .to_bytes();
        let again = train(&spec, &[rows.slice(0, 7), rows.slice(7, 2_993)], two())
            .unwrap()
            .artifact
            .to_bytes();
        assert!(once == again, "{target}");
    }
}

#[test]
fn what_has_no_solution_says_so() {
    let twice = table(vec![
        ("a", integers([1, 2, 3])),
        ("b", integers([2, 4, 6])),
        ("y", floats([1.0, 2.0, 4.0].map(Some))),
    ]);
    let fails = |rows: &arrow::array::RecordBatch, target, trainer| {
        train(&spec(rows, target, trainer), std::slice::from_ref(rows), one()).unwrap_err()
    };
    assert!(matches!(fails(&twice, "y", linear(0.0)), ModelError::Collinear));
    assert!(train(&spec(&twice, "y", linear(0.1)), std::slice::from_ref(&twice), one()).is_ok());
    assert!(matches!(
        fails(&twice, "y", logistic(1.0)),
        ModelError::NotBinary { .. }
    ));
    let apart = table(vec![("x", integers([1, 2, 3, 4])), ("late", integers([0, 0, 1, 1]))]);
    let error = fails(&apart, "late", logistic(0.0));
    assert!(
        matches!(error, ModelError::NotConverged { .. } | ModelError::Collinear),
        "{error}"
    );
    assert!(
        train(
            &spec(&apart, "late", logistic(0.1)),
            std::slice::from_ref(&apart),
            one()
        )
        .is_ok()
    );
}

#[test]
fn a_constant_and_an_empty_column_change_nothing() {
    let plain = table(vec![
        ("x", integers([1, 2, 3, 4])),
        ("y", floats([1.0, 3.0, 2.0, 5.0].map(Some))),
    ]);
    let padded = table(vec![
        ("x", integers([1, 2, 3, 4])),
        ("same", floats([0.1; 4].map(Some))),
        ("none", floats([None; 4])),
        ("y", floats([1.0, 3.0, 2.0, 5.0].map(Some))),
    ]);
    let predicted = |rows: &arrow::array::RecordBatch| fit(rows, "y", linear(1.0)).artifact.predict(rows).unwrap();
    for (a, b) in predicted(&plain).values().iter().zip(predicted(&padded).values()) {
        assert!((a - b).abs() < 1e-9, "{a} and {b}");
    }
    assert!(Metric::named("rmse").is_ok());
}
