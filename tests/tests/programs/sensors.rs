//! Sensors of the real program: files that land while it watches, while it is down, and while they are still written.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use millpond_tests::program::{Project, Running, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "toy"

[execution]
workers = 1
memory = "128 MB"

[partitions.port]
values = ["EWR", "JFK", "LGA"]

[sensor.landing]
kind = "files"
path = "landing/**/*.csv"
select = "bronze.rows+"
settle = "1s"
rescan = "2s"
description = "What lands in the folder"

[sensor.ports]
kind = "files"
path = "ports/{partition}.csv"
select = "bronze.ports"
settle = "1s"
"#;

const ASSETS: &str = r#"
[asset.bronze.rows]
kind = "ingest"
from.files = { path = "landing/**/*.csv" }

[asset.gold.sum]
kind = "sql"
sql = "SELECT count(*) AS rows, sum(n) AS sum FROM bronze.rows"

[asset.bronze.ports]
kind = "ingest"
from.files = { path = "ports/{partition}.csv" }
partitions = { use = "port", column = "port" }
"#;

fn toy() -> Project {
    Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("landing/first.csv", "n\n1\n"),
        ("ports/README", "ports land here"),
    ])
}

fn up(project: &Project) -> Running {
    let mut daemon = project.begin(&["--json", "up", "--port", "0"]);
    daemon.wait_for("http://127.0.0.1:");
    daemon
}

fn down(daemon: Running) {
    daemon.signal(Signal::SIGTERM);
    daemon.end().expect(0);
}

fn ticks(project: &Project, sensor: &str) -> Vec<Value> {
    let said = project
        .run(&["--json", "sensor", "list", sensor, "-n", "1000"])
        .expect(0)
        .answer();
    said["sensors"][0]["ticks"].as_array().unwrap().clone()
}

/// What a sensor told of, by what it is, and how often.
fn told(project: &Project, sensor: &str) -> BTreeMap<String, usize> {
    let store = state::Store::open_reader(&project.path().join(".millpond/state.db")).unwrap();
    let mut told = BTreeMap::new();
    for tick in 1..=ticks(project, sensor).len() as u64 {
        let events = state::queries::sensors::sensor_events(&store, sensor, tick, None, 10_000).unwrap();
        for event in events.rows {
            *told.entry(event.what).or_default() += 1;
        }
    }
    told
}

/// Waits until a sensor has told of a file so many times.
fn until_told(project: &Project, sensor: &str, what: &str, times: usize) {
    until(&format!("{sensor} tells of {what}"), || {
        (told(project, sensor).get(what) == Some(&times)).then_some(())
    });
}

fn until_sum(project: &Project, rows: u64, sum: u64) {
    until(&format!("{rows} rows, {sum} in sum"), || {
        let said = project.run(&["--json", "query", "SELECT * FROM gold.sum"]);
        (said.code == Some(0) && said.answers() == [json!({ "rows": rows, "sum": sum })]).then_some(())
    });
}

#[test]
fn each_file_is_told_of_once_however_it_comes_and_whoever_dies() {
    let toy = toy();
    let at = |path: &str| -> PathBuf { toy.path().join(path) };
    let daemon = up(&toy);
    until_sum(&toy, 1, 1);
    // Written in pieces, each before the file could settle; only the whole of it counts.
    let mut slow = OpenOptions::new()
        .create(true)
        .append(true)
        .open(at("landing/slow.csv"))
        .unwrap();
    slow.write_all(b"n\n").unwrap();
    for _ in 0..6 {
        slow.write_all(b"2\n").unwrap();
        slow.flush().unwrap();
        // A command takes its time: less than a second, and the file is not quiet for one.
        toy.run(&["sensor", "tick", "landing", "--test"]).expect(0);
    }
    drop(slow);
    until_sum(&toy, 7, 13);
    // A file by another name, and a whole folder that is moved in.
    fs::write(at("landing/.hidden.csv.part"), "n\n3\n").unwrap();
    fs::rename(at("landing/.hidden.csv.part"), at("landing/renamed.csv")).unwrap();
    fs::create_dir_all(at("outside/deep")).unwrap();
    fs::write(at("outside/deep/one.csv"), "n\n4\n").unwrap();
    fs::write(at("outside/deep/two.csv"), "n\n5\n").unwrap();
    fs::rename(at("outside"), at("landing/inside")).unwrap();
    until_sum(&toy, 10, 25);
    // The daemon is killed. What lands meanwhile is told of by the next one, and nothing else.
    daemon.signal(Signal::SIGKILL);
    daemon.end();
    fs::write(at("landing/meanwhile.csv"), "n\n6\n").unwrap();
    let daemon = up(&toy);
    until_sum(&toy, 11, 31);
    // Another content is another file.
    fs::write(at("landing/first.csv"), "n\n1\n1\n").unwrap();
    until_sum(&toy, 12, 32);
    until_told(&toy, "landing", "landing/first.csv", 2);
    down(daemon);
    let expected: BTreeMap<String, usize> = [
        ("landing/first.csv", 2),
        ("landing/slow.csv", 1),
        ("landing/renamed.csv", 1),
        ("landing/inside/deep/one.csv", 1),
        ("landing/inside/deep/two.csv", 1),
        ("landing/meanwhile.csv", 1),
    ]
    .into_iter()
    .map(|(what, times)| (what.to_owned(), times))
    .collect();
    assert_eq!(told(&toy, "landing"), expected);
    // Every run of the sensor is that of one tick.
    let runs = toy.run(&["--json", "runs", "-n", "1000"]).expect(0);
    let requested = ticks(&toy, "landing")
        .iter()
        .filter(|tick| !tick["run"].is_null())
        .count();
    assert_eq!(runs.out.matches("sensor landing").count(), requested, "{runs:#?}");
}

