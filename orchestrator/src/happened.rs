//! Events in words: how much they matter, what they are about, and what happened. The words of the log of all that happens.

use assets::{AssetKey, AssetPartition};
use serde::Serialize;
use state::event::Event;
use state::schedule::TickStatus;
use state::status::RunStatus;

use crate::figures::{count, number};

/// How much an event matters to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A step on the way.
    Debug,
    /// What happens.
    Info,
    /// What should be looked at.
    Warn,
    /// What failed.
    Error,
}

impl Level {
    /// Every level, the least first.
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A run as a whole.
    Run,
    /// A step, or an attempt at steps.
    Step,
    /// A table, a source, a model, or how fresh an asset is.
    Asset,
    /// A schedule.
    Schedule,
    /// A sensor.
    Sensor,
    /// Automation.
    Automation,
    /// An alert.
    Alert,
    /// The daemon itself.
    Daemon,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Run,
        Self::Step,
        Self::Asset,
        Self::Schedule,
        Self::Sensor,
        Self::Automation,
        Self::Alert,
        Self::Daemon,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Step => "step",
            Self::Asset => "asset",
            Self::Schedule => "schedule",
            Self::Sensor => "sensor",
            Self::Automation => "automation",
            Self::Alert => "alert",
            Self::Daemon => "daemon",
        }
    }

    /// The kind of an event, by its type as it is stored.
    pub fn of_type(r#type: &str) -> Self {
        match r#type {
            "run_submitted" | "run_cancel_requested" | "run_paused" | "run_resumed" | "run_ended" => Self::Run,
            "pointer_moved" | "source_observed" | "model_registered" | "alias_moved" | "freshness_changed"
            | "freshness_removed" => Self::Asset,
            "ticked" => Self::Schedule,
            "started" => Self::Daemon,
            other if other.starts_with("schedule_") => Self::Schedule,
            other if other.starts_with("sensor_") => Self::Sensor,
            other if other.starts_with("automation_") => Self::Automation,
            other if other.starts_with("alert_") => Self::Alert,
            _ => Self::Step,
        }
    }
}

/// An event in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Told {
    /// How much it matters.
    pub level: Level,
    /// The asset that it is about.
    pub asset: Option<AssetKey>,
    /// What happened.
    pub text: String,
}

fn told(level: Level, asset: Option<&AssetKey>, text: impl Into<String>) -> Told {
    Told {
        level,
        asset: asset.cloned(),
        text: text.into(),
    }
}

fn of_step(level: Level, step: &AssetPartition, what: impl std::fmt::Display) -> Told {
    told(level, Some(&step.asset), format!("{step} {what}"))
}

/// What a tick came to.
fn ticked(name: &str, status: TickStatus, reason: Option<&str>) -> Told {
    let level = match status {
        TickStatus::Requested => Level::Info,
        TickStatus::Skipped => Level::Debug,
        TickStatus::Missed => Level::Warn,
        TickStatus::Failed => Level::Error,
    };
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    told(level, None, format!("{name} {}{reason}", status.as_str()))
}

/// The least and the highest level of events of a type, so that most need not be read to know theirs.
pub fn levels_of_type(r#type: &str) -> (Level, Level) {
    use Level::{Debug, Error, Info, Warn};
    match r#type {
        "attempt_started" | "step_staged" | "step_fresh" | "step_retry_due" | "pointer_moved" | "source_observed"
        | "schedule_declared" | "sensor_declared" | "freshness_removed" | "alert_grouped" | "alert_delivered" => {
            (Debug, Debug)
        }
        "run_submitted" | "run_paused" | "run_resumed" | "model_registered" | "alias_moved" | "started" => (Info, Info),
        "step_skipped"
        | "step_canceled"
        | "step_requeued"
        | "step_up_for_retry"
        | "attempt_timed_out"
        | "run_cancel_requested" => (Warn, Warn),
        "step_failed" => (Error, Error),
        "step_succeeded" => (Info, Warn),
        _ => (Debug, Error),
    }
}

