//! What is too old is removed, and nothing else changes: what the core loads is the same, the tables still follow from the
//! events that are left, and history goes on from there.

use assets::AssetPartition;
use proptest::prelude::*;
use state::event::{Event, Recorded};
use state::schedule::{Tick, TickStatus};
use state::sqlite::retention::{Removed, RetentionPass, RetentionPolicy};
use state::status::RunStatus;
use state::{Store, fsck};

use crate::agreement::load_agrees;
use crate::model::Model;
use crate::property::{Choices, next_event};
use crate::words::{attempt, failure, materialization, pointer, recorded, run, started, step, submitted, tick, times};

fn retire(store: &mut Store, policy: RetentionPolicy) -> Removed {
    let mut pass = RetentionPass::new(policy);
    let mut all = Removed::default();
    while let Some(removed) = store.retire(&mut pass).unwrap() {
        all.runs.extend(removed.runs);
        all.events += removed.events;
    }
    all
}

fn loaded(store: &Store) -> String {
    format!("{:?}", store.load().unwrap())
}

/// A run of one step that succeeds, and moves its table, between `at` and `at + 5`.
fn succeeds(at: i64, id: u64, what: &AssetPartition) -> Vec<Recorded> {
    let (its_run, its_attempt) = (run(id), attempt(id));
    let made = materialization(what, id, vec![]);
    let events = vec![
        submitted(&its_run, std::slice::from_ref(what)),
        started(&its_run, &its_attempt, std::slice::from_ref(what), 1),
        Event::PointerMoved {
            table: what.asset.clone(),
            from: (id > 1).then(|| pointer(id - 1)),
            to: pointer(id),
        },
        Event::StepSucceeded {
            run: its_run.clone(),
            attempt: its_attempt.clone(),
            materialization: made,
        },
        Event::AttemptEnded {
            attempt: its_attempt,
            failure: None,
        },
        Event::RunEnded {
            run: its_run,
            status: RunStatus::Succeeded,
        },
    ];
    (at..).zip(events).map(|(at, event)| recorded(at, event)).collect()
}

#[test]
fn old_runs_go_and_the_newest_materialization_of_each_partition_stays() {
    let mut store = Store::in_memory().unwrap();
    let (a, b) = (step("bronze.raw@a"), step("bronze.raw@b"));
    for (id, what) in [(1, &a), (2, &b), (3, &a), (4, &a)] {
        store.commit(&succeeds(id as i64 * 100, id, what)).unwrap();
    }
    let before = loaded(&store);
    let last = store.last_seq();
    // Nothing is old enough.
    let policy = RetentionPolicy {
        before: 100,
        keep_runs: 0,
    };
    assert_eq!(retire(&mut store, policy), Removed::default());
    // All runs are among those to keep; of the pointers stays the newest one before the limit.
    let policy = RetentionPolicy {
        before: 350,
        keep_runs: 4,
    };
    let removed = retire(&mut store, policy);
    assert_eq!((removed.runs.len(), removed.events), (0, 2));
    let policy = RetentionPolicy {
        before: 350,
        keep_runs: 0,
    };
    let removed = retire(&mut store, policy);
    assert_eq!(removed.runs, [run(1), run(2), run(3)]);
    // Five events each; of the second run stays what made `b`.
    assert_eq!(removed.events, 3 * 5 - 1);
    assert_eq!(loaded(&store), before);
    assert_eq!(fsck::check(&store).unwrap(), vec![]);

    // The numbers go on, and what becomes old later goes as well.
    store.commit(&succeeds(500, 5, &b)).unwrap();
    assert_eq!(store.last_seq(), last + 6);
    let policy = RetentionPolicy {
        before: 450,
        keep_runs: 0,
    };
    let removed = retire(&mut store, policy);
    assert_eq!(removed.runs, [run(4)]);
    // What made `b` before, and an older pointer, are of no use any more.
    assert_eq!(removed.events, 5 - 1 + 1 + 1);
    assert_eq!(fsck::check(&store).unwrap(), vec![]);
    assert_eq!(retire(&mut store, policy), Removed::default());
}

#[test]
fn the_newest_tick_and_its_run_stay_and_a_failure_that_is_shown() {
    let mut store = Store::in_memory().unwrap();
    let a = step("bronze.raw@a");
    let mut events = vec![recorded(
        1,
        Event::ScheduleDeclared {
            schedule: "nightly".into(),
            times: times("0 0 * * *"),
            paused: false,
        },
    )];
    for id in 1..=2 {
        let its_run = run(id);
        let at = id as i64 * 100;
        events.push(recorded(at, submitted(&its_run, std::slice::from_ref(&a))));
        events.push(recorded(
            at,
            Event::Ticked {
                tick: Tick {
                    run: Some(its_run.clone()),
                    reason: None,
                    ..tick("nightly", at, at, TickStatus::Requested)
                },
            },
        ));
        events.push(recorded(
            at,
            Event::StepFailed {
                run: its_run.clone(),
                attempt: None,
                step: a.clone(),
                failure: failure("no"),
                checks: vec![],
            },
        ));
        events.push(recorded(
            at,
            Event::RunEnded {
                run: its_run,
                status: RunStatus::Failed,
            },
        ));
    }
    store.commit(&events).unwrap();
    let others = succeeds(300, 3, &step("gold.whole"));
    store.commit(&[others[0].clone(), others[1].clone()]).unwrap();
    let before = loaded(&store);
    let policy = RetentionPolicy {
        before: 1_000,
        keep_runs: 0,
    };
    // The run of the newest tick stays, with the failure that is shown; the open one anyway.
    assert_eq!(retire(&mut store, policy).runs, [run(1)]);
    assert_eq!(loaded(&store), before);
    assert_eq!(fsck::check(&store).unwrap(), vec![]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_removed_the_rest_agrees_with_itself(choices in proptest::collection::vec(any::<u16>(), 200..700)) {
        let mut store = Store::in_memory().unwrap();
        let mut model = Model::default();
        let mut choose = Choices(choices.iter());
        let mut time = 0;
        while choose.0.len() > 0 {
            let mut batch: Vec<Recorded> = Vec::new();
            for _ in 0..40 {
                if let Some(event) = next_event(&model, &mut choose) {
                    time += 10;
                    let one = recorded(time, event);
                    model.apply(&one);
                    batch.push(one);
                }
            }
            store.commit(&batch).unwrap();
            let before = loaded(&store);
            let policy = RetentionPolicy {
                before: time - choose.below(400) as i64,
                keep_runs: choose.below(3) as u32,
            };
            let removed = retire(&mut store, policy);
            for gone in &removed.runs {
                let ended = model.runs[gone].ended_at;
                prop_assert!(ended.is_some_and(|ended| ended < policy.before), "{gone} ended at {ended:?}");
            }
            prop_assert_eq!(loaded(&store), before);
            load_agrees(&store, &model);
            prop_assert_eq!(fsck::check(&store).unwrap(), vec![]);
        }
    }
}
