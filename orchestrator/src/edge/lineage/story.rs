//! From committed events to OpenLineage events. Pure: what it needs to know of the project comes in.
//!
//! | here | there |
//! |---|---|
//! | a run | a run of the job `materialize`, `schedule.nightly`, `sensor.landing`: START, then COMPLETE, FAIL or ABORT |
//! | one try at a step | a run of the job that is named as the asset, with the run as its parent |
//! | the checks of a step | a run of the job `layer.name.checks` that reads the asset |
//! | a table | a dataset `layer.name` in the namespace of the warehouse |
//! | a source file | a dataset of the namespace `file` |

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use assets::outcome::{CheckResult, Failure, FailureClass, Severity};
use assets::pattern::bucket_and_key;
use assets::{Asset, AssetKey, AssetPartition};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use state::event::{Event, Materialization, Micros, Recorded};
use state::ids::{AttemptId, RunId};
use state::status::RunStatus;

use super::cursor::{Cursor, OpenAttempt};
use super::facets;
use crate::core::Definitions;

/// Most source files that are told of one step.
const MOST_FILES: usize = 100;

/// What is known of the project.
pub struct Story {
    /// Namespace of its jobs.
    pub namespace: String,
    /// Namespace of its tables: where the warehouse is.
    pub warehouse: String,
    /// The project's folder, absolute.
    pub root: String,
    /// Its assets.
    pub definitions: Arc<Definitions>,
    /// The columns of its tables, as far as they are known.
    pub columns: BTreeMap<AssetKey, Vec<(String, String)>>,
}

/// One try at one step.
struct Try<'t> {
    attempt: &'t AttemptId,
    known: &'t OpenAttempt,
    step: &'t AssetPartition,
}

