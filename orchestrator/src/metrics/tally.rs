//! What is counted from the events of this process, each seen once, after its commit.

use std::collections::{BTreeMap, HashMap};

use state::event::{Event, Micros, Recorded};
use state::ids::{AttemptId, RunId};
use state::schedule::TickStatus;
use state::status::RunStatus;

use super::exposition::Labels;
use super::{Exposition, Histogram};

/// What requests of runs are counted by: the first word of what triggered them.
const TRIGGERS: [&str; 9] = [
    "cli",
    "page",
    "api",
    "up",
    "schedule",
    "sensor",
    "automation",
    "backfill",
    "retry",
];

/// Counters of this process. They begin at nothing with each start, as Prometheus expects of counters.
#[derive(Debug, Default)]
pub struct Tally {
    commits: u64,
    events: u64,
    commit: Histogram,
    submitted: BTreeMap<&'static str, u64>,
    ended: BTreeMap<&'static str, u64>,
    queued: Histogram,
    ran: Histogram,
    steps: BTreeMap<&'static str, u64>,
    failures: BTreeMap<String, u64>,
    rows: u64,
    bytes: u64,
    attempts: u64,
    lost: BTreeMap<String, u64>,
    worked: Histogram,
    ticks: BTreeMap<&'static str, u64>,
    late: Histogram,
    sensor_ticks: BTreeMap<&'static str, u64>,
    sensor_events: u64,
    raised: BTreeMap<&'static str, u64>,
    delivered: u64,
    refused: u64,
    given_up: u64,
    workers: u64,
    lineage_told: u64,
    lineage_refused: u64,
    lineage_behind: u64,
    /// Open runs: when each was submitted, and whether its first attempt started.
    open: HashMap<RunId, (Micros, bool)>,
    in_flight: HashMap<AttemptId, Micros>,
}

fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}

fn name(class: assets::outcome::FailureClass) -> String {
    match serde_json::to_value(class) {
        Ok(serde_json::Value::String(name)) => name,
        _ => unreachable!("a class is written as its name"),
    }
}

impl Tally {
    /// A commit was synced.
    pub fn committed(&mut self, events: &[Recorded], took: std::time::Duration) {
        self.commits += 1;
        self.events += events.len() as u64;
        self.commit.observe(took.as_secs_f64());
        for recorded in events {
            self.see(recorded);
        }
    }

    /// A worker was started.
    pub fn worker_started(&mut self) {
        self.workers += 1;
    }

    /// Events of lineage were taken or refused; so many committed events are still to be told.
    pub fn lineage_told(&mut self, told: u64, refused: u64, behind: u64) {
        self.lineage_told += told;
        self.lineage_refused += refused;
        self.lineage_behind = behind;
    }

    fn see(&mut self, recorded: &Recorded) {
        let at = recorded.at;
        match &recorded.event {
            Event::RunSubmitted { run, request, .. } => {
                let word = request.trigger.split(' ').next().unwrap_or_default();
                let trigger = TRIGGERS.into_iter().find(|known| *known == word).unwrap_or("other");
                *self.submitted.entry(trigger).or_default() += 1;
                self.open.insert(run.clone(), (at, false));
            }
            Event::AttemptStarted { attempt, run, .. } => {
                self.attempts += 1;
                self.in_flight.insert(attempt.clone(), at);
                if let Some((submitted, started)) = self.open.get_mut(run)
                    && !*started
                {
                    *started = true;
                    self.queued.observe(seconds(at - *submitted));
                }
            }
            Event::AttemptEnded { attempt, failure } => {
                if let Some(started) = self.in_flight.remove(attempt) {
                    self.worked.observe(seconds(at - started));
                }
                if let Some(failure) = failure {
                    *self.lost.entry(name(failure.class)).or_default() += 1;
                }
            }
            Event::StepSucceeded { materialization, .. } => {
                *self.steps.entry("succeeded").or_default() += 1;
                self.rows += materialization.rows;
                self.bytes += materialization.bytes;
            }
            Event::StepFailed { failure, .. } => {
                *self.steps.entry("failed").or_default() += 1;
                *self.failures.entry(name(failure.class)).or_default() += 1;
            }
            Event::StepFresh { .. } => *self.steps.entry("fresh").or_default() += 1,
            Event::StepSkipped { .. } => *self.steps.entry("skipped").or_default() += 1,
            Event::StepCanceled { .. } => *self.steps.entry("canceled").or_default() += 1,
            Event::RunEnded { run, status } => {
                *self.ended.entry(status.as_str()).or_default() += 1;
                if let Some((submitted, _)) = self.open.remove(run) {
                    self.ran.observe(seconds(at - submitted));
                }
            }
            Event::Ticked { tick } => {
                *self.ticks.entry(tick.status.as_str()).or_default() += tick.count;
                if tick.status == TickStatus::Requested && !tick.by_hand {
                    self.late.observe(seconds(at - tick.instant));
                }
            }
            Event::SensorTicked { tick } => {
                *self.sensor_ticks.entry(tick.status.as_str()).or_default() += 1;
                self.sensor_events += tick.events.len() as u64;
            }
            Event::AlertRaised { raised } => *self.raised.entry(raised.trouble.as_str()).or_default() += 1,
            Event::AlertDelivered { .. } => self.delivered += 1,
            Event::AlertFailed { next_at, .. } => match next_at {
                Some(_) => self.refused += 1,
                None => self.given_up += 1,
            },
            _ => {}
        }
    }

