//! How long the large things take. Ignored by default: `cargo test --release -p millpond-state -- --ignored --nocapture`.
#![allow(clippy::disallowed_methods)]

use std::time::Instant;

use state::event::Event;
use state::queries::{asset_partitions, assets, runs};
use state::{OpenMode, Store};

use crate::words::{asset, attempt, check, materialization, recorded, run, started, step, submitted};

#[test]
#[ignore = "a measurement"]
fn three_thousand_steps_succeed_in_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("state.db"), OpenMode::Writer).unwrap();
    for (number, checks) in [(1, 0), (2, 2), (3, 0), (4, 2)] {
        let steps: Vec<_> = (0..3_000)
            .map(|key| step(&format!("silver.flights@{key:07}")))
            .collect();
        let (run, attempt) = (run(number), attempt(number));
        let begin = Instant::now();
        store.commit(&[recorded(1, submitted(&run, &steps))]).unwrap();
        let submit = begin.elapsed();
        let begin = Instant::now();
        store
            .commit(&[recorded(1, started(&run, &attempt, &steps, 1))])
            .unwrap();
        let start = begin.elapsed();
        let succeeded: Vec<_> = steps
            .iter()
            .map(|step| {
                let checks = (0..checks)
                    .map(|check_number| check(&format!("check {check_number}"), true))
                    .collect();
                let materialization = materialization(step, 9, checks);
                recorded(
                    2,
                    Event::StepSucceeded {
                        run: run.clone(),
                        attempt: attempt.clone(),
                        materialization,
                    },
                )
            })
            .collect();
        let begin = Instant::now();
        store.commit(&succeeded).unwrap();
        println!(
            "3000 steps: submitted {submit:?}, started {start:?}, succeeded with {checks} checks each {:?}",
            begin.elapsed()
        );
    }
    let begin = Instant::now();
    for number in 0..50 {
        store
            .commit(&[recorded(
                number,
                submitted(&run(100 + number as u64), &[step("gold.whole")]),
            )])
            .unwrap();
    }
    println!("one small commit {:?}", begin.elapsed() / 50);
}

#[test]
#[ignore = "a measurement"]
fn a_million_partitions_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut store = Store::open(&path, OpenMode::Writer).unwrap();
    let begin = Instant::now();
    for number in 0..20_u64 {
        let name = format!("silver.table_{}", number / 2);
        let steps: Vec<_> = (0..50_000)
            .map(|key| step(&format!("{name}@{:07}", number % 2 * 50_000 + key)))
            .collect();
        let (run, attempt) = (run(number), attempt(number));
        let mut events = vec![
            recorded(1, submitted(&run, &steps)),
            recorded(1, started(&run, &attempt, &steps, 1)),
        ];
        events.extend(steps.iter().map(|step| {
            let materialization = materialization(step, 9, vec![]);
            recorded(
                2,
                Event::StepSucceeded {
                    run: run.clone(),
                    attempt: attempt.clone(),
                    materialization,
                },
            )
        }));
        events.push(recorded(3, Event::AttemptEnded { attempt, failure: None }));
        events.push(recorded(
            3,
            Event::RunEnded {
                run,
                status: state::status::RunStatus::Succeeded,
            },
        ));
        store.commit(&events).unwrap();
    }
    let open: Vec<_> = (0..100_000)
        .map(|key| step(&format!("silver.table_0@{key:07}")))
        .collect();
    let submit = Instant::now();
    store.commit(&[recorded(4, submitted(&run(99), &open))]).unwrap();
    println!("100000 steps submitted {:?}", submit.elapsed());
    println!(
        "filled in {:?}, {} MB",
        begin.elapsed(),
        std::fs::metadata(&path).unwrap().len() >> 20
    );
    store.close().unwrap();

    let begin = Instant::now();
    let store = Store::open(&path, OpenMode::Writer).unwrap();
    println!("opened {:?}", begin.elapsed());
    let begin = Instant::now();
    let mut count = 0;
    store.load_with(|_| count += 1).unwrap();
    println!("streamed {count} partitions {:?}", begin.elapsed());
    let begin = Instant::now();
    let loaded = store.load().unwrap();
    println!(
        "loaded {} partitions, {} open steps {:?}",
        loaded.partitions.len(),
        loaded.runs[0].steps.len(),
        begin.elapsed()
    );
    assert_eq!(
        (loaded.partitions.len(), loaded.runs[0].steps.len()),
        (1_000_000, 100_000)
    );
    let begin = Instant::now();
    assets::assets(&store, None, 100).unwrap();
    runs::runs(&store, &runs::RunFilter::default(), None, 50).unwrap();
    asset_partitions::asset_partitions(&store, &asset("silver.table_4"), false, None, 400).unwrap();
    println!("three pages {:?}", begin.elapsed());
    drop(store);
    let begin = Instant::now();
    drop(Store::open(&path, OpenMode::Writer).unwrap());
    println!("opened after an unclean end {:?}", begin.elapsed());
}
