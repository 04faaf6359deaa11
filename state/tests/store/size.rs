//! How long the large things take. Ignored by default: `cargo test --release -p millpond-state -- --ignored --nocapture`.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use state::event::Event;
use state::queries::{asset_partitions, assets, runs};
use state::{OpenMode, Store};

use crate::words::{asset, attempt, check, materialization, recorded, run, started, step, submitted};

/// Time passed, and time that this thread was on a processor: the second says more on a busy machine. It includes neither
/// waiting for a sync nor other programs.
struct Watch(Instant, Duration);

impl Watch {
    fn start() -> Self {
        Self(Instant::now(), Self::busy())
    }

    fn stop(&self) -> String {
        format!(
            "{:.1?} ({:.1?} busy)",
            self.0.elapsed(),
            Self::busy().saturating_sub(self.1)
        )
    }

    fn busy() -> Duration {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        Duration::from_nanos(text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0))
    }
}

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
        let begin = Watch::start();
        store.commit(&[recorded(1, submitted(&run, &steps))]).unwrap();
        let submit = begin.stop();
        let begin = Watch::start();
        store
            .commit(&[recorded(1, started(&run, &attempt, &steps, 1))])
            .unwrap();
        let start = begin.stop();
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
        let begin = Watch::start();
        store.commit(&succeeded).unwrap();
        println!(
            "3000 steps: submitted {submit}, started {start}, succeeded with {checks} checks each {}",
            begin.stop()
        );
    }
    let begin = Watch::start();
    for number in 0..50 {
        store
            .commit(&[recorded(
                number,
                submitted(&run(100 + number as u64), &[step("gold.whole")]),
            )])
            .unwrap();
    }
    println!("50 small commits {}", begin.stop());
}

#[test]
#[ignore = "a measurement"]
fn a_million_partitions_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut store = Store::open(&path, OpenMode::Writer).unwrap();
    let begin = Watch::start();
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
    let submit = Watch::start();
    store.commit(&[recorded(4, submitted(&run(99), &open))]).unwrap();
    println!("100000 steps submitted {}", submit.stop());
    println!(
        "filled in {}, {} MB",
        begin.stop(),
        std::fs::metadata(&path).unwrap().len() >> 20
    );
    store.close().unwrap();

    let begin = Watch::start();
    let store = Store::open(&path, OpenMode::Writer).unwrap();
    println!("opened {}", begin.stop());
    let begin = Watch::start();
    let mut count = 0;
    store.load_with(|_| count += 1).unwrap();
    println!("streamed {count} partitions {}", begin.stop());
    let begin = Watch::start();
    let loaded = store.load().unwrap();
    println!(
        "loaded {} partitions, {} open steps {}",
        loaded.partitions.len(),
        loaded.runs[0].steps.len(),
        begin.stop()
    );
    assert_eq!(
        (loaded.partitions.len(), loaded.runs[0].steps.len()),
        (1_000_000, 100_000)
    );
    let begin = Watch::start();
    assets::assets(&store, None, 100).unwrap();
    runs::runs(&store, &runs::RunFilter::default(), None, 50).unwrap();
    asset_partitions::asset_partitions(&store, &asset("silver.table_4"), false, None, 400).unwrap();
    println!("three pages {}", begin.stop());
    drop(store);
    let begin = Watch::start();
    drop(Store::open(&path, OpenMode::Writer).unwrap());
    println!("opened after an unclean end {}", begin.stop());
}
