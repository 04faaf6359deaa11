//! Rows that a check kept back: they are looked at, published by hand with a note, or dropped.

use std::time::{Duration, SystemTime};

use millpond_tests::program::{Daemon, Project, Said};
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "staged"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-04

[execution]
workers = 2
memory = "128 MB"
"#;

const ASSETS: &str = r#"
[asset.bronze.sales]
kind = "ingest"
from.files = { path = "landing/*.csv" }
partitions = { use = "daily", column = "day" }
checks = [{ range = { column = "amount", max = 100 } }]

[asset.silver.sales]
kind = "sql"
sql = "SELECT day, id, amount * 10 AS amount FROM bronze.sales"
partitions = { use = "daily", column = "day" }
"#;

const GOOD: &str = "id,day,amount\n1,2026-01-01,5\n2,2026-01-02,6\n";
/// The second of January is not published: 600 is more than there should be.
const ODD: &str = "id,day,amount\n1,2026-01-01,5\n2,2026-01-02,600\n3,2026-01-03,700\n";

/// Made from the good file, then kept back in part.
fn kept_back() -> (Project, String) {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("landing/1.csv", GOOD),
    ]);
    project.run(&["materialize", "+silver.sales"]).expect(0);
    project.write("landing/1.csv", ODD.as_bytes());
    project.run(&["materialize", "bronze.sales+"]).expect(1);
    let run = list(&project)[0]["run"].as_str().unwrap().to_owned();
    (project, run)
}

fn list(project: &Project) -> Vec<Value> {
    project.run(&["--json", "staged", "list"]).expect(0).answers()
}

fn sum(said: &Said) -> Value {
    assert_eq!(said.code, Some(0), "{said:#?}");
    said.answers()[0]["sum"].clone()
}

const SUM: &str = "SELECT CAST(sum(amount) AS BIGINT) AS sum FROM bronze.sales";

fn published(project: &Project) -> Value {
    sum(&project.run(&["--json", "query", SUM]))
}

#[test]
fn what_a_check_kept_back_is_looked_at_and_published_by_hand() {
    let (project, run) = kept_back();
    assert_eq!(published(&project), 11, "nothing of it is seen");
    let kept = list(&project);
    let steps: Vec<_> = kept.iter().map(|one| one["partition"].as_str().unwrap()).collect();
    assert_eq!(
        (
            steps.len(),
            steps.contains(&"2026-01-02"),
            steps.contains(&"2026-01-03")
        ),
        (2, true, true),
        "{kept:#?}"
    );
    assert_eq!(kept[0]["failed"][0]["failing_rows"], 1, "{kept:#?}");
    let told = project.run(&["staged", "list"]).expect(0);
    assert!(told.out.contains("bronze.sales@2026-01-03"), "{told:#?}");

    // In the place of the table are the rows that were kept back; other tables are as ever.
    assert_eq!(sum(&project.run(&["--json", "query", "--staged", &run, SUM])), 1300);
    let other = "SELECT CAST(sum(amount) AS BIGINT) AS sum FROM silver.sales";
    assert_eq!(sum(&project.run(&["--json", "query", "--staged", &run, other])), 110);

    let without = project.run(&["staged", "publish", &run, "--note", " "]);
    assert_eq!(without.code, Some(2), "{without:#?}");
    let note = "the new shop sells more";
    let answer = project
        .run(&["--json", "staged", "publish", &run, "--note", note])
        .expect(0)
        .answer();
    assert_eq!(
        (&answer["partitions"], &answer["rows"]),
        (&json!(2), &json!(2)),
        "{answer:#}"
    );
    assert_eq!(published(&project), 1305);
    assert_eq!(list(&project).len(), 0);
    let again = project.run(&["staged", "publish", &run, "--note", note]);
    assert_eq!(again.code, Some(4), "{again:#?}");

    // It is a run like any other, that says why; and what reads it is made from it.
    let by = answer["run"].as_str().unwrap();
    let shown = project.run(&["--json", "runs", by]).expect(0).answer();
    assert_eq!(
        shown["run"]["row"]["trigger"],
        format!("publish (cli): {note}"),
        "{shown:#}"
    );
    let why = project.run(&["why", "bronze.sales@2026-01-02"]).expect(0);
    assert!(why.out.contains("is fresh") && why.out.contains(note), "{why:#?}");
    let why = project.run(&["why", "silver.sales@2026-01-02"]).expect(0);
    assert!(why.out.contains("is stale"), "{why:#?}");
    project.run(&["materialize", "silver.sales"]).expect(0);
    assert_eq!(
        project.row("SELECT CAST(sum(amount) AS BIGINT) AS sum FROM silver.sales")["sum"],
        13050
    );
    project.sound();
    project.run(&["fsck"]).expect(0);
}

