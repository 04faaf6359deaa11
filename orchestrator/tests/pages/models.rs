//! Pages of models: compare, promote, roll back.

use std::process::Command;

use super::daemon::Daemon;
use super::project::has;

const FILES: &[(&str, &str)] = &[
    (
        "millpond.toml",
        "[project]\nname = \"models\"\n\n[lakehouse]\nwarehouse = \"lake\"\n",
    ),
    (
        "assets/all.toml",
        r#"
[asset.gold.sample]
kind = "sql"
sql = "SELECT value AS id, value % 7 AS x, value % 7 + value % 3 > 4 AS y FROM generate_series(1, 400)"

[asset.models.tiny]
kind = "training"
from = "gold.sample"
target = "y"
features = ["x"]
trainer = { algorithm = "logistic_regression" }
split = { by = "id", test_share = 0.25 }

[asset.predictions.tiny]
kind = "inference"
model = "models.tiny@champion"
from = "gold.sample"
keep = ["id"]
"#,
    ),
];

#[test]
fn models_are_compared_promoted_and_rolled_back() {
    let daemon = Daemon::with(FILES);
    daemon.materialize_so("selection=%2Bmodels.tiny");
    let page = daemon.page("/models/models.tiny");
    for fact in [
        "the last 25 % test",
        "Importance of features",
        "class=\"calibration\"",
        "predictions.tiny",
        "by champion",
    ] {
        assert!(has(&page, fact), "{fact:?}:\n{page}");
    }
    let ask = daemon.page("/models/models.tiny/promote?version=1");
    assert!(
        has(&ask, "champion</b> points nowhere yet.") && has(&ask, "predictions.tiny"),
        "{ask}"
    );
    let promote = |body: &str| {
        let path = format!("/models/models.tiny/promote?form={}", daemon.form_token());
        daemon.post(&path, body)
    };
    let moved = promote("alias=champion&version=1&reason=%3Cb%3Egood%3C%2Fb%3E");
    assert!(
        moved.head.contains("location: /models/models.tiny#moves"),
        "{}",
        moved.head
    );
    daemon.materialize_so("selection=models.tiny&force=on");
    assert_eq!(promote("alias=champion&version=2").status, 303);
    assert_eq!(promote("alias=champion&version=3").status, 422);
    assert_eq!(promote("version=1").status, 422);
    let page = daemon.page("/models/models.tiny?a=1&b=2");
    for fact in [
        "roll back to 1",
        "page: &lt;b&gt;good&lt;/b&gt;",
        "Version 2 beside version 1",
        "/models/models.tiny/promote?alias=champion&amp;version=1",
    ] {
        assert!(has(&page, fact), "{fact:?}:\n{page}");
    }
    let ask = daemon.page("/models/models.tiny/promote?alias=champion&version=1");
    assert!(
        has(&ask, "<h1>Roll back</h1>") && has(&ask, "Version 1 beside version 2"),
        "{ask}"
    );
    let back = Command::new(env!("CARGO_BIN_EXE_millpond"))
        .args(["--project", daemon.folder.path().to_str().unwrap(), "promote"])
        .args(["models.tiny", "previous", "champion", "--reason", "worse on Sundays"])
        .output()
        .unwrap();
    assert!(back.status.success(), "{}", String::from_utf8_lossy(&back.stderr));
    let twin = daemon.json("/api/v1/models/models.tiny");
    let reasons: Vec<&str> = twin["alias_moves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|moved| moved["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["api: worse on Sundays", "page", "page: <b>good</b>"]);
    assert_eq!(twin["alias_moves"][0]["to"], 1);
    // What it predicts is told by the version that predicted it.
    daemon.materialize_so("selection=predictions.tiny");
    let twin = daemon.json("/api/v1/models/models.tiny");
    assert_eq!(twin["predictions"][0]["versions"][0]["version"], 1);
    assert_eq!(twin["predictions"][0]["versions"][0]["rows"], 400);
}
