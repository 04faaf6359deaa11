//! Files of the project are edited while a daemon runs, well and badly; and a start with mistakes in them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use millpond_tests::program::{Daemon, Project, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use state::Store;

const TOML: &str = r#"
[project]
name = "edited"
timezone = "UTC"

[execution]
workers = 1
memory = "128 MB"
"#;

const ASSETS: &str = r#"
[asset.gold.one]
kind = "sql"
sql = "sql/one.sql"
"#;

fn project() -> Project {
    Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("sql/one.sql", "SELECT 1 AS n"),
    ])
}

fn definitions(daemon: &Daemon) -> Value {
    daemon.get("/api/v1/definitions").json()
}

/// Waits until the daemon has taken up, by itself, what makes this true.
#[track_caller]
fn taken_up(daemon: &Daemon, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    until(what, || Some(definitions(daemon)).filter(|found| is(found)))
}

#[test]
fn edits_are_taken_up_and_a_bad_one_leaves_the_last_good_in_force() {
    let project = project();
    let mut daemon = Daemon::start(&project);
    project.run(&["materialize"]).expect(0);
    assert_eq!(definitions(&daemon)["status"], "good");

    // A new asset and a changed query: one swap, because both were written within a moment.
    let two = format!("{ASSETS}\n[asset.gold.two]\nkind = \"sql\"\nsql = \"SELECT n + 1 AS n FROM gold.one\"\n");
    project.write("assets/a.toml", two.as_bytes());
    project.write("sql/one.sql", b"SELECT 10 AS n");
    let found = taken_up(&daemon, "two assets", |found| found["assets"] == 2);
    assert_eq!(found["swaps"], 1, "{found:#}");
    daemon.running().wait_for("changed: gold.one");
    project.run(&["materialize"]).expect(0);
    assert_eq!(project.row("SELECT n FROM gold.two"), json!({ "n": 11 }));

    // Half a file.
    project.write("sql/one.sql", b"SELECT 10 AS n, FROM");
    let found = taken_up(&daemon, "a mistake", |found| found["status"] == "degraded");
    let first = found["mistakes"]["first"].as_str().unwrap();
    assert!(first.starts_with("sql/one.sql:1:"), "{first}");
    let report = found["mistakes"]["report"].as_str().unwrap();
    assert!(
        report.contains("SELECT 10 AS n, FROM") && report.contains('^'),
        "{report}"
    );
    assert_eq!(found["mistakes"]["diagnostics"][0]["file"], "sql/one.sql");
    daemon.running().wait_for("the last good ones stay in force");
    for page in ["/", "/assets", "/runs", "/assets/gold.one", "/schedules"] {
        let reply = daemon.get(page);
        assert_eq!(reply.status, 200);
        assert!(
            reply.body.contains("the last good definitions stay in force") && reply.body.contains("sql/one.sql:1:"),
            "{page}"
        );
    }
    let page = daemon.get("/definitions").body;
    assert!(page.contains("SELECT 10 AS n, FROM"), "{page}");
    let ready = daemon.get("/readyz");
    assert_eq!((ready.status, &ready.json()["definitions"]), (200, &json!("degraded")));
    // The daemon goes on with what it has; a command reads the files itself and says what is wrong with them.
    let accepted = daemon.post("/api/v1/runs", &json!({ "selection": "gold.one", "force": true }));
    assert_eq!(accepted.status, 200, "{accepted:?}");
    project.run(&["materialize"]).expect(3);

    // An editor that writes beside and renames.
    project.write("sql/.one.sql.swp", b"SELECT 20 AS n");
    std::fs::rename(
        project.path().join("sql/.one.sql.swp"),
        project.path().join("sql/one.sql"),
    )
    .unwrap();
    let found = taken_up(&daemon, "good again", |found| found["status"] == "good");
    assert_eq!(found["swaps"], 2, "{found:#}");
    assert!(!daemon.get("/").body.contains("the last good definitions stay in force"));
    project.run(&["materialize"]).expect(0);
    assert_eq!(project.row("SELECT n FROM gold.two"), json!({ "n": 21 }));

    // A bad edit that is taken back is no swap at all.
    project.write("assets/b.toml", b"[asset");
    taken_up(&daemon, "a mistake", |found| found["status"] == "degraded");
    project.remove("assets/b.toml");
    let found = taken_up(&daemon, "good again", |found| found["status"] == "good");
    assert_eq!(found["swaps"], 2, "{found:#}");
    assert_eq!(daemon.stop().code, Some(0));
    project.sound();
}

