//! Hours of a daemon that is killed again and again while schedules, a sensor, an eager chain and a backfill go on.
//!
//! ```text
//! feeder ──a file every few seconds──► landing/ ──sensor──► bronze.rows ──eager──► silver.sums, gold.total
//!                     schedule, every minute ──► jobs.tick          backfill ──► jobs.days
//! ```
//!
//! At the end: every minute is accounted for by exactly one tick, every row that landed is in the table once, no run is open, `fsck`
//! finds nothing, and the memory of the longest lives did not grow. What is measured is the daemon's memory late in its life over
//! that early in it; everything else is an error that ends the benchmark.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::processes::proportional_bytes;
use super::{BenchError, Measured, Settings};
use crate::program::{Daemon, Project, until};

const TOML: &str = r#"
[project]
name = "soak"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2000-01-01
end = 2026-01-01

[execution]
workers = 2
memory = "256 MB"

[schedule.minutely]
cron = "* * * * *"
select = "jobs.tick"
catch_up = "all"
overlap = "queue"

[sensor.landing]
kind = "files"
path = "landing/*.csv"
select = "bronze.rows"
settle = "1s"
rescan = "10s"

[alert.failures]
on = ["run_failed", "schedule_missed"]
command = ["sh", "-c", "cat >> alerts.log"]
"#;

const ASSETS: &str = r#"
[asset.jobs.tick]
kind = "ingest"
from.files = { path = "tick.csv" }

[asset.bronze.rows]
kind = "ingest"
from.files = { path = "landing/*.csv" }

[asset.silver.sums]
kind = "sql"
sql = "SELECT file, count(*) AS rows, sum(n) AS total FROM bronze.rows GROUP BY file"
automation = "eager"
checks = [{ unique = "file" }]

[asset.gold.total]
kind = "sql"
sql = "SELECT sum(rows) AS rows, sum(total) AS total FROM silver.sums"
automation = "eager"

[asset.jobs.days]
kind = "command"
command = ["sleep", "0.2"]
partitions = { use = "daily", column = "day" }
"#;

/// Rows of each file that lands.
const ROWS: u64 = 50;

/// Runs it for `settings.minutes` minutes.
pub(super) fn run(settings: &Settings) -> Result<Measured, BenchError> {
    let project = Project::new(&[
        ("millpond.toml", TOML),
        ("assets/a.toml", ASSETS),
        ("tick.csv", "n\n0\n"),
    ]);
    let mut soak = Soak {
        landed: 0,
        kills: 0,
        random: StdRng::seed_from_u64(1),
        memory: Vec::new(),
        slowest_start: 0.0,
    };
    soak.land(&project);
    let mut daemon = soak.start(&project)?;
    let began = SystemTime::now();
    project
        .run(&["backfill", "jobs.days", "--batch", "1", "--detach"])
        .expect(0);
    let end = Instant::now() + Duration::from_secs(settings.minutes * 60);
    while Instant::now() < end {
        let life = Duration::from_secs(soak.random.random_range(20..600)).min(end - Instant::now());
        soak.live(&project, &daemon, life);
        if Instant::now() < end {
            daemon.kill();
            soak.kills += 1;
            daemon = soak.start(&project)?;
        }
    }
    // What has landed is made, then the daemon is asked to go.
    until("all that landed is in the tables", || {
        let said = project.run(&["--json", "query", "SELECT rows FROM gold.total"]);
        let rows = said.answers().first().and_then(|row| row["rows"].as_u64());
        (rows == Some(soak.landed * ROWS)).then_some(())
    });
    let ticks = all_ticks(&daemon)?;
    // The backfill has as many days as it has; what is left of it is not waited for.
    cancel_open_runs(&daemon)?;
    daemon.stop();
    account(&ticks, began)?;
    let total = project.row("SELECT rows, total FROM gold.total");
    let expected = (1..=soak.landed).map(|file| file * ROWS).sum::<u64>();
    if total["total"].as_u64() != Some(expected) {
        return Err(format!("the sum is {total}, not {expected}").into());
    }
    let days = project.row("SELECT count(*) AS days FROM (SELECT DISTINCT file FROM silver.sums)");
    if days["days"].as_u64() != Some(soak.landed) {
        return Err(format!("{days} of {} files are in the table", soak.landed).into());
    }
    project.run(&["fsck"]).expect(0);
    project.sound();
    soak.measured(ticks.len())
}

struct Soak {
    landed: u64,
    kills: usize,
    random: StdRng,
    /// Of each life: MB early and late in it.
    memory: Vec<(f64, f64)>,
    slowest_start: f64,
}