/// An event in words.
pub fn words(event: &Event) -> Told {
    use Level::{Debug, Error, Info, Warn};
    match event {
        Event::RunSubmitted { request, steps, .. } => told(
            Info,
            None,
            format!(
                "{} asked for {}: {}",
                request.trigger,
                request.selection,
                count(steps.len() as u64, "step", "steps")
            ),
        ),
        Event::AttemptStarted {
            asset,
            partitions,
            number,
            ..
        } => told(
            Debug,
            Some(asset),
            format!(
                "{asset}: attempt {number} began with {}",
                count(partitions.len() as u64, "partition", "partitions")
            ),
        ),
        Event::StepStaged { step, rows, .. } => of_step(
            Debug,
            step,
            format_args!("is staged with {}", count(*rows, "row", "rows")),
        ),
        Event::StepSucceeded { materialization, .. } => {
            let failing = materialization.checks.iter().filter(|check| !check.passed).count();
            let warned = match failing {
                0 => String::new(),
                failing => format!("; {} warned", count(failing as u64, "check", "checks")),
            };
            let rows = count(materialization.rows, "row", "rows");
            let level = if failing > 0 { Warn } else { Info };
            of_step(level, &materialization.step, format_args!("was made: {rows}{warned}"))
        }
        Event::StepFailed { step, failure, .. } => of_step(Error, step, format_args!("failed: {}", failure.message)),
        Event::StepFresh { step, .. } => of_step(Debug, step, "was fresh when its turn came"),
        Event::StepSkipped { step, because, .. } => {
            of_step(Warn, step, format_args!("is skipped because {because} failed"))
        }
        Event::StepCanceled { step, .. } => of_step(Warn, step, "is canceled"),
        Event::StepRequeued { step, reason, .. } => of_step(Warn, step, format_args!("waits again: {reason}")),
        Event::StepUpForRetry {
            step, failure, retry, ..
        } => of_step(
            Warn,
            step,
            format_args!("failed and waits for retry {retry}: {}", failure.message),
        ),
        Event::StepRetryDue { step, .. } => of_step(Debug, step, "may be tried again"),
        Event::AttemptTimedOut { partitions, .. } => told(
            Warn,
            None,
            format!(
                "an attempt took too long over {} and is stopped",
                count(partitions.len() as u64, "partition", "partitions")
            ),
        ),
        Event::AttemptEnded { failure: None, .. } => told(Debug, None, "an attempt ended"),
        Event::AttemptEnded {
            failure: Some(failure), ..
        } => told(Error, None, format!("an attempt ended early: {}", failure.message)),
        Event::RunCancelRequested { .. } => told(Warn, None, "the run is to be canceled"),
        Event::RunPaused { .. } => told(Info, None, "the run is paused"),
        Event::RunResumed { .. } => told(Info, None, "the run goes on"),
        Event::RunEnded { status, .. } => {
            let level = match status {
                RunStatus::Failed => Error,
                RunStatus::Canceled => Warn,
                _ => Info,
            };
            told(level, None, format!("the run is over: {}", status.as_str()))
        }
        Event::PointerMoved { table, to, .. } => told(
            Debug,
            Some(table),
            match to.snapshot_id {
                Some(snapshot) => format!("{table} shows snapshot {snapshot}"),
                None => format!("{table} was created"),
            },
        ),
        Event::SnapshotsExpired {
            table,
            snapshots,
            files,
            bytes,
            by,
        } => told(
            Info,
            Some(table),
            format!(
                "{table}: {} that nobody needs any more went, with {} ({}); asked for by {by}",
                count(*snapshots, "snapshot", "snapshots"),
                count(*files, "file", "files"),
                crate::figures::bytes(*bytes)
            ),
        ),
        Event::FilesCompacted {
            table,
            files,
            into,
            bytes,
            by,
        } => told(
            Info,
            Some(table),
            format!(
                "{table}: {} became {into} ({}), with the same rows; asked for by {by}",
                count(*files, "small file", "small files"),
                crate::figures::bytes(*bytes)
            ),
        ),
        Event::TableRepartitioned {
            table,
            was,
            is,
            rows,
            by,
            ..
        } => told(
            Info,
            Some(table),
            format!(
                "{table}: {} cut by {is}, by {was} before; asked for by {by}",
                count(*rows, "row is", "rows are"),
            ),
        ),
        Event::RolledBack { asset, rollback } => {
            let because = rollback
                .note
                .as_ref()
                .map_or_else(String::new, |note| format!(": {note}"));
            let partitions = count(rollback.partitions, "partition", "partitions");
            told(
                Warn,
                Some(asset),
                format!(
                    "{asset} was rolled back to snapshot {} by {} ({partitions}){because}",
                    rollback.to_snapshot, rollback.by
                ),
            )
        }
        Event::PartitionRolledBack { step, .. } => {
            told(Debug, Some(&step.asset), format!("{step} shows what it showed before"))
        }
        Event::PartitionCutAway { step } => told(
            Debug,
            Some(&step.asset),
            format!("{step} is no partition any more: its rows are those of others"),
        ),
        Event::SourceObserved { asset, observation } => told(
            Debug,
            Some(asset),
            format!(
                "{asset}: its sources are {}",
                count(observation.files.len() as u64, "file", "files")
            ),
        ),
        Event::ModelRegistered { model, version, .. } => {
            told(Info, Some(model), format!("{model} has a version {version}"))
        }
        Event::AliasMoved {
            model,
            alias,
            to,
            reason,
            ..
        } => told(Info, Some(model), format!("{model}@{alias} is version {to}: {reason}")),
        Event::ScheduleDeclared { schedule, .. } => told(Debug, None, format!("schedule {schedule} is declared")),
        Event::ScheduleRemoved { schedule } => told(Info, None, format!("schedule {schedule} is no longer declared")),
        Event::SchedulePaused { schedule, by } => told(Info, None, format!("{by} paused schedule {schedule}")),
        Event::ScheduleResumed { schedule, by } => told(Info, None, format!("{by} resumed schedule {schedule}")),
        Event::Ticked { tick } => {
            let name = match tick.count {
                1 => format!("schedule {}", tick.schedule),
                several => format!("schedule {}, {} instants:", tick.schedule, number(several)),
            };
            ticked(&name, tick.status, tick.reason.as_deref())
        }
        Event::FreshnessChanged { change } => {
            let level = if change.to.is_bad() { Warn } else { Info };
            told(
                level,
                Some(&change.asset),
                format!("{} is {}: {}", change.asset, change.to.words(), change.reason),
            )
        }
        Event::FreshnessRemoved { asset } => {
            told(Debug, Some(asset), format!("{asset} has no freshness policy any more"))
        }
        Event::AutomationRequested { decision } => told(
            Info,
            None,
            format!(
                "automation requested {}",
                count(decision.requests.len() as u64, "asset", "assets")
            ),
        ),
        Event::AutomationHeld { asset, held } => told(
            Warn,
            Some(asset),
            format!(
                "automation leaves {} of {asset} alone",
                count(held.len() as u64, "partition", "partitions")
            ),
        ),
        Event::AutomationPaused { asset, by } => told(
            Info,
            asset.as_ref(),
            format!("{by} paused {}", of_asset(asset.as_ref())),
        ),
        Event::AutomationResumed { asset, by } => told(
            Info,
            asset.as_ref(),
            format!("{by} resumed {}", of_asset(asset.as_ref())),
        ),
        Event::AlertRaised { raised } => told(
            Warn,
            raised.asset.as_ref(),
            format!("alert {}: {}: {}", raised.alert, raised.subject, raised.text),
        ),
        Event::AlertEnded { alert, line, .. } => told(Info, None, format!("alert {alert}: {} is over", line.subject)),
        Event::AlertGrouped { message } => {
            told(Debug, None, format!("alert {}: a message is to be sent", message.alert))
        }
        Event::AlertDelivered { alert, .. } => told(Debug, None, format!("alert {alert}: a message was delivered")),
        Event::AlertFailed {
            alert, error, next_at, ..
        } => {
            let level = if next_at.is_none() { Error } else { Warn };
            told(
                level,
                None,
                format!("alert {alert}: a message could not be delivered: {error}"),
            )
        }
        Event::SensorDeclared { sensor, .. } => told(Debug, None, format!("sensor {sensor} is declared")),
        Event::SensorRemoved { sensor } => told(Info, None, format!("sensor {sensor} is no longer declared")),
        Event::SensorPaused { sensor, by } => told(Info, None, format!("{by} paused sensor {sensor}")),
        Event::SensorResumed { sensor, by } => told(Info, None, format!("{by} resumed sensor {sensor}")),
        Event::SensorTicked { tick } => ticked(&format!("sensor {}", tick.sensor), tick.status, tick.reason.as_deref()),
        Event::SensorForgot { sensor, ticks } => {
            let stretches = ticks.len();
            let what = format!("sensor {sensor} forgets what it told of long ago ({stretches} stretches of ticks)");
            told(Debug, None, what)
        }
        Event::Started { mode, .. } => told(Info, None, format!("millpond started ({})", mode.as_str())),
    }
}

