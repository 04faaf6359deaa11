//! Random histories: after each commit, after a reopen and after a replay, the store says what the plain model says.

use std::collections::BTreeSet;

use assets::outcome::{Observation, SourceFile};
use assets::{AssetPartition, Fingerprint};
use proptest::prelude::*;
use state::event::{Event, OwnerMode, Recorded};
use state::ids::RunId;
use state::schedule::{Tick, TickStatus};
use state::status::{RunStatus, StepStatus};
use state::{CommitError, OpenMode, Store, fsck};

use crate::agreement::{agree, load_agrees};
use crate::alerts;
use crate::model::Model;
use crate::words::{
    asset, attempt, check, failure, materialization, pointer, recorded, run, staged_model, started, step, submitted,
    tick, times,
};

/// Picks without a random source of its own, so that a failing history shrinks.
pub(crate) struct Choices<'c>(pub(crate) std::slice::Iter<'c, u16>);

impl Choices<'_> {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % limit.max(1)
    }

    pub(crate) fn one<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.below(of.len())].clone())
    }
}

fn universe() -> Vec<AssetPartition> {
    [
        "bronze.raw@a",
        "bronze.raw@b",
        "bronze.raw@c,d",
        "gold.whole",
        "silver.flights@a",
        "silver.flights@š/2",
    ]
    .map(step)
    .to_vec()
}

