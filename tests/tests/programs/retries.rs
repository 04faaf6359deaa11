//! What is tried again and what is stopped for taking too long, with real programs that fail, hang and leave others behind.

use millpond_tests::program::processes;
use millpond_tests::program::{Project, Running, until};
use nix::sys::signal::Signal;
use serde_json::Value;

const TOML: &str = r#"
[project]
name = "retries"
timezone = "UTC"

[execution]
workers = 2
memory = "128 MB"
retry = { max = 2, delay = "1s", backoff = "constant", jitter = 0 }
"#;

fn project(assets: &str, script: &str) -> Project {
    Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", assets),
        ("program.sh", script),
    ])
}

const COMMAND: &str = "[asset.jobs.program]\nkind = \"command\"\ncommand = [\"sh\", \"program.sh\"]\n";

fn daemon(project: &Project) -> Running {
    let mut daemon = project.begin(&["--json", "up", "--port", "0"]);
    daemon.wait_for("http://127.0.0.1:");
    daemon
}

/// The newest run with its attempts, as `millpond runs RUN` tells it.
fn newest(project: &Project) -> Value {
    let list = project.run(&["--json", "runs", "--limit", "1"]).expect(0).answer();
    let run = list["run"].as_str().expect("a run has an id").to_owned();
    project.run(&["--json", "runs", &run]).expect(0).answer()
}

fn numbers(run: &Value) -> Vec<u64> {
    let attempts = run["attempts"].as_array().expect("attempts are listed");
    attempts
        .iter()
        .map(|attempt| attempt["number"].as_u64().expect("they are numbered"))
        .collect()
}

/// It fails twice and then does what it should: three attempts, one run that succeeded.
#[test]
fn a_program_that_fails_is_started_again() {
    let project = project(COMMAND, "echo tried >> tries; test $(wc -l < tries) -ge 3");
    let said = project.run(&["materialize"]).expect(0);
    assert!(
        said.err.contains("retry 1 of jobs.program") || said.out.contains("retry 1 of jobs.program"),
        "{said:#?}"
    );
    let run = newest(&project);
    assert_eq!(run["run"]["row"]["status"], "succeeded", "{run:#}");
    assert_eq!(numbers(&run), [1, 2, 3], "{run:#}");
    project.sound();
}

/// It never succeeds: after two retries that is how it stays, and its failure is the program's.
#[test]
fn a_program_that_goes_on_failing_fails() {
    let project = project(COMMAND, "echo tried >> tries; exit 3");
    project.run(&["materialize"]).expect(1);
    let run = newest(&project);
    assert_eq!(numbers(&run), [1, 2, 3], "{run:#}");
    assert_eq!(run["failures"][0]["retries"], 2, "{run:#}");
    assert_eq!(run["failures"][0]["failure"]["class"], "command", "{run:#}");
    project.sound();
}

/// A check is no matter of luck.
#[test]
fn a_check_that_failed_is_not_asked_again() {
    let assets = "[asset.gold.x]\nkind = \"sql\"\nsql = \"SELECT 1 AS n\"\nchecks = [{ row_count = { min = 2 } }]\n";
    let project = project(assets, "");
    project.run(&["materialize"]).expect(1);
    assert_eq!(numbers(&newest(&project)), [1]);
    project.sound();
}

/// The wait for a retry is a fact of the state: a daemon that was killed during it is followed by one that keeps it.
#[test]
fn a_wait_for_a_retry_outlives_its_daemon() {
    let assets = format!("{COMMAND}retry = {{ max = 1, delay = \"20s\", jitter = 0 }}\n");
    let project = project(&assets, "echo tried >> tries; test -e go");
    let first = daemon(&project);
    project.run(&["backfill", "jobs.program", "--detach"]).expect(0);
    let waiting = until("it waits for its retry", || {
        let run = newest(&project);
        (run["waits"][0]["for"] == "retry").then_some(run)
    });
    let due = waiting["waits"][0]["due"].as_i64().expect("until when is told");
    assert!(
        waiting["waits"][0]["text"].as_str().unwrap().starts_with("waits until"),
        "{waiting:#}"
    );
    first.signal(Signal::SIGKILL);
    drop(first);
    project.write("go", b"");
    let second = daemon(&project);
    assert_eq!(newest(&project)["waits"][0]["due"], due);
    let run = until("it was tried again", || {
        Some(newest(&project)).filter(|run| run["run"]["row"]["status"] == "succeeded")
    });
    let began = run["attempts"][1]["started_at"].as_i64().expect("it started");
    assert!(began >= due, "it began at {began}, and was to wait until {due}");
    second.signal(Signal::SIGTERM);
    second.end().expect(0);
    project.sound();
}

