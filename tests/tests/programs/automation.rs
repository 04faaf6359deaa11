//! Automation and freshness of the whole program: what follows by itself, what the commands say of it, and what a kill between a
//! change and what follows from it leaves.

use millpond_tests::program::{Project, Running, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "automation"
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
kind = "ingest"
from.files = { path = "landing/*.csv" }
partitions = { use = "daily", column = "day" }

[asset.silver.days]
kind = "sql"
sql = "SELECT day, n * 10 AS n FROM bronze.days"
partitions = { use = "daily", column = "day" }
checks = [{ range = { column = "n", max = 1000 } }]
automation = "eager"

[asset.gold.total]
kind = "sql"
sql = "SELECT sum(n) AS n FROM silver.days"
automation = { when = "upstream_updated or missing" }
freshness = { within = "26h" }
"#;

fn daemon(project: &Project) -> Running {
    let mut daemon = project.begin(&["--json", "up", "--port", "0"]);
    daemon.wait_for("http://127.0.0.1:");
    daemon
}

fn automation(project: &Project, asset: &str) -> Value {
    project.run(&["--json", "automation", "list", asset]).expect(0).answer()["automation"][0].clone()
}

/// Waits until an asset was requested so often, and its newest run is over.
fn requested(project: &Project, asset: &str, times: usize) -> Vec<Value> {
    until("automation has requested it and is done", || {
        let requests = automation(project, asset)["requests"].as_array()?.clone();
        let over = requests
            .first()
            .is_some_and(|newest| matches!(newest["run_status"].as_str(), Some("succeeded" | "failed" | "canceled")));
        (requests.len() >= times && over).then_some(requests)
    })
}

#[test]
fn a_change_is_followed_by_one_run_that_is_explained() {
    let project = Project::new(&[("millpond.toml", TOML), ("assets/a.toml", ASSETS)]);
    project.write("landing/a.csv", b"day,n\n2026-01-01,1\n2026-01-02,2\n2026-01-03,3\n");
    let running = daemon(&project);
    project.run(&["materialize", "bronze.days"]).expect(0);
    let told = requested(&project, "gold.total", 1);
    assert_eq!(project.row("SELECT n FROM gold.total"), json!({ "n": 60 }));
    let silver = requested(&project, "silver.days", 1);
    assert_eq!(silver[0]["run"], told[0]["run"], "one decision is one run");
    assert_eq!(silver[0]["partitions"]["count"], 3);
    assert_eq!(
        silver[0]["partitions"]["stretches"],
        json!([["2026-01-01", "2026-01-03"]])
    );

    // A check stops the next one: it is tried once, and says why it is left alone.
    project.write("landing/b.csv", b"day,n\n2026-01-04,4000\n");
    project.run(&["materialize", "bronze.days"]).expect(0);
    let silver = requested(&project, "silver.days", 2);
    assert_eq!(
        silver[0]["partitions"]["stretches"],
        json!([["2026-01-04", "2026-01-04"]])
    );
    let why = project.run(&["why", "silver.days@2026-01-04"]).expect(0);
    assert!(
        why.out
            .contains("automation eager: it failed, and nothing that it is made from changed since"),
        "{why:#?}"
    );
    let why = project.run(&["why", "silver.days@2026-01-03"]).expect(0);
    for fact in [
        "stale  no",
        "automation requested it",
        "3 partitions (2026-01-01 to 2026-01-03)",
    ] {
        assert!(why.out.contains(fact), "{fact}: {why:#?}");
    }
    let shown = project.run(&["show", "gold.total"]).expect(0);
    for fact in [
        "on time: made",
        "it has to be made within 26h",
        "when upstream_updated or missing",
    ] {
        assert!(shown.out.contains(fact), "{fact}: {shown:#?}");
    }

    // Paused, nothing follows; resumed, all that happened meanwhile does.
    project.run(&["automation", "pause"]).expect(0);
    project.write("landing/b.csv", b"day,n\n2026-01-04,4\n");
    project.run(&["materialize", "bronze.days"]).expect(0);
    let listed = project.run(&["automation", "list"]).expect(0);
    assert!(listed.out.contains("paused by api"), "{listed:#?}");
    assert_eq!(
        automation(&project, "silver.days")["requests"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    project.run(&["automation", "resume"]).expect(0);
    requested(&project, "silver.days", 3);
    until("the total has all four days", || {
        (project.row("SELECT n FROM gold.total") == json!({ "n": 100 })).then_some(())
    });
    let unknown = project.run(&["automation", "pause", "silver.dyas"]).expect(4);
    assert!(unknown.err.contains("did you mean `silver.days`?"), "{unknown:#?}");
    drop(running);
    project.sound();
}

#[test]
fn a_kill_between_a_change_and_what_follows_loses_nothing() {
    let project = Project::new(&[("millpond.toml", TOML), ("assets/a.toml", ASSETS)]);
    project.write("landing/a.csv", b"day,n\n2026-01-01,1\n2026-01-02,2\n2026-01-03,3\n");
    // Without a daemon nothing follows.
    project.run(&["materialize", "bronze.days"]).expect(0);
    let alone = project.run(&["automation", "list"]).expect(0);
    assert!(
        alone.out.contains("3 partitions (2026-01-01 to 2026-01-03) to be made"),
        "{alone:#?}"
    );
    assert!(alone.err.contains("no daemon runs"), "{alone:#?}");
    for _ in 0..3 {
        let running = daemon(&project);
        running.signal(Signal::SIGKILL);
        drop(running);
    }
    let running = daemon(&project);
    requested(&project, "gold.total", 1);
    until("the total is there", || {
        let row = project.run(&["--json", "query", "SELECT n FROM gold.total"]);
        (row.code == Some(0) && row.answers() == [json!({ "n": 60 })]).then_some(())
    });
    drop(running);
    project.sound();
}
