//! Answers as pages get them: their JSON, and what large runs do to lists.

use serde_json::json;
use state::Store;
use state::event::Event;
use state::queries::{checks, events, materializations, run_steps, runs, why};

use crate::words::{attempt, check, failure, materialization, recorded, run, started, step, submitted};

#[test]
fn the_plan_of_a_large_run_is_not_sent_to_every_page() {
    let mut store = Store::in_memory().unwrap();
    let many: Vec<_> = (0..3_000)
        .map(|key| step(&format!("silver.flights@{key:05}")))
        .collect();
    store
        .commit(&[
            recorded(1, submitted(&run(1), &many)),
            recorded(2, submitted(&run(2), &many[..1])),
        ])
        .unwrap();
    let listed = events::since(&store, 0, None, 10).unwrap();
    assert_eq!(
        listed.rows.iter().map(|row| row.event.is_some()).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(listed.next, None);
    let Some(Event::RunSubmitted { steps, .. }) = events::one(&store, 1).unwrap() else {
        panic!()
    };
    assert_eq!(steps.len(), 3_000);
    assert_eq!(events::since(&store, 0, Some(&run(2)), 10).unwrap().rows[0].seq, 2);
    assert_eq!(events::newest(&store).unwrap(), 2);
}

#[test]
fn events_that_name_an_attempt_belong_to_its_run() {
    let mut store = Store::in_memory().unwrap();
    let steps = [step("gold.whole")];
    let events = [
        submitted(&run(1), &steps),
        started(&run(1), &attempt(1), &steps, 1),
        Event::StepStaged {
            attempt: attempt(1),
            step: steps[0].clone(),
            rows: 2,
        },
        Event::AttemptEnded {
            attempt: attempt(1),
            failure: None,
        },
    ];
    store.commit(&events.map(|event| recorded(1, event))).unwrap();
    assert_eq!(events::since(&store, 0, Some(&run(1)), 10).unwrap().rows.len(), 4);
    for row in events::since(&store, 0, None, 10).unwrap().rows {
        // The stored type is the tag in the JSON.
        assert_eq!(row.event.unwrap()["type"], json!(row.r#type));
    }
}

#[test]
fn why_has_the_failure_and_what_came_before() {
    let mut store = Store::in_memory().unwrap();
    let steps = [step("silver.flights@a")];
    let events = [
        submitted(&run(1), &steps),
        started(&run(1), &attempt(1), &steps, 1),
        Event::StepSucceeded {
            run: run(1),
            attempt: attempt(1),
            materialization: materialization(&steps[0], 5, vec![check("a", true)]),
        },
        submitted(&run(2), &steps),
        started(&run(2), &attempt(2), &steps, 1),
        Event::StepFailed {
            run: run(2),
            attempt: Some(attempt(2)),
            step: steps[0].clone(),
            failure: failure("line 7"),
            checks: vec![check("a", false)],
        },
    ];
    store.commit(&events.map(|event| recorded(9, event))).unwrap();
    let facts = why::why(&store, &steps[0], 5).unwrap();
    let partition = facts.partition.as_ref().unwrap();
    assert!(partition.failed);
    assert_eq!(partition.current.as_ref().unwrap().rows, 5);
    assert_eq!(partition.last_failure.as_ref().unwrap().failure.message, "line 7");
    assert_eq!(facts.failed_checks[0].result.failing_rows, Some(3));
    let made_by = facts.made_by.as_ref().unwrap();
    assert_eq!((made_by.run.clone(), made_by.checks.len()), (run(1), 1));
    assert_eq!(made_by.request.as_ref().unwrap().trigger, "cli");
    assert_eq!(
        facts.steps.iter().map(|row| row.run.clone()).collect::<Vec<_>>(),
        [run(2), run(1)]
    );
    assert_eq!(facts.attempts[0].failure.as_ref().unwrap().message, "line 7");
    assert_eq!(facts.attempts[1].failure, None);
    let never = why::why(&store, &step("silver.flights@b"), 5).unwrap();
    assert!(never.partition.is_none() && never.made_by.is_none() && never.steps.is_empty());
    // Pages and `--json` send it as it is.
    let json = serde_json::to_value(&facts).unwrap();
    assert_eq!(json["steps"][0]["status"], "failed");
    assert_eq!(json["partition"]["partition"], "a");
}

#[test]
fn runs_are_found_by_status_and_asset() {
    let mut store = Store::in_memory().unwrap();
    store
        .commit(&[
            recorded(1, submitted(&run(1), &[step("gold.whole")])),
            recorded(2, submitted(&run(2), &[step("silver.flights@a")])),
            recorded(
                3,
                Event::RunEnded {
                    run: run(1),
                    status: state::status::RunStatus::Canceled,
                },
            ),
            recorded(4, submitted(&run(3), &[])),
        ])
        .unwrap();
    let list = |status, asset: Option<&str>| {
        let filter = runs::RunFilter {
            status,
            asset: asset.map(|asset| asset.parse().unwrap()),
        };
        runs::runs(&store, &filter, None, 10)
            .unwrap()
            .rows
            .into_iter()
            .map(|row| row.run)
            .collect::<Vec<_>>()
    };
    assert_eq!(list(None, None), [run(3), run(2), run(1)]);
    assert_eq!(list(Some(state::status::RunStatus::Canceled), None), [run(1)]);
    assert_eq!(list(None, Some("silver.flights")), [run(2)]);
    assert_eq!(
        list(Some(state::status::RunStatus::Canceled), Some("silver.flights")),
        []
    );
}

#[test]
fn a_run_tells_what_it_made_what_that_took_and_who_tried_again() {
    let mut store = Store::in_memory().unwrap();
    let keys: Vec<_> = ["a", "b", "c"].map(|key| step(&format!("silver.flights@{key}"))).into();
    let request = |trigger: &str| Event::RunSubmitted {
        run: run(if trigger == "backfill" { 1 } else { 2 }),
        request: state::event::RunRequest {
            trigger: trigger.into(),
            ..crate::words::request()
        },
        steps: keys
            .iter()
            .map(|step| state::event::PlannedStep {
                step: step.clone(),
                reason: "missing".into(),
            })
            .collect(),
        definitions: None,
    };
    let made = |key: usize, rows, checks| Event::StepSucceeded {
        run: run(1),
        attempt: attempt(1),
        materialization: materialization(&keys[key], rows, checks),
    };
    let events = [
        (1_000, request("backfill")),
        (2_000, started(&run(1), &attempt(1), &keys, 1)),
        (3_000, made(0, 5, vec![check("warned", false)])),
        (4_000, made(1, 7, vec![check("warned", true)])),
        (
            5_000,
            Event::StepFailed {
                run: run(1),
                attempt: Some(attempt(1)),
                step: keys[2].clone(),
                failure: failure("line 7"),
                checks: vec![check("blocked", false)],
            },
        ),
        (
            8_000,
            Event::AttemptEnded {
                attempt: attempt(1),
                failure: None,
            },
        ),
        (
            9_000,
            Event::RunEnded {
                run: run(1),
                status: state::status::RunStatus::Failed,
            },
        ),
        (10_000, request(&format!("retry of {}", run(1)))),
    ];
    store.commit(&events.map(|(at, event)| recorded(at, event))).unwrap();
    let asset = &keys[0].asset;
    let found = materializations::made_by_run(&store, &run(1), 1, asset, 2).unwrap();
    assert_eq!(
        (found.partitions, found.rows, found.bytes, found.snapshots),
        (2, 12, 120, 2)
    );
    assert_eq!(found.last_snapshot, Some(7_000_000_000_000_000_007));
    // Six seconds over three partitions, one of them in vain.
    let cost = materializations::cost(&store, asset, 100).unwrap().unwrap();
    assert_eq!((cost.partitions, cost.rows, cost.micros, cost.tried), (2, 12, 6_000, 3));
    assert_eq!(
        materializations::cost(&store, &step("gold.whole").asset, 100).unwrap(),
        None
    );
    let listed = runs::backfills(&store, false, None, 10).unwrap();
    assert_eq!(
        listed.rows.iter().map(|one| one.row.run.clone()).collect::<Vec<_>>(),
        [run(1)]
    );
    assert!(runs::backfills(&store, true, None, 10).unwrap().rows.is_empty());
    assert_eq!(runs::retries_of(&store, &run(1), 5).unwrap()[0].run, run(2));
    assert_eq!(runs::open_counts(&store).unwrap(), (1, 0));
    let (newest, more) = runs::runs_since(&store, 5_000, 10).unwrap();
    assert_eq!((newest.len(), newest[0].run.clone(), more), (1, run(2), false));
    // The newest try of each partition counts, published or not.
    let failing = checks::failing(&store, 100).unwrap();
    let failing: Vec<_> = failing
        .iter()
        .map(|one| (one.newest.result.name.as_str(), one.newest.published, one.partitions))
        .collect();
    assert_eq!(failing, [("blocked", false, 1), ("warned", true, 1)]);
    let mut statuses = Vec::new();
    run_steps::each_status(&store, &run(1), asset, Some(("a", "b")), |key, status| {
        statuses.push(format!("{key} {}", status.as_str()));
    })
    .unwrap();
    assert_eq!(statuses, ["a succeeded", "b succeeded"]);
}

#[test]
fn events_are_read_backwards_each_once_however_few_are_wanted() {
    let mut store = Store::in_memory().unwrap();
    let steps = [step("gold.whole")];
    let many: Vec<_> = (1..=40)
        .map(|number| recorded(number, submitted(&run(number as u64), &steps)))
        .collect();
    store.commit(&many).unwrap();
    let wanted = run(7);
    let (mut before, mut found, mut parts) = (None, Vec::new(), 0);
    loop {
        let by_run = |_: &str, of: Option<&str>| of == Some(wanted.as_str());
        let part = events::back(&store, before, 3, 10, by_run, |_, json| json.is_some()).unwrap();
        found.extend(part.rows.iter().map(|row| row.seq));
        parts += 1;
        before = part.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!((found, parts), (vec![7], 4), "ten are looked at at a time");
    let all = events::back(&store, Some(4), 10, 100, |_, _| true, |_, _| true).unwrap();
    assert_eq!(all.rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!((all.next, all.looked_back_to), (None, Some(1)));
}
