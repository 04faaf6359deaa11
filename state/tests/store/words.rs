//! Short ways to write events.

use std::collections::BTreeMap;

use assets::outcome::{CheckResult, Failure, FailureClass, Sample, Severity, SourceFile, StagedModel, TablePointer};
use assets::{AssetKey, AssetPartition, Fingerprint, PartitionKey};
use serde_json::{Value, json};
use state::event::{Event, Materialization, OwnerMode, PlannedStep, Recorded, RunRequest};
use state::ids::{AttemptId, RunId};
use state::schedule::{DeclaredTimes, Tick, TickStatus};

pub(crate) fn asset(text: &str) -> AssetKey {
    text.parse().unwrap()
}

pub(crate) fn key(text: &str) -> Option<PartitionKey> {
    (!text.is_empty()).then(|| PartitionKey::new(text).unwrap())
}

/// `silver.flights@2013-03-01` or `gold.airports`.
pub(crate) fn step(text: &str) -> AssetPartition {
    let (name, partition) = text.split_once('@').unwrap_or((text, ""));
    AssetPartition::new(asset(name), key(partition))
}

pub(crate) fn run(number: u64) -> RunId {
    RunId::from_bits(number)
}

pub(crate) fn attempt(number: u64) -> AttemptId {
    AttemptId::from_bits(number)
}

pub(crate) fn recorded(at: i64, event: Event) -> Recorded {
    Recorded { at, event }
}

pub(crate) fn request() -> RunRequest {
    RunRequest {
        selection: "+silver.flights".into(),
        partitions: None,
        force: false,
        only: None,
        pace: state::event::Pace::default(),
        owner: OwnerMode::Daemon,
        trigger: "cli".into(),
    }
}

pub(crate) fn submitted(run: &RunId, steps: &[AssetPartition]) -> Event {
    Event::RunSubmitted {
        run: run.clone(),
        request: request(),
        steps: steps
            .iter()
            .map(|step| PlannedStep {
                step: step.clone(),
                reason: format!("missing {step}"),
            })
            .collect(),
        definitions: Some(Fingerprint::of(["definitions"])),
    }
}

pub(crate) fn started(run: &RunId, attempt: &AttemptId, steps: &[AssetPartition], number: u32) -> Event {
    Event::AttemptStarted {
        attempt: attempt.clone(),
        run: run.clone(),
        asset: steps[0].asset.clone(),
        partitions: steps.iter().map(|step| step.partition.clone()).collect(),
        number,
        inputs: vec![],
        table: None,
    }
}

pub(crate) fn failure(message: &str) -> Failure {
    Failure::new(FailureClass::Data, message).with_help("look at the file")
}

pub(crate) fn check(name: &str, passed: bool) -> CheckResult {
    CheckResult {
        name: name.into(),
        check: "not_null".into(),
        severity: if passed { Severity::Warn } else { Severity::Error },
        passed,
        figure: Some(0.25),
        expected: "none".into(),
        failing_rows: (!passed).then_some(3),
        sample: (!passed).then(|| Sample {
            columns: vec!["a".into()],
            rows: vec![vec![None]],
        }),
        error: None,
    }
}

pub(crate) fn materialization(step: &AssetPartition, rows: u64, checks: Vec<CheckResult>) -> Materialization {
    Materialization {
        step: step.clone(),
        fingerprint: Fingerprint::of(["code"]),
        data_version: Fingerprint::of([rows.to_string().as_str()]),
        inputs: BTreeMap::from([(asset("bronze.raw"), Fingerprint::of(["input"]))]),
        snapshot_id: Some(7_000_000_000_000_000_000 + rows as i64),
        rows,
        bytes: rows * 10,
        metadata: BTreeMap::from([("rows".into(), Value::from(rows))]),
        checks,
        sources: vec![SourceFile {
            path: format!("landing/{rows}.csv"),
            bytes: rows,
            modified_ns: 7,
            sha256: "ab".into(),
            partitions: step.partition.clone().map(|key| vec![key]),
        }],
    }
}

pub(crate) fn times(cron: &str) -> DeclaredTimes {
    DeclaredTimes {
        crons: vec![cron.into()],
        timezone: "Europe/Zurich".into(),
        repeated: "first".into(),
    }
}

/// A tick that came to nothing.
pub(crate) fn tick(schedule: &str, instant: i64, last: i64, status: TickStatus) -> Tick {
    Tick {
        schedule: schedule.into(),
        instant,
        last,
        count: if last > instant { 7 } else { 1 },
        status,
        reason: Some("nothing to do".into()),
        run: None,
        by_hand: false,
    }
}

pub(crate) fn pointer(version: u64) -> TablePointer {
    TablePointer {
        metadata_location: format!("file:///lake/t/metadata/{version:05}.metadata.json"),
        snapshot_id: (version > 0).then_some(version as i64),
    }
}

pub(crate) fn staged_model(auc: f64) -> StagedModel {
    StagedModel {
        artifact: "models/one.json".into(),
        sha256: "00".into(),
        algorithm: "gradient_boosting".into(),
        metrics: BTreeMap::from([("auc".into(), auc)]),
        parameters: BTreeMap::from([("trees".into(), json!(200))]),
        details: json!({"split": "2013-11-01"}),
    }
}