/// A UUID (version 8) that is always the same for the same thing.
fn run_id(of: &str) -> String {
    let hash = Sha256::digest(format!("millpond {of}"));
    let bytes: [u8; 16] = hash[..16].try_into().expect("a hash of 32 bytes has 16");
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

fn id_of_step(attempt: &AttemptId, step: &AssetPartition) -> String {
    run_id(&format!("{attempt} {step}"))
}

fn iso(at: Micros) -> String {
    Timestamp::from_microsecond(at).map_or_else(|_| "1970-01-01T00:00:00Z".to_owned(), |at| at.to_string())
}

impl Story {
    /// What an event means for lineage; nothing for most.
    pub fn tell(&self, cursor: &mut Cursor, recorded: &Recorded) -> Vec<Value> {
        let at = recorded.at;
        match &recorded.event {
            Event::RunSubmitted { run, request, .. } => {
                let job = job_of_run(&request.trigger);
                cursor.runs.insert(run.clone(), job.clone());
                vec![self.run(at, "START", run, &job)]
            }
            Event::RunEnded { run, status } => {
                cursor.attempts.retain(|_, attempt| attempt.run != *run);
                let Some(job) = cursor.runs.remove(run) else {
                    return Vec::new();
                };
                let state = match status {
                    RunStatus::Succeeded => "COMPLETE",
                    RunStatus::Canceled => "ABORT",
                    _ => "FAIL",
                };
                vec![self.run(at, state, run, &job)]
            }
            Event::AttemptStarted {
                attempt,
                run,
                asset,
                partitions,
                inputs,
                ..
            } => {
                let version = |pinned: &state::event::PinnedVersion| {
                    let snapshot = pinned.table.as_ref().and_then(|table| table.snapshot_id);
                    let version = pinned.model_version.map(|version| version.to_string());
                    (
                        pinned.asset.clone(),
                        version.or_else(|| snapshot.map(|id| id.to_string())),
                    )
                };
                let known = OpenAttempt {
                    run: run.clone(),
                    asset: asset.clone(),
                    inputs: inputs.iter().map(version).collect(),
                    partitions: partitions.iter().cloned().collect(),
                };
                let told = partitions.iter().map(|partition| {
                    let step = AssetPartition::new(asset.clone(), partition.clone());
                    let tried = Try {
                        attempt,
                        known: &known,
                        step: &step,
                    };
                    self.step(cursor, at, "START", &tried, None, None)
                });
                let told = told.collect();
                cursor.attempts.insert(attempt.clone(), known);
                told
            }
            Event::StepSucceeded {
                run,
                attempt,
                materialization,
            } => {
                let step = &materialization.step;
                let Some((_, known)) = cursor.end(run, step) else {
                    return Vec::new();
                };
                let known = &known;
                let tried = Try { attempt, known, step };
                let done = self.step(cursor, at, "COMPLETE", &tried, Some(materialization), None);
                let checks = self.checks(cursor, at, &tried, &materialization.checks);
                std::iter::once(done).chain(checks).collect()
            }
            Event::StepFailed {
                run,
                step,
                failure,
                checks,
                ..
            } => {
                let Some((attempt, known)) = cursor.end(run, step) else {
                    return Vec::new();
                };
                let (attempt, known) = (&attempt, &known);
                let tried = Try { attempt, known, step };
                let failed = self.step(cursor, at, "FAIL", &tried, None, Some(failure));
                let checks = self.checks(cursor, at, &tried, checks);
                std::iter::once(failed).chain(checks).collect()
            }
            Event::StepUpForRetry { run, step, failure, .. } => {
                let Some((attempt, known)) = cursor.end(run, step) else {
                    return Vec::new();
                };
                let (attempt, known) = (&attempt, &known);
                let tried = Try { attempt, known, step };
                vec![self.step(cursor, at, "FAIL", &tried, None, Some(failure))]
            }
            Event::StepCanceled { run, step } => self.aborted(cursor, at, run, step, None),
            Event::StepRequeued { run, step, reason } => {
                let failure = Failure::new(FailureClass::Interrupted, reason.clone());
                self.aborted(cursor, at, run, step, Some(&failure))
            }
            _ => Vec::new(),
        }
    }

    fn aborted(
        &self,
        cursor: &mut Cursor,
        at: Micros,
        run: &RunId,
        step: &AssetPartition,
        failure: Option<&Failure>,
    ) -> Vec<Value> {
        let found = cursor.end(run, step);
        let told = found.map(|(attempt, known)| {
            let (attempt, known) = (&attempt, &known);
            let tried = Try { attempt, known, step };
            self.step(cursor, at, "ABORT", &tried, None, failure)
        });
        told.into_iter().collect()
    }

    fn run(&self, at: Micros, state: &str, run: &RunId, job: &str) -> Value {
        event(
            at,
            state,
            json!({ "runId": run_id(run.as_str()), "facets": {} }),
            json!({
                "namespace": self.namespace,
                "name": job,
                "facets": facets::facets([("jobType", Some(facets::job_type("RUN")))]),
            }),
            Vec::new(),
            Vec::new(),
        )
    }

    fn parent(&self, cursor: &Cursor, run: &RunId) -> Option<Value> {
        let job = cursor.runs.get(run)?;
        Some(facets::parent(&run_id(run.as_str()), &self.namespace, job))
    }

    fn step(
        &self,
        cursor: &Cursor,
        at: Micros,
        state: &str,
        tried: &Try<'_>,
        made: Option<&Materialization>,
        failure: Option<&Failure>,
    ) -> Value {
        let Try { attempt, known, step } = tried;
        let asset = self.definitions.get(&step.asset);
        let language = asset.map_or("unknown", |asset| asset.kind.as_str());
        let run = json!({
            "runId": id_of_step(attempt, step),
            "facets": facets::facets([
                ("parent", self.parent(cursor, &known.run)),
                ("nominalTime", asset.and_then(|asset| nominal_time(asset, step))),
                ("errorMessage", failure.map(|failure| facets::error_message(&failure.message, language))),
                ("millpond_partition", step.partition.as_ref().map(|key| facets::partition(key.as_str()))),
            ]),
        });
        let query = asset.and_then(|asset| asset.config.get("sql")?.as_str());
        let job = json!({
            "namespace": self.namespace,
            "name": step.asset,
            "facets": facets::facets([
                ("jobType", Some(facets::job_type("STEP"))),
                ("sql", query.map(facets::sql)),
                ("ownership", asset.and_then(|asset| asset.owner.as_deref()).map(facets::ownership)),
                ("documentation", asset.and_then(|asset| asset.description.as_deref()).map(facets::documentation)),
            ]),
        });
        let tables = known.inputs.iter().map(|(asset, version)| {
            let version = version.as_deref().map(facets::version);
            self.dataset(asset, version)
        });
        let files = made
            .into_iter()
            .flat_map(|made| &made.sources)
            .take(MOST_FILES)
            .map(|file| {
                // <https://openlineage.io/docs/spec/naming>: an object is a key in its bucket.
                let (namespace, name) = match bucket_and_key(&file.path) {
                    Some((bucket, key)) => (format!("s3://{bucket}"), key.to_owned()),
                    None => {
                        let path = Path::new(&self.root).join(&file.path);
                        ("file".to_owned(), path.to_string_lossy().into_owned())
                    }
                };
                json!({
                    "namespace": namespace,
                    "name": name,
                    "facets": facets::facets([("version", Some(facets::version(&file.sha256)))]),
                })
            });
        let mut output = self.dataset(
            &step.asset,
            made.and_then(|made| made.snapshot_id)
                .map(|id| facets::version(&id.to_string())),
        );
        if let Some(made) = made {
            output["outputFacets"] = facets::facets([(
                "outputStatistics",
                Some(facets::output_statistics(made.rows, made.bytes)),
            )]);
        }
        event(at, state, run, job, tables.chain(files).collect(), vec![output])
    }

    fn dataset(&self, asset: &AssetKey, version: Option<Value>) -> Value {
        let columns = self.columns.get(asset).filter(|columns| !columns.is_empty());
        json!({
            "namespace": self.warehouse,
            "name": asset,
            "facets": facets::facets([
                ("schema", columns.map(|columns| facets::schema(columns))),
                ("version", version),
            ]),
        })
    }

    /// The checks of a step as a job of their own that reads what was made, as other tools tell their tests.
    fn checks(&self, cursor: &Cursor, at: Micros, tried: &Try<'_>, checks: &[CheckResult]) -> Vec<Value> {
        let Try { attempt, known, step } = tried;
        if checks.is_empty() {
            return Vec::new();
        }
        let blocked = checks.iter().any(CheckResult::blocks);
        let found: Vec<Value> = checks
            .iter()
            .map(|check| {
                let severity = match check.severity {
                    Severity::Warn => "warn",
                    Severity::Error => "error",
                };
                json!({ "assertion": check.name, "success": check.passed, "severity": severity })
            })
            .collect();
        let run = json!({
            "runId": run_id(&format!("{attempt} {step} checks")),
            "facets": facets::facets([
                ("parent", self.parent(cursor, &known.run)),
                ("millpond_partition", step.partition.as_ref().map(|key| facets::partition(key.as_str()))),
            ]),
        });
        let job = json!({
            "namespace": self.namespace,
            "name": format!("{}.checks", step.asset),
            "facets": facets::facets([("jobType", Some(facets::job_type("TEST")))]),
        });
        let mut input = self.dataset(&step.asset, None);
        input["inputFacets"] = facets::facets([("dataQualityAssertions", Some(facets::assertions(&found)))]);
        let plain = self.dataset(&step.asset, None);
        let state = if blocked { "FAIL" } else { "COMPLETE" };
        vec![
            event(at, "START", run.clone(), job.clone(), vec![plain], Vec::new()),
            event(at, state, run, job, vec![input], Vec::new()),
        ]
    }
}

fn event(at: Micros, state: &str, run: Value, job: Value, inputs: Vec<Value>, outputs: Vec<Value>) -> Value {
    json!({
        "eventType": state,
        "eventTime": iso(at),
        "producer": facets::PRODUCER,
        "schemaURL": facets::RUN_EVENT,
        "run": run,
        "job": job,
        "inputs": inputs,
        "outputs": outputs,
    })
}

/// `schedule nightly` as `schedule.nightly`; whoever else asked, the job is `materialize`.
fn job_of_run(trigger: &str) -> String {
    match trigger.split_once(' ') {
        Some((what @ ("schedule" | "sensor"), name)) => format!("{what}.{name}"),
        _ => "materialize".to_owned(),
    }
}

fn nominal_time(asset: &Asset, step: &AssetPartition) -> Option<Value> {
    let key = step.partition.as_ref()?;
    let (start, end) = asset.partitions.as_ref()?.partitioning.bounds(key)?;
    Some(facets::nominal_time(&start.to_string(), &end.to_string()))
}