/// By way of the daemon, one asset of two.
#[test]
fn one_asset_of_a_run_is_published_and_the_other_dropped() {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        (
            "assets/a.toml",
            &ASSETS.replace(
                "FROM bronze.sales\"\n",
                "FROM bronze.sales\"\nchecks = [{ sql = \"SELECT * FROM this WHERE id = 1\" }]\n",
            ),
        ),
        ("landing/1.csv", GOOD),
    ]);
    project.run(&["materialize", "bronze.sales+"]).expect(1);
    project.write("landing/2.csv", b"id,day,amount\n7,2026-01-03,101\n");
    let daemon = Daemon::start(&project);
    let run = daemon
        .post("/api/v1/runs", &json!({ "selection": "bronze.sales" }))
        .json();
    let run = run["run"].as_str().unwrap().to_owned();
    millpond_tests::program::until("its rows are kept back", || {
        list(&project)
            .iter()
            .any(|one| one["run"] == run.as_str())
            .then_some(())
    });
    let path = format!("/api/v1/runs/{run}/staged/publish");
    assert_eq!(daemon.post(&path, &json!({ "note": "" })).status, 400);
    assert_eq!(
        daemon
            .post(&path, &json!({ "note": "yes", "asset": "silver.sales" }))
            .status,
        404
    );
    let answer = daemon
        .post(&path, &json!({ "note": "yes", "asset": "bronze.sales" }))
        .json();
    assert_eq!(answer["rows"], 1, "{answer:#}");
    assert_eq!(published(&project), 112);
    daemon.stop().expect(0);
    let first = list(&project)[0].clone();
    assert_eq!(
        (&first["asset"], &first["partition"]),
        (&json!("silver.sales"), &json!("2026-01-01"))
    );
    let first = first["run"].as_str().unwrap();
    assert_eq!(
        project.run(&["staged", "drop", first, "--asset", "bronze.sales"]).code,
        Some(4)
    );
    let files = project.files("lake/silver").len();
    project.run(&["staged", "drop", first]).expect(0);
    assert_eq!(list(&project).len(), 0);
    assert!(project.files("lake/silver").len() < files);
    project.sound();
    project.run(&["fsck"]).expect(0);
}

#[test]
fn what_was_made_anew_is_not_replaced_by_older_rows() {
    let (project, run) = kept_back();
    project.write("landing/1.csv", GOOD.replace(",6", ",7").as_bytes());
    project.run(&["materialize", "bronze.sales"]).expect(0);
    assert_eq!(published(&project), 12);
    let said = project.run(&["staged", "publish", &run, "--note", "yes"]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(
        said.err.contains("bronze.sales@2026-01-02 was made anew since"),
        "{said:#?}"
    );
    project.sound();
}

#[test]
fn what_other_code_staged_is_not_published() {
    let checked = ASSETS.replace(
        "FROM bronze.sales\"\n",
        "FROM bronze.sales\"\nchecks = [{ sql = \"SELECT * FROM this WHERE id = 1\" }]\n",
    );
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", &checked),
        ("landing/1.csv", GOOD),
    ]);
    project.run(&["materialize", "+silver.sales"]).expect(1);
    let run = list(&project)[0]["run"].as_str().unwrap().to_owned();
    project.write(
        "assets/a.toml",
        checked.replace("amount * 10", "amount * 20").as_bytes(),
    );
    let said = project.run(&["staged", "publish", &run, "--note", "yes"]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.err.contains("silver.sales is declared otherwise now"), "{said:#?}");
    // A check that is gone, or says something else, is no other code.
    project.write("assets/a.toml", ASSETS.as_bytes());
    project.run(&["staged", "publish", &run, "--note", "yes"]).expect(0);
    let sum = project.row("SELECT CAST(sum(amount) AS BIGINT) AS sum FROM silver.sales");
    assert_eq!(sum["sum"], 110);
    project.sound();
}

/// Maintenance leaves kept rows alone for a week, and no longer.
#[test]
fn kept_rows_are_there_for_a_week() {
    let (project, run) = kept_back();
    // As if they had been staged two days ago: too old for a step under way.
    let age = |project: &Project, days: u64| {
        let then = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        for path in project.files("lake") {
            let file = std::fs::File::options()
                .append(true)
                .open(project.path().join("lake").join(path))
                .unwrap();
            file.set_modified(then).unwrap();
        }
    };
    age(&project, 2);
    project.run(&["gc"]).expect(0);
    assert_eq!(sum(&project.run(&["--json", "query", "--staged", &run, SUM])), 1300);
    let folder = project.path().join(".millpond/staged").join(&run);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let mut kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let at = kept["at"].as_i64().unwrap() - 8 * 24 * 3_600_000_000;
        kept["at"] = at.into();
        std::fs::write(&path, kept.to_string()).unwrap();
    }
    let files = project.files("lake/bronze").len();
    project.run(&["gc", "--dry-run"]).expect(0);
    assert_eq!(list(&project).len(), 2);
    project.run(&["gc"]).expect(0);
    assert_eq!(list(&project).len(), 0);
    assert_eq!(project.files("lake/bronze").len(), files - 2);
    // What cannot be read may be anything.
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("x.json"), "{").unwrap();
    let said = project.run(&["gc"]);
    assert!(said.err.contains("nothing is removed"), "{said:#?}");
    project.sound();
}
