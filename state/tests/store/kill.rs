//! A process that commits and is killed: what it acknowledged is there, what is there it sent, and the file is sound.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use rand_like::Steps;
use state::event::{Event, OwnerMode};
use state::{OpenMode, Owner, OwnerLock, StateError, Store, fsck};

use crate::words::{asset, attempt, materialization, pointer, recorded, run, started, step, submitted};

const CHILD: &str = "MILLPOND_TEST_KILL_CHILD";

/// A fixed walk of numbers, so that a failure can be repeated as far as signals allow it.
mod rand_like {
    pub(super) struct Steps(pub(super) u64);

    impl Steps {
        pub(super) fn below(&mut self, limit: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % limit
        }
    }
}

/// Batch `number`: a whole run of three partitions that ends with its pointer moved; then it says so.
fn batch(number: u64) -> Vec<state::event::Recorded> {
    let steps: Vec<_> = (0..3)
        .map(|key| step(&format!("silver.flights@{:04}", number * 3 + key)))
        .collect();
    let (run, attempt) = (run(number), attempt(number));
    let mut events = vec![submitted(&run, &steps), started(&run, &attempt, &steps, 1)];
    for step in &steps {
        let materialization = materialization(step, number, vec![]);
        events.push(Event::StepSucceeded {
            run: run.clone(),
            attempt: attempt.clone(),
            materialization,
        });
    }
    let from = (number > 1).then(|| pointer(number - 1));
    events.push(Event::PointerMoved {
        table: asset("silver.flights"),
        from,
        to: pointer(number),
    });
    events.push(Event::AttemptEnded { attempt, failure: None });
    events.push(Event::RunEnded {
        run,
        status: state::status::RunStatus::Succeeded,
    });
    events.into_iter().map(|event| recorded(number as i64, event)).collect()
}

const EVENTS_PER_BATCH: i64 = 8;

/// Run as a child by the test below; by itself it does nothing.
#[test]
fn child_that_commits_until_it_is_killed() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let folder = std::path::PathBuf::from(folder);
    let owner = Owner {
        pid: std::process::id(),
        url: None,
        boot: String::new(),
    };
    let _lock = OwnerLock::acquire(&folder, &owner).unwrap();
    let mut store = Store::open(&folder.join("state.db"), OpenMode::Writer).unwrap();
    let first = store.last_seq() / EVENTS_PER_BATCH + 1;
    let mut out = std::io::stdout().lock();
    // Bounded, should nobody kill it.
    for number in first..first + 5_000 {
        writeln!(out, "send {number}").unwrap();
        out.flush().unwrap();
        store.commit(&batch(number as u64)).unwrap();
        writeln!(out, "done {number}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn what_was_acknowledged_survives_thirty_kills() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut delays = Steps(7);
    let mut acknowledged_in_all = 0;
    for round in 0..30 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_that_commits_until_it_is_killed", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first_words = lines
            .by_ref()
            .find(|line| line.as_ref().unwrap().contains("send "))
            .unwrap()
            .unwrap();
        let (mut sent, mut acknowledged) = (number(&first_words), number(&first_words) - 1);
        if round == 0 {
            let second = OwnerLock::acquire(
                folder.path(),
                &Owner {
                    pid: 1,
                    url: None,
                    boot: String::new(),
                },
            );
            assert!(matches!(second.unwrap_err(), StateError::Owned { pid: Some(pid), .. } if pid == child.id()));
        }
        let killer = std::thread::spawn({
            let delay = Duration::from_micros(delays.below(60_000));
            move || {
                std::thread::sleep(delay);
                child.kill().unwrap();
                child.wait().unwrap();
            }
        });
        // To the end of the pipe: everything it managed to say.
        for line in lines.map_while(Result::ok) {
            if line.starts_with("send ") {
                sent = number(&line);
            } else if line.starts_with("done ") {
                acknowledged = number(&line);
            }
        }
        killer.join().unwrap();
        // The kernel released the lock with the process.
        drop(
            OwnerLock::acquire(
                folder.path(),
                &Owner {
                    pid: 1,
                    url: None,
                    boot: String::new(),
                },
            )
            .unwrap(),
        );
        let store = Store::open(&path, OpenMode::Writer).unwrap();
        let stored = store.last_seq() / EVENTS_PER_BATCH;
        assert_eq!(store.last_seq() % EVENTS_PER_BATCH, 0, "round {round}: part of a batch");
        assert!(
            acknowledged <= stored && stored <= sent,
            "round {round}: {acknowledged} <= {stored} <= {sent}"
        );
        if stored > 0 {
            assert_eq!(
                store.pointer(&asset("silver.flights")).unwrap(),
                Some(pointer(stored as u64))
            );
        }
        assert_eq!(fsck::check(&store).unwrap(), vec![]);
        acknowledged_in_all = acknowledged;
        // As after a crash: the next owner starts from the same file without a clean end.
        drop(store);
    }
    assert!(
        acknowledged_in_all > 30,
        "only {acknowledged_in_all} batches: the kills came too early to mean anything"
    );
    let mut store = Store::open(&path, OpenMode::Writer).unwrap();
    store
        .commit(&[recorded(
            1,
            Event::Started {
                boot: "end".into(),
                mode: OwnerMode::Daemon,
            },
        )])
        .unwrap();
    store.close().unwrap();
}

/// The number at the end of `send 12`; a test harness may have written before it on the line.
fn number(line: &str) -> i64 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}
