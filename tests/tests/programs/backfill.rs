//! Backfills: a stretch of partitions at a pace, held, killed and let go on, and what failed of one run again.

use std::io::Read as _;

use base64::Engine as _;
use millpond_tests::program::{Project, Running, until};
use nix::sys::signal::Signal;
use serde_json::Value;

const TOML: &str = r#"
[project]
name = "backfills"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-01-01
end = 2026-01-20

[execution]
workers = 4
memory = "128 MB"
"#;

fn daemon(project: &Project) -> Running {
    let mut daemon = project.begin(&["--json", "up", "--port", "0"]);
    daemon.wait_for("http://127.0.0.1:");
    daemon
}

/// The newest run as `millpond runs` tells it.
fn newest(project: &Project) -> Value {
    project.run(&["--json", "runs", "--limit", "1"]).expect(0).answer()
}

/// Steps of the newest run with this status.
fn steps(project: &Project, status: &str) -> u64 {
    newest(project)["steps"][status].as_u64().expect("steps are counted")
}

/// Two partitions at a time, each waiting for a file; the run is paused, the daemon killed, and nothing more starts until it is
/// told to go on.
#[test]
fn a_pause_holds_a_backfill_over_the_death_of_its_daemon() {
    let assets = r#"
[asset.jobs.days]
kind = "command"
command = ["sh", "-c", "until [ -e go ]; do sleep 0.02; done"]
partitions = { use = "daily", column = "day" }
"#;
    let project = Project::new(&[("millpond.toml", TOML), ("assets/a.toml", assets)]);
    let first = daemon(&project);
    let backfill = [
        "--json",
        "backfill",
        "jobs.days",
        "--from",
        "2026-01-03",
        "--to",
        "2026-01-12",
    ];
    let pace = ["--newest-first", "--max-in-flight", "2", "--batch", "1", "--detach"];
    let told = project.run(&[&backfill[..], &pace[..]].concat()).expect(0).answer();
    let run = told["run"].as_str().expect("the run is told").to_owned();
    until("two partitions are in flight", || {
        (steps(&project, "running") == 2).then_some(())
    });
    project.run(&["pause", &run]).expect(0);
    project.write("go", b"");
    until("what ran has ended", || {
        (steps(&project, "succeeded") == 2).then_some(())
    });
    let held = newest(&project);
    assert_eq!(
        (held["paused"].as_bool(), held["steps"]["waiting"].as_u64()),
        (Some(true), Some(8)),
        "{held:#}"
    );
    // The newest came first.
    let shown = project.run(&["--json", "runs", &run]).expect(0).answer();
    let attempts = shown["attempts"].to_string();
    assert!(
        attempts.contains("2026-01-12") && attempts.contains("2026-01-11"),
        "{attempts}"
    );

    first.signal(Signal::SIGKILL);
    drop(first);
    let second = daemon(&project);
    let held = newest(&project);
    assert_eq!(
        (held["paused"].as_bool(), held["steps"]["waiting"].as_u64()),
        (Some(true), Some(8)),
        "{held:#}"
    );
    project.run(&["resume", &run]).expect(0);
    let ended = until("the backfill is over", || {
        Some(newest(&project)).filter(|run| run["status"] == "succeeded")
    });
    assert_eq!(ended["steps"]["succeeded"], 10, "{ended:#}");
    // A run that is over cannot be held.
    project.run(&["pause", &run]).expect(4);
    second.signal(Signal::SIGTERM);
    second.end().expect(0);
    project.sound();
    // The other days are missing, and only they.
    project.run(&["backfill", "jobs.days", "--only", "missing"]).expect(0);
    assert_eq!(newest(&project)["steps"]["succeeded"], 10);
    let again = project
        .run(&["--json", "backfill", "jobs.days", "--only", "missing"])
        .expect(0)
        .answer();
    assert_eq!(again["run"], Value::Null, "nothing is missing");
}

