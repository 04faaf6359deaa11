//! `write = "append"`: each file's rows are added once, whatever happens between.

use millpond_tests::program::Project;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "append"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-03

[execution]
workers = 2
memory = "128 MB"
"#;

const ASSETS: &str = r#"
[asset.bronze.all]
kind = "ingest"
from.files = { path = "landing/*.csv" }
write = "append"

[asset.bronze.days]
kind = "ingest"
from.files = { path = "landing/*.csv" }
partitions = { use = "daily", column = "day" }
write = "append"
on_bad_row = { quarantine = { limit = 5 } }

[asset.silver.days]
kind = "sql"
sql = "SELECT day, count(*) AS n FROM bronze.days GROUP BY day"
partitions = { use = "daily", column = "day" }
"#;

fn project() -> Project {
    Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("landing/1.csv", "id,day\n1,2026-01-01\n2,2026-01-02\n20,2026-02-01\n"),
    ])
}

/// The ids in both tables, the counts below them and the bad rows.
fn ids(project: &Project) -> Vec<i64> {
    let of = |table: &str| -> Vec<i64> {
        let sql = format!("SELECT id FROM {table} WHERE day < DATE '2026-02-01' ORDER BY id");
        let rows = project.run(&["--json", "query", &sql]).expect(0).answers();
        rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    let all = of("bronze.all");
    assert_eq!(all, of("bronze.days"));
    assert_eq!(
        project.row("SELECT CAST(sum(n) AS BIGINT) AS n FROM silver.days"),
        json!({ "n": all.len() })
    );
    assert_eq!(
        project.row("SELECT count(*) AS n FROM bronze.days__quarantine"),
        json!({ "n": 1 }),
        "a bad row is told once"
    );
    all
}

#[test]
fn a_new_file_adds_its_rows_and_the_others_are_not_read_again() {
    let project = project();
    project.run(&["materialize"]).expect(0);
    assert_eq!(ids(&project), [1, 2]);
    let again = project.run(&["--json", "materialize"]).expect(0).answer();
    assert_eq!(again["run"], Value::Null);
    project.write("landing/2.csv", b"id,day\n3,2026-01-02\n4,2026-01-03\n");
    project.run(&["materialize"]).expect(0);
    assert_eq!(ids(&project), [1, 2, 3, 4]);
    // Asked for by force, with other code, under another name, or gone from the folder: what is added is added.
    project.run(&["materialize", "--force"]).expect(0);
    assert_eq!(ids(&project), [1, 2, 3, 4]);
    project.write(
        "assets/a.toml",
        ASSETS.replace("write", "columns = { id = \"long\" }\nwrite").as_bytes(),
    );
    project.run(&["materialize"]).expect(0);
    assert_eq!(ids(&project), [1, 2, 3, 4]);
    let landing = project.path().join("landing");
    std::fs::rename(landing.join("1.csv"), landing.join("old.csv")).unwrap();
    project.run(&["materialize"]).expect(0);
    project.remove("landing/old.csv");
    let quiet = project.run(&["--json", "materialize"]).expect(0).answer();
    assert_eq!(quiet["run"], Value::Null, "{quiet:#}");
    project.write("landing/3.csv", b"id,day\n5,2026-01-01\n");
    project.run(&["materialize"]).expect(0);
    assert_eq!(ids(&project), [1, 2, 3, 4, 5]);
    // It comes back.
    project.write("landing/1.csv", b"id,day\n1,2026-01-01\n2,2026-01-02\n20,2026-02-01\n");
    project.run(&["materialize"]).expect(0);
    assert_eq!(ids(&project), [1, 2, 3, 4, 5]);
    project.sound();
}

#[test]
fn one_partition_at_a_time_comes_to_the_same() {
    let project = project();
    project.write("landing/2.csv", b"id,day\n3,2026-01-02\n4,2026-01-03\n");
    for day in ["2026-01-02", "2026-01-01", "2026-01-02", "2026-01-03"] {
        project
            .run(&["materialize", "--force", "--partition", day, "bronze.days"])
            .expect(0);
    }
    project.run(&["materialize"]).expect(0);
    assert_eq!(ids(&project), [1, 2, 3, 4]);
}

#[test]
fn a_file_that_was_added_and_then_changed_is_refused() {
    let project = project();
    project.run(&["materialize"]).expect(0);
    project.write(
        "landing/1.csv",
        b"id,day\n1,2026-01-01\n2,2026-01-02\n20,2026-02-01\n3,2026-01-02\n",
    );
    let said = project.run(&["materialize"]).expect(1);
    assert!(
        said.err
            .contains("failed bronze.all: add the rows of landing/1.csv: it was changed after its rows had been added"),
        "{said:#?}"
    );
    assert!(said.err.contains("write = \"replace\""), "{said:#?}");
    assert_eq!(ids(&project), [1, 2]);
    project.write("landing/1.csv", b"id,day\n1,2026-01-01\n2,2026-01-02\n20,2026-02-01\n");
    project.write("landing/2.csv", b"id,day\n3,2026-01-02\n");
    project.run(&["materialize"]).expect(0);
    assert_eq!(ids(&project), [1, 2, 3]);
}

#[test]
fn runs_that_are_killed_anywhere_add_nothing_twice() {
    let project = project();
    // Each round adds a file, and is killed a little later than the one before.
    for round in 0..12_u64 {
        project.write(
            &format!("landing/round{round}.csv"),
            format!("id,day\n{},2026-01-0{}\n", 100 + round, 1 + round % 3).as_bytes(),
        );
        let run = project.begin(&["materialize"]);
        std::thread::park_timeout(std::time::Duration::from_millis(40 * round));
        run.signal(Signal::SIGKILL);
        run.end();
    }
    // What was under way when the last one was killed may be tried again.
    project.run(&["materialize"]).expect(0);
    let mut expected = vec![1, 2];
    expected.extend(100..112);
    assert_eq!(ids(&project), expected);
    project.sound();
}
