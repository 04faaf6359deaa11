//! A day's work on a small project: what is fresh stays, what is edited runs, what fails keeps the old rows.

use std::io::{BufRead, BufReader};

use millpond_tests::program::Project;
use serde_json::json;

const TOML: &str = r#"
[project]
name = "toy"
timezone = "America/New_York"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-05

[execution]
workers = 2
memory = "128 MB"
"#;

const ASSETS: &str = r#"
[asset.bronze.days]
kind = "sql"
sql = "sql/days.sql"
partitions = { use = "daily", column = "day" }
checks = [{ not_null = ["n"] }, { unique = ["day", "n"] }, { range = { column = "n", max = 100 } }]

[asset.gold.totals]
kind = "sql"
sql = "SELECT day, sum(n) AS total FROM bronze.days GROUP BY day"
partitions = { use = "daily", column = "day" }

[asset.gold.everything]
kind = "sql"
sql = "SELECT count(*) AS days, sum(total) AS total FROM gold.totals"
"#;

const DAYS: &str = "SELECT CAST($partition_key AS DATE) AS day, x AS n FROM generate_series(1, 3) AS t(x)";

fn toy() -> Project {
    Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("sql/days.sql", DAYS),
    ])
}

#[test]
fn what_is_fresh_is_not_run_again_and_an_edit_runs_what_it_changes() {
    let toy = toy();
    toy.run(&["materialize"]).expect(0);
    assert_eq!(
        toy.row("SELECT * FROM gold.everything"),
        json!({ "days": 5, "total": 30 })
    );
    let again = toy.run(&["--json", "materialize"]).expect(0).answer();
    assert_eq!((&again["run"], &again["fresh"]), (&json!(null), &json!(11)));

    // A comment is no change of code; a number is.
    toy.write("sql/days.sql", format!("-- the days\n{DAYS}").as_bytes());
    assert_eq!(toy.run(&["--json", "plan"]).expect(0).answer()["steps"], json!([]));
    toy.write("sql/days.sql", DAYS.replace("(1, 3)", "(1, 4)").as_bytes());
    let why = toy.run(&["why", "bronze.days@2026-01-03"]).expect(0);
    assert!(why.out.contains("is stale: its code changed from"), "{why:#?}");
    toy.run(&["materialize", "--partition", "2026-01-02", "+gold.everything"])
        .expect(0);
    assert_eq!(
        toy.row("SELECT * FROM gold.everything"),
        json!({ "days": 5, "total": 34 })
    );
    toy.run(&["materialize"]).expect(0);
    assert_eq!(
        toy.row("SELECT * FROM gold.everything"),
        json!({ "days": 5, "total": 50 })
    );
}

#[test]
fn a_failed_check_keeps_the_old_rows_and_skips_what_is_downstream() {
    let toy = toy();
    toy.run(&["materialize"]).expect(0);
    let bad = "SELECT CAST($partition_key AS DATE) AS day, \
               CASE WHEN $partition_key = '2026-01-03' THEN x * 1000 ELSE x END AS n FROM generate_series(1, 4) AS t(x)";
    toy.write("sql/days.sql", bad.as_bytes());
    let said = toy.run(&["materialize"]).expect(1);
    assert!(
        said.err.contains("failed bronze.days@2026-01-03") && said.err.contains("range"),
        "{said:#?}"
    );
    // The other days are published; the bad one is as it was, and so is what reads it.
    assert_eq!(toy.row("SELECT sum(n) AS n FROM bronze.days"), json!({ "n": 46 }));
    assert_eq!(
        toy.row("SELECT sum(n) AS n FROM bronze.days WHERE day = DATE '2026-01-03'"),
        json!({ "n": 6 })
    );
    assert_eq!(toy.row("SELECT sum(total) AS n FROM gold.totals"), json!({ "n": 46 }));
    assert_eq!(toy.row("SELECT total FROM gold.everything"), json!({ "total": 30 }));
    let why = toy.run(&["--json", "why", "bronze.days@2026-01-03"]).expect(0).answer();
    let checks = why["facts"]["failed_checks"].as_array().unwrap();
    let failed: Vec<_> = checks
        .iter()
        .filter(|check| check["result"]["passed"] == false)
        .collect();
    assert_eq!(failed.len(), 1, "{why:#}");
    assert_eq!(failed[0]["result"]["failing_rows"], 4);
    assert_eq!(failed[0]["result"]["sample"]["rows"].as_array().unwrap().len(), 4);

    toy.write("sql/days.sql", DAYS.as_bytes());
    toy.run(&["materialize"]).expect(0);
    assert_eq!(toy.row("SELECT total FROM gold.everything"), json!({ "total": 30 }));
}

#[test]
fn a_worker_that_dies_fails_its_step_with_its_class_and_nothing_else() {
    for (fault, class) in [
        ("overflow", "stack_overflow"),
        ("abort", "crash"),
        ("kill", "killed"),
        ("exit", "crash"),
        ("memory", "memory"),
    ] {
        let toy = toy();
        let order = format!("bronze.days@2026-01-03={fault}");
        let said = toy
            .run_with(&["--json", "materialize"], &[("MILLPOND_FAULT", &order)])
            .expect(1);
        let summary = said.answers().pop().unwrap();
        assert_eq!(
            (&summary["failed"], &summary["skipped"], &summary["succeeded"]),
            (&json!(1), &json!(2), &json!(8)),
            "{fault}"
        );
        let failed: Vec<_> = said
            .answers()
            .into_iter()
            .filter(|event| event["event"]["type"] == "step_failed")
            .collect();
        assert_eq!(
            failed[0]["event"]["failure"]["class"], class,
            "{fault}: {:#}",
            failed[0]
        );
        assert_eq!(
            toy.row("SELECT count(*) AS days FROM gold.totals"),
            json!({ "days": 4 }),
            "{fault}"
        );
        toy.run(&["materialize"]).expect(0);
        assert_eq!(
            toy.row("SELECT total FROM gold.everything"),
            json!({ "total": 30 }),
            "{fault}"
        );
    }
}

