//! What the dashboard costs with 10,000 assets: how soon each page is answered, and what a hundred people cost who leave one open.
//!
//! A viewer is what a browser is: a stream of events, and the page again whenever one says that something changed, at most as often
//! as the page's own script asks.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::large_project::write_project;
use super::processes::processor_seconds;
use super::{BenchError, Measured, Settings};
use crate::program::{Client, Daemon, Project, until};

const ASSETS: usize = 10_000;
/// How often each page is asked for.
const LOOKS: usize = 100;
const VIEWERS: usize = 100;
/// How long viewers are watched, with and without something to see.
const WATCHED: Duration = Duration::from_secs(30);
/// Something is run so often while they watch.
const EVERY: Duration = Duration::from_secs(1);

/// A large project, and beside it one asset that can be made.
fn project(settings: &Settings) -> Result<Project, BenchError> {
    let project = Project::new(&[]);
    write_project(&project.path(), ASSETS / settings.divide)?;
    project.write(
        "assets/jobs.toml",
        b"[asset.jobs.made]\nkind = \"sql\"\nsql = \"SELECT 1 AS n\"\n",
    );
    Ok(project)
}

/// Makes the one asset and waits for it.
fn make(client: &Client) -> Result<String, BenchError> {
    let body = json!({ "selection": "jobs.made", "force": true });
    let reply = client.request("POST", "/api/v1/runs", &body.to_string());
    let answer: Value = serde_json::from_str(&reply.ok_or("the daemon is gone")?.body)?;
    let run = answer["run"].as_str().ok_or("no run was accepted")?.to_owned();
    until("the run is over", || {
        let shown = client.request("GET", &format!("/api/v1/runs/{run}"), "")?.json();
        (shown["run"]["row"]["status"] == "succeeded").then_some(())
    });
    Ok(run)
}

/// Milliseconds of the slowest page at the 99th percentile.
pub(super) fn latency(settings: &Settings) -> Result<Measured, BenchError> {
    let project = project(settings)?;
    let daemon = Daemon::start(&project);
    let run = make(daemon.client())?;
    let middle = format!("silver.table_{:05}", ASSETS / settings.divide / 2);
    let pages = [
        "/",
        "/assets",
        "/assets?q=table_00&sort=rows",
        "/assets?layer=silver&state=missing",
        &format!("/assets/{middle}"),
        &format!("/assets/{middle}/columns"),
        &format!("/assets/{middle}/snapshots"),
        &format!("/assets/{middle}/checks"),
        "/assets/jobs.made",
        "/graph",
        &format!("/graph?focus={middle}&up=2&down=2"),
        "/models",
        "/runs",
        &format!("/runs/{run}"),
        "/backfills",
        "/backfills/new",
        &format!("/backfills/new?selection={middle}"),
        "/schedules",
        "/sensors",
        "/automation",
        "/alerts",
        "/query",
        "/log",
        "/definitions",
        "/api/v1/overview",
        "/api/v1/assets",
        &format!("/api/v1/assets/{middle}"),
        "/api/v1/graph",
    ];
    let mut slowest = 0.0_f64;
    let mut lines = Vec::new();
    for page in pages {
        let mut each = Vec::with_capacity(LOOKS);
        let mut bytes = 0;
        // The first answer is looked at, and not counted: what is kept from one page to the next is made by it.
        for look in 0..=LOOKS {
            let begun = Instant::now();
            let reply = daemon.get(page);
            let took = begun.elapsed().as_secs_f64() * 1e3;
            if reply.status != 200 {
                return Err(format!("{page} answers {}: {}", reply.status, reply.body).into());
            }
            bytes = reply.body.len();
            if look > 0 {
                each.push(took);
            }
        }
        each.sort_by(f64::total_cmp);
        let (half, most) = (each[LOOKS / 2], each[LOOKS * 99 / 100 - 1]);
        slowest = slowest.max(most);
        lines.push((
            most,
            format!(
                "{} {half:.1} / {most:.1} ms, {} kB",
                page.replace(&run, "RUN"),
                bytes / 1000
            ),
        ));
    }
    daemon.stop();
    lines.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut remark = format!(
        "{} assets; of each page the half / 99 of 100:",
        ASSETS / settings.divide
    );
    for (_, line) in lines {
        write!(remark, "\n    {line}")?;
    }
    Ok(Measured::against_limit(slowest, 50.0, remark))
}

/// Processor time of the daemon for a hundred viewers of the overview while something runs each second, in percent of one core,
/// beyond what the same costs without them.
pub(super) fn viewers(settings: &Settings) -> Result<Measured, BenchError> {
    let project = project(settings)?;
    let daemon = Daemon::start(&project);
    make(daemon.client())?;
    // What it does at its start is over.
    daemon.get("/");
    let alone = busy(&daemon)?;
    let (over, looks, open) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let client = daemon.client().clone();
    let (idle, watched) = std::thread::scope(|scope| {
        for _ in 0..VIEWERS {
            scope.spawn(|| view(&client, &over, &open, &looks));
        }
        until("everybody is connected", || {
            (open.load(Ordering::Relaxed) == VIEWERS).then_some(())
        });
        let before = processor_seconds(daemon.id());
        std::thread::sleep(WATCHED);
        let idle = (processor_seconds(daemon.id()) - before) / WATCHED.as_secs_f64() * 100.0;
        looks.store(0, Ordering::Relaxed);
        let watched = busy(&daemon);
        over.store(true, Ordering::Relaxed);
        // The streams end with the next thing that they tell.
        make(daemon.client())?;
        watched.map(|watched| (idle, watched))
    })?;
    daemon.stop();
    let remark = format!(
        "{:.1} % with a run each second and nobody there; {idle:.2} % with them and nothing to see; {} pages were asked for again",
        alone,
        looks.load(Ordering::Relaxed)
    );
    Ok(Measured::against_limit(watched - alone, 10.0, remark))
}

/// Percent of a core that the daemon takes while something is run each second. Workers are processes of their own.
fn busy(daemon: &Daemon) -> Result<f64, BenchError> {
    let before = processor_seconds(daemon.id());
    let begun = Instant::now();
    while begun.elapsed() < WATCHED {
        let next = Instant::now() + EVERY;
        let body = json!({ "selection": "jobs.made", "force": true }).to_string();
        let reply = daemon.client().request("POST", "/api/v1/runs", &body);
        if reply.is_none_or(|reply| reply.status != 200) {
            return Err("a run was not accepted".into());
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok((processor_seconds(daemon.id()) - before) / begun.elapsed().as_secs_f64() * 100.0)
}

/// One viewer: reads its stream, and the page again after what concerns it. As `app.js`, it waits 400 ms and three times as long as the
/// page took, and takes together what is told meanwhile.
fn view(client: &Client, over: &AtomicBool, open: &AtomicUsize, looks: &AtomicUsize) {
    let Some(stream) = client.stream("/live") else { return };
    let mut told = BufReader::new(stream);
    open.fetch_add(1, Ordering::Relaxed);
    let mut line = String::new();
    let mut next = Instant::now();
    while !over.load(Ordering::Relaxed) {
        line.clear();
        if told.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if !line.starts_with("data:") {
            continue;
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let waited = told.buffer().len();
        told.consume(waited);
        let begun = Instant::now();
        if client.request("GET", "/", "").is_none() {
            return;
        }
        looks.fetch_add(1, Ordering::Relaxed);
        next = Instant::now() + (3 * begun.elapsed()).max(Duration::from_millis(400));
    }
}
