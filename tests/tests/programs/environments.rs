//! Environments: what is made in one counts there alone, until it is merged or dropped.

use std::collections::{BTreeMap, BTreeSet};

use millpond_tests::program::{Daemon, Project, Said};
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "environments"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-04

[execution]
workers = 2
memory = "128 MB"

[maintenance]
compact_files = 0
"#;

pub const ASSETS: &str = r#"
[asset.bronze.sales]
kind = "ingest"
from.files = { path = "landing/*.csv" }
partitions = { use = "daily", column = "day" }

[asset.silver.sales]
kind = "sql"
sql = "SELECT day, id, amount * 10 AS amount, id % 2 = 0 AS even FROM bronze.sales"
partitions = { use = "daily", column = "day" }

[asset.gold.total]
kind = "sql"
sql = "SELECT sum(amount) AS amount FROM silver.sales"

[asset.gold.rows]
kind = "sql"
sql = "SELECT x % 97 AS a, x % 89 AS b, x * x % 71 < 30 AS y FROM generate_series(1, 500) AS t(x)"

[asset.models.m]
kind = "training"
from = "gold.rows"
target = "y"
trainer = { algorithm = "gradient_boosting", trees = 3 }
"#;

const SALES: &str = "id,day,amount\n1,2026-01-01,5\n2,2026-01-01,6\n3,2026-01-02,7\n4,2026-01-03,8\n";

/// Everything is made once.
pub fn made() -> Project {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("landing/1.csv", SALES),
    ]);
    project.run(&["materialize"]).expect(0);
    project
}

/// From now on silver is declared otherwise.
pub fn edit(project: &Project, by: u32) {
    let edited = ASSETS.replace("amount * 10", &format!("amount * {by}"));
    project.write("assets/a.toml", edited.as_bytes());
}

pub fn within(project: &Project, name: &str, arguments: &[&str]) -> Said {
    project.run(&[&["--env", name], arguments].concat())
}

/// What the total is, outside of environments and in one.
pub fn total(project: &Project) -> Value {
    project.row("SELECT CAST(amount AS BIGINT) AS amount FROM gold.total")["amount"].clone()
}

fn total_in(project: &Project, name: &str) -> Value {
    let sql = "SELECT CAST(amount AS BIGINT) AS amount FROM gold.total";
    within(project, name, &["--json", "query", sql]).expect(0).answers()[0]["amount"].clone()
}

/// Every file of the project but those of environments, with its bytes.
pub fn production(project: &Project) -> BTreeMap<String, Vec<u8>> {
    let bytes = |path: &str| std::fs::read(project.path().join(path)).unwrap();
    let all = project.files("");
    let own = |path: &String| !path.contains("/environments/") && !path.contains("/_environments/");
    // What shares a state with a reader is nobody's rows.
    let kept = |path: &String| !path.ends_with("-shm") && !path.ends_with("-wal");
    all.into_iter()
        .filter(|path| own(path) && kept(path))
        .map(|path| {
            let bytes = bytes(&path);
            (path, bytes)
        })
        .collect()
}

/// The files that are not the same any more.
pub fn changed(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let names = before.keys().chain(after.keys());
    let changed: BTreeSet<String> = names
        .filter(|name| before.get(*name) != after.get(*name))
        .cloned()
        .collect();
    changed.into_iter().collect()
}

pub fn refused(said: &Said) -> &str {
    assert_eq!(said.code, Some(1), "{said:#?}");
    &said.err
}

