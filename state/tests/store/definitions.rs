//! Copies of the definitions: of those in force and of each that an open run needs, and of no others.

use assets::Fingerprint;
use state::Store;
use state::event::Event;
use state::status::RunStatus;

use crate::words::{recorded, run, step, submitted};

fn version(name: &str) -> Fingerprint {
    Fingerprint::of([name])
}

fn run_with(name: &str, id: u64) -> Event {
    let mut event = submitted(&run(id), &[step("gold.whole")]);
    if let Event::RunSubmitted { definitions, .. } = &mut event {
        *definitions = Some(version(name));
    }
    event
}

#[test]
fn a_copy_stays_while_it_is_in_force_or_a_run_is_open() {
    let mut store = Store::in_memory().unwrap();
    assert_eq!(store.definitions().unwrap(), None);
    for name in ["one", "two", "three"] {
        store
            .remember_definitions(&version(name), &format!("{{{name}}}"))
            .unwrap();
        let id = name.len() as u64;
        if name != "two" {
            store.commit(&[recorded(1, run_with(name, id))]).unwrap();
        }
        assert_eq!(store.definitions().unwrap(), Some(format!("{{{name}}}")));
    }
    let kept = |store: &Store| -> Vec<bool> {
        let copies = ["one", "two", "three"].map(|name| store.definitions_of(&version(name)).unwrap());
        copies.iter().map(Option::is_some).collect()
    };
    assert_eq!(kept(&store), [true, true, true]);
    assert_eq!(store.drop_definitions().unwrap(), 1);
    assert_eq!(kept(&store), [true, false, true]);
    let loaded = store.load().unwrap();
    assert_eq!(loaded.runs[0].definitions, Some(version("one")));
    for id in [3, 5] {
        let over = [
            Event::StepCanceled {
                run: run(id),
                step: step("gold.whole"),
            },
            Event::RunEnded {
                run: run(id),
                status: RunStatus::Failed,
            },
        ];
        store.commit(&over.map(|event| recorded(2, event))).unwrap();
    }
    // The one in force stays, whoever needs it.
    assert_eq!(store.drop_definitions().unwrap(), 1);
    assert_eq!(kept(&store), [false, false, true]);
    // An edit that was taken back.
    store.remember_definitions(&version("one"), "{one}").unwrap();
    store.remember_definitions(&version("three"), "{three}").unwrap();
    assert_eq!(store.drop_definitions().unwrap(), 1);
    assert_eq!(store.definitions().unwrap(), Some("{three}".to_owned()));
}