fn of_asset(asset: Option<&AssetKey>) -> String {
    match asset {
        Some(asset) => format!("the automation of {asset}"),
        None => "all automation".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use assets::AssetPartition;
    use state::ids::{AttemptId, RunId};

    use super::*;

    #[test]
    fn the_level_of_an_event_is_within_that_of_its_type() {
        let step = AssetPartition::new("silver.flights".parse().unwrap(), None);
        let (run, attempt) = (RunId::from_bits(1), AttemptId::from_bits(1));
        let failure = assets::outcome::Failure::new(assets::outcome::FailureClass::Data, "line <7>");
        let cases = [
            (
                Event::StepStaged {
                    attempt: attempt.clone(),
                    step: step.clone(),
                    rows: 1_000,
                },
                Level::Debug,
                "silver.flights is staged with 1,000 rows",
            ),
            (
                Event::StepFailed {
                    run: run.clone(),
                    attempt: None,
                    step: step.clone(),
                    failure: failure.clone(),
                    checks: vec![],
                },
                Level::Error,
                "silver.flights failed: line <7>",
            ),
            (
                Event::StepUpForRetry {
                    run: run.clone(),
                    attempt: attempt.clone(),
                    step: step.clone(),
                    failure: failure.clone(),
                    retry: 2,
                    due: 0,
                },
                Level::Warn,
                "silver.flights failed and waits for retry 2: line <7>",
            ),
            (
                Event::AttemptEnded {
                    attempt,
                    failure: Some(failure),
                },
                Level::Error,
                "an attempt ended early: line <7>",
            ),
            (
                Event::RunEnded {
                    run,
                    status: RunStatus::Canceled,
                },
                Level::Warn,
                "the run is over: canceled",
            ),
        ];
        for (event, level, text) in cases {
            let said = words(&event);
            assert_eq!((said.level, said.text.as_str()), (level, text));
            let json = serde_json::to_value(&event).unwrap();
            let name = json["type"].as_str().unwrap();
            let (least, most) = levels_of_type(name);
            assert!(least <= level && level <= most, "{name}");
        }
    }
}
