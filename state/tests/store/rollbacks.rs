//! A table that was taken back: partitions show what they showed before, until they are made anew.

use assets::{AssetPartition, Fingerprint};
use state::event::{Event, Recorded, RestoredMaterialization, Rollback};
use state::sqlite::queries::restored::ShownIn;
use state::sqlite::queries::rollbacks::{of_asset, of_partition};
use state::sqlite::queries::snapshot_makers::makers;
use state::sqlite::retention::{RetentionPass, RetentionPolicy};
use state::status::RunStatus;
use state::{Store, fsck};

use crate::words::{asset, attempt, materialization, pointer, recorded, run, started, step, submitted};

fn makes(at: i64, id: u64, what: &AssetPartition) -> Vec<Recorded> {
    let (its_run, its_attempt) = (run(id), attempt(id));
    let mut made = materialization(what, id, vec![]);
    made.snapshot_id = Some(id as i64);
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
    events.into_iter().map(|event| recorded(at, event)).collect()
}

/// `a` shows again what run 1 made of it, `b` is gone.
fn taken_back(store: &Store, at: i64) -> Vec<Recorded> {
    let (a, b) = (step("bronze.raw@a"), step("bronze.raw@b"));
    let shown = ShownIn::of(store, &a.asset, 1, [1].into(), [2, 3].into()).unwrap();
    let known = shown.made(store, &a, None).unwrap().unwrap();
    assert_eq!(known.run, run(1));
    assert_eq!(shown.made(store, &b, None).unwrap(), None);
    let mut restored = known;
    restored.materialization.snapshot_id = Some(4);
    let version = Fingerprint::of(["now"]);
    let events = vec![
        Event::PointerMoved {
            table: a.asset.clone(),
            from: Some(pointer(3)),
            to: pointer(4),
        },
        Event::RolledBack {
            asset: a.asset.clone(),
            rollback: Rollback {
                snapshot_id: 4,
                to_snapshot: 1,
                from_snapshot: Some(3),
                partitions: 2,
                by: "cli".to_owned(),
                note: Some("the file was cut off".to_owned()),
            },
        },
        Event::PartitionRolledBack {
            step: a,
            restored: Some(restored),
            version: version.clone(),
        },
        Event::PartitionRolledBack {
            step: b,
            restored: None,
            version,
        },
    ];
    events.into_iter().map(|event| recorded(at, event)).collect()
}

fn state() -> Store {
    let mut store = Store::in_memory().unwrap();
    let (a, b) = (step("bronze.raw@a"), step("bronze.raw@b"));
    for (id, what) in [(1, &a), (2, &a), (3, &b)] {
        store.commit(&makes(id as i64 * 100, id, what)).unwrap();
    }
    store
}

#[test]
fn partitions_show_what_they_showed_and_say_why() {
    let mut store = state();
    let events = taken_back(&store, 400);
    store.commit(&events).unwrap();
    assert_eq!(fsck::check(&store).unwrap(), vec![]);
    let loaded = store.load().unwrap();
    let current: Vec<_> = loaded
        .partitions
        .iter()
        .map(|known| {
            let current = known.current.as_ref().unwrap();
            (
                known.step.to_string(),
                current.run.clone(),
                current.at,
                current.snapshot_id,
            )
        })
        .collect();
    assert_eq!(current, [("bronze.raw@a".to_owned(), run(1), 400, Some(4))]);
    let told: Vec<_> = loaded
        .rolled_back
        .iter()
        .map(|known| (known.step.to_string(), known.at, known.note.clone().unwrap()))
        .collect();
    let note = "the file was cut off".to_owned();
    assert_eq!(
        told,
        [
            ("bronze.raw@a".to_owned(), 400, note.clone()),
            ("bronze.raw@b".to_owned(), 400, note)
        ]
    );
    let all = of_asset(&store, &asset("bronze.raw"), 10).unwrap();
    assert_eq!((all.len(), all[0].to_snapshot, all[0].partitions), (1, 1, 2));
    let known = of_partition(&store, &step("bronze.raw@b")).unwrap().unwrap();
    assert_eq!(known, all[0]);
    let made = makers(&store, &asset("bronze.raw"), &[1, 2, 3]).unwrap();
    assert_eq!(made.len(), 3);
    assert_eq!(
        (made[&2].partitions, made[&2].run.clone(), made[&2].trigger.as_deref()),
        (1, run(2), Some("cli"))
    );

    // What is made anew no longer stands by it.
    store.commit(&makes(500, 5, &step("bronze.raw@b"))).unwrap();
    assert_eq!(fsck::check(&store).unwrap(), vec![]);
    let loaded = store.load().unwrap();
    assert_eq!(loaded.partitions.len(), 2);
    assert_eq!(loaded.rolled_back.len(), 1);
    assert_eq!(of_partition(&store, &step("bronze.raw@b")).unwrap(), None);
}

