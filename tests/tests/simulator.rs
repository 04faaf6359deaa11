//! The core and the store under faults, a thousand seeds at a time.
//!
//! `MILLPOND_SEED=123` repeats one seed, `MILLPOND_SEEDS=100000` runs more of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use millpond_tests::simulator::{Outcome, Sabotage, simulate};

#[allow(clippy::disallowed_methods)] // The one place where a person tells the test which seeds.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Seeds that break a promise after which no more are tried.
const ENOUGH: usize = 10;

fn add(sum: &mut Outcome, more: &Outcome) {
    sum.turns += more.turns;
    sum.runs += more.runs;
    sum.published += more.published;
    sum.crashes += more.crashes;
    sum.ticks += more.ticks;
    sum.decisions += more.decisions;
    sum.freshness += more.freshness;
    sum.raised += more.raised;
    sum.received += more.received;
    sum.events += more.events;
    sum.rollbacks += more.rollbacks;
    sum.tags += more.tags;
    sum.expiries += more.expiries;
    sum.compactions += more.compactions;
    sum.joined += more.joined;
    sum.environments += more.environments;
    sum.merges += more.merges;
    sum.repartitions += more.repartitions;
    sum.swept += more.swept;
    sum.conflicts += more.conflicts;
}

/// Runs the seeds on two threads, and fails with all that break a promise, up to [`ENOUGH`].
fn seeds(from: u64, count: u64) -> Outcome {
    let next = AtomicU64::new(from);
    let broken = Mutex::new(Vec::new());
    let work = || {
        let mut sum = Outcome::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + count || broken.lock().is_ok_and(|broken| broken.len() >= ENOUGH) {
                return sum;
            }
            let found = match std::panic::catch_unwind(|| simulate(seed, None)) {
                Ok(Ok(outcome)) => {
                    add(&mut sum, &outcome);
                    continue;
                }
                Ok(Err(broken)) => broken.to_string(),
                Err(_) => format!("seed {seed}: an assertion failed, as told above"),
            };
            println!("{found}");
            broken.lock().expect("nothing panics with it").push(seed);
        }
    };
    let sum = std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut sum = work();
        match other.join() {
            Ok(more) => add(&mut sum, &more),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        sum
    });
    let mut broken = broken.into_inner().expect("nothing panics with it");
    broken.sort_unstable();
    assert!(
        broken.is_empty(),
        "the seeds {broken:?} break promises, as told above; MILLPOND_SEED=… repeats one"
    );
    sum
}

#[test]
fn promises_hold_under_faults() {
    if let Some(seed) = number("MILLPOND_SEED") {
        match simulate(seed, None) {
            Ok(outcome) => println!("{outcome:?}"),
            Err(broken) => panic!("{broken}"),
        }
        return;
    }
    let sum = seeds(0, number("MILLPOND_SEEDS").unwrap_or(1000));
    println!("{sum:?}");
    // A simulation in which nothing happens proves nothing.
    assert!(
        sum.runs > 1000
            && sum.published > 10_000
            && sum.crashes > 500
            && sum.ticks > 5_000
            && sum.raised > 2_000
            && sum.received > 500
            && sum.events > 5_000,
        "{sum:?}"
    );
    assert!(sum.decisions > 2_000 && sum.freshness > 2_000, "{sum:?}");
    assert!(
        sum.rollbacks > 600
            && sum.tags > 600
            && sum.expiries > 1_500
            && sum.swept > 5_000
            && sum.conflicts > 40
            && sum.compactions > 200
            && sum.joined > 2_000
            && sum.merges > 200
            && sum.repartitions > 50,
        "{sum:?}"
    );
}

#[test]
fn a_seed_repeats_itself() {
    for seed in [3, 17, 40] {
        let told = |()| format!("{:?}", simulate(seed, None).map_err(|broken| broken.to_string()));
        assert_eq!(told(()), told(()));
    }
}

#[test]
fn bugs_put_in_on_purpose_are_noticed() {
    for &bug in Sabotage::ALL {
        // A bug may also show as a worker that is given other steps than it speaks of, which the simulator's own worker asserts.
        let noticed = (0..200).find_map(|seed| match std::panic::catch_unwind(|| simulate(seed, Some(bug))) {
            Ok(Ok(_)) => None,
            Ok(Err(broken)) => Some((seed, format!("{:?}", broken.broken.invariant))),
            Err(_) => Some((seed, "an assertion of the simulator's worker".to_owned())),
        });
        match noticed {
            Some((seed, what)) => println!("{bug:?}: seed {seed} breaks {what}"),
            None => panic!("{bug:?} is not noticed within 200 seeds"),
        }
    }
}
