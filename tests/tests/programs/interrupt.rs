//! Stopping what runs: Ctrl-C in the foreground, `millpond cancel` with a daemon. What was published stays, what was under
//! way leaves nothing behind, no process outlives it, and the next run finishes.

use std::time::{Duration, Instant};

use millpond_tests::program::processes::{self, Process};
use millpond_tests::program::{Daemon, Project, Running, program as own_program, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// How long it may take until a run has stopped, on a slow machine. A program has half a minute for its goodbyes.
const SOON: Duration = Duration::from_secs(20);

const TOML: &str = r#"
[project]
name = "slow"
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
[asset.bronze.days]
kind = "sql"
sql = "SELECT CAST($partition_key AS DATE) AS day, 1 AS n"
partitions = { use = "daily", column = "day" }

[asset.gold.slow]
kind = "sql"
sql = "assets/slow.sql"

[asset.gold.after]
kind = "sql"
sql = "SELECT n + 1 AS n FROM gold.slow"
"#;

const FAST: &str = "SELECT sum(n) AS n FROM bronze.days";
/// A million times a million rows: it takes hours.
const SLOW: &str = "SELECT sum((a.x * 7 + b.x) % 11) + (SELECT sum(n) FROM bronze.days) AS n \
                    FROM generate_series(1, 1000000) AS a(x) CROSS JOIN generate_series(1, 1000000) AS b(x)";

fn project() -> Project {
    Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("assets/slow.sql", FAST),
    ])
}

/// The worker processes of a command, once one of them computes.
fn computing(command: u32) -> Vec<Process> {
    until("a worker computes", || {
        let workers = processes::workers_of(command);
        let busy = workers.iter().any(|worker| worker.computed > Duration::from_secs(1));
        busy.then_some(workers)
    })
}

#[track_caller]
fn gone(processes: &[Process]) {
    assert!(!processes.is_empty());
    let left: Vec<&Process> = processes.iter().filter(|process| processes::lives(process)).collect();
    assert!(left.is_empty(), "{left:#?}");
}

fn newest_run(project: &Project) -> Value {
    project.run(&["--json", "runs", "--limit", "1"]).expect(0).answer()
}

#[test]
fn ctrl_c_cancels_a_query_and_the_next_run_finishes() {
    let project = project();
    project.run(&["materialize"]).expect(0);
    project.write("assets/slow.sql", SLOW.as_bytes());
    let run = project.begin(&["--json", "materialize"]);
    let workers = computing(run.id());
    let asked = Instant::now();
    run.signal(Signal::SIGINT);
    let said = run.end();
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(said.code, Some(130), "{said:#?}");
    let summary = said.answers().pop().unwrap();
    assert_eq!(
        (&summary["status"], &summary["canceled"], &summary["failed"]),
        (&json!("canceled"), &json!(2), &json!(0)),
        "{said:#?}"
    );
    gone(&workers);
    assert_eq!(newest_run(&project)["status"], "canceled");
    project.sound();

    // What was there is there, and nothing of the canceled step is left.
    assert_eq!(project.row("SELECT n FROM gold.slow"), json!({ "n": 3 }));
    assert_eq!(project.row("SELECT n FROM gold.after"), json!({ "n": 4 }));
    assert_eq!(project.files(".millpond/scratch"), Vec::<String>::new());
    project.write("assets/slow.sql", FAST.replace("sum(n)", "sum(n) * 2").as_bytes());
    project.run(&["materialize"]).expect(0);
    assert_eq!(project.row("SELECT n FROM gold.after"), json!({ "n": 7 }));
    project.sound();
}

const COMMAND: &str = r#"
[asset.gold.program]
kind = "command"
command = ["sh", "program.sh"]
"#;

/// A project whose only step starts a program that starts others, and a text that all of these bear.
fn program(script: &str) -> (Project, String) {
    // No other process of this machine has such an argument.
    let mark = format!("86399.{}", std::process::id());
    let script = script.replace("MARK", &mark);
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", COMMAND),
        ("program.sh", &script),
    ]);
    (project, mark)
}

/// Starts a run and waits until its program has started so many others.
fn with_programs(project: &Project, mark: &str, others: usize) -> Running {
    let run = project.begin(&["materialize"]);
    until("the program runs", || {
        (processes::with(mark).len() == others).then_some(())
    });
    run
}

