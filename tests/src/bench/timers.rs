//! What time costs: from a schedule's instant to the start of its first step, and thousands of schedules and sensors of which few
//! are due.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::processes::{processor_seconds, proportional_bytes, tree};
use super::{BenchError, Measured, Settings};
use crate::program::{Daemon, Project, until};

/// Minutes that are watched; a schedule is due at each.
const MINUTES: usize = 3;
const SCHEDULES: usize = 10_000;
const SENSORS: usize = 1_000;
const WATCHED: Duration = Duration::from_secs(60);

/// The latest start after an instant on an idle machine, in milliseconds.
pub(super) fn due_idle(_: &Settings) -> Result<Measured, BenchError> {
    due("", 50.0)
}

/// The same beside a backfill that keeps both workers busy with short steps.
pub(super) fn due_under_backfill(_: &Settings) -> Result<Measured, BenchError> {
    let busy = "[asset.jobs.busy]\nkind = \"command\"\ncommand = [\"sleep\", \"0.1\"]\npartitions = { use = \"daily\", column = \"day\" }\n";
    due(busy, 500.0)
}

fn due(busy: &str, limit: f64) -> Result<Measured, BenchError> {
    let toml = "[project]\nname = \"due\"\ntimezone = \"UTC\"\n\n[partitions.daily]\nevery = \"day\"\nstart = 2000-01-01\nend = 2026-01-01\n\n\
                [schedule.minutely]\ncron = \"* * * * *\"\nselect = \"bronze.due\"\n";
    let assets = format!("[asset.bronze.due]\nkind = \"ingest\"\nfrom.files = {{ path = \"due.csv\" }}\n\n{busy}");
    let project = Project::new(&[
        ("millpond.toml", toml),
        ("assets/a.toml", &assets),
        ("due.csv", "n\n0\n"),
    ]);
    let daemon = Daemon::start(&project);
    if !busy.is_empty() {
        project
            .run(&["backfill", "jobs.busy", "--batch", "1", "--detach"])
            .expect(0);
    }
    let mut late = Vec::new();
    for _ in 0..MINUTES {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let instant = (now.as_secs() / 60 + 1) * 60;
        // Other rows than before: the asset is stale when the instant comes.
        project.write("due.csv", format!("n\n{instant}\n").as_bytes());
        std::thread::sleep(Duration::from_secs(instant).saturating_sub(now));
        let started = until("the schedule's step has started", || {
            let runs = daemon.get("/api/v1/runs?limit=5").json();
            let of_schedule = |run: &&Value| run["trigger"].as_str().is_some_and(|told| told.starts_with("schedule"));
            let run = runs["runs"].as_array()?.iter().find(of_schedule)?["run"]
                .as_str()?
                .to_owned();
            let shown = daemon.get(&format!("/api/v1/runs/{run}")).json();
            let micros = shown["attempts"][0]["started_at"].as_i64()?;
            let seconds = micros as f64 / 1e6;
            (seconds >= instant as f64).then_some(seconds)
        });
        late.push((started - instant as f64) * 1e3);
    }
    daemon.stop();
    let worst = late.iter().copied().fold(0.0, f64::max);
    let each: Vec<String> = late.iter().map(|late| format!("{late:.0}")).collect();
    Ok(Measured::against_limit(
        worst,
        limit,
        format!("late at each instant: {} ms", each.join(", ")),
    ))
}

/// Processor time of a daemon with many schedules and sensors, in percent of one core.
pub(super) fn many(settings: &Settings) -> Result<Measured, BenchError> {
    let (schedules, sensors) = (SCHEDULES / settings.divide, SENSORS / settings.divide);
    let mut toml = "[project]\nname = \"timers\"\ntimezone = \"UTC\"\n\n".to_owned();
    for at in 0..schedules {
        let (minute, hour, day, month) = (at % 60, at / 60 % 24, at % 28 + 1, at % 12 + 1);
        write!(
            toml,
            "[schedule.s{at:05}]\ncron = \"{minute} {hour} {day} {month} *\"\nselect = \"jobs.nothing\"\n\n"
        )?;
    }
    for at in 0..sensors {
        write!(
            toml,
            "[sensor.s{at:04}]\nkind = \"files\"\npath = \"landing/{at:04}/*.csv\"\nselect = \"jobs.nothing\"\n\n"
        )?;
    }
    let assets = "[asset.jobs.nothing]\nkind = \"command\"\ncommand = [\"true\"]\n";
    let project = Project::new(&[("millpond.toml", &toml), ("assets/a.toml", assets)]);
    for at in 0..sensors {
        project.write(&format!("landing/{at:04}/old.csv"), b"a\n1\n");
    }
    project.run(&["materialize", "*"]).expect(0);
    let daemon = Daemon::start(&project);
    let used = || tree(daemon.id()).iter().map(|pid| processor_seconds(*pid)).sum::<f64>();
    let share = |stretch: Duration| {
        let before = used();
        std::thread::sleep(stretch);
        (used() - before) / stretch.as_secs_f64() * 100.0
    };
    // First every sensor tells of the file that is there.
    let mut patience = 60;
    while share(Duration::from_secs(3)) > 3.0 && patience > 0 {
        patience -= 1;
    }
    let share = share(WATCHED);
    let megabytes = proportional_bytes(daemon.id()) as f64 / 1e6;
    daemon.stop();
    let remark = format!("{schedules} schedules, {sensors} sensors, {megabytes:.0} MB");
    Ok(Measured::against_limit(share, 2.0, remark))
}
