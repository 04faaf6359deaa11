//! Training sets, training and inference over real tables.

use assets::AssetKey;
use assets::files::MemoryFiles;
use assets::outcome::{FailureClass, Staged, StagedModel};
use assets::project::load;

use super::{Outcome, PROJECT, World, collect, key, partition};
use crate::kind::KindSet;
use crate::models::Artifact;
use crate::step::OrderedModel;
use crate::step_run::execute;

const WEATHER: &str = r#"
[asset.gold.departures]
kind = "sql"
sql = """
SELECT number, origin, CAST(at AS TIMESTAMP) AS sched_dep_at, CAST(day AS DATE) AS flight_date, is_late
FROM (VALUES
    (1, 'EWR', '2013-03-01T06:00:00', '2013-03-01', true), (2, 'JFK', '2013-03-01T06:00:00', '2013-03-01', false),
    (3, 'EWR', '2013-03-01T07:59:59', '2013-03-01', false), (4, 'EWR', '2013-03-02T00:30:00', '2013-03-02', true),
    (5, NULL, '2013-03-02T01:00:00', '2013-03-02', false)
) AS departures (number, origin, at, day, is_late)
WHERE CAST(day AS DATE) = CAST($partition_start AS DATE)
"""
partitions = { use = "daily", column = "flight_date" }

[asset.features.weather]
kind = "features"
sql = """
SELECT origin, CAST(at AS TIMESTAMP) AS known_at, CAST(day AS DATE) AS day, temp, number
FROM (VALUES
    ('EWR', '2013-03-01T05:00:00', '2013-03-01', 30.0, 7), ('EWR', '2013-03-01T06:00:00', '2013-03-01', 31.0, 8),
    ('EWR', '2013-03-01T06:00:01', '2013-03-01', 99.0, 9), ('JFK', '2013-03-01T03:59:59', '2013-03-01', 50.0, 10),
    ('EWR', '2013-03-01T23:30:00', '2013-03-01', 20.0, 11)
) AS weather (origin, at, day, temp, number)
WHERE CAST(day AS DATE) = CAST($partition_start AS DATE)
"""
partitions = { use = "daily", column = "day" }
entity = ["origin"]
timestamp = "known_at"
ttl = "2 hours"
"#;

const DAYS: [&str; 2] = ["2013-03-01", "2013-03-02"];