/// It ignores every request to end, and what it started has left its group, holds its output open, or is many.
#[test]
fn a_timeout_ends_a_program_that_does_not_want_to_end_and_all_that_it_started() {
    let mark = format!("{}7", std::process::id());
    let script = format!(
        "trap '' INT TERM HUP\n\
         setsid sleep {mark} &\n\
         (setsid sh -c 'sleep {mark} & sleep {mark}' &)\n\
         i=0; while [ $i -lt 200 ]; do sleep {mark} & i=$((i+1)); done\n\
         while :; do sleep 0.2; done\n"
    );
    let assets = format!("{COMMAND}retry = 0\ntimeout = \"3s\"\n");
    let project = project(&assets, &script);
    let run = project.begin(&["--json", "materialize"]);
    until("its programs run", || {
        (processes::with(&mark).len() >= 200).then_some(())
    });
    let said = run.end();
    assert_eq!(said.code, Some(1), "{said:#?}");
    let told = newest(&project);
    assert_eq!(told["failures"][0]["failure"]["class"], "timeout", "{told:#}");
    let message = told["failures"][0]["failure"]["message"].as_str().unwrap();
    assert!(message.contains("longer than 3s"), "{message}");
    assert_eq!(processes::with(&mark), []);
    project.sound();
}

/// A query has a timeout too, also one that does not notice that it is to stop.
#[test]
fn a_timeout_ends_a_query() {
    let assets = r#"
[asset.gold.slow]
kind = "sql"
sql = "SELECT sum((a.x * 7 + b.x) % 11) AS n FROM generate_series(1, 1000000) AS a(x) CROSS JOIN generate_series(1, 1000000) AS b(x)"
timeout = "2s"
retry = 1
"#;
    let project = project(assets, "");
    project.run(&["materialize"]).expect(1);
    let told = newest(&project);
    assert_eq!(told["failures"][0]["failure"]["class"], "timeout", "{told:#}");
    assert_eq!(numbers(&told), [1, 2], "{told:#}");
    project.sound();
}

/// The daemon, its workers and nothing else are killed: the program goes on alone. The next daemon ends it before it starts
/// another, so there is one writer at a time.
#[test]
fn what_a_killed_daemon_left_behind_ends_before_the_step_is_tried_again() {
    let script = "until [ -e go ]; do echo $$ >> writers; sleep 0.02; done; echo $$ done >> writers";
    let project = project(COMMAND, script);
    let first = daemon(&project);
    project.run(&["backfill", "jobs.program", "--detach"]).expect(0);
    let writers = || std::fs::read_to_string(project.path().join("writers")).unwrap_or_default();
    until("it writes", || (writers().lines().count() > 3).then_some(()));
    // The worker first, so that it cannot end its program when its daemon is gone.
    for worker in processes::workers_of(first.id()) {
        let worker = nix::unistd::Pid::from_raw(i32::try_from(worker.id).unwrap());
        nix::sys::signal::kill(worker, Signal::SIGSTOP).unwrap();
    }
    first.signal(Signal::SIGKILL);
    drop(first);
    let second = daemon(&project);
    let pids = || {
        let mut pids: Vec<String> = Vec::new();
        for line in writers().lines() {
            let pid = line.split(' ').next().unwrap_or_default().to_owned();
            if pids.last() != Some(&pid) {
                pids.push(pid);
            }
        }
        pids
    };
    until("another writes", || (pids().len() > 1).then_some(()));
    project.write("go", b"");
    until("it is done", || {
        Some(newest(&project)).filter(|run| run["run"]["row"]["status"] == "succeeded")
    });
    // Each writer wrote in one stretch: none wrote beside the other.
    assert_eq!(pids().len(), 2, "{:?}", pids());
    second.signal(Signal::SIGTERM);
    second.end().expect(0);
    project.sound();
}