#[test]
fn a_path_names_the_partition_that_runs() {
    let toy = toy();
    toy.write("ports/EWR.csv", b"port,n\nEWR,1\n");
    toy.write("ports/LGA.csv", b"port,n\nLGA,2\n");
    let daemon = up(&toy);
    until_told(&toy, "ports", "ports/LGA.csv", 1);
    let ports = |sql: &str| toy.run(&["--json", "query", sql]);
    until("two ports", || {
        let said = ports("SELECT count(*) AS n FROM bronze.ports");
        (said.code == Some(0) && said.answers() == [json!({ "n": 2 })]).then_some(())
    });
    toy.write("ports/JFK.csv", b"port,n\nJFK,3\n");
    until_told(&toy, "ports", "ports/JFK.csv", 1);
    let newest = ticks(&toy, "ports")[0].clone();
    let run = newest["run"].as_str().unwrap();
    toy.run(&["logs", "--follow", run]).expect(0);
    let runs = toy.run(&["--json", "runs", run]).expect(0).answer();
    assert!(runs.to_string().contains("\"these\":[\"JFK\"]"), "{runs}");
    assert_eq!(
        toy.row("SELECT n FROM bronze.ports WHERE port = 'JFK'"),
        json!({ "n": 3 })
    );
    down(daemon);
    toy.sound();
}

#[test]
fn a_sensor_is_tested_paused_and_resumed_by_command() {
    let toy = toy();
    let alone = toy.run(&["sensor", "tick", "landing"]).expect(4);
    assert!(alone.err.contains("millpond up"), "{alone:#?}");
    let unknown = toy.run(&["sensor", "tick", "landin"]).expect(4);
    assert!(unknown.err.contains("did you mean `landing`?"), "{unknown:#?}");
    let daemon = up(&toy);
    toy.run(&["sensor", "pause", "landing"]).expect(0);
    toy.run(&["sensor", "pause", "landing"]).expect(0);
    let listed = toy.run(&["sensor", "list"]).expect(0);
    for fact in ["landing", "files landing/**/*.csv", "bronze.rows+", "paused by api"] {
        assert!(listed.out.contains(fact), "{fact}: {listed:#?}");
    }
    toy.write("landing/second.csv", b"n\n2\n");
    // It settles while it is looked at; a test starts nothing.
    until("a test sees it", || {
        let tested = toy
            .run(&["--json", "sensor", "tick", "landing", "--test"])
            .expect(0)
            .answer();
        tested.to_string().contains("landing/second.csv").then_some(())
    });
    assert_eq!(told(&toy, "landing").get("landing/second.csv"), None);
    let asked = toy.run(&["--json", "sensor", "tick", "landing"]).expect(0).answer();
    assert_eq!(
        (&asked["answer"], &asked["tick"]["status"], &asked["tick"]["asked_by"]),
        (&json!("ticked"), &json!("requested"), &json!("api"))
    );
    toy.run(&["sensor", "resume", "landing"]).expect(0);
    toy.write("landing/third.csv", b"n\n3\n");
    until_told(&toy, "landing", "landing/third.csv", 1);
    until_told(&toy, "landing", "landing/second.csv", 1);
    down(daemon);
}