#[test]
fn mistakes_and_missing_things_have_their_exit_codes() {
    let toy = toy();
    toy.run(&["materialize", "gold.totls"]).expect(4);
    toy.run(&["show", "gold.totls"]).expect(4);
    toy.run(&["runs", "run_000000000000"]).expect(4);
    toy.run(&["runs", "nonsense"]).expect(2);
    toy.run(&["frobnicate"]).expect(2);
    toy.run(&["why", "bronze.days@2027-01-01"]).expect(4);
    let before = toy.run(&["query", "SELECT * FROM gold.totals"]).expect(1);
    assert!(before.err.contains("never materialized"), "{before:#?}");
    toy.run(&["materialize"]).expect(0);
    let said = toy.run(&["query", "SELECT totall FROM gold.totals"]).expect(1);
    assert!(said.err.contains("total"), "{said:#?}");
    toy.run(&["query", "DROP TABLE gold.totals"]).expect(1);
    toy.write(
        "assets/b.toml",
        b"[asset.gold.more]\nkind = \"sqll\"\nsql = \"SELECT 1 AS a\"\n",
    );
    let check = toy.run(&["check"]).expect(3);
    assert!(
        check.err.contains("assets/b.toml:2:8") && check.err.contains("did you mean `sql`"),
        "{check:#?}"
    );
    toy.run(&["materialize"]).expect(3);
}

#[test]
fn a_query_can_look_back() {
    let toy = toy();
    toy.run(&["materialize"]).expect(0);
    let first = toy.run(&["--json", "show", "gold.everything"]).expect(0).answer()["snapshots"][0].clone();
    toy.write("sql/days.sql", DAYS.replace("(1, 3)", "(1, 4)").as_bytes());
    toy.run(&["materialize"]).expect(0);
    let then = toy.run(&[
        "--json",
        "query",
        "SELECT total FROM gold.everything",
        "--as-of",
        first["id"].as_str().unwrap(),
    ]);
    assert_eq!(then.expect(0).answer(), json!({ "total": 30 }));
    let at = jiff::Timestamp::from_millisecond(first["timestamp_ms"].as_i64().unwrap())
        .unwrap()
        .to_string();
    let then = toy.run(&["--json", "query", "SELECT total FROM gold.everything", "--as-of", &at]);
    assert_eq!(then.expect(0).answer(), json!({ "total": 30 }));
    assert_eq!(toy.row("SELECT total FROM gold.everything"), json!({ "total": 50 }));
}

#[test]
fn one_project_has_one_daemon_and_commands_go_through_it() {
    let toy = toy();
    let mut daemon = toy.start_piped(&["--json", "up", "--port", "0"]);
    let mut said = String::new();
    BufReader::new(daemon.stdout.as_mut().unwrap())
        .read_line(&mut said)
        .unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(said["url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{said}");
    let second = toy.run(&["up", "--port", "0"]).expect(5);
    assert!(second.err.contains(&daemon.id().to_string()), "{second:#?}");

    // A command asks the daemon and follows; the log can be followed to the end of the run.
    toy.run(&["materialize"]).expect(0);
    let logs = toy.run(&["logs", "--follow"]).expect(0);
    assert!(logs.out.contains("gold.everything"), "{logs:#?}");
    assert_eq!(toy.row("SELECT total FROM gold.everything"), json!({ "total": 30 }));

    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(daemon.id() as i32),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert!(daemon.wait().unwrap().success());
    toy.run(&["materialize"]).expect(0);
}

#[test]
fn a_clock_that_was_set_back_stops_nothing() {
    let toy = toy();
    let ahead = [("MILLPOND_CLOCK_OFFSET", "400000")];
    toy.run_with(&["materialize"], &ahead).expect(0);
    toy.write("sql/days.sql", DAYS.replace("(1, 3)", "(1, 4)").as_bytes());
    toy.run(&["materialize"]).expect(0);
    assert_eq!(
        toy.row("SELECT * FROM gold.everything"),
        json!({ "days": 5, "total": 50 })
    );
    let again = toy.run(&["--json", "materialize"]).expect(0).answer();
    assert_eq!(again["run"], json!(null));
}

#[test]
fn a_state_of_a_newer_release_is_left_alone() {
    let toy = toy();
    toy.run(&["materialize"]).expect(0);
    let state = toy.path().join(".millpond/state.db");
    let connection = rusqlite::Connection::open(&state).unwrap();
    connection.pragma_update(None, "user_version", 1000).unwrap();
    drop(connection);
    let said = toy.run(&["materialize"]);
    assert!(said.code != Some(0) && said.err.contains("1000"), "{said:#?}");
}

#[test]
fn a_program_may_need_one_that_writes_no_rows() {
    let assets = r#"
[asset.jobs.first]
kind = "command"
command = ["true"]

[asset.jobs.second]
kind = "command"
command = ["sh", "-c", "echo done >> done.txt"]
needs = ["jobs.first"]
"#;
    let project = Project::new(&[
        ("millpond.toml", "[project]\nname = \"jobs\"\n"),
        ("assets/jobs.toml", assets),
    ]);
    project.run(&["materialize"]).expect(0);
    let again = project.run(&["--json", "materialize"]).expect(0).answer();
    assert_eq!(again["run"], serde_json::Value::Null, "both are fresh");
    assert_eq!(
        std::fs::read_to_string(project.path().join("done.txt")).unwrap(),
        "done\n"
    );
}
