//! Going back to an older snapshot: what readers see, what is stale by it, and what makes it anew.

use std::time::Duration;

use millpond_tests::program::{Project, Running, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "rollback"
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
checks = [{ unique = ["id"] }]

[asset.silver.sales]
kind = "sql"
sql = "SELECT day, id, amount * 10 AS amount FROM bronze.sales"
partitions = { use = "daily", column = "day" }

[asset.gold.total]
kind = "sql"
sql = "SELECT sum(amount) AS amount FROM silver.sales"
"#;

const GOOD: &str = "id,day,amount\n1,2026-01-01,5\n2,2026-01-01,6\n3,2026-01-02,7\n";
const BAD: &str = "id,day,amount\n1,2026-01-01,500\n3,2026-01-02,7\n4,2026-01-03,1\n9,2026-01-01,1\n";

fn project(assets: &str) -> Project {
    Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", assets),
        ("landing/1.csv", GOOD),
    ])
}

/// Made from the good file, with a name for what came of it, then from the bad one.
fn spoiled() -> Project {
    spoiled_so(ASSETS)
}

fn spoiled_so(assets: &str) -> Project {
    let project = project(assets);
    project.run(&["materialize"]).expect(0);
    for asset in ["bronze.sales", "silver.sales"] {
        project.run(&["tag", asset, "good"]).expect(0);
    }
    project.write("landing/1.csv", BAD.as_bytes());
    project.run(&["materialize"]).expect(0);
    project
}

fn amounts(project: &Project, table: &str) -> Value {
    let sql = format!("SELECT CAST(sum(amount) AS BIGINT) AS sum, count(*) AS rows FROM {table}");
    let row = project.row(&sql);
    json!([row["sum"], row["rows"]])
}

fn roll_back(project: &Project, asset: &str, to: &str) -> Value {
    let note = "the file was cut off";
    project
        .run(&["--json", "rollback", asset, to, "--note", note])
        .expect(0)
        .answer()
}

fn daemon(project: &Project) -> Running {
    let mut daemon = project.begin(&["--json", "up", "--port", "0"]);
    daemon.wait_for("http://127.0.0.1:");
    daemon
}

fn end(daemon: Running) {
    daemon.signal(Signal::SIGTERM);
    daemon.end().expect(0);
}

#[test]
fn readers_see_the_old_rows_and_what_is_built_on_them_is_stale() {
    let project = spoiled();
    assert_eq!(amounts(&project, "bronze.sales"), json!([509, 4]));
    let told = roll_back(&project, "bronze.sales", "good");
    assert_eq!(
        told["restored"],
        json!([
            { "asset": "bronze.sales", "partition": "2026-01-01" },
            { "asset": "bronze.sales", "partition": "2026-01-02" },
        ])
    );
    assert_eq!(
        told["removed"],
        json!([{ "asset": "bronze.sales", "partition": "2026-01-03" }])
    );
    assert_eq!(told["stale"], json!(["silver.sales"]));
    assert_eq!(amounts(&project, "bronze.sales"), json!([18, 3]));

    let why = project.run(&["why", "bronze.sales@2026-01-01"]).expect(0);
    assert!(why.out.contains("bronze.sales@2026-01-01 is fresh"), "{why:#?}");
    assert!(why.out.contains("rolled back by cli at "), "{why:#?}");
    assert!(why.out.contains("; the file was cut off"), "{why:#?}");
    let why = project.run(&["why", "silver.sales@2026-01-01"]).expect(0);
    assert!(
        why.out
            .contains("is stale: bronze.sales@2026-01-01 was rolled back by cli: the file was cut off"),
        "{why:#?}"
    );

    // What follows is made from the old rows; what was taken back is left as it is.
    project.run(&["materialize"]).expect(0);
    assert_eq!(amounts(&project, "bronze.sales"), json!([18, 3]));
    assert_eq!(
        amounts(&project, "silver.sales WHERE day < DATE '2026-01-03'"),
        json!([180, 3])
    );
    let again = project.run(&["--json", "materialize"]).expect(0).answer();
    assert_eq!(again["run"], Value::Null, "{again:#}");
    project.sound();
    project.run(&["fsck"]).expect(0);

    // The next file is another one.
    project.write("landing/1.csv", GOOD.replace(",5\n", ",50\n").as_bytes());
    project.run(&["materialize"]).expect(0);
    assert_eq!(amounts(&project, "bronze.sales"), json!([63, 3]));
    project.sound();
}

#[test]
fn it_holds_until_the_code_changes_or_it_is_made_by_force() {
    let project = spoiled();
    roll_back(&project, "silver.sales", "good");
    assert_eq!(amounts(&project, "silver.sales"), json!([180, 3]));
    let quiet = project
        .run(&["--json", "materialize", "+silver.sales"])
        .expect(0)
        .answer();
    assert_eq!(quiet["run"], Value::Null, "{quiet:#}");
    let forced = ["materialize", "silver.sales", "--force", "--partition", "2026-01-03"];
    project.run(&forced).expect(0);
    assert_eq!(amounts(&project, "silver.sales"), json!([190, 4]));
    project.write("assets/a.toml", ASSETS.replace("* 10", "* 100").as_bytes());
    project.run(&["materialize", "+silver.sales"]).expect(0);
    assert_eq!(amounts(&project, "silver.sales"), json!([50_900, 4]));
    project.sound();
}