async fn weather(more: &str) -> World {
    let mut world = World::new(&format!("{WEATHER}{more}"));
    world.materialize("gold.departures", &DAYS).await;
    world.materialize("features.weather", &DAYS).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_gets_what_was_known_at_its_moment_within_the_time_to_live() {
    let mut world = weather(
        r#"
[asset.gold.training]
kind = "training_set"
labels = { from = "gold.departures", timestamp = "sched_dep_at", columns = ["number", "is_late"] }
features = ["features.weather"]
"#,
    )
    .await;
    let staged = world.materialize("gold.training", &[]).await;
    assert_eq!(staged[0].rows(), 5);
    // 06:00 sees the row of 06:00 and not that a second later; a row of three hours ago is too old; no origin, no weather.
    insta::assert_snapshot!(world.read("SELECT * FROM gold.training ORDER BY number").await, @r"
    +--------+---------------------+--------+---------+------------+------+-----------------+
    | origin | sched_dep_at        | number | is_late | day        | temp | weather__number |
    +--------+---------------------+--------+---------+------------+------+-----------------+
    | EWR    | 2013-03-01T06:00:00 | 1      | true    | 2013-03-01 | 31.0 | 8               |
    | JFK    | 2013-03-01T06:00:00 | 2      | false   |            |      |                 |
    | EWR    | 2013-03-01T07:59:59 | 3      | false   | 2013-03-01 | 99.0 | 9               |
    | EWR    | 2013-03-02T00:30:00 | 4      | true    | 2013-03-01 | 20.0 | 11              |
    |        | 2013-03-02T01:00:00 | 5      | false   |            |      |                 |
    +--------+---------------------+--------+---------+------------+------+-----------------+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_sees_the_window_of_features_that_is_declared() {
    let mut world = weather(
        r#"
[asset.gold.narrow]
kind = "training_set"
labels = { from = "gold.departures", timestamp = "sched_dep_at", columns = ["flight_date"] }
features = ["features.weather:temp"]
partitions = { use = "daily", column = "flight_date" }

[asset.gold.wide]
kind = "training_set"
labels = { from = "gold.departures", timestamp = "sched_dep_at", columns = ["flight_date"] }
features = ["features.weather:temp"]
partitions = { use = "daily", column = "flight_date" }
inputs."features.weather" = { window = "2 days", ending = "with" }
"#,
    )
    .await;
    world.materialize("gold.narrow", &DAYS).await;
    let staged = world.materialize("gold.wide", &DAYS).await;
    let rows: Vec<_> = staged
        .iter()
        .map(|staged| (staged.partition.clone().unwrap(), staged.rows()))
        .collect();
    assert_eq!(rows, [(partition(DAYS[0]), 3), (partition(DAYS[1]), 2)]);
    // The flight shortly after midnight has the weather of the evening before only if that day is in the window.
    let night = "SELECT origin, temp FROM gold.narrow WHERE sched_dep_at = TIMESTAMP '2013-03-02T00:30:00'";
    insta::assert_snapshot!(world.read(night).await, @r"
    +--------+------+
    | origin | temp |
    +--------+------+
    | EWR    |      |
    +--------+------+
    ");
    insta::assert_snapshot!(world.read(&night.replace("narrow", "wide")).await, @r"
    +--------+------+
    | origin | temp |
    +--------+------+
    | EWR    | 20.0 |
    +--------+------+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_labels_table_without_the_entity_is_named() {
    let mut world = weather(
        r#"
[asset.gold.blind]
kind = "sql"
sql = "SELECT number, sched_dep_at FROM gold.departures"

[asset.gold.training]
kind = "training_set"
labels = { from = "gold.blind", timestamp = "sched_dep_at" }
features = ["features.weather:temp"]
"#,
    )
    .await;
    world.materialize("gold.blind", &[]).await;
    let outcome = world.execute("gold.training", &[]).await;
    assert_eq!(outcome.failure().class, FailureClass::Declaration);
    insta::assert_snapshot!(outcome.failure().message, @"features.weather is about `origin`, and in the labels gold.blind there is no column `origin`; the columns are `number`, `sched_dep_at`");
}

const MODELS: &str = r#"
[asset.gold.rows]
kind = "sql"
sql = """
SELECT n AS id, CAST(to_timestamp_seconds(1361750400 + n * 3600) AS TIMESTAMP) AS wall,
    arrow_cast(to_timestamp_seconds(1361750400 + n * 3600), 'Timestamp(Microsecond, Some("UTC"))') AS at,
    CAST((n * 7919) % 101 AS DOUBLE) AS x, CASE n % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b' END AS letter,
    (n * 7919) % 101 + (n * 31) % 20 > 55 AS is_late, false AS never
FROM (SELECT unnest(range(0, 400)) AS n)
"""

[asset.models.boosted]
kind = "training"
from = "gold.rows"
target = "is_late"
features = ["x", "letter"]
trainer = { algorithm = "gradient_boosting", trees = 20, max_depth = 3, subsample = 0.8 }
split = { by = "at", test_from = 2013-03-08 }
metrics = ["auc", "log_loss"]
promote = { alias = "champion", when = "auc > 0.65 AND auc >= champion.auc" }

[asset.models.linear]
kind = "training"
from = "gold.rows"
target = "is_late"
features = ["x"]
trainer = { algorithm = "logistic_regression" }
split = { by = "id", test_share = 0.25 }

[asset.models.by_wall]
kind = "training"
from = "gold.rows"
target = "is_late"
features = ["x"]
trainer = { algorithm = "logistic_regression" }
split = { by = "wall", test_from = 2013-03-08 }

[asset.models.never]
kind = "training"
from = "gold.rows"
target = "never"
trainer = { algorithm = "logistic_regression" }
split = { by = "id", test_share = 0.25 }

[asset.models.late]
kind = "training"
from = "gold.rows"
target = "is_late"
trainer = { algorithm = "logistic_regression" }
split = { by = "at", test_from = 2020-01-01 }

[asset.predictions.rows]
kind = "inference"
model = "models.boosted@champion"
from = "gold.rows"
"#;

async fn models(more: &str) -> World {
    let mut world = World::new(&format!("{MODELS}{more}"));
    world.materialize("gold.rows", &[]).await;
    world
}

fn model(staged: &[Staged]) -> StagedModel {
    let [staged] = staged else { panic!("{staged:?}") };
    staged.model.clone().unwrap()
}

/// Executes an order in which this version of a model is pinned.
async fn score(world: &mut World, asset: &str, model: AssetKey, version: u64, staged: &StagedModel) -> Outcome {
    let mut order = world.order(asset, &[]);
    let artifact = format!("{}/{}", order.project.state_folder, staged.artifact);
    order.models.push(OrderedModel {
        model,
        version,
        artifact,
    });
    let (environment, receiver) = world.environment();
    execute(order, environment).await;
    collect(receiver).await
}

#[tokio::test(flavor = "multi_thread")]
async fn models_learn_and_are_judged_on_what_they_have_not_seen() {
    let mut world = models("").await;
    let boosted = model(&world.materialize("models.boosted", &[]).await);
    assert_eq!(boosted.algorithm, "gradient_boosting");
    assert_eq!(boosted.metrics.keys().collect::<Vec<_>>(), ["auc", "log_loss"]);
    assert!(boosted.metrics["auc"] > 0.9, "{:?}", boosted.metrics);
    // Hours from 2013-02-25 in UTC; the eighth of March begins at 05:00 UTC in New York, 269 hours later.
    assert_eq!(
        (&boosted.details["rows_train"], &boosted.details["rows_test"]),
        (&269.into(), &131.into())
    );
    assert_eq!(boosted.details["importance"][0]["feature"], "x");
    assert!(boosted.details["train_auc"].as_f64().unwrap() >= boosted.metrics["auc"] - 0.05);
    assert_eq!(boosted.parameters["trees"], 20);
    assert_eq!(boosted.parameters["l2"], 1.0);
    // The step's seed, since the declaration has none.
    assert_eq!(boosted.parameters["seed"], 7);
    // A time without zone is compared as it is written.
    let by_wall = model(&world.materialize("models.by_wall", &[]).await);
    assert_eq!(by_wall.details["rows_train"], 264);
    let linear = model(&world.materialize("models.linear", &[]).await);
    assert_eq!(
        linear.metrics.keys().collect::<Vec<_>>(),
        ["accuracy", "auc", "brier", "log_loss"]
    );
    assert_eq!(
        (&linear.details["rows_train"], &linear.details["rows_test"]),
        (&300.into(), &100.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rows_and_seed_give_the_same_artifact() {
    let mut world = models("").await;
    let first = model(&world.materialize("models.boosted", &[]).await);
    let second = model(&world.materialize("models.boosted", &[]).await);
    assert_eq!(first, second);
    let path = world.folder.path().join("state").join(&first.artifact);
    assert!(
        first
            .artifact
            .starts_with(&format!("models/models.boosted/{}", &first.sha256[..16]))
    );
    assert_eq!(Artifact::load(&path).unwrap().features.len(), 2);
    let mut order = world.order("models.boosted", &[]);
    order.seed = 8;
    let (environment, receiver) = world.environment();
    execute(order, environment).await;
    assert_ne!(model(&collect(receiver).await.staged).sha256, first.sha256);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_learned_says_why() {
    let mut world = models("").await;
    let never = world.execute("models.never", &[]).await;
    assert_eq!(never.failure().class, FailureClass::Data);
    insta::assert_snapshot!(never.failure().message, @r#"failed to learn two classes of "never": all 300 training rows have the value 0; widen the training part"#);
    let late = world.execute("models.late", &[]).await;
    assert_eq!(late.failure().class, FailureClass::Data);
    insta::assert_snapshot!(late.failure().message, @"failed to split gold.rows by `at`: no row is in the test part");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_prediction_names_its_version() {
    let mut world = models("").await;
    let boosted = model(&world.materialize("models.boosted", &[]).await);
    let outcome = score(&mut world, "predictions.rows", key("models.boosted"), 3, &boosted).await;
    assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
    world.publish(&outcome.staged[0]).await;
    let told = world
        .read(
            "SELECT model_version, count(*) AS n, min(prediction) >= 0 AND max(prediction) <= 1 AS chances,
                avg(prediction) FILTER (WHERE is_late) > avg(prediction) FILTER (WHERE NOT is_late) AS knows
             FROM predictions.rows GROUP BY 1",
        )
        .await;
    insta::assert_snapshot!(told, @r"
    +---------------+-----+---------+-------+
    | model_version | n   | chances | knows |
    +---------------+-----+---------+-------+
    | 3             | 400 | true    | true  |
    +---------------+-----+---------+-------+
    ");
    // No features; the columns that are none, then its own.
    let columns = world.read("DESCRIBE predictions.rows").await;
    assert!(!columns.contains(" x "), "{columns}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_a_version_is_a_missing_input() {
    let mut world = models("").await;
    let outcome = world.execute("predictions.rows", &[]).await;
    assert_eq!(outcome.failure().class, FailureClass::MissingInput);
}

#[test]
fn the_features_of_a_training_set_are_its_columns_that_are_no_labels() {
    let world = World::new(&format!(
        "{}{}",
        WEATHER,
        r#"
[asset.gold.training]
kind = "training_set"
labels = { from = "gold.departures", timestamp = "sched_dep_at", columns = ["number", "is_late"] }
features = ["features.weather:temp"]

[asset.models.delay]
kind = "training"
from = "gold.training"
target = "is_late"
trainer = { algorithm = "gradient_boosting", seed = 7 }
"#
    ));
    let config = &world.asset("models.delay").config;
    assert_eq!(
        config["label_columns"],
        serde_json::json!(["origin", "sched_dep_at", "number", "is_late"])
    );
    let joined = &world.asset("gold.training").config["features"][0]["joined_by"];
    assert_eq!(joined["ttl_seconds"], 7200);
}

/// The messages of the mistakes in these assets.
fn mistakes(assets: &str) -> Vec<String> {
    let files = MemoryFiles::new()
        .with("millpond.toml", PROJECT)
        .with("assets/all.toml", assets);
    let loaded = load(&files, &KindSet::all());
    assert!(loaded.project.is_none());
    loaded
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.message.clone())
        .collect()
}

#[test]
fn mistakes_are_told_at_once() {
    let told = mistakes(
        r#"
[asset.gold.rows]
kind = "sql"
sql = "SELECT 1 AS x"

[asset.gold.training]
kind = "training_set"
labels = { from = "gold.rows", timestamp = "at" }
features = ["gold.rows", "gold.rows:x,x"]

[asset.gold.plain]
kind = "training_set"
labels = { from = "gold.rows", timestamp = "at" }
features = ["gold.rows"]

[asset.models.delay]
kind = "training"
from = "gold.rows"
target = "is_late"
trainer = { algorithm = "gradient_boosting", tres = 3, learning_rate = 7 }
split = { by = "at", test_from = 2013-03-08, test_share = 0.1 }
metrics = ["acu", "auc"]
promote = { alias = "champion", when = "auc > rival.auc AND brier < 1" }

[asset.predictions.one]
kind = "inference"
model = "models.delay"
from = "gold.rows"

[asset.predictions.two]
kind = "inference"
model = "gold.rows@2"
from = "gold.rows"
keep = ["prediction"]
"#,
    );
    insta::assert_snapshot!(told.join("\n"), @r#"
    `gold.rows` names the column `x` twice
    `gold.rows` is named twice
    `gold.rows` is of the kind `sql` and no features
    gradient_boosting has no parameter "tres"; it has trees, learning_rate, max_depth, min_child_weight, l2, gamma, max_bins, subsample, colsample, early_stopping_rounds, validation_share, seed
    learning_rate is a number above 0 and at most 1, not 7
    a split has `test_from` or `test_share`, not both
    there is no metric `acu`
    `rival.auc` is not of the alias `champion`
    `metrics` has no `brier`
    `models.delay` names no version of the model
    `gold.rows` is of the kind `sql` and makes no model
    `prediction` is a column that inference adds
    "#);
}
