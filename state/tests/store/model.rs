//! What the store should say, in plain maps: written without SQL and without the store's code.

use std::collections::BTreeMap;

use assets::outcome::{CheckResult, Failure, Observation, StagedModel, TablePointer};
use assets::{AssetKey, AssetPartition, PartitionKey};
use state::event::{Event, Materialization, Recorded, RunRequest};
use state::ids::{AttemptId, RunId};
use state::schedule::{DeclaredTimes, Tick};
use state::status::{RunStatus, StepStatus};

use crate::alerts::{self, ModelAlert};

#[derive(Debug, Clone)]
pub(crate) struct ModelRun {
    pub(crate) seq: i64,
    pub(crate) status: RunStatus,
    pub(crate) request: RunRequest,
    pub(crate) submitted_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) paused: bool,
    pub(crate) plan: Vec<AssetPartition>,
}

#[derive(Debug, Clone)]
pub(crate) struct ModelStep {
    pub(crate) reason: String,
    pub(crate) status: StepStatus,
    pub(crate) attempt: Option<AttemptId>,
    pub(crate) number: u32,
    pub(crate) rows: Option<u64>,
    pub(crate) failure: Option<Failure>,
    pub(crate) because: Option<AssetPartition>,
    pub(crate) requeued: Option<String>,
    pub(crate) retries: u32,
    pub(crate) retry_at: Option<i64>,
    pub(crate) started_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
}

#[derive(Debug, Clone)]
pub(crate) struct ModelAttempt {
    pub(crate) seq: i64,
    pub(crate) run: RunId,
    pub(crate) asset: AssetKey,
    pub(crate) partitions: Vec<Option<PartitionKey>>,
    pub(crate) number: u32,
    pub(crate) started_at: i64,
    pub(crate) ended_at: Option<i64>,
    pub(crate) failure: Option<Failure>,
    pub(crate) step_failures: BTreeMap<AssetPartition, Failure>,
    pub(crate) timed_out: Option<Vec<Option<PartitionKey>>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) seq: i64,
    pub(crate) at: i64,
    pub(crate) run: RunId,
    pub(crate) attempt: AttemptId,
    pub(crate) what: Materialization,
}

#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub(crate) seq: i64,
    pub(crate) at: i64,
    pub(crate) run: RunId,
    pub(crate) step: AssetPartition,
    pub(crate) failure: Failure,
}

#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) seq: i64,
    pub(crate) step: AssetPartition,
    pub(crate) published: bool,
    pub(crate) result: CheckResult,
}

#[derive(Debug, Clone)]
pub(crate) struct ModelSchedule {
    pub(crate) times: DeclaredTimes,
    pub(crate) declared: bool,
    pub(crate) paused: Option<(i64, String)>,
    pub(crate) accounted: i64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) events: Vec<Recorded>,
    pub(crate) runs: BTreeMap<RunId, ModelRun>,
    pub(crate) steps: BTreeMap<(RunId, AssetPartition), ModelStep>,
    pub(crate) attempts: BTreeMap<AttemptId, ModelAttempt>,
    pub(crate) made: Vec<Made>,
    pub(crate) failed: Vec<Failed>,
    pub(crate) checked: Vec<Checked>,
    pub(crate) pointers: BTreeMap<AssetKey, TablePointer>,
    pub(crate) observed: BTreeMap<AssetKey, (i64, Observation)>,
    pub(crate) versions: BTreeMap<(AssetKey, u64), StagedModel>,
    pub(crate) aliases: BTreeMap<(AssetKey, String), u64>,
    pub(crate) alias_moves: Vec<(i64, AssetKey, String, Option<u64>, u64)>,
    pub(crate) schedules: BTreeMap<String, ModelSchedule>,
    pub(crate) ticks: Vec<(i64, i64, Tick)>,
    pub(crate) watched: crate::automation::Watched,
    pub(crate) alerts: BTreeMap<String, ModelAlert>,
    pub(crate) boot: Option<String>,
}