#[test]
fn what_is_made_in_an_environment_counts_there_alone_until_it_is_merged() {
    let project = made();
    assert_eq!(total(&project), 260);
    project.run(&["env", "create", "pr-12"]).expect(0);
    let before = production(&project);
    let lake = project.files("lake").len();

    // Nothing is to be done, since nothing changed; then only what changed is.
    within(&project, "pr-12", &["materialize"]).expect(0);
    assert!(
        project
            .run(&["env", "diff", "pr-12"])
            .expect(0)
            .out
            .contains("shows what the project showed")
    );
    edit(&project, 100);
    let edited = production(&project);
    let plan = within(&project, "pr-12", &["--json", "plan"]).expect(0).answer();
    let steps: Vec<&str> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["asset"].as_str().unwrap())
        .collect();
    assert_eq!(
        steps,
        ["silver.sales", "silver.sales", "silver.sales", "gold.total"],
        "{plan:#}"
    );
    within(&project, "pr-12", &["materialize"]).expect(0);
    assert_eq!(
        (total_in(&project, "pr-12"), total(&project)),
        (json!(2600), json!(260))
    );

    // No file of production's was touched, and the rows of the environment are in its own folder.
    assert_eq!(
        changed(&edited, &production(&project)),
        [""; 0],
        "the environment changed production"
    );
    assert_eq!(changed(&before, &edited), ["assets/a.toml"]);
    let own = project.files("lake/_environments/pr-12").len();
    assert!(own > 0);
    assert_eq!(project.files("lake").len(), lake + own);

    let diff = project.run(&["--json", "env", "diff", "pr-12"]).expect(0).answer();
    let changed = diff["partitions"].as_array().unwrap();
    assert_eq!(changed.len(), 4, "{diff:#}");
    assert!(changed.iter().all(|one| one["other_data"] == true), "{diff:#}");
    assert_eq!(diff["refused"], json!([]), "{diff:#}");
    assert_eq!(diff["tables"], json!(["gold.total", "silver.sales"]));
    let said = project.run(&["env", "diff", "pr-12"]).expect(0);
    assert!(
        said.out
            .contains("silver.sales  2026-01-01, 2026-01-02, 2026-01-03  4     other code"),
        "{said:#?}"
    );

    let merged = project.run(&["--json", "env", "merge", "pr-12"]).expect(0).answer();
    assert_eq!(
        (&merged["partitions"], &merged["tables"]),
        (&json!(4), &json!(2)),
        "{merged:#}"
    );
    assert_eq!(total(&project), 2600);
    let run = merged["run"].as_str().unwrap();
    let shown = project.run(&["--json", "runs", run]).expect(0).answer();
    assert_eq!(
        (
            &shown["run"]["row"]["status"],
            &shown["run"]["row"]["steps"]["succeeded"]
        ),
        (&json!("succeeded"), &json!(4)),
        "{shown:#}"
    );
    let why = project.run(&["why", "silver.sales@2026-01-01"]).expect(0);
    assert!(why.out.contains("silver.sales@2026-01-01 is fresh"), "{why:#?}");
    let nothing = project.run(&["--json", "materialize"]).expect(0).answers();
    assert!(nothing.iter().all(|answer| answer["run"].is_null()), "{nothing:#?}");
    let history = project
        .run(&["--json", "show", "silver.sales", "--history"])
        .expect(0)
        .answers();
    assert!(history[0]["snapshots"].as_array().unwrap().len() > 1, "{history:#?}");
    project.sound();
    project.run(&["fsck"]).expect(0);

    // It was that of the merge; nothing more is made in it.
    let late = within(&project, "pr-12", &["materialize"]);
    assert!(refused(&late).contains("was merged"), "{late:#?}");
    assert_eq!(
        project.run(&["--json", "env", "merge", "pr-12"]).expect(0).answer()["already"],
        true
    );

    // What was merged is the project's, until newer rows take its place and nobody keeps the old ones.
    let dropped = project.run(&["--json", "env", "drop", "pr-12"]).expect(0).answer();
    assert!(dropped["kept"].as_u64().unwrap() > 0, "{dropped:#}");
    assert!(project.files(".millpond/environments").is_empty());
    assert_eq!(total(&project), 2600);
    project.run(&["fsck"]).expect(0);
    edit(&project, 1000);
    project.run(&["materialize"]).expect(0);
    project.run(&["gc", "--keep", "0", "--keep-snapshots", "1"]).expect(0);
    assert_eq!(total(&project), 26000);
    let left = project.files("lake/_environments");
    assert!(left.iter().all(|file| !file.ends_with(".parquet")), "{left:#?}");
    project.run(&["fsck"]).expect(0);
}