/// Some event that may follow, or `None` if the kind chosen has no candidate.
pub(crate) fn next_event(model: &Model, choose: &mut Choices<'_>) -> Option<Event> {
    let open = open_runs(model);
    let open_run = |choose: &mut Choices<'_>| choose.one(&open);
    let in_hand = [StepStatus::Running, StepStatus::Publishing];
    match choose.below(25) {
        0 | 1 => {
            let steps: Vec<_> = universe().into_iter().filter(|_| choose.below(3) > 0).collect();
            Some(submitted(&run(model.runs.len() as u64 + 1), &steps))
        }
        2..=4 => {
            let run = open_run(choose).filter(|run| model.runs[run].status != RunStatus::Canceling)?;
            let first = choose.one(&model.startable(&run))?;
            let mut batch = model.startable(&run);
            batch.retain(|step| step.asset == first.asset);
            batch.truncate(1 + choose.below(3));
            Some(started(
                &run,
                &attempt(model.attempts.len() as u64 + 1),
                &batch,
                1 + choose.below(3) as u32,
            ))
        }
        5 => {
            let run = open_run(choose)?;
            let step = choose.one(&model.steps_in(&run, &[StepStatus::Running]))?;
            let attempt = model.steps[&(run, step.clone())].attempt.clone()?;
            Some(Event::StepStaged {
                attempt,
                step,
                rows: choose.below(100) as u64,
            })
        }
        6 | 7 => {
            let run = open_run(choose)?;
            let step = choose.one(&model.steps_in(&run, &in_hand))?;
            let attempt = model.steps[&(run.clone(), step.clone())].attempt.clone()?;
            let checks = ["b", "a"]
                .into_iter()
                .filter(|_| choose.below(2) == 0)
                .map(|name| check(name, true))
                .collect();
            Some(Event::StepSucceeded {
                run,
                attempt,
                materialization: materialization(&step, choose.below(90) as u64, checks),
            })
        }
        8 => {
            let run = open_run(choose)?;
            let in_hand_or_not = [StepStatus::Waiting, StepStatus::Running, StepStatus::Publishing];
            let step = choose.one(&model.steps_in(&run, &in_hand_or_not))?;
            let attempt = model.steps[&(run.clone(), step.clone())].attempt.clone();
            Some(Event::StepFailed {
                run,
                attempt,
                step,
                failure: failure("bad row"),
                checks: vec![check("a", false)],
            })
        }
        9 => {
            let run = open_run(choose)?;
            let step = choose.one(&model.steps_in(&run, &[StepStatus::Waiting]))?;
            if choose.below(3) == 0 {
                return Some(Event::StepFresh { run, step });
            }
            let because = choose.one(&model.steps_in(&run, &[StepStatus::Failed]))?;
            Some(Event::StepSkipped { run, step, because })
        }
        10 => {
            let run = open_run(choose)?;
            let step = choose.one(&model.steps_in(&run, &in_hand))?;
            let known = &model.steps[&(run.clone(), step.clone())];
            match choose.below(6) {
                4 => Some(Event::StepUpForRetry {
                    attempt: known.attempt.clone()?,
                    retry: known.retries + 1,
                    due: choose.below(5_000) as i64,
                    failure: failure("the share is gone"),
                    run,
                    step,
                }),
                5 => {
                    let attempt = known.attempt.clone()?;
                    let tried = &model.attempts[&attempt];
                    let open = tried.ended_at.is_none() && tried.timed_out.is_none();
                    let partitions = tried.partitions[..1].to_vec();
                    open.then_some(Event::AttemptTimedOut { attempt, partitions })
                }
                0 => Some(Event::StepCanceled { run, step }),
                3 => match &model.runs[&run] {
                    known if known.status == RunStatus::Canceling => None,
                    known if known.paused => Some(Event::RunResumed { run }),
                    _ => Some(Event::RunPaused { run }),
                },
                1 => Some(Event::RunCancelRequested { run: run.clone() })
                    .filter(|_| model.runs[&run].status != RunStatus::Canceling),
                _ => Some(Event::StepRequeued {
                    run,
                    step,
                    reason: "its worker ended".into(),
                }),
            }
        }
        11 => {
            let held: BTreeSet<_> = model
                .steps
                .values()
                .filter(|step| in_hand.contains(&step.status))
                .filter_map(|step| step.attempt.clone())
                .collect();
            let idle: Vec<_> = model
                .attempts
                .iter()
                .filter(|(id, one)| one.ended_at.is_none() && !held.contains(id))
                .map(|(id, _)| id.clone())
                .collect();
            let failed = choose.below(2) == 0;
            Some(Event::AttemptEnded {
                attempt: choose.one(&idle)?,
                failure: failed.then(|| failure("killed")),
            })
        }
        12 => {
            let run = open_run(choose)?;
            let busy = [StepStatus::Waiting, StepStatus::Running, StepStatus::Publishing];
            let over = model.steps_in(&run, &busy).is_empty()
                && model
                    .attempts
                    .values()
                    .all(|one| one.run != run || one.ended_at.is_some());
            let how = [RunStatus::Succeeded, RunStatus::Failed, RunStatus::Canceled];
            over.then(|| Event::RunEnded {
                run,
                status: how[choose.below(3)],
            })
        }
        13 => {
            let table = choose.one(&universe())?.asset;
            let from = model.pointers.get(&table).cloned();
            Some(Event::PointerMoved {
                table,
                from,
                to: pointer(model.events.len() as u64),
            })
        }
        14 => {
            let files = ["x.csv", "y.csv", "z.csv"]
                .into_iter()
                .filter(|_| choose.below(2) == 0)
                .collect::<Vec<_>>();
            let files = files
                .into_iter()
                .map(|path| SourceFile {
                    path: path.into(),
                    bytes: choose.below(3) as u64,
                    modified_ns: -1,
                    sha256: format!("{path}{}", choose.below(2)),
                    partitions: (choose.below(2) == 0).then(|| step("bronze.raw@a").partition.into_iter().collect()),
                })
                .collect();
            Some(Event::SourceObserved {
                asset: asset("bronze.raw"),
                observation: Observation { files, code: None },
            })
        }
        16..=18 => schedule_event(model, choose),
        24 => {
            let run = open_run(choose)?;
            let mut waiting = model.steps_in(&run, &[StepStatus::Waiting]);
            waiting.retain(|step| model.steps[&(run.clone(), step.clone())].retry_at.is_some());
            let step = choose.one(&waiting)?;
            Some(Event::StepRetryDue { run, step })
        }
        19..=21 => crate::automation::event(model, &universe(), choose),
        22 | 23 => alerts::next_event(&model.alerts, 1_000 * model.events.len() as i64, &mut |limit| {
            choose.below(limit)
        }),
        _ => {
            let model_key = asset("models.delay");
            let newest = model
                .versions
                .range((model_key.clone(), 0)..)
                .next_back()
                .map_or(0, |((_, version), _)| *version);
            match choose.below(4) {
                0 | 1 => Some(Event::ModelRegistered {
                    model: model_key,
                    version: newest + 1,
                    run: model.runs.keys().next()?.clone(),
                    staged: staged_model(choose.below(100) as f64 / 99.0),
                    fingerprint: Fingerprint::of(["trainer"]),
                    inputs: vec![],
                }),
                2 => {
                    let alias = ["champion", "challenger"][choose.below(2)].to_owned();
                    let from = model.aliases.get(&(model_key.clone(), alias.clone())).copied();
                    let to = (newest > 0).then(|| 1 + choose.below(newest as usize) as u64)?;
                    Some(Event::AliasMoved {
                        model: model_key,
                        alias,
                        from,
                        to,
                        reason: "auc > 0.65".into(),
                    })
                }
                _ => Some(Event::Started {
                    boot: format!("boot {}", model.events.len()),
                    mode: OwnerMode::Daemon,
                }),
            }
        }
    }
}

