//! A backfill of many partitions whose daemon and workers are killed again and again: each partition is made once.

use millpond_tests::program::{Project, Running, until};
use nix::sys::signal::Signal;
use rusqlite::Connection;
use state::sqlite::Store;
use state::sqlite::queries::runs::{RunFilter, RunRow, runs};
use state::status::RunStatus;

fn project(from: &str, to: &str) -> Project {
    let toml = format!(
        "[project]\nname = \"kills\"\ntimezone = \"UTC\"\n\n[partitions.daily]\nevery = \"day\"\nstart = {from}\nend = {to}\n\n\
         [execution]\nworkers = 2\nmemory = \"128 MB\"\n"
    );
    let assets = r#"
[asset.silver.days]
kind = "sql"
sql = "SELECT CAST($partition_key AS DATE) AS day, 1 AS n"
partitions = { use = "daily", column = "day" }
"#;
    Project::new(&[("millpond.toml", &toml), ("assets/a.toml", assets)])
}

fn daemon(project: &Project) -> Running {
    let mut daemon = project.begin(&["--json", "up", "--port", "0"]);
    daemon.wait_for("http://127.0.0.1:");
    daemon
}

fn newest(project: &Project) -> RunRow {
    let store = Store::open_reader(&project.path().join(".millpond/state.db")).expect("the state opens");
    let page = runs(&store, &RunFilter::default(), None, 1).expect("the state can be read");
    page.rows.into_iter().next().expect("there is a run")
}

/// Kills the daemon and its workers `kills` times on the way of a backfill of `partitions`.
fn survive(from: &str, to: &str, partitions: u64, kills: u64, batch: &str) {
    let project = project(from, to);
    let mut running = daemon(&project);
    project
        .run(&["backfill", "silver.days", "--batch", batch, "--detach"])
        .expect(0);
    let mut most = 0;
    let mut grows = |row: &RunRow| {
        assert!(
            row.steps.succeeded >= most,
            "{} steps had succeeded, now {:?}",
            most,
            row.steps
        );
        assert_eq!(row.steps.total(), partitions);
        most = row.steps.succeeded;
    };
    for kill in 1..=kills {
        let goal = partitions * kill / (kills + 1);
        until("it goes on", || {
            let row = newest(&project);
            grows(&row);
            (row.steps.succeeded >= goal).then_some(())
        });
        // The whole group, as when a machine loses power.
        running.signal(Signal::SIGKILL);
        drop(running);
        grows(&newest(&project));
        running = daemon(&project);
    }
    let ended = until("it is over", || {
        let row = newest(&project);
        grows(&row);
        row.status.is_terminal().then_some(row)
    });
    assert_eq!(
        (ended.status, ended.steps.succeeded),
        (RunStatus::Succeeded, partitions)
    );
    running.signal(Signal::SIGTERM);
    running.end().expect(0);
    project.sound();

    // Each partition was materialized once, and its rows are there once.
    let state = Connection::open(project.path().join(".millpond/state.db")).expect("the state opens");
    let count = |sql: &str| -> u64 {
        let found: i64 = state.query_row(sql, [], |row| row.get(0)).expect("it is counted");
        found.unsigned_abs()
    };
    let made = count("SELECT count(*) FROM materialization");
    let twice =
        count("SELECT count(*) FROM (SELECT 1 FROM materialization GROUP BY asset, partition HAVING count(*) > 1)");
    assert_eq!((made, twice), (partitions, 0));
    let told = project.row("SELECT count(*) AS days, count(DISTINCT day) AS different FROM silver.days");
    assert_eq!(
        (told["days"].as_u64(), told["different"].as_u64()),
        (Some(partitions), Some(partitions))
    );
    // Every snapshot that a materialization names is one to which the pointer was moved, and no other.
    let named = count("SELECT count(DISTINCT snapshot_id) FROM materialization");
    let moves = count("SELECT count(*) FROM event WHERE type = 'pointer_moved'");
    assert_eq!(named, moves);
    let again = project.run(&["--json", "backfill", "silver.days"]).expect(0).answer();
    assert_eq!(again["run"], serde_json::Value::Null, "nothing is left to do");
}

#[test]
fn five_hundred_partitions_survive_five_kills() {
    survive("2020-01-01", "2021-05-14", 500, 5, "8");
}

/// `cargo test --release --workspace --test programs -- --ignored ten_thousand`
#[test]
#[ignore = "takes minutes: a profile of its own"]
fn ten_thousand_partitions_survive_twenty_kills() {
    survive("1998-01-01", "2025-05-18", 10_000, 20, "64");
}