#[test]
fn ctrl_c_ends_a_program_and_all_that_it_started() {
    let (project, mark) = program("sleep MARK1 & setsid sleep MARK1 & exec sleep MARK1");
    let run = with_programs(&project, &format!("{mark}1"), 3);
    let workers = processes::workers_of(run.id());
    run.signal(Signal::SIGINT);
    let said = run.end();
    assert_eq!(said.code, Some(130), "{said:#?}");
    assert!(said.err.contains("canceled in"), "{said:#?}");
    gone(&workers);
    assert_eq!(processes::with(&format!("{mark}1")), []);
    assert_eq!(newest_run(&project)["status"], "canceled");
    project.sound();
    project.write("program.sh", b"echo done");
    project.run(&["materialize"]).expect(0);
}

#[test]
fn a_second_ctrl_c_leaves_at_once_and_the_next_run_settles_the_first() {
    let (project, mark) = program("trap '' INT TERM; sleep MARK2 & while :; do sleep 0.1; done");
    let mut run = with_programs(&project, &format!("{mark}2"), 1);
    let workers = processes::workers_of(run.id());
    run.signal(Signal::SIGINT);
    run.wait_for("press Ctrl-C again");
    run.signal(Signal::SIGINT);
    let said = run.end();
    assert_eq!(said.code, Some(130), "{said:#?}");
    gone(&workers);
    assert_eq!(processes::with(&format!("{mark}2")), []);
    let first = newest_run(&project)["run"].clone();
    project.write("program.sh", b"echo done");
    project.run(&["materialize"]).expect(0);
    let settled = project
        .run(&["--json", "runs", first.as_str().unwrap()])
        .expect(0)
        .answer();
    assert_eq!(settled["run"]["row"]["status"], "canceled", "{settled:#}");
    project.sound();
}

/// A daemon, and the run that a command asked it for.
fn daemon(project: &Project) -> Running {
    let mut daemon = project.begin(&["--json", "up", "--port", "0"]);
    daemon.wait_for("http://127.0.0.1:");
    daemon
}

fn end(daemon: Running) {
    daemon.signal(Signal::SIGTERM);
    let said = daemon.end();
    assert_eq!(said.code, Some(0), "{said:#?}");
}

#[test]
fn cancel_stops_a_run_of_the_daemon_and_whoever_follows_it_is_told() {
    let project = project();
    let daemon = daemon(&project);
    project.run(&["materialize"]).expect(0);
    project.write("assets/slow.sql", SLOW.as_bytes());
    // The daemon reads the project when it starts.
    end(daemon);
    let daemon = self::daemon(&project);
    let follower = project.begin(&["--json", "materialize"]);
    let workers = computing(daemon.id());
    let run = newest_run(&project);
    assert_eq!(run["status"], "running");
    let run = run["run"].as_str().unwrap().to_owned();
    let asked = Instant::now();
    project.run(&["cancel", &run]).expect(0);
    let said = follower.end();
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert_eq!(said.answers().pop().unwrap()["status"], "canceled");
    assert_eq!(newest_run(&project)["status"], "canceled");
    assert_eq!(project.row("SELECT n FROM gold.after"), json!({ "n": 4 }));
    // A run that is over cannot be canceled, and one that never was is not found.
    let again = project.run(&["cancel", &run]).expect(4);
    assert!(again.err.contains("is over"), "{again:#?}");
    project.run(&["cancel", "run_000000000000"]).expect(4);
    project.run(&["cancel", "nonsense"]).expect(2);
    // The daemon has workers for the next run.
    project.run(&["materialize", "--force", "bronze.days"]).expect(0);
    end(daemon);
    gone(&workers);
    project.run(&["cancel", &run]).expect(4);
    project.sound();
}