/// Whatever changes a project changes the environment alone where it is asked of one.
#[test]
fn an_environment_cannot_change_production() {
    let project = made();
    for asset in ["silver.sales", "bronze.sales"] {
        project.run(&["tag", asset, "good"]).expect(0);
    }
    edit(&project, 100);
    project.run(&["env", "create", "a"]).expect(0);
    project.run(&["env", "create", "b"]).expect(0);
    let before = production(&project);
    within(&project, "a", &["materialize", "--force"]).expect(0);
    within(&project, "a", &["rollback", "silver.sales", "good"]).expect(0);
    within(&project, "a", &["tag", "bronze.sales", "better"]).expect(0);
    within(&project, "a", &["tag", "bronze.sales", "good", "--drop"]).expect(0);
    within(&project, "a", &["promote", "models.m", "2", "best"]).expect(0);
    within(&project, "a", &["backfill", "silver.sales", "--force"]).expect(0);
    within(&project, "a", &["replay", "silver.sales@2026-01-01"]).expect(0);
    within(&project, "a", &["fsck"]).expect(0);
    // What is about files of others, or of the project as a whole, is not done in one.
    for arguments in [
        &["gc", "--keep", "0"][..],
        &["backup", "b.tar"],
        &["restore", "b.tar"],
        &["env", "create", "b"],
        &["env", "drop", "a"],
    ] {
        let said = within(&project, "a", arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {said:#?}");
    }
    let daemon = Daemon::start_with(&project, &["--env", "a"], &[]);
    let run = daemon
        .post("/api/v1/runs", &json!({ "selection": "*", "force": true }))
        .json();
    assert!(run["run"].is_string(), "{run:#}");
    // Nor does one environment come to count in another.
    let merge = daemon.post("/api/v1/environments/b/merge", &json!({}));
    assert_eq!(merge.status, 409, "{merge:#?}");
    daemon.stop().expect(0);
    assert_eq!(
        changed(&before, &production(&project)),
        [""; 0],
        "the environment changed production"
    );
    // The model that it trained is its own.
    let models = |said: Said| said.expect(0).answers()[0]["newest_version"].clone();
    assert_eq!(models(project.run(&["--json", "models"])), 1);
    assert!(models(within(&project, "a", &["--json", "models"])).as_u64() > Some(1));
    project.run(&["env", "drop", "a"]).expect(0);
    project.run(&["env", "drop", "b"]).expect(0);
    assert_eq!(changed(&before, &production(&project)), [""; 0]);
    assert!(project.files("lake/_environments").is_empty());
    project.run(&["fsck"]).expect(0);
}

/// New files, a new model and its alias come along; so do versions that an earlier merge brought.
#[test]
fn files_models_and_aliases_are_merged_too() {
    let project = made();
    project.run(&["env", "create", "a"]).expect(0);
    project.write("landing/2.csv", b"id,day,amount\n5,2026-01-03,1\n");
    let wider = ASSETS.replace("trees = 3", "trees = 4");
    project.write("assets/a.toml", wider.as_bytes());
    within(&project, "a", &["materialize"]).expect(0);
    within(&project, "a", &["promote", "models.m", "2", "best"]).expect(0);
    let diff = project.run(&["env", "diff", "a"]).expect(0);
    assert!(diff.out.contains("models.m has a version 2"), "{diff:#?}");
    assert!(
        diff.out.contains("models.m@best points to 2, before to nothing"),
        "{diff:#?}"
    );
    assert!(
        diff.out.contains("bronze.sales  2026-01-03  1 → 2  other inputs"),
        "{diff:#?}"
    );
    let merged = project.run(&["--json", "env", "merge", "a"]).expect(0).answer();
    assert_eq!(
        (&merged["models"], &merged["partitions"]),
        (&json!(1), &json!(4)),
        "{merged:#}"
    );
    assert_eq!(total(&project), 270);
    let models = project.run(&["--json", "models", "models.m"]).expect(0);
    assert!(models.out.contains("\"best\""), "{models:#?}");
    // The files were seen: nothing is read again.
    let nothing = project.run(&["--json", "materialize"]).expect(0).answers();
    assert!(nothing.iter().all(|answer| answer["run"].is_null()), "{nothing:#?}");
    project.run(&["env", "drop", "a"]).expect(0);
    project.run(&["fsck"]).expect(0);
    project.run(&["replay", "models.m"]).expect(0);

    project.run(&["env", "create", "a"]).expect(0);
    project.write("assets/a.toml", ASSETS.as_bytes());
    within(&project, "a", &["materialize"]).expect(0);
    project.run(&["env", "merge", "a"]).expect(0);
    project.run(&["env", "drop", "a"]).expect(0);
    assert_eq!(total(&project), 270);
    project.sound();
    project.run(&["fsck"]).expect(0);
}

/// The process died after the merge was committed and before the environment was marked.
/// What an environment reads of production is kept for it, and is free once it is gone.
#[test]
fn old_versions_that_an_environment_needs_are_kept() {
    let project = made();
    project.run(&["env", "create", "a"]).expect(0);
    for by in [20, 30, 40] {
        edit(&project, by);
        project.run(&["materialize"]).expect(0);
    }
    let collect = || {
        project
            .run(&["--json", "gc", "--keep", "0", "--keep-snapshots", "1"])
            .expect(0)
            .answer()
    };
    let dry = project
        .run(&["gc", "--dry-run", "--keep", "0", "--keep-snapshots", "1"])
        .expect(0);
    assert!(dry.out.contains("stays: environment a needs it"), "{dry:#?}");
    let first = collect();
    let gone = |answer: &Value| -> u64 {
        let tables = answer["tables"].as_array().unwrap();
        tables.iter().map(|table| table["files"].as_u64().unwrap()).sum()
    };
    assert!(gone(&first) > 0, "{first:#}");
    assert_eq!((total_in(&project, "a"), total(&project)), (json!(260), json!(1040)));
    within(&project, "a", &["fsck"]).expect(0);
    assert_eq!(gone(&collect()), 0);

    // Where its needs cannot be told nothing is removed.
    let file = project.path().join(".millpond/environments/a/environment.json");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    edit(&project, 50);
    project.run(&["materialize"]).expect(0);
    let said = project.run(&["gc", "--keep", "0", "--keep-snapshots", "1"]);
    assert!(said.err.contains("nothing is removed"), "{said:#?}");
    std::fs::write(&file, &whole).unwrap();
    project.run(&["env", "drop", "a"]).expect(0);
    assert!(gone(&collect()) > 0);
    assert_eq!(total(&project), 1300);
    project.run(&["fsck"]).expect(0);
}

/// What runs while an environment is made goes on where it runs, and is over in the environment.
#[test]
fn what_runs_when_an_environment_is_made_runs_in_production_alone() {
    let project = made();
    let slow = format!(
        "{ASSETS}\n[asset.jobs.slow]\nkind = \"command\"\ncommand = [\"sh\", \"-c\", \"while [ ! -e done ]; do sleep 0.05; done; echo once >> ran\"]\n"
    );
    project.write("assets/a.toml", slow.as_bytes());
    let mut daemon = Daemon::start(&project);
    let run = daemon.post("/api/v1/runs", &json!({ "selection": "jobs.slow" })).json();
    let run = run["run"].as_str().unwrap().to_owned();
    let attempts = project.path().join(".millpond/logs").join(&run);
    millpond_tests::program::until("the program runs", || attempts.exists().then_some(()));
    project.run(&["env", "create", "a"]).expect(0);
    let there = within(&project, "a", &["--json", "runs", &run]).expect(0).answer();
    assert_eq!(there["run"]["row"]["status"], "canceled", "{there:#}");
    // Its log is read where it was written.
    within(&project, "a", &["logs", &run]).expect(0);
    assert_eq!(
        project.run(&["--json", "runs", &run]).expect(0).answer()["run"]["row"]["status"],
        "running"
    );
    project.write("done", b"");
    millpond_tests::program::until("the run ends", || {
        let shown = project.run(&["--json", "runs", &run]).expect(0).answer();
        (shown["run"]["row"]["status"] == "succeeded").then_some(())
    });
    let busy = project.begin(&["--env", "a", "--json", "up", "--port", "0"]);
    let mut busy = busy;
    busy.wait_for("http://127.0.0.1:");
    let said = project.run(&["env", "drop", "a"]);
    assert_eq!(said.code, Some(5), "{said:#?}");
    busy.signal(nix::sys::signal::Signal::SIGTERM);
    busy.end().expect(0);
    project.run(&["env", "drop", "a"]).expect(0);
    assert!(daemon.running().id() > 0);
    daemon.stop().expect(0);
    assert_eq!(std::fs::read_to_string(project.path().join("ran")).unwrap(), "once\n");
    project.sound();
}

#[test]
fn names_and_what_is_not_there_are_told() {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("landing/1.csv", SALES),
    ]);
    let said = project.run(&["env", "create", "Pr_12"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("small letters, digits and hyphens"), "{said:#?}");
    // Nothing was ever made.
    assert_eq!(project.run(&["env", "create", "a"]).code, Some(4));
    assert!(project.files(".millpond/environments").is_empty());
    project.run(&["materialize", "gold.rows"]).expect(0);
    for arguments in [
        &["--env", "a", "query", "SELECT 1"][..],
        &["env", "merge", "a"],
        &["env", "drop", "a"],
        &["env", "diff", "a"],
    ] {
        let said = project.run(arguments);
        assert_eq!(said.code, Some(4), "{arguments:?}: {said:#?}");
        assert!(said.err.contains("there is no environment `a`"), "{said:#?}");
    }
    project.run(&["env", "create", "a"]).expect(0);
    let said = project.run(&["env", "create", "a"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("`millpond env drop a` removes it"), "{said:#?}");
    let nothing = project.run(&["env", "merge", "a"]).expect(0);
    assert!(nothing.out.contains("there was nothing to merge in a"), "{nothing:#?}");
}

/// A table's metadata remembers a hundred versions of itself. A model that was trained in the environment was made from an older one.
#[test]
fn what_a_merged_model_was_made_from_outlives_its_environment() {
    let project = made();
    project.run(&["env", "create", "a"]).expect(0);
    let wider = ASSETS.replace("trees = 3", "trees = 4");
    project.write("assets/a.toml", wider.as_bytes());
    within(&project, "a", &["materialize", "gold.rows", "--force"]).expect(0);
    within(&project, "a", &["materialize", "models.m"]).expect(0);
    for _ in 0..105 {
        within(&project, "a", &["materialize", "gold.rows", "--force"]).expect(0);
    }
    project.run(&["env", "merge", "a"]).expect(0);
    project.run(&["env", "drop", "a"]).expect(0);
    // The first version of the environment is the one that the model read; the next few are nobody's, and gone.
    let metadata = project.files("lake/_environments/a/gold/rows/metadata");
    let left = |number: &str| metadata.iter().filter(|file| file.starts_with(number)).count();
    assert_eq!((left("00001-"), left("00002-")), (1, 0), "{metadata:#?}");
    project.run(&["replay", "models.m"]).expect(0);
    project.run(&["fsck"]).expect(0);
}
