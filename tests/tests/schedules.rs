//! Schedules of the real program: a run at its instant, what a night without a daemon leaves, what the commands say.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader};
use std::process::Child;

use millpond_tests::program::Project;
use serde_json::{Value, json};

const TOML: &str = r#"
[project]
name = "toy"
timezone = "America/New_York"

[execution]
workers = 1
memory = "128 MB"

[schedule.minutely]
cron = "* * * * *"
select = "gold.one"

[schedule.dst]
cron = "30 2 * * *"
select = "gold.one"
paused = true

[schedule.either]
cron = "15 1 13 * FRI"
select = "gold.one"
repeated = "last"
paused = true
"#;

const ASSETS: &str = r#"
[asset.gold.one]
kind = "sql"
sql = "SELECT 1 AS one"
"#;

fn toy() -> Project {
    Project::new(&[("millpond.toml", TOML), ("assets/a.toml", ASSETS)])
}

/// A daemon whose clock shows `offset` seconds more than this machine's.
struct Daemon(Child);

impl Daemon {
    fn start(project: &Project, offset: f64) -> Self {
        let offset = offset.to_string();
        let variables = [("MILLPOND_CLOCK_OFFSET", offset.as_str())];
        let mut child = project.start_piped_with(&["--json", "up", "--port", "0"], &variables);
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert!(said.contains("http://127.0.0.1:"), "{said}");
        Self(child)
    }

    fn stop(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Seconds by which a clock is to be put forward so that it is `before` seconds to a whole minute.
fn to_the_minute(before: f64) -> f64 {
    let now = jiff::Timestamp::now().as_microsecond() as f64 / 1e6;
    60.0 - now.rem_euclid(60.0) - before
}

/// The ticks of a schedule, newest first, once there are so many of them.
fn ticks(project: &Project, schedule: &str, least: usize) -> Vec<Value> {
    // Each command takes a tenth of a second: this ends within a minute or two.
    for _ in 0..600 {
        let said = project
            .run(&["--json", "schedule", "list", schedule])
            .expect(0)
            .answer();
        let ticks = said["schedules"][0]["ticks"].as_array().unwrap();
        if ticks.len() >= least {
            return ticks.clone();
        }
    }
    panic!("{schedule} does not tick");
}

#[test]
fn a_run_starts_at_its_instant_and_a_night_without_a_daemon_is_told_and_caught_up() {
    let toy = toy();
    let offset = to_the_minute(5.0);
    let daemon = Daemon::start(&toy, offset);
    let told = ticks(&toy, "minutely", 1);
    let (instant, at) = (told[0]["instant"].as_i64().unwrap(), told[0]["at"].as_i64().unwrap());
    assert_eq!(
        (&told[0]["status"], &told[0]["reason"]),
        (&json!("requested"), &json!(null))
    );
    assert_eq!(instant % 60_000_000, 0);
    println!("decided {} ms after the instant", (at - instant) / 1000);
    assert!((0..2_000_000).contains(&(at - instant)), "{told:?}");
    let run = told[0]["run"].as_str().unwrap();
    toy.run(&["logs", "--follow", run]).expect(0);
    assert_eq!(toy.row("SELECT * FROM gold.one"), json!({ "one": 1 }));
    let runs = toy.run(&["--json", "runs", run]).expect(0);
    assert!(runs.out.contains("schedule minutely"), "{runs:#?}");
    daemon.stop();

    // Two hours and a minute later: one row for what was missed, the newest instant runs, and finds all fresh.
    let daemon = Daemon::start(&toy, offset + 7_260.0);
    let told = ticks(&toy, "minutely", 3);
    let (newest, missed) = (&told[0], &told[1]);
    assert_eq!(missed["status"], "missed");
    assert!((115..=125).contains(&missed["count"].as_i64().unwrap()), "{missed}");
    assert!(
        newest["reason"].as_str().unwrap().contains("nothing is stale"),
        "{newest}"
    );
    assert_eq!(newest["status"], "skipped");
    daemon.stop();

    // Back at the old time: nothing ticks again.
    let before = told.len();
    let daemon = Daemon::start(&toy, offset);
    let again = toy.run(&["schedule", "tick", "minutely"]).expect(0);
    assert!(
        again.err.contains("skipped: asked for by api: nothing is stale"),
        "{again:#?}"
    );
    assert_eq!(ticks(&toy, "minutely", before + 1).len(), before + 1);
    daemon.stop();
    let store = state::Store::open_reader(&toy.path().join(".millpond/state.db")).unwrap();
    assert_eq!(state::fsck::check(&store).unwrap(), []);
}

#[test]
fn a_schedule_is_paused_and_resumed_by_command() {
    let toy = toy();
    let alone = toy.run(&["schedule", "pause", "minutely"]).expect(4);
    assert!(alone.err.contains("millpond up"), "{alone:#?}");
    // Early in a minute, so that none of its own instants comes between.
    let daemon = Daemon::start(&toy, to_the_minute(55.0));
    toy.run(&["schedule", "pause", "minutely"]).expect(0);
    let listed = toy.run(&["schedule", "list"]).expect(0);
    for fact in ["minutely", "paused by api", "30 2 * * *", "paused by the declaration"] {
        assert!(listed.out.contains(fact), "{fact}: {listed:#?}");
    }
    toy.run(&["schedule", "resume", "minutely"]).expect(0);
    let ticked = toy.run(&["--json", "schedule", "tick", "minutely"]).expect(0).answer();
    assert_eq!(
        (&ticked["status"], &ticked["by_hand"]),
        (&json!("requested"), &json!(true))
    );
    let unknown = toy.run(&["schedule", "tick", "minutly"]).expect(4);
    assert!(unknown.err.contains("did you mean `minutely`?"), "{unknown:#?}");
    daemon.stop();
}

#[test]
fn a_preview_shows_the_instants_to_come_and_the_odd_ones() {
    let toy = toy();
    let preview = |name: &str| {
        let arguments = [
            "schedule",
            "preview",
            name,
            "-n",
            "3",
            "--after",
            "2026-03-07T00:00:00Z",
        ];
        toy.run(&arguments).expect(0).out
    };
    assert_eq!(
        preview("dst"),
        "dst  `30 2 * * *` in America/New_York  gold.one
  Sat 2026-03-07 02:30 -05:00
  Sun 2026-03-08 03:00 -04:00  clocks skip 02:30
  Mon 2026-03-09 02:30 -04:00
  odd in the year to come:
  2026-03-08  clocks go from 02:00 to 03:00: `30 2 * * *` names 02:30 and is due at 03:00
"
    );
    assert_eq!(
        preview("either"),
        "either  `15 1 13 * FRI` in America/New_York  gold.one
  `15 1 13 * FRI` names both kinds of day: it is due when the day of the month matches, and when the day of the week does
  Fri 2026-03-13 01:15 -04:00
  Fri 2026-03-20 01:15 -04:00
  Fri 2026-03-27 01:15 -04:00
"
    );
    let all = toy.run(&["--json", "schedule", "preview", "--after", "2026-10-31T12:00:00Z"]);
    let all = all.expect(0).answer();
    assert_eq!(all["schedules"].as_array().unwrap().len(), 3);
    let odd = &all["schedules"][2]["odd"];
    assert_eq!(odd[0]["runs"], "at_both_passes", "{odd}");
    toy.run(&["schedule", "preview", "nightly"]).expect(4);
}
