//! `GET /metrics`: figures for Prometheus. Behind the token, as everything else: `docs/metrics.md` says how to scrape it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use state::status::{RunStatus, StepStatus};

use super::WebState;
use super::reply::ErrorPage;
use crate::core::World;
use crate::edge::{clock, process_figures};
use crate::metrics::{Exposition, Labels};
use state::event::Micros;

/// What is read of the world at once.
struct Seen {
    runs: BTreeMap<&'static str, u64>,
    paused: u64,
    steps: BTreeMap<&'static str, u64>,
    slots: usize,
    slots_used: usize,
    assets: usize,
    schedules: usize,
    schedules_paused: usize,
    overdue: Micros,
    open: BTreeMap<&'static str, u64>,
    messages: u64,
    oldest_message: Micros,
}

fn see(world: &World, at: Micros) -> Seen {
    let mut runs: BTreeMap<&'static str, u64> = BTreeMap::new();
    for status in [RunStatus::Queued, RunStatus::Running, RunStatus::Canceling] {
        runs.insert(status.as_str(), 0);
    }
    let mut steps: BTreeMap<&'static str, u64> = BTreeMap::new();
    for status in [StepStatus::Waiting, StepStatus::Running, StepStatus::Publishing] {
        steps.insert(status.as_str(), 0);
    }
    for run in world.open_runs() {
        *runs.entry(run.status.as_str()).or_default() += 1;
        for step in run.steps.iter().filter(|step| !step.status.is_terminal()) {
            *steps.entry(step.status.as_str()).or_default() += 1;
        }
    }
    let mut open: BTreeMap<&'static str, u64> = BTreeMap::new();
    for trouble in assets::alert::Trouble::ALL {
        // What several alerts are about is wrong once.
        let subjects: std::collections::BTreeSet<&String> = world
            .alerts()
            .flat_map(|(_, record)| record.open.keys())
            .filter(|(of, _)| *of == trouble)
            .map(|(_, subject)| subject)
            .collect();
        open.insert(trouble.as_str(), subjects.len() as u64);
    }
    let waiting = || {
        world
            .alerts()
            .filter_map(|(_, record)| record.waiting.as_ref().and(record.made.back()))
    };
    let definitions = world.definitions();
    Seen {
        runs,
        paused: world.open_runs().filter(|run| run.paused).count() as u64,
        steps,
        slots: definitions.settings.slots,
        slots_used: world.slots_used(),
        assets: definitions.ordered().len(),
        schedules: definitions.schedules().len(),
        schedules_paused: world
            .schedules()
            .filter(|(_, schedule)| schedule.declared && schedule.paused.is_some())
            .count(),
        overdue: world.next_wake().map_or(0, |wake| (at - wake).max(0)),
        open,
        messages: waiting().count() as u64,
        oldest_message: waiting().min().map_or(0, |made| (at - made).max(0)),
    }
}

/// `GET /metrics`
pub async fn metrics(State(state): State<WebState>) -> Result<Response, ErrorPage> {
    let driver = state.engine.driver();
    let seen = driver
        .ask(see)
        .await
        .ok_or_else(|| ErrorPage::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "millpond is stopping"))?;
    let mut to = Exposition::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    to.gauge(
        "millpond_build_info",
        "1, with the version of the program.",
        [(Labels(&version), 1.0)],
    );
    by(
        &mut to,
        "millpond_runs",
        "Runs that are not over, by status.",
        "status",
        &seen.runs,
    );
    by(
        &mut to,
        "millpond_steps",
        "Steps of open runs that are not over, by status.",
        "status",
        &seen.steps,
    );
    by(
        &mut to,
        "millpond_alerts_open",
        "What is wrong that alerts are about, by trouble.",
        "trouble",
        &seen.open,
    );
    let plain = [
        (
            "millpond_runs_paused",
            "Open runs that someone paused.",
            seen.paused as f64,
        ),
        (
            "millpond_slots",
            "Attempts that may be in flight at once.",
            seen.slots as f64,
        ),
        (
            "millpond_slots_used",
            "Attempts that are in flight.",
            seen.slots_used as f64,
        ),
        (
            "millpond_assets",
            "Assets that the project declares.",
            seen.assets as f64,
        ),
        (
            "millpond_schedules",
            "Schedules that the project declares.",
            seen.schedules as f64,
        ),
        (
            "millpond_schedules_paused",
            "Declared schedules that someone paused.",
            seen.schedules_paused as f64,
        ),
        (
            "millpond_schedule_overdue_seconds",
            "For how long the longest overdue schedule has been due; 0 if none is.",
            seen.overdue as f64 / 1e6,
        ),
        (
            "millpond_alert_messages_waiting",
            "Messages of alerts that are to be delivered.",
            seen.messages as f64,
        ),
        (
            "millpond_alert_message_age_seconds",
            "Age of the oldest message that is to be delivered; 0 if none is.",
            seen.oldest_message as f64 / 1e6,
        ),
        (
            "millpond_commits_blocked",
            "1 while nothing can be committed, a full disk for example.",
            f64::from(u8::from(driver.trouble().borrow().is_some())),
        ),
    ];
    for (name, help, value) in plain {
        to.gauge(name, help, [(Labels::default(), value)]);
    }
    let folder = state.engine.folder().clone();
    let sizes = tokio::task::spawn_blocking(move || process_figures::store_bytes(&folder)).await;
    if let Ok(sizes) = sizes {
        let labels: Vec<[(&str, &str); 1]> = sizes.iter().map(|(part, _)| [("part", *part)]).collect();
        let samples = labels
            .iter()
            .zip(&sizes)
            .map(|(labels, (_, bytes))| (Labels(labels), *bytes as f64));
        to.gauge("millpond_store_bytes", "Size of the state on disk, by part.", samples);
    }
    let own = process_figures::own();
    to.gauge(
        "process_start_time_seconds",
        "When the process started, in seconds since 1970.",
        [(Labels::default(), process_figures::started() as f64 / 1e6)],
    );
    to.gauge(
        "process_resident_memory_bytes",
        "Memory of the daemon, without its workers.",
        [(Labels::default(), own.resident_bytes as f64)],
    );
    to.counter(
        "process_cpu_seconds_total",
        "Processor time of the daemon, without its workers.",
        [(Labels::default(), own.processor_seconds)],
    );
    to.gauge(
        "process_open_fds",
        "Files and sockets that the daemon holds open.",
        [(Labels::default(), own.open_files as f64)],
    );
    driver.tally(|tally| tally.write(&mut to));
    to.gauge(
        "millpond_clock_seconds",
        "What the daemon takes for the time, in seconds since 1970.",
        [(Labels::default(), clock::now() as f64 / 1e6)],
    );
    Ok(([(header::CONTENT_TYPE, Exposition::MEDIA_TYPE)], to.finish()).into_response())
}

fn by(to: &mut Exposition, name: &str, help: &str, label: &str, counts: &BTreeMap<&'static str, u64>) {
    let labels: Vec<[(&str, &str); 1]> = counts.keys().map(|word| [(label, *word)]).collect();
    let samples = labels
        .iter()
        .zip(counts.values())
        .map(|(labels, count)| (Labels(labels), *count as f64));
    to.gauge(name, help, samples);
}
