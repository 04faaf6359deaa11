//! Pools and priorities with a real daemon: who waits says for what, everywhere, and gets it as soon as it is free.

use millpond_tests::program::{Project, Running, until};
use nix::sys::signal::Signal;
use serde_json::Value;

const TOML: &str = r#"
[project]
name = "queue"
timezone = "UTC"

[execution]
workers = 4
memory = "128 MB"

[pool.database]
limit = 1
tags = ["database"]
"#;

const ASSETS: &str = r#"
[asset.jobs.one]
kind = "command"
command = ["sh", "-c", "echo one begins >> log; until [ -e go1 ]; do sleep 0.02; done; echo one ends >> log"]
pool = "database"

[asset.jobs.two]
kind = "command"
command = ["sh", "-c", "echo two begins >> log; until [ -e go2 ]; do sleep 0.02; done; echo two ends >> log"]
tags = ["database"]

[asset.jobs.three]
kind = "command"
command = ["sh", "-c", "echo three >> log"]
tags = ["database"]

[asset.jobs.free]
kind = "command"
command = ["true"]
"#;

fn daemon(project: &Project) -> Running {
    let mut daemon = project.begin(&["--json", "up", "--port", "0"]);
    daemon.wait_for("http://127.0.0.1:");
    daemon
}

fn detach(project: &Project, arguments: &[&str]) -> String {
    let all = [&["--json", "backfill", "--detach"], arguments].concat();
    let told = project.run(&all).expect(0).answer();
    told["run"].as_str().expect("the run is told").to_owned()
}

fn shown(project: &Project, run: &str) -> Value {
    project.run(&["--json", "runs", run]).expect(0).answer()
}

fn log(project: &Project) -> Vec<String> {
    let text = std::fs::read_to_string(project.path().join("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_waits_for_a_pool_says_so_and_goes_on_when_a_place_is_free() {
    let project = Project::new(&[("millpond.toml", TOML), ("assets/a.toml", ASSETS)]);
    let daemon = daemon(&project);
    let one = detach(&project, &["jobs.one"]);
    until("it runs", || {
        log(&project).contains(&"one begins".to_owned()).then_some(())
    });
    let two = detach(&project, &["jobs.two"]);
    let three = detach(&project, &["jobs.three", "--priority", "5"]);
    // Three workers are free, and what needs no place in the pool runs.
    project.run(&["materialize", "jobs.free"]).expect(0);
    let expected = format!("waits for pool `database`: 1 of 1 in use by {one}");
    let waits = shown(&project, &two)["waits"].clone();
    assert_eq!(waits[0]["text"], expected, "{waits:#}");
    assert_eq!(
        (&waits[0]["pool"], &waits[0]["runs"][0]),
        (&"database".into(), &one.as_str().into())
    );
    for arguments in [&["runs"][..], &["runs", &two], &["why", "jobs.two"]] {
        let said = project.run(arguments).expect(0);
        assert!(said.out.contains(&expected), "{arguments:?}: {said:#?}");
    }
    project.write("go1", b"");
    // The one with the higher priority comes first, and then the one that asked before it.
    until("the second runs", || {
        log(&project).contains(&"two begins".to_owned()).then_some(())
    });
    assert_eq!(log(&project), ["one begins", "one ends", "three", "two begins"]);
    project.write("go2", b"");
    for run in [&one, &two, &three] {
        until("it is over", || {
            (shown(&project, run)["run"]["row"]["status"] == "succeeded").then_some(())
        });
    }
    daemon.signal(Signal::SIGTERM);
    daemon.end().expect(0);
    project.sound();
}

#[test]
fn a_place_in_a_pool_does_not_outlive_its_daemon() {
    let project = Project::new(&[("millpond.toml", TOML), ("assets/a.toml", ASSETS)]);
    let first = daemon(&project);
    let one = detach(&project, &["jobs.one"]);
    until("it runs", || {
        log(&project).contains(&"one begins".to_owned()).then_some(())
    });
    first.signal(Signal::SIGKILL);
    drop(first);
    let second = daemon(&project);
    // Started anew, it takes the place that the killed one had.
    until("it runs again", || (log(&project).len() == 2).then_some(()));
    project.run(&["cancel", &one]).expect(0);
    until("it is canceled", || {
        (shown(&project, &one)["run"]["row"]["status"] == "canceled").then_some(())
    });
    project.run(&["materialize", "jobs.three"]).expect(0);
    second.signal(Signal::SIGTERM);
    second.end().expect(0);
    project.sound();
}