/// `nohup millpond up &` in a script: the daemon is told to ignore Ctrl-C, and so would be all that it starts.
#[test]
fn a_program_is_asked_to_stop_though_its_daemon_was_told_to_ignore_that() {
    let toml = "[project]\nname = \"deaf\"\ntimezone = \"UTC\"\n";
    let assets = r#"
[asset.jobs.polite]
kind = "command"
command = ["sh", "-c", "trap 'echo goodbye >> said; exit 0' INT; : > ready; while :; do :; done"]
"#;
    let project = Project::new(&[("millpond.toml", toml), ("assets/a.toml", assets)]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' INT; exec \"$@\"", "sh"]).arg(own_program());
    let place = project.path();
    let arguments = ["-C", place.to_str().unwrap(), "--json", "up", "--port", "0"];
    let daemon = Daemon::of(shell, &arguments);
    let follower = project.begin(&["--json", "materialize"]);
    until("the program runs", || {
        project.path().join("ready").exists().then_some(())
    });
    let run = newest_run(&project)["run"].as_str().unwrap().to_owned();
    project.run(&["cancel", &run]).expect(0);
    assert_eq!(follower.end().code, Some(1));
    let said = std::fs::read_to_string(project.path().join("said")).unwrap();
    assert_eq!(said, "goodbye\n");
    daemon.stop();
    project.sound();
}

/// The workers live and compute nothing: whatever they did has stopped, and they were not killed for it.
#[track_caller]
fn idle(workers: &[Process]) {
    let started = Instant::now();
    let mut before = computed(workers);
    loop {
        std::thread::park_timeout(Duration::from_millis(250));
        let now = computed(workers);
        if now == before {
            return;
        }
        // Idle workers are sent home after 20 seconds, which would look like rest.
        assert!(
            started.elapsed() < Duration::from_secs(12),
            "a worker goes on computing"
        );
        before = now;
    }
}

fn computed(workers: &[Process]) -> Duration {
    workers
        .iter()
        .map(|worker| {
            assert!(processes::lives(worker), "a worker was killed: {worker:?}");
            processes::look(worker.id).unwrap().computed
        })
        .sum()
}

const LEARNING: &str = r#"
[asset.gold.rows]
kind = "sql"
sql = "SELECT x % 97 AS a, x % 89 AS b, x % 83 AS c, x * 31 % 79 AS d, (x * 7919 % 1000) / 7.0 AS e, x * x % 71 < 30 AS y FROM generate_series(1, 60000) AS t(x)"

[asset.models.m]
kind = "training"
from = "gold.rows"
target = "y"
trainer = TRAINER
"#;

/// More trees than a day has time for.
const ENDLESS: &str = r#"{ algorithm = "gradient_boosting", trees = 10000, max_depth = 8, learning_rate = 0.001 }"#;
const SHORT: &str = r#"{ algorithm = "gradient_boosting", trees = 3 }"#;

fn learning(project: &Project) {
    until("the trainer learns", || {
        let logs = project.files(".millpond/logs");
        let mut texts = logs
            .iter()
            .filter_map(|log| std::fs::read_to_string(project.path().join(".millpond/logs").join(log)).ok());
        texts.any(|text| text.contains("learns from 60000 rows")).then_some(())
    });
}

#[test]
fn a_model_that_is_being_trained_can_be_stopped() {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", &LEARNING.replace("TRAINER", ENDLESS)),
    ]);
    // In the foreground.
    let run = project.begin(&["materialize"]);
    learning(&project);
    let workers = processes::workers_of(run.id());
    let asked = Instant::now();
    run.signal(Signal::SIGINT);
    let said = run.end();
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(said.code, Some(130), "{said:#?}");
    gone(&workers);
    assert_eq!(newest_run(&project)["status"], "canceled");
    std::fs::remove_dir_all(project.path().join(".millpond/logs")).unwrap();

    // In a daemon, whose workers live on: the one that learned has really stopped.
    let daemon = daemon(&project);
    let follower = project.begin(&["materialize"]);
    learning(&project);
    let workers = processes::workers_of(daemon.id());
    project
        .run(&["cancel", newest_run(&project)["run"].as_str().unwrap()])
        .expect(0);
    assert_eq!(follower.end().code, Some(1));
    assert_eq!(newest_run(&project)["status"], "canceled");
    idle(&workers);
    end(daemon);
    assert_eq!(
        project.run(&["--json", "models"]).expect(0).out,
        "",
        "no version came of it"
    );

    project.write("assets/a.toml", LEARNING.replace("TRAINER", SHORT).as_bytes());
    project.run(&["materialize"]).expect(0);
    assert!(project.run(&["models"]).expect(0).out.contains("models.m"));
    project.sound();
}

#[test]
fn a_daemon_that_is_killed_leaves_no_worker_behind() {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", &LEARNING.replace("TRAINER", ENDLESS)),
    ]);
    let run = project.begin(&["materialize"]);
    learning(&project);
    let workers = processes::workers_of(run.id());
    run.signal(Signal::SIGKILL);
    assert_eq!(run.end().code, None);
    until("the workers end", || {
        workers.iter().all(|worker| !processes::lives(worker)).then_some(())
    });
    project.write("assets/a.toml", LEARNING.replace("TRAINER", SHORT).as_bytes());
    project.run(&["materialize"]).expect(0);
    project.sound();
}