impl Soak {
    fn start(&mut self, project: &Project) -> Result<Daemon, BenchError> {
        let began = Instant::now();
        let daemon = Daemon::start(project);
        let reply = daemon.get("/healthz");
        self.slowest_start = self.slowest_start.max(began.elapsed().as_secs_f64());
        if reply.status == 200 {
            Ok(daemon)
        } else {
            Err(format!("the daemon answers {reply:?}").into())
        }
    }

    /// Another file; its rows hold its number.
    fn land(&mut self, project: &Project) {
        self.landed += 1;
        let number = self.landed;
        let row = format!("{number},{number}\n").repeat(ROWS as usize);
        project.write(&format!("landing/{number:06}.csv"), format!("file,n\n{row}").as_bytes());
    }

    fn live(&mut self, project: &Project, daemon: &Daemon, life: Duration) {
        let end = Instant::now() + life;
        let (mut early, mut late) = (0.0_f64, 0.0_f64);
        let half = Instant::now() + life / 2;
        while Instant::now() < end {
            std::thread::sleep(Duration::from_secs(5).min(end - Instant::now()));
            self.land(project);
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |now| now.as_secs());
            project.write("tick.csv", format!("n\n{}\n", now / 60).as_bytes());
            let memory = proportional_bytes(daemon.id()) as f64 / 1e6;
            let side = if Instant::now() < half { &mut early } else { &mut late };
            *side = side.max(memory);
        }
        // A short life says nothing of memory.
        if life > Duration::from_secs(120) {
            self.memory.push((early, late));
        }
    }

    fn measured(self, ticks: usize) -> Result<Measured, BenchError> {
        let early = self.memory.iter().map(|(early, _)| *early).fold(0.0, f64::max);
        let late = self.memory.iter().map(|(_, late)| *late).fold(0.0, f64::max);
        if early == 0.0 {
            return Err("no life was longer than two minutes: give it more --minutes".into());
        }
        Ok(Measured {
            ours: late,
            peer: early,
            remark: format!(
                "{} kills, {} files, {ticks} ticks, slowest start {:.2} s",
                self.kills, self.landed, self.slowest_start
            ),
        })
    }
}

/// All ticks of the schedule, oldest first.
fn all_ticks(daemon: &Daemon) -> Result<Vec<Value>, BenchError> {
    let mut all = Vec::new();
    let mut before = String::new();
    loop {
        let page = daemon
            .get(&format!("/api/v1/schedules?schedule=minutely{before}"))
            .json();
        let ticks = page["ticks"].as_array().ok_or("no ticks are told")?;
        all.extend(ticks.iter().cloned());
        match page["next"].as_i64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    all.reverse();
    Ok(all)
}

/// Every minute from `began` to the last tick is told of once.
fn account(ticks: &[Value], began: SystemTime) -> Result<(), BenchError> {
    let first = began.duration_since(SystemTime::UNIX_EPOCH)?.as_secs() / 60 + 1;
    let mut told: BTreeMap<u64, usize> = BTreeMap::new();
    for tick in ticks {
        let minute = |name: &str| tick[name].as_u64().map(|micros| micros / 60_000_000);
        let from = minute("instant").ok_or_else(|| format!("a tick without its instant: {tick}"))?;
        // A stretch of instants that were missed is one tick.
        let to = minute("last").unwrap_or(from);
        for minute in from..=to {
            *told.entry(minute).or_default() += 1;
        }
    }
    let last = *told.keys().next_back().ok_or("there is no tick")?;
    for minute in first..=last {
        match told.get(&minute) {
            Some(1) => {}
            Some(times) => return Err(format!("minute {minute} is told of {times} times").into()),
            None => return Err(format!("minute {minute} is told of by no tick").into()),
        }
    }
    Ok(())
}

fn cancel_open_runs(daemon: &Daemon) -> Result<(), BenchError> {
    for status in ["queued", "running"] {
        let page = daemon.get(&format!("/api/v1/runs?status={status}")).json();
        for run in page["runs"].as_array().ok_or("no runs are told")? {
            let run = run["run"].as_str().ok_or("a run has an id")?;
            daemon.post(&format!("/api/v1/runs/{run}/cancel"), &Value::Null);
        }
    }
    until("no run is open", || {
        let open = |status: &str| {
            daemon.get(&format!("/api/v1/runs?status={status}")).json()["runs"]
                .as_array()
                .map_or(0, Vec::len)
        };
        (open("queued") + open("running") + open("canceling") == 0).then_some(())
    });
    Ok(())
}