    /// Writes all counters and histograms. What never happened is written as 0, so that its rate can be asked for.
    pub fn write(&self, to: &mut Exposition) {
        let by = |label: &'static str, counts: &BTreeMap<&'static str, u64>, words: &[&'static str]| {
            let mut counts = counts.clone();
            for word in words {
                counts.entry(word).or_default();
            }
            counts
                .into_iter()
                .map(move |(word, count)| (label, word.to_owned(), count))
                .collect::<Vec<_>>()
        };
        let classes = |counts: &BTreeMap<String, u64>| {
            let counts = counts.iter().map(|(class, count)| ("class", class.clone(), *count));
            counts.collect::<Vec<_>>()
        };
        let plain = |count: u64| [(Labels::default(), count as f64)];
        let ends: Vec<&'static str> = RunStatus::ALL
            .into_iter()
            .filter(|status| status.is_terminal())
            .map(RunStatus::as_str)
            .collect();
        let triggers: Vec<&'static str> = TRIGGERS.into_iter().chain(["other"]).collect();
        let troubles = assets::alert::Trouble::ALL.map(assets::alert::Trouble::as_str);
        let statuses = TickStatus::ALL.map(TickStatus::as_str);
        let steps = ["succeeded", "failed", "fresh", "skipped", "canceled"];
        let counted = [
            (
                "millpond_runs_submitted_total",
                "Runs that were requested, by what requested them.",
                by("trigger", &self.submitted, &triggers),
            ),
            (
                "millpond_runs_ended_total",
                "Runs that are over, by how they ended.",
                by("status", &self.ended, &ends),
            ),
            (
                "millpond_steps_ended_total",
                "Steps that are over, by how they ended.",
                by("status", &self.steps, &steps),
            ),
            (
                "millpond_steps_failed_total",
                "Steps that failed, by class of failure.",
                classes(&self.failures),
            ),
            (
                "millpond_attempts_lost_total",
                "Attempts whose worker died or was stopped, by class of failure.",
                classes(&self.lost),
            ),
            (
                "millpond_schedule_ticks_total",
                "Instants of schedules, by what became of them.",
                by("status", &self.ticks, &statuses),
            ),
            (
                "millpond_sensor_ticks_total",
                "Looks of sensors that told of something or failed, by what became of them.",
                by("status", &self.sensor_ticks, &statuses),
            ),
            (
                "millpond_alerts_raised_total",
                "What alerts were raised for, by trouble.",
                by("trouble", &self.raised, &troubles),
            ),
        ];
        for (name, help, samples) in &counted {
            let labels: Vec<[(&str, &str); 1]> = samples
                .iter()
                .map(|(label, word, _)| [(*label, word.as_str())])
                .collect();
            let values = labels
                .iter()
                .zip(samples)
                .map(|(labels, (_, _, count))| (Labels(labels), *count as f64));
            to.counter(name, help, values);
        }
        to.counter(
            "millpond_sensor_events_total",
            "Events that sensors told of.",
            plain(self.sensor_events),
        );
        to.counter(
            "millpond_rows_published_total",
            "Rows that were published.",
            plain(self.rows),
        );
        to.counter(
            "millpond_bytes_published_total",
            "Bytes of data files that were published.",
            plain(self.bytes),
        );
        to.counter(
            "millpond_attempts_started_total",
            "Attempts that were given to a worker.",
            plain(self.attempts),
        );
        to.counter(
            "millpond_workers_started_total",
            "Worker processes that were started.",
            plain(self.workers),
        );
        to.counter(
            "millpond_commits_total",
            "Transactions of the store.",
            plain(self.commits),
        );
        to.counter(
            "millpond_events_committed_total",
            "Events that were committed.",
            plain(self.events),
        );
        to.counter(
            "millpond_alert_messages_delivered_total",
            "Messages of alerts that their receiver took.",
            plain(self.delivered),
        );
        to.counter(
            "millpond_alert_messages_refused_total",
            "Tries to deliver a message that failed and are repeated.",
            plain(self.refused),
        );
        to.counter(
            "millpond_alert_messages_given_up_total",
            "Messages of alerts that were given up.",
            plain(self.given_up),
        );
        to.counter(
            "millpond_openlineage_events_told_total",
            "OpenLineage events that were taken.",
            plain(self.lineage_told),
        );
        to.counter(
            "millpond_openlineage_events_refused_total",
            "OpenLineage events that the server called wrong.",
            plain(self.lineage_refused),
        );
        to.gauge(
            "millpond_openlineage_events_behind",
            "Committed events whose lineage is still to be told.",
            plain(self.lineage_behind),
        );
        to.histogram(
            "millpond_commit_duration_seconds",
            "How long a transaction of the store took, sync included.",
            &self.commit,
        );
        to.histogram(
            "millpond_run_queue_seconds",
            "From the request of a run to its first attempt.",
            &self.queued,
        );
        to.histogram(
            "millpond_run_duration_seconds",
            "From the request of a run to its end.",
            &self.ran,
        );
        to.histogram(
            "millpond_attempt_duration_seconds",
            "How long an attempt took.",
            &self.worked,
        );
        to.histogram(
            "millpond_schedule_lateness_seconds",
            "From an instant of a schedule to the request of its run.",
            &self.late,
        );
    }
}