/// Two raw files are wrong: their days, each a pass of its own over the files, fail, what is below them is skipped, and a retry runs these and no others.
#[test]
fn a_retry_runs_what_failed_and_what_was_skipped_for_it() {
    let assets = r#"
[asset.bronze.days]
kind = "ingest"
from.files = { path = "landing/{partition}.csv" }
columns = { n = "long" }
partitions = { use = "daily", column = "day" }

[asset.gold.days]
kind = "sql"
sql = "SELECT day, n + 1 AS n FROM bronze.days"
partitions = { use = "daily", column = "day" }
"#;
    let project = Project::new(&[("millpond.toml", TOML), ("assets/a.toml", assets)]);
    let write = |day: u32, n: &str| {
        project.write(&format!("landing/2026-01-{day:02}.csv"), format!("n\n{n}\n").as_bytes());
    };
    for day in 1..=6 {
        write(day, if day == 3 || day == 5 { "many" } else { "1" });
    }
    project
        .run(&[
            "backfill",
            "*",
            "--from",
            "2026-01-01",
            "--to",
            "2026-01-06",
            "--batch",
            "1",
        ])
        .expect(1);
    let failed = newest(&project);
    let run = failed["run"].as_str().expect("a run has an id").to_owned();
    let counts = ["succeeded", "failed", "skipped"].map(|status| failed["steps"][status].as_u64());
    assert_eq!(counts, [Some(8), Some(2), Some(2)], "{failed:#}");
    assert_eq!(failed["trigger"], "backfill");
    write(3, "1");
    write(5, "1");
    project.run(&["retry", &run]).expect(0);
    let retried = newest(&project);
    assert_eq!(retried["trigger"], format!("retry of {run}"));
    assert_eq!(retried["steps"]["succeeded"], 4, "{retried:#}");
    assert_eq!(project.row("SELECT count(*) AS n, sum(n) AS s FROM gold.days")["s"], 12);
    let again = project.run(&["--json", "retry", &run]).expect(0).answer();
    assert_eq!(again["run"], Value::Null, "nothing is left to retry");
    project.sound();
}

/// One query and one program make many partitions: each has its own check and result, and they share one snapshot.
#[test]
fn partitions_that_are_made_together_each_have_their_own_result() {
    let assets = r#"
[asset.bronze.days]
kind = "sql"
sql = "SELECT CAST(CAST($partition_key AS DATE) AS DATE) AS day, CAST(substr($partition_key, 9, 2) AS BIGINT) AS n"
partitions = { use = "daily", column = "day" }

[asset.silver.days]
kind = "sql"
sql = "SELECT day, n * 2 AS n FROM bronze.days"
partitions = { use = "daily", column = "day" }
together = true
checks = [{ sql = "SELECT * FROM this WHERE n = 26", name = "no 26" }]

[asset.jobs.days]
kind = "command"
command = ["sh", "-c", "echo started >> starts; printf %s \"$DAGSTER_PIPES_CONTEXT\" > context"]
needs = ["silver.days"]
partitions = { use = "daily", column = "day" }
together = true
"#;
    let project = Project::new(&[("millpond.toml", TOML), ("assets/a.toml", assets)]);
    project.run(&["backfill", "bronze.days"]).expect(0);
    project.run(&["backfill", "silver.days+"]).expect(1);
    let run = newest(&project);
    let counts = ["succeeded", "failed", "skipped"].map(|status| run["steps"][status].as_u64());
    // Of 20 days the thirteenth is kept back, and what needs it.
    assert_eq!(counts, [Some(38), Some(1), Some(1)], "{run:#}");
    assert_eq!(
        project.row("SELECT count(*) AS n, sum(n) AS s FROM silver.days")["s"],
        394
    );
    let shown = project
        .run(&["--json", "runs", run["run"].as_str().unwrap()])
        .expect(0)
        .answer();
    let attempts = shown["attempts"].as_array().unwrap();
    let of = |asset: &str| attempts.iter().filter(|attempt| attempt["asset"] == asset).count();
    // All are published at once, so what needs them takes them up at once, as many workers as there are.
    assert!(of("silver.days") == 1 && of("jobs.days") <= 2, "{attempts:#?}");
    let history = project.run(&["--json", "show", "silver.days", "--history"]).expect(0);
    assert_eq!(history.answers().len(), 1, "they share one snapshot: {}", history.out);
    let starts = std::fs::read_to_string(project.path().join("starts")).unwrap();
    assert_eq!(starts.lines().count(), of("jobs.days"));
    let context = std::fs::read_to_string(project.path().join("context")).unwrap();
    let zlib = base64::engine::general_purpose::STANDARD.decode(context).unwrap();
    let mut context = String::new();
    flate2::read::ZlibDecoder::new(&zlib[..])
        .read_to_string(&mut context)
        .unwrap();
    let context: serde_json::Value = serde_json::from_str(&context).unwrap();
    let keys = context["data"]["extras"]["partition_keys"].as_array().unwrap();
    assert!(keys.len() > 1, "{context:#}");
    project.sound();
}