#[test]
fn what_counts_stays_when_old_runs_go() {
    let mut store = state();
    let events = taken_back(&store, 400);
    store.commit(&events).unwrap();
    store.commit(&makes(500, 5, &step("silver.other@a"))[..2]).ok();
    let before = format!("{:?}", store.load().unwrap().partitions);
    let policy = RetentionPolicy {
        before: 1000,
        keep_runs: 0,
    };
    let mut pass = RetentionPass::new(policy);
    let mut runs = Vec::new();
    while let Some(removed) = store.retire(&mut pass).unwrap() {
        runs.extend(removed.runs);
    }
    assert_eq!(runs, [run(1), run(2), run(3)]);
    let loaded = store.load().unwrap();
    assert_eq!(format!("{:?}", loaded.partitions), before);
    assert_eq!(loaded.rolled_back.len(), 2);
    assert_eq!(fsck::check(&store).unwrap(), vec![]);
}

/// The snapshot in which `b` was made is in nobody's list of ancestors any more, and that of `a` before it neither.
#[test]
fn what_a_snapshot_showed_is_known_when_those_before_it_are_gone() {
    let store = state();
    let shown = ShownIn::of(&store, &asset("bronze.raw"), 3, [3].into(), [].into()).unwrap();
    let made = |name: &str| shown.made(&store, &step(name), None).unwrap().map(|made| made.run);
    assert_eq!(made("bronze.raw@a"), Some(run(2)));
    assert_eq!(made("bronze.raw@b"), Some(run(3)));
    assert_eq!(made("bronze.raw@c"), None);
}

/// Where the newest of a removed partition is a failure of before, the sums still follow from the events.
#[test]
fn the_failure_of_a_partition_that_is_no_more_stays() {
    let mut store = state();
    let b = step("bronze.raw@b");
    let failed = [
        submitted(&run(6), std::slice::from_ref(&b)),
        started(&run(6), &attempt(6), std::slice::from_ref(&b), 1),
        Event::StepFailed {
            run: run(6),
            attempt: Some(attempt(6)),
            step: b.clone(),
            failure: assets::outcome::Failure::new(assets::outcome::FailureClass::Data, "a row is wrong"),
            checks: Vec::new(),
        },
        Event::AttemptEnded {
            attempt: attempt(6),
            failure: None,
        },
        Event::RunEnded {
            run: run(6),
            status: RunStatus::Failed,
        },
    ];
    let failed: Vec<_> = failed.into_iter().map(|event| recorded(350, event)).collect();
    store.commit(&failed).unwrap();
    let events = taken_back(&store, 400);
    store.commit(&events).unwrap();
    store.commit(&makes(500, 5, &step("bronze.raw@a"))).unwrap();
    let mut pass = RetentionPass::new(RetentionPolicy {
        before: 450,
        keep_runs: 0,
    });
    while store.retire(&mut pass).unwrap().is_some() {}
    assert_eq!(fsck::check(&store).unwrap(), vec![]);
}

#[test]
fn a_partition_is_not_taken_back_without_its_table() {
    let mut store = state();
    let alone = recorded(
        400,
        Event::PartitionRolledBack {
            step: step("bronze.raw@a"),
            restored: None::<RestoredMaterialization>,
            version: Fingerprint::of(["now"]),
        },
    );
    let refused = store.commit(&[alone]).unwrap_err();
    assert!(refused.to_string().contains("was rolled back"), "{refused}");
}