fn open_runs(model: &Model) -> Vec<RunId> {
    let open = model.runs.iter().filter(|(_, run)| !run.status.is_terminal());
    open.map(|(id, _)| id.clone()).collect()
}

/// Something that may happen to a schedule.
fn schedule_event(model: &Model, choose: &mut Choices<'_>) -> Option<Event> {
    let schedule = ["hourly", "nightly"][choose.below(2)].to_owned();
    let known = model.schedules.get(&schedule).filter(|known| known.declared);
    let Some(known) = known else {
        return Some(Event::ScheduleDeclared {
            schedule,
            times: times("@hourly"),
            paused: choose.below(3) == 0,
        });
    };
    let by = "cli".to_owned();
    let at = known.accounted;
    let tick = match choose.below(8) {
        0 => return Some(Event::ScheduleRemoved { schedule }),
        1 => {
            return Some(Event::ScheduleDeclared {
                schedule,
                times: times(["@daily", "@weekly"][choose.below(2)]),
                paused: known.paused.is_some(),
            });
        }
        2 if known.paused.is_some() => return Some(Event::ScheduleResumed { schedule, by }),
        2 => return Some(Event::SchedulePaused { schedule, by }),
        3 => {
            let instant = at + 1 + choose.below(50) as i64;
            let last = instant + 1 + choose.below(50) as i64;
            let status = [TickStatus::Missed, TickStatus::Skipped][choose.below(2)];
            tick(&schedule, instant, last, status)
        }
        4 => Tick {
            reason: None,
            // A tick requests a run in the transaction that submits it: never one that may have been removed.
            run: Some(choose.one(&open_runs(model))?),
            ..tick(&schedule, at + 1_000, at + 1_000, TickStatus::Requested)
        },
        5 => {
            let instant = 1 + model.ticks.iter().map(|(_, _, tick)| tick.instant).max().unwrap_or(0);
            Tick {
                by_hand: true,
                ..tick(&schedule, instant, instant, TickStatus::Failed)
            }
        }
        _ => {
            let instant = at + 1 + choose.below(5) as i64;
            let status = [TickStatus::Skipped, TickStatus::Failed][choose.below(2)];
            tick(&schedule, instant, instant, status)
        }
    };
    // An instant that someone asked for before is no other tick's.
    let free = model.ticks.iter().all(|(_, _, told)| told.instant != tick.instant);
    free.then_some(Event::Ticked { tick })
}