impl Model {
    pub(crate) fn apply(&mut self, recorded: &Recorded) {
        let (seq, at) = (self.events.len() as i64 + 1, recorded.at);
        self.events.push(recorded.clone());
        self.watched.apply(seq, recorded);
        match recorded.event.clone() {
            Event::RunSubmitted {
                run, request, steps, ..
            } => {
                let plan = steps.iter().map(|planned| planned.step.clone()).collect();
                for planned in steps {
                    let step = ModelStep {
                        reason: planned.reason,
                        status: StepStatus::Waiting,
                        attempt: None,
                        number: 0,
                        rows: None,
                        failure: None,
                        because: None,
                        requeued: None,
                        retries: 0,
                        retry_at: None,
                        started_at: None,
                        ended_at: None,
                    };
                    self.steps.insert((run.clone(), planned.step), step);
                }
                let status = RunStatus::Queued;
                let (started_at, ended_at) = (None, None);
                self.runs.insert(
                    run,
                    ModelRun {
                        seq,
                        status,
                        request,
                        submitted_at: at,
                        started_at,
                        ended_at,
                        paused: false,
                        plan,
                    },
                );
            }
            Event::AttemptStarted {
                attempt,
                run,
                asset,
                partitions,
                number,
                inputs: _,
                table: _,
            } => {
                let its_run = self.runs.get_mut(&run).unwrap();
                its_run.status = RunStatus::Running;
                its_run.started_at = its_run.started_at.or(Some(at));
                for partition in &partitions {
                    let step = self.step(&run, &AssetPartition::new(asset.clone(), partition.clone()));
                    step.status = StepStatus::Running;
                    step.attempt = Some(attempt.clone());
                    step.number = number;
                    step.started_at = Some(at);
                    step.rows = None;
                }
                let (ended_at, failure, step_failures) = (None, None, BTreeMap::new());
                let started = ModelAttempt {
                    seq,
                    run,
                    asset,
                    partitions,
                    number,
                    started_at: at,
                    ended_at,
                    failure,
                    step_failures,
                    timed_out: None,
                };
                self.attempts.insert(attempt, started);
            }
            Event::StepStaged { attempt, step, rows } => {
                let run = self.attempts[&attempt].run.clone();
                let step = self.step(&run, &step);
                step.status = StepStatus::Publishing;
                step.rows = Some(rows);
            }
            Event::StepSucceeded {
                run,
                attempt,
                materialization,
            } => {
                let step = self.step(&run, &materialization.step);
                step.status = StepStatus::Succeeded;
                step.rows = Some(materialization.rows);
                step.ended_at = Some(at);
                step.retry_at = None;
                self.check(seq, &materialization.step, &materialization.checks, true);
                self.made.push(Made {
                    seq,
                    at,
                    run,
                    attempt,
                    what: materialization,
                });
            }
            Event::StepFailed {
                run,
                attempt,
                step,
                failure,
                checks,
            } => {
                let its_step = self.step(&run, &step);
                its_step.status = StepStatus::Failed;
                its_step.failure = Some(failure.clone());
                its_step.ended_at = Some(at);
                its_step.retry_at = None;
                if let Some(attempt) = attempt {
                    let attempt = self.attempts.get_mut(&attempt).unwrap();
                    attempt.step_failures.insert(step.clone(), failure.clone());
                }
                self.check(seq, &step, &checks, false);
                self.failed.push(Failed {
                    seq,
                    at,
                    run,
                    step,
                    failure,
                });
            }
            Event::StepFresh { run, step } => {
                let step = self.step(&run, &step);
                step.status = StepStatus::Succeeded;
                step.ended_at = Some(at);
                step.retry_at = None;
            }
            Event::StepSkipped { run, step, because } => {
                let step = self.step(&run, &step);
                step.status = StepStatus::Skipped;
                step.because = Some(because);
                step.ended_at = Some(at);
                step.retry_at = None;
            }
            Event::StepCanceled { run, step } => {
                let step = self.step(&run, &step);
                step.status = StepStatus::Canceled;
                step.ended_at = Some(at);
                step.retry_at = None;
            }
            Event::StepRequeued { run, step, reason } => {
                let step = self.step(&run, &step);
                step.status = StepStatus::Waiting;
                step.attempt = None;
                step.started_at = None;
                step.rows = None;
                step.requeued = Some(reason);
            }
            Event::StepUpForRetry {
                run,
                attempt,
                step,
                failure,
                retry,
                due,
            } => {
                let failed = failure.clone();
                self.attempts
                    .get_mut(&attempt)
                    .unwrap()
                    .step_failures
                    .insert(step.clone(), failed);
                let step = self.step(&run, &step);
                step.status = StepStatus::Waiting;
                step.attempt = None;
                step.started_at = None;
                step.rows = None;
                step.requeued = Some(failure.message);
                step.retries = retry;
                step.retry_at = Some(due);
            }
            Event::StepRetryDue { run, step } => self.step(&run, &step).retry_at = None,
            Event::AttemptTimedOut { attempt, partitions } => {
                self.attempts.get_mut(&attempt).unwrap().timed_out = Some(partitions);
            }
            Event::AttemptEnded { attempt, failure } => {
                let attempt = self.attempts.get_mut(&attempt).unwrap();
                attempt.ended_at = Some(at);
                attempt.failure = failure;
            }
            Event::RunCancelRequested { run } => {
                let run = self.runs.get_mut(&run).unwrap();
                run.status = RunStatus::Canceling;
                run.paused = false;
            }
            Event::RunPaused { run } => self.runs.get_mut(&run).unwrap().paused = true,
            Event::RunResumed { run } => self.runs.get_mut(&run).unwrap().paused = false,
            Event::RunEnded { run, status } => {
                let run = self.runs.get_mut(&run).unwrap();
                run.status = status;
                run.paused = false;
                run.ended_at = Some(at);
            }
            Event::PointerMoved { table, from: _, to } => {
                self.pointers.insert(table, to);
            }
            Event::SourceObserved { asset, observation } => {
                self.observed.insert(asset, (at, observation));
            }
            Event::ModelRegistered {
                model, version, staged, ..
            } => {
                self.versions.insert((model, version), staged);
            }
            Event::SnapshotsExpired { .. } | Event::FilesCompacted { .. } | Event::TableRepartitioned { .. } => {}
            Event::AliasMoved {
                model,
                alias,
                from,
                to,
                reason: _,
            } => {
                self.alias_moves.push((seq, model.clone(), alias.clone(), from, to));
                self.aliases.insert((model, alias), to);
            }
            Event::ScheduleDeclared {
                schedule,
                times,
                paused,
            } => {
                let known = self.schedules.get(&schedule);
                let was_paused = known.and_then(|known| known.paused.clone());
                let declared = ModelSchedule {
                    times,
                    declared: true,
                    paused: paused.then(|| was_paused.unwrap_or((at, "the declaration".to_owned()))),
                    accounted: known.map_or(at, |known| known.accounted.max(at)),
                };
                self.schedules.insert(schedule, declared);
            }
            Event::ScheduleRemoved { schedule } => self.schedules.get_mut(&schedule).unwrap().declared = false,
            Event::SchedulePaused { schedule, by } => {
                self.schedules.get_mut(&schedule).unwrap().paused = Some((at, by));
            }
            Event::ScheduleResumed { schedule, by: _ } => {
                let schedule = self.schedules.get_mut(&schedule).unwrap();
                schedule.paused = None;
                schedule.accounted = schedule.accounted.max(at);
            }
            Event::Ticked { tick } => {
                if !tick.by_hand {
                    self.schedules.get_mut(&tick.schedule).unwrap().accounted = tick.last;
                }
                self.ticks.push((seq, at, tick));
            }
            // They have a test of their own: `rollbacks`.
            Event::RolledBack { .. } | Event::PartitionRolledBack { .. } | Event::PartitionCutAway { .. } => {}
            Event::FreshnessChanged { .. }
            | Event::FreshnessRemoved { .. }
            | Event::AutomationRequested { .. }
            | Event::AutomationHeld { .. }
            | Event::AutomationPaused { .. }
            | Event::AutomationResumed { .. } => {}
            Event::AlertRaised { .. }
            | Event::AlertEnded { .. }
            | Event::AlertGrouped { .. }
            | Event::AlertDelivered { .. }
            | Event::AlertFailed { .. } => alerts::apply(&mut self.alerts, seq, recorded),
            // They have a test of their own: `sensors`.
            Event::SensorDeclared { .. }
            | Event::SensorRemoved { .. }
            | Event::SensorPaused { .. }
            | Event::SensorResumed { .. }
            | Event::SensorTicked { .. }
            | Event::SensorForgot { .. } => {}
            Event::Started { boot, mode: _ } => self.boot = Some(boot),
        }
    }

    fn step(&mut self, run: &RunId, step: &AssetPartition) -> &mut ModelStep {
        self.steps.get_mut(&(run.clone(), step.clone())).unwrap()
    }

    fn check(&mut self, seq: i64, step: &AssetPartition, checks: &[CheckResult], published: bool) {
        for result in checks {
            self.checked.push(Checked {
                seq,
                step: step.clone(),
                published,
                result: result.clone(),
            });
        }
    }

    /// Steps of a run that may be given to a worker.
    pub(crate) fn startable(&self, run: &RunId) -> Vec<AssetPartition> {
        let mut waiting = self.steps_in(run, &[StepStatus::Waiting]);
        waiting.retain(|step| self.steps[&(run.clone(), step.clone())].retry_at.is_none());
        waiting
    }

    /// Steps of a run in the given states.
    pub(crate) fn steps_in(&self, run: &RunId, statuses: &[StepStatus]) -> Vec<AssetPartition> {
        self.steps
            .iter()
            .filter(|((its_run, _), step)| its_run == run && statuses.contains(&step.status))
            .map(|((_, step), _)| step.clone())
            .collect()
    }
}
