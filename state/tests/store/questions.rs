//! Answers as pages get them: their JSON, and what large runs do to lists.

use serde_json::json;
use state::Store;
use state::event::Event;
use state::queries::{events, runs, why};

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