/// Events that cannot follow from any history.
fn impossible(model: &Model) -> Vec<Event> {
    let mut events = vec![
        Event::RunEnded {
            run: run(1 << 50),
            status: RunStatus::Failed,
        },
        Event::RunCancelRequested { run: run(1 << 50) },
        started(&run(1 << 50), &attempt(1 << 50), &[step("gold.whole")], 1),
        Event::AttemptEnded {
            attempt: attempt(1 << 50),
            failure: None,
        },
        Event::StepStaged {
            attempt: attempt(1 << 50),
            step: step("gold.whole"),
            rows: 1,
        },
        Event::AliasMoved {
            model: asset("models.delay"),
            alias: "x".into(),
            from: None,
            to: 1 << 40,
            reason: String::new(),
        },
    ];
    events.extend(crate::automation::impossible(model));
    events.extend(alerts::impossible(&model.alerts));
    for (_, _, told) in &model.ticks {
        events.push(Event::Ticked { tick: told.clone() });
    }
    for (name, one) in &model.schedules {
        let by = "cli".to_owned();
        let schedule = name.clone();
        if one.paused.is_some() || !one.declared {
            events.push(Event::SchedulePaused { schedule, by });
        } else {
            events.push(Event::ScheduleResumed { schedule, by });
        }
        let accounted = tick(name, one.accounted, one.accounted, TickStatus::Missed);
        events.push(Event::Ticked { tick: accounted });
    }
    let unknown = "never_declared".to_owned();
    events.push(Event::Ticked {
        tick: tick(&unknown, 1, 1, TickStatus::Missed),
    });
    events.push(Event::ScheduleRemoved { schedule: unknown });
    for (id, one) in &model.runs {
        events.push(submitted(id, &[]));
        events.push(Event::RunEnded {
            run: id.clone(),
            status: RunStatus::Running,
        });
        if one.status.is_terminal() {
            events.push(Event::RunEnded {
                run: id.clone(),
                status: RunStatus::Failed,
            });
            events.push(Event::RunCancelRequested { run: id.clone() });
        }
    }
    for ((id, step), one) in &model.steps {
        let (run, step) = (id.clone(), step.clone());
        if one.status.is_terminal() {
            events.push(Event::StepCanceled {
                run: run.clone(),
                step: step.clone(),
            });
            events.push(Event::StepRequeued {
                run: run.clone(),
                step: step.clone(),
                reason: String::new(),
            });
            events.push(Event::StepFailed {
                run,
                attempt: None,
                step,
                failure: failure("late"),
                checks: vec![],
            });
        } else {
            if one.status != StepStatus::Waiting {
                events.push(Event::StepFresh {
                    run: run.clone(),
                    step: step.clone(),
                });
            }
            if one.retry_at.is_none() {
                events.push(Event::StepRetryDue {
                    run: run.clone(),
                    step: step.clone(),
                });
            } else {
                events.push(started(&run, &attempt(1 << 51), std::slice::from_ref(&step), 1));
            }
            // The fence: another attempt has no say.
            events.push(Event::StepUpForRetry {
                run: run.clone(),
                attempt: attempt(1 << 50),
                step: step.clone(),
                failure: failure("late"),
                retry: 1,
                due: 0,
            });
            let materialization = materialization(&step, 1, vec![]);
            events.push(Event::StepSucceeded {
                run,
                attempt: attempt(1 << 50),
                materialization,
            });
        }
    }
    for (table, now) in &model.pointers {
        let from = Some(assets::outcome::TablePointer {
            snapshot_id: Some(-1),
            ..now.clone()
        });
        events.push(Event::PointerMoved {
            table: table.clone(),
            from,
            to: pointer(1 << 40),
        });
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_says_what_the_model_says(choices in proptest::collection::vec(any::<u16>(), 200..700)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let mut store = Store::open(&path, OpenMode::Writer).unwrap();
        let mut model = Model::default();
        let mut choose = Choices(choices.iter());
        while choose.0.len() > 0 {
            let size = 1 + choose.below(6);
            let mut batch: Vec<Recorded> = Vec::new();
            let mut ahead = model.clone();
            for _ in 0..size * 4 {
                if let Some(event) = next_event(&ahead, &mut choose) {
                    // The clock may be set back; the store does not care.
                    let one = recorded(1_000 * ahead.events.len() as i64 - choose.below(3_000) as i64, event);
                    ahead.apply(&one);
                    batch.push(one);
                }
                if batch.len() == size {
                    break;
                }
            }
            let bad = choose.one(&impossible(&model)).expect("there is always one");
            let mut refused = batch.clone();
            // First, so that it cannot have become possible.
            refused.insert(0, recorded(0, bad));
            let error = store.commit(&refused).unwrap_err();
            prop_assert!(matches!(error, CommitError::Illegal { index: 0, .. }), "{error}");
            let first = model.events.len() as i64 + 1;
            let committed = store.commit(&batch).unwrap();
            model = ahead;
            prop_assert_eq!((committed.first_seq, committed.last_seq), (first, model.events.len() as i64));
            load_agrees(&store, &model);
        }
        agree(&store, &model);
        prop_assert_eq!(fsck::check(&store).unwrap(), vec![]);
        store.close().unwrap();
        let reopened = Store::open(&path, OpenMode::Writer).unwrap();
        agree(&reopened, &model);
        let reader = Store::open_reader(&path).unwrap();
        agree(&reader, &model);
    }
}
