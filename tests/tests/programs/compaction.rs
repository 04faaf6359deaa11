//! Small files become few when tables are tended: nothing of what people read, and nothing of what is fresh, changes by it.

use millpond_tests::program::{Daemon, Project};
use serde_json::Value;

const TOML: &str = r#"
[project]
name = "small"
timezone = "UTC"

[execution]
workers = 1
memory = "128 MB"

[maintenance]
compact_files = 4
"#;

const ASSETS: &str = r#"
[asset.bronze.lines]
kind = "ingest"
from.files = { path = "in/*.csv" }
write = "append"

[asset.gold.total]
kind = "sql"
sql = "SELECT count(*) AS n, sum(v) AS v FROM bronze.lines"
"#;

const ROWS: &str = "SELECT count(*) AS n, sum(v) AS v, min(name) AS first, max(name) AS last FROM bronze.lines";

/// A project whose table has as many small files as raw files came, one after the other.
fn project(files: usize) -> Project {
    let project = Project::new(&[("millpond.toml", TOML), ("assets/a.toml", ASSETS)]);
    for file in 0..files {
        add(&project, file);
    }
    project
}

fn add(project: &Project, file: usize) {
    let text = format!("name,v\nfile {file} first,{file}\nfile {file} second,{}\n", file * 10);
    project.write(&format!("in/{file:03}.csv"), text.as_bytes());
    project.run(&["materialize", "gold.total+", "bronze.lines+"]).expect(0);
}

fn files(project: &Project) -> Value {
    let arguments = ["--json", "show", "bronze.lines", "--history"];
    let history = project.run(&arguments).expect(0).answers();
    let newest = history.first().expect("there is a snapshot");
    newest["snapshots"][0]["files"].clone()
}

fn of<'v>(answer: &'v Value, table: &str) -> &'v Value {
    let tables = answer["tables"].as_array().unwrap();
    tables
        .iter()
        .find(|tended| tended["table"] == table)
        .expect("it was tended")
}

#[test]
fn many_small_files_become_one_and_nothing_else_changes() {
    let project = project(6);
    let before = project.row(ROWS);
    assert_eq!(files(&project), 6);

    let dry = project.run(&["--json", "gc", "--dry-run"]).expect(0).answer();
    assert_eq!(of(&dry, "bronze.lines")["compacted"], 6, "{dry:#}");
    let left = project.run(&["--json", "gc", "--no-compaction"]).expect(0).answer();
    assert_eq!(of(&left, "bronze.lines")["compacted"], 0, "{left:#}");
    assert_eq!(files(&project), 6);

    let done = project.run(&["--json", "gc"]).expect(0).answer();
    let told = of(&done, "bronze.lines");
    assert_eq!(
        (&told["compacted"], &told["compacted_into"]),
        (&6.into(), &1.into()),
        "{done:#}"
    );
    assert_eq!(of(&done, "gold.total")["compacted"], 0);
    assert_eq!(files(&project), 1);
    assert_eq!(project.row(ROWS), before);
    let history = project.run(&["show", "bronze.lines", "--history"]).expect(0);
    assert!(history.out.contains("replace"), "{}", history.out);

    // Nothing is stale by it, rows that come later are added once, and there is nothing left to do.
    let fresh = project.run(&["materialize"]).expect(0);
    assert!(fresh.err.contains("nothing to do"), "{}", fresh.err);
    add(&project, 6);
    assert_eq!(files(&project), 2);
    assert_eq!(
        project.row("SELECT n, v FROM gold.total"),
        project.row("SELECT count(*) AS n, sum(v) AS v FROM bronze.lines")
    );
    let again = project.run(&["--json", "gc"]).expect(0).answer();
    assert_eq!(of(&again, "bronze.lines")["compacted"], 0, "{again:#}");
    project.sound();
}

#[test]
fn a_daemon_says_in_its_log_what_became_of_small_files() {
    let project = project(4);
    let before = project.row(ROWS);
    let daemon = Daemon::start(&project);
    let said = project.run(&["gc"]).expect(0);
    assert!(said.out.contains("4 small files became 1"), "{}", said.out);
    let log = daemon.get("/api/v1/log?level=info").json();
    assert!(log.to_string().contains("4 small files became 1"), "{log:#}");
    assert_eq!(project.row(ROWS), before);
    daemon.stop();
    project.sound();
}

#[test]
fn an_asset_that_says_so_has_its_rows_sorted() {
    let project = project(6);
    let sorted = ASSETS.replace("write = \"append\"", "write = \"append\"\nsort = [\"v\", \"name\"]");
    project.write("assets/a.toml", sorted.as_bytes());
    let plan = project.run(&["--json", "plan"]).expect(0).answer();
    assert_eq!(
        plan["steps"],
        serde_json::json!([]),
        "how rows lie is no part of what they are: {plan:#}"
    );
    project.run(&["gc"]).expect(0);
    assert_eq!(files(&project), 1);
    let as_they_stand = project
        .run(&["--json", "query", "SELECT v, name FROM bronze.lines"])
        .expect(0)
        .out;
    let in_order = "SELECT v, name FROM bronze.lines ORDER BY v, name";
    assert_eq!(as_they_stand, project.run(&["--json", "query", in_order]).expect(0).out);
    assert_eq!(project.files(".millpond/scratch"), Vec::<String>::new());

    // A column that is not there is told, and nothing is lost.
    for file in 6..10 {
        add(&project, file);
    }
    project.write("assets/a.toml", sorted.replace("\"v\", \"name\"", "\"w\"").as_bytes());
    let told = project.run(&["--json", "gc"]).expect(1).answer();
    let error = of(&told, "bronze.lines")["error"].as_str().unwrap().to_owned();
    assert_eq!(error, "sort the files of bronze.lines by `w`: it has no such column");
    assert_eq!(files(&project), 5);
    // Nor does it keep old versions from going.
    let told = project
        .run(&["--json", "gc", "--keep", "0", "--keep-snapshots", "1"])
        .expect(1)
        .answer();
    assert!(of(&told, "bronze.lines")["expired"].as_u64().unwrap() > 0, "{told:#}");
}