#[test]
fn a_command_that_follows_an_edit_at_once_sees_it() {
    let project = project();
    let daemon = Daemon::start(&project);
    for n in 1..=5 {
        project.write("sql/one.sql", format!("SELECT {n} AS n").as_bytes());
        project.run(&["materialize"]).expect(0);
        assert_eq!(project.row("SELECT n FROM gold.one"), json!({ "n": n }));
    }
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn queued_work_of_an_asset_that_is_gone_ends_with_that_reason_and_what_runs_goes_on() {
    let project = project();
    let slow = "[asset.gold.slow]\nkind = \"command\"\ncommand = [\"sh\", \"slow.sh\"]\n";
    let after = "[asset.gold.after]\nkind = \"command\"\nneeds = [\"gold.slow\"]\ncommand = [\"echo\", \"after\"]\n";
    project.write("assets/b.toml", format!("{slow}\n{after}").as_bytes());
    // It ends when the test says so.
    project.write(
        "slow.sh",
        b"touch started; while [ ! -e go ]; do sleep 0.05; done; echo done",
    );
    let daemon = Daemon::start(&project);
    let accepted = daemon
        .post("/api/v1/runs", &json!({ "selection": "+gold.after" }))
        .json();
    let run = accepted["run"]
        .as_str()
        .unwrap_or_else(|| panic!("{accepted:#}"))
        .to_owned();
    until("the slow step runs", || {
        project.path().join("started").exists().then_some(())
    });

    // Both are gone, one of them under way.
    project.remove("assets/b.toml");
    taken_up(&daemon, "one asset", |found| found["assets"] == 1);
    project.write("go", b"");
    let over = until("the run is over", || {
        let found = daemon.get(&format!("/api/v1/runs/{run}")).json();
        let status = found["run"]["row"]["status"].as_str()?.to_owned();
        (status != "running" && status != "queued").then_some(found)
    });
    assert_eq!(over["run"]["row"]["status"], "failed", "{over:#}");
    let counted = |status: &str| over["run"]["row"]["steps"][status].clone();
    assert_eq!(
        (counted("succeeded"), counted("failed")),
        (json!(1), json!(1)),
        "{over:#}"
    );
    let page = daemon.get(&format!("/runs/{run}")).body;
    assert!(page.contains("gold.after is no longer declared"), "{page}");
    assert_eq!(daemon.stop().code, Some(0));
    project.sound();
}

#[test]
fn a_run_keeps_what_it_started_with_across_a_kill_and_the_next_one_does_not() {
    let project = project();
    let slow = "[asset.gold.a_slow]\nkind = \"command\"\ncommand = [\"sh\", \"slow.sh\"]\n";
    project.write("assets/b.toml", slow.as_bytes());
    project.write(
        "slow.sh",
        b"touch started; while [ ! -e go ]; do sleep 0.05; done; echo done",
    );
    let daemon = Daemon::start(&project);
    // There is one worker, and the slow step has it.
    let slow = daemon
        .post("/api/v1/runs", &json!({ "selection": "gold.a_slow" }))
        .json();
    until("the slow step runs", || {
        project.path().join("started").exists().then_some(())
    });
    let accepted = daemon.post("/api/v1/runs", &json!({ "selection": "gold.one" })).json();
    let (slow, run) = (slow["run"].as_str().unwrap(), accepted["run"].as_str().unwrap());
    // Twice, so that neither version of the two that are open is the one in force.
    for n in [2, 3] {
        project.write("sql/one.sql", format!("SELECT {n} AS n").as_bytes());
        taken_up(&daemon, "the edit", |found| found["swaps"] == n - 1);
    }
    daemon.kill();
    // And once more while nobody looks.
    project.write("sql/one.sql", b"SELECT 4 AS n");

    let kept = || {
        let store = Store::open_reader(&project.path().join(".millpond/state.db")).unwrap();
        let open = store.load().unwrap().runs;
        let versions = open.iter().filter_map(|run| run.definitions.clone());
        let kept = versions.map(|version| store.definitions_of(&version).unwrap().is_some());
        kept.collect::<Vec<bool>>()
    };
    assert_eq!(kept(), [true, true]);
    let daemon = Daemon::start(&project);
    let version = {
        let store = Store::open_reader(&project.path().join(".millpond/state.db")).unwrap();
        store.load().unwrap().runs[0].definitions.clone().unwrap()
    };
    project.write("go", b"");
    for run in [slow, run] {
        until("the run succeeded", || {
            let found = daemon.get(&format!("/api/v1/runs/{run}")).json();
            (found["run"]["row"]["status"] == "succeeded").then_some(())
        });
    }
    assert_eq!(project.row("SELECT n FROM gold.one"), json!({ "n": 1 }));
    let store = Store::open_reader(&project.path().join(".millpond/state.db")).unwrap();
    until("the version that nobody needs is dropped", || {
        store.definitions_of(&version).unwrap().is_none().then_some(())
    });
    assert!(store.definitions().unwrap().unwrap().contains("SELECT 4 AS n"));
    // What it made is stale by the definitions in force.
    project.run(&["materialize", "gold.one"]).expect(0);
    assert_eq!(project.row("SELECT n FROM gold.one"), json!({ "n": 4 }));
    assert_eq!(daemon.stop().code, Some(0));
    project.sound();
}

#[test]
fn a_start_with_a_bad_file_uses_the_last_good_definitions_and_strict_refuses() {
    let project = project();
    // Without a good one before, there is nothing to start with.
    project.write("assets/bad.toml", b"[asset.gold.two]\nkind = \"sq\"\n");
    let said = project.run(&["up", "--port", "0", "--once"]).expect(3);
    assert!(said.err.contains("did you mean"), "{said:#?}");
    project.remove("assets/bad.toml");
    let daemon = Daemon::start(&project);
    project.run(&["materialize"]).expect(0);
    daemon.kill();

    project.write("assets/bad.toml", b"[asset.gold.two]\nkind = \"sq\"\n");
    let said = project.run(&["up", "--strict", "--port", "0"]).expect(3);
    assert!(said.err.contains("--strict"), "{said:#?}");
    let mut daemon = Daemon::start(&project);
    let found = definitions(&daemon);
    assert_eq!(
        (&found["status"], &found["assets"]),
        (&json!("degraded"), &json!(1)),
        "{found:#}"
    );
    let accepted = daemon.post("/api/v1/runs", &json!({ "selection": "*", "force": true }));
    assert_eq!(accepted.status, 200, "{accepted:?}");
    project.run(&["check"]).expect(3);
    project.remove("assets/bad.toml");
    // A signal asks for a look at once.
    daemon.running().signal_only(Signal::SIGHUP);
    taken_up(&daemon, "good again", |found| found["status"] == "good");
    let said = daemon.stop();
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(said.err.contains("DEGRADED"), "{said:#?}");
    project.sound();
}

#[test]
fn many_edits_under_load_miss_no_tick_and_end_with_the_last_one() {
    let project = project();
    let mut toml = TOML.to_owned();
    for n in 0..100 {
        toml += &format!("\n[schedule.s{n:02}]\ncron = \"* * * * *\"\nselect = \"gold.one\"\n");
    }
    project.write("millpond.toml", toml.as_bytes());
    // Two minutes begin within the edits: the clock runs from shortly before one.
    let daemon = Daemon::start_with(&project, &[], &[("MILLPOND_CLOCK_OFFSET", &to_the_minute(4.0))]);
    for n in 1..=60 {
        let text = match n % 4 {
            1 => format!("SELECT {n} AS"),
            2 => String::new(),
            _ => format!("SELECT {n} AS n"),
        };
        project.write("sql/one.sql", text.as_bytes());
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    let found = taken_up(&daemon, "good in the end", |found| found["status"] == "good");
    assert!(found["swaps"].as_u64().unwrap() >= 2, "{found:#}");
    project.run(&["materialize"]).expect(0);
    assert_eq!(project.row("SELECT n FROM gold.one"), json!({ "n": 60 }));
    // Every schedule told the instant that came while files were edited, and none told it as missed.
    until("every schedule ticked", || {
        let found = daemon.get("/api/v1/schedules").json();
        let ticks = found["ticks"].as_array()?.len();
        (ticks >= 50).then_some(())
    });
    for n in 0..100 {
        let ticks = until("a tick", || {
            let found = daemon.get(&format!("/api/v1/schedules?schedule=s{n:02}")).json();
            let ticks = found["ticks"].as_array()?.clone();
            (!ticks.is_empty()).then_some(ticks)
        });
        for tick in &ticks {
            assert_ne!(tick["status"], "missed", "{tick:#}");
            assert_ne!(tick["status"], "failed", "{tick:#}");
        }
    }
    assert_eq!(daemon.stop().code, Some(0));
    project.sound();
}

/// Seconds by which a clock is to be put forward so that it is `before` seconds to a whole minute.
fn to_the_minute(before: f64) -> String {
    let now = jiff::Timestamp::now().as_microsecond() as f64 / 1e6;
    (60.0 - now.rem_euclid(60.0) - before).to_string()
}

/// A store that knows nobody, and tells of each request.
fn closed_store() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or_default();
            let answer = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            // One that goes away without its answer has asked all the same.
            stream.write_all(answer.as_bytes()).ok();
            if told
                .send(String::from_utf8_lossy(&request[..length]).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
    (port, asked)
}

#[test]
fn a_sensor_looks_where_the_project_says_by_now() {
    let [(before, asked_before), (after, asked_after)] = [closed_store(), closed_store()];
    let toml = |port: u16| {
        format!(
            "{TOML}\n[s3]\nendpoint = \"http://127.0.0.1:{port}\"\naccess_key = {{ env = \"LANDING_KEY\" }}\n\
             secret_key = {{ env = \"LANDING_SECRET\" }}\n\n\
             [sensor.bucket]\nkind = \"files\"\npath = \"s3://landing/in/*.csv\"\nrescan = \"1s\"\nselect = \"gold.one\"\n"
        )
    };
    let project = project();
    project.write("millpond.toml", toml(before).as_bytes());
    let keys = [("LANDING_KEY", "key"), ("LANDING_SECRET", "secret")];
    let daemon = Daemon::start_with(&project, &[], &keys);
    // Whoever does not ask at all is found out by this, not by waiting for ever.
    let most = Duration::from_secs(60);
    let request = asked_before.recv_timeout(most).unwrap();
    assert!(request.starts_with("GET /landing?"), "{request}");
    project.write("millpond.toml", toml(after).as_bytes());
    let request = asked_after.recv_timeout(most).unwrap();
    assert!(request.starts_with("GET /landing?"), "{request}");
    drop(daemon);
}
