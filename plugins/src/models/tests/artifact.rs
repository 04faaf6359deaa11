//! Artifacts: saved and loaded they predict the same bits; damaged ones are refused.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};

use super::super::{Artifact, GradientBoosting, LinearRegression, LogisticRegression, ModelError, Trainer};
use super::data::{fit, flights, floats, integers, strings, table};

fn trainers() -> [(&'static str, Trainer); 4] {
    let boosting = GradientBoosting {
        trees: 20,
        ..GradientBoosting::default()
    };
    [
        ("late", Trainer::GradientBoosting(boosting.clone())),
        ("minutes", Trainer::GradientBoosting(boosting)),
        ("late", Trainer::LogisticRegression(LogisticRegression::default())),
        ("minutes", Trainer::LinearRegression(LinearRegression::default())),
    ]
}

fn bits(artifact: &Artifact, rows: &RecordBatch) -> Vec<u64> {
    artifact
        .predict(rows)
        .unwrap()
        .values()
        .iter()
        .map(|value| value.to_bits())
        .collect()
}

#[test]
fn predictions_are_the_same_bits_after_saving_and_loading() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (target, trainer)) in trainers().into_iter().enumerate() {
        let rows = flights(4_000, 1);
        let artifact = fit(&rows, target, trainer).artifact;
        let path = folder.path().join(format!("model-{number}.json"));
        artifact.save(&path).unwrap();
        let loaded = Artifact::load(&path).unwrap();
        assert_eq!(bits(&artifact, &rows), bits(&loaded, &rows), "{target}");
        assert!(loaded == artifact && loaded.to_bytes() == artifact.to_bytes());
    }
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 4, "no temporary file is left");
}

#[test]
fn columns_are_found_by_name_and_read_as_in_training() {
    let rows = flights(2_000, 1);
    let artifact = fit(&rows, "late", trainers()[0].1.clone()).artifact;
    let expected = bits(&artifact, &rows);
    // Another order, other columns beside them, and other types of the same meaning.
    let column = |name: &str, to: &DataType| cast(rows.column_by_name(name).unwrap(), to).unwrap();
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let shuffled = table(vec![
        ("noise", column("noise", &DataType::Float64)),
        ("extra", integers(0..2_000)),
        ("city", column("city", &dictionary)),
        ("load", column("load", &DataType::Decimal128(10, 2))),
        ("wind", column("wind", &DataType::Float64)),
    ]);
    assert_eq!(bits(&artifact, &shuffled), expected);

    let without = shuffled.project(&[0, 1, 2, 3]).unwrap();
    let message = artifact.predict(&without).unwrap_err().to_string();
    assert!(
        message.contains("\"wind\"") && message.contains("noise, extra, city, load"),
        "{message}"
    );
    let mut columns = shuffled.columns().to_vec();
    columns[3] = strings(&vec![Some("many"); 2_000]);
    let names = ["noise", "extra", "city", "load", "wind"];
    let unfit = table(names.into_iter().zip(columns).collect());
    assert!(matches!(artifact.predict(&unfit), Err(ModelError::UnfitType { .. })));
}

#[test]
fn times_are_seconds_whatever_their_unit() {
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(
        (0..100).map(|hour| hour * 3_600_000_000),
    ));
    let y = floats((0..100).map(|hour| Some(f64::from(hour % 50))));
    let rows = table(vec![("at", at.clone()), ("y", y)]);
    let artifact = fit(&rows, "y", trainers()[1].1.clone()).artifact;
    let expected = bits(&artifact, &rows);
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Nanosecond] {
        let other = cast(&at, &DataType::Timestamp(unit, None)).unwrap();
        assert_eq!(bits(&artifact, &table(vec![("at", other)])), expected, "{unit:?}");
    }
}

#[test]
fn nothing_to_predict_gives_no_predictions() {
    let rows = flights(500, 1);
    let artifact = fit(&rows, "late", trainers()[0].1.clone()).artifact;
    assert_eq!(artifact.predict(&rows.slice(0, 0)).unwrap().len(), 0);
}

/// A small artifact as JSON, changed by the caller, and what loading says to it.
fn refused(target: &str, trainer: Trainer, change: impl FnOnce(&mut serde_json::Value)) -> String {
    let artifact = fit(&flights(500, 1), target, trainer).artifact;
    let mut json: serde_json::Value = serde_json::from_slice(&artifact.to_bytes()).unwrap();
    change(&mut json);
    Artifact::from_bytes(&serde_json::to_vec(&json).unwrap()).expect_err("a damaged artifact")
}

#[test]
fn damaged_artifacts_are_refused() {
    let tree = |change: fn(&mut serde_json::Value)| {
        refused("late", trainers()[0].1.clone(), |json| {
            change(&mut json["model"]["trees"]["trees"][0]);
        })
    };
    let messages = [
        refused("late", trainers()[0].1.clone(), |json| json["format"] = "other".into()),
        refused("late", trainers()[0].1.clone(), |json| json["version"] = 2.into()),
        refused("late", trainers()[0].1.clone(), |json| json["surprise"] = 2.into()),
        refused("late", trainers()[0].1.clone(), |json| {
            json["features"][1]["name"] = "wind".into();
        }),
        refused("late", trainers()[0].1.clone(), |json| {
            json["features"].as_array_mut().unwrap().truncate(1);
        }),
        tree(|tree| tree["left"][0] = 0.into()),
        tree(|tree| tree["left"][0] = 1_000.into()),
        tree(|tree| tree["right"][0] = tree["left"][0].clone()),
        tree(|tree| tree["value"][0] = serde_json::Value::Null),
        tree(|tree| {
            tree["gain"].as_array_mut().unwrap().pop();
        }),
        refused("minutes", trainers()[3].1.clone(), |json| {
            json["model"]["linear"]["terms"].as_array_mut().unwrap().pop();
        }),
        refused("minutes", trainers()[3].1.clone(), |json| {
            json["task"] = "binary".into();
        }),
    ];
    // Where in the file is of no interest.
    let messages: Vec<&str> = messages
        .iter()
        .filter_map(|message| message.split(" at line").next())
        .collect();
    insta::assert_snapshot!(messages.join("\n"), @r#"
    its format is "other", not "millpond-model"
    it is of version 2, and this program reads version 1
    it is not what was written: unknown field `surprise`, expected one of `format`, `version`, `trainer`, `task`, `target`, `features`, `summary`, `model`
    it has the feature "wind" twice
    tree 0: node 0 splits on feature 2 of 1
    tree 0: node 0 of 57 has the child 0
    tree 0: node 0 of 57 has the child 1000
    tree 0: node 1 has 2 parents
    it is not what was written: invalid type: null, expected f64
    tree 0: its arrays are of lengths 57 and [57, 57, 57, 57, 56, 57]
    it has 3 terms for 4 features
    its model is not one of linear_regression
    "#);
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let artifact = fit(&flights(300, 1), "late", trainers()[2].1.clone()).artifact;
    let bytes = artifact.to_bytes();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.json");
    // The last byte is the newline after the object.
    for length in (0..bytes.len() - 1).step_by(7) {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let message = Artifact::load(&path).unwrap_err().to_string();
        assert!(
            message.contains("model.json") && message.contains("cut off"),
            "{length} bytes: {message}"
        );
    }
    assert!(matches!(
        Artifact::load(Path::new("/nowhere/model.json")),
        Err(ModelError::File { action: "read", .. })
    ));
    assert!(matches!(
        artifact.save(Path::new("/nowhere/model.json")),
        Err(ModelError::File { action: "write", .. })
    ));
}