#[test]
fn asked_twice_it_is_done_once() {
    let project = spoiled();
    let history = |project: &Project| {
        let said = project.run(&["--json", "show", "bronze.sales", "--history"]).expect(0);
        said.answer()["total"].as_u64().unwrap()
    };
    roll_back(&project, "bronze.sales", "good");
    let count = history(&project);
    let again = roll_back(&project, "bronze.sales", "good");
    assert_eq!((again["already"].clone(), history(&project)), (json!(true), count));
    let unknown = project.run(&["rollback", "bronze.sales", "-9"]).expect(4);
    assert!(unknown.err.contains("none 9 before the current one"), "{unknown:#?}");
    project.run(&["rollback", "bronze.seals", "-1"]).expect(4);
}

#[test]
fn a_rollback_that_is_killed_anywhere_is_done_or_not() {
    let project = spoiled();
    let before = amounts(&project, "bronze.sales");
    let count = |project: &Project| {
        let told = project.run(&["--json", "show", "bronze.sales", "--history"]).expect(0);
        told.answer()["total"].as_u64().unwrap()
    };
    let made = count(&project);
    for round in 0..12_u64 {
        let command = project.begin(&["rollback", "bronze.sales", "good"]);
        std::thread::park_timeout(Duration::from_millis(15 * round));
        command.signal(Signal::SIGKILL);
        command.end();
        let now = amounts(&project, "bronze.sales");
        assert!(now == before || now == json!([18, 3]), "{now}");
        project.sound();
    }
    roll_back(&project, "bronze.sales", "good");
    assert_eq!(amounts(&project, "bronze.sales"), json!([18, 3]));
    assert_eq!(count(&project), made + 1, "it was done once");
    project.run(&["fsck"]).expect(0);
}

#[test]
fn automation_follows_a_rollback_and_does_not_undo_it() {
    let assets = ASSETS
        .replace("[asset.gold", "automation = \"eager\"\n\n[asset.gold")
        .replace("FROM silver.sales\"", "FROM silver.sales\"\nautomation = \"eager\"");
    let project = spoiled_so(&assets);
    let total =
        |project: &Project| project.row("SELECT CAST(amount AS BIGINT) AS amount FROM gold.total")["amount"].clone();
    assert_eq!(total(&project), 5090);
    let running = daemon(&project);
    // Of the middle one alone: what is above it has other rows, and what is below follows.
    let told = roll_back(&project, "silver.sales", "good");
    assert_eq!(told["removed"].as_array().unwrap().len(), 1, "{told:#}");
    until("what reads it is made again", || (total(&project) == 180).then_some(()));
    until("automation has nothing to do", || {
        let runs = project.run(&["--json", "runs"]).expect(0);
        runs.answers()
            .iter()
            .all(|run| run["status"] != "running" && run["status"] != "queued")
            .then_some(())
    });
    assert_eq!(amounts(&project, "silver.sales"), json!([180, 3]));
    let why = project.run(&["why", "silver.sales@2026-01-01"]).expect(0);
    assert!(why.out.contains("rolled back by cli at "), "{why:#?}");
    end(running);
    // It holds over a restart.
    let running = daemon(&project);
    let list = project.run(&["automation", "list", "silver.sales"]).expect(0);
    assert!(list.out.contains("silver.sales"), "{list:#?}");
    end(running);
    assert_eq!(amounts(&project, "silver.sales"), json!([180, 3]));
    project.sound();
}

#[test]
fn what_a_run_is_to_make_is_not_taken_back_under_it() {
    let project = spoiled();
    let mut running = project.begin_with(
        &["--json", "up", "--port", "0"],
        &[("MILLPOND_FAULT", "silver.sales@2026-01-02=hang")],
    );
    running.wait_for("http://127.0.0.1:");
    let asked = ["--json", "backfill", "silver.sales", "--force", "--detach"];
    let run = project.run(&asked).expect(0).answer()["run"]
        .as_str()
        .unwrap()
        .to_owned();
    let said = project.run(&["rollback", "silver.sales", "-1"]).expect(1);
    assert!(
        said.err.contains(&format!("{run} is to make silver.sales")),
        "{said:#?}"
    );
    project.run(&["cancel", &run]).expect(0);
    until("the run is over", || {
        let runs = project.run(&["--json", "runs"]).expect(0);
        let status = runs.answers()[0]["status"].clone();
        ["canceled", "succeeded"]
            .iter()
            .any(|over| status == *over)
            .then_some(())
    });
    end(running);
    project.sound();
}

#[test]
fn a_rollback_to_a_rollback_knows_what_that_had_taken_away() {
    let project = spoiled();
    let first = roll_back(&project, "bronze.sales", "good");
    let gone = json!([{ "asset": "bronze.sales", "partition": "2026-01-03" }]);
    assert_eq!(first["removed"], gone, "{first:#}");
    let before = amounts(&project, "bronze.sales");
    project.run(&["materialize", "bronze.sales", "--force"]).expect(0);

    let second = roll_back(&project, "bronze.sales", first["snapshot"].as_str().unwrap());
    assert_eq!(second["removed"], gone, "{second:#}");
    assert_eq!(amounts(&project, "bronze.sales"), before);
    project.sound();
    project.run(&["fsck"]).expect(0);
}
