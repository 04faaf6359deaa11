//! Sensors in the store: a tick, its events and its run are one; an event is told of once.

use assets::PartitionKey;
use state::event::Event;
use state::ids::RunId;
use state::schedule::TickStatus;
use state::sensor::{DeclaredSensor, SensorEvent, SensorTick};
use state::sqlite::queries::sensors::{all_sensor_ticks, sensor_events, sensor_tick_of_run, sensor_ticks, sensors};
use state::sqlite::{CommitError, fsck};
use state::{Loaded, Store};

use crate::words::{recorded, run, step, submitted};

fn declared(scope: &str, paused: bool) -> Event {
    Event::SensorDeclared {
        sensor: "landing".into(),
        declared: DeclaredSensor {
            kind: "files".into(),
            watches: "landing/*.csv".into(),
            scope: scope.into(),
        },
        paused,
    }
}

fn event(key: &str) -> SensorEvent {
    SensorEvent {
        key: key.into(),
        what: format!("landing/{key}.csv"),
        partitions: vec![PartitionKey::new(key).unwrap()],
        payload: None,
    }
}

fn tick(number: u64, keys: &[&str], run: Option<RunId>) -> SensorTick {
    let requested = run.is_some();
    SensorTick {
        sensor: "landing".into(),
        number,
        status: if requested {
            TickStatus::Requested
        } else {
            TickStatus::Failed
        },
        reason: (!requested).then(|| "it does not answer".into()),
        run,
        asked_by: None,
        events: keys.iter().map(|key| event(key)).collect(),
        cursor: Some(format!("after {number}")),
        lag: 3,
        failures: None,
    }
}

/// The keys that a sensor remembers.
fn remembered(loaded: &Loaded) -> Vec<&str> {
    loaded.sensors["landing"]
        .told
        .iter()
        .map(|(key, _)| key.as_str())
        .collect()
}

fn told(tick: SensorTick) -> Event {
    Event::SensorTicked { tick }
}

fn refused(store: &mut Store, events: &[Event]) -> String {
    let events: Vec<_> = events.iter().map(|event| recorded(9, event.clone())).collect();
    match store.commit(&events) {
        Err(CommitError::Illegal { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

fn taken(store: &mut Store, events: &[Event]) -> Loaded {
    let events: Vec<_> = events.iter().map(|event| recorded(5, event.clone())).collect();
    store.commit(&events).unwrap();
    assert_eq!(fsck::check(store).unwrap(), []);
    store.load().unwrap()
}

#[test]
fn a_tick_its_events_and_its_run_are_one() {
    let mut store = Store::in_memory().unwrap();
    let first = run(1);
    let loaded = taken(
        &mut store,
        &[
            declared("a", false),
            submitted(&first, &[step("bronze.raw")]),
            told(tick(1, &["x", "y"], Some(first.clone()))),
        ],
    );
    let sensor = &loaded.sensors["landing"];
    assert_eq!((sensor.ticks, sensor.failures, sensor.lag), (1, 0, 3));
    assert_eq!(sensor.cursor.as_deref(), Some("after 1"));
    assert_eq!(remembered(&loaded), ["x", "y"]);

    // Told of before, in the same tick twice, out of turn, for a run that another tick requested: all of it is refused, and
    // nothing of the refused commit is there.
    let again = refused(&mut store, &[told(tick(2, &["z", "y"], None))]);
    assert!(again.contains("told of `y` before"), "{again}");
    assert!(refused(&mut store, &[told(tick(2, &["z", "z"], None))]).contains("`z` before"));
    assert!(refused(&mut store, &[told(tick(3, &["z"], None))]).contains("does not follow"));
    assert!(
        store
            .commit(&[recorded(9, told(tick(2, &["z"], Some(first.clone()))))])
            .is_err()
    );
    assert_eq!(store.load().unwrap().sensors["landing"].ticks, 1);

    // A look that failed counts; one that tells of something ends the count.
    let loaded = taken(&mut store, &[told(tick(2, &[], None)), told(tick(3, &[], None))]);
    assert_eq!(loaded.sensors["landing"].failures, 2);
    let loaded = taken(&mut store, &[told(tick(4, &["z"], None))]);
    assert_eq!(
        (loaded.sensors["landing"].failures, loaded.sensors["landing"].told.len()),
        (0, 3)
    );

    let ticks = sensor_ticks(&store, "landing", None, 2).unwrap();
    let numbers: Vec<u64> = ticks.rows.iter().map(|row| row.number).collect();
    assert_eq!((numbers, ticks.next), (vec![4, 3], Some(3)));
    let older = sensor_ticks(&store, "landing", ticks.next, 10).unwrap();
    assert_eq!(older.rows.len(), 2);
    assert_eq!(all_sensor_ticks(&store, None, 10).unwrap().rows.len(), 4);
    let of_run = sensor_tick_of_run(&store, &first).unwrap().unwrap();
    assert_eq!((of_run.number, of_run.events), (1, 2));
    assert_eq!(of_run.examples, ["landing/x.csv", "landing/y.csv"]);
    let events = sensor_events(&store, "landing", 1, None, 1).unwrap();
    assert_eq!((events.rows[0].key.as_str(), events.next.as_deref()), ("x", Some("x")));
}

#[test]
fn what_is_watched_says_whether_a_cursor_still_means_something() {
    let mut store = Store::in_memory().unwrap();
    taken(&mut store, &[declared("a", false), told(tick(1, &["x"], None))]);
    let loaded = taken(&mut store, &[declared("a", true)]);
    assert_eq!(loaded.sensors["landing"].cursor.as_deref(), Some("after 1"));
    assert_eq!(loaded.sensors["landing"].paused, Some((5, "the declaration".into())));
    let loaded = taken(&mut store, &[declared("b", false)]);
    let sensor = &loaded.sensors["landing"];
    assert_eq!((sensor.cursor.as_deref(), sensor.lag, sensor.ticks), (None, 0, 1));
    // What was told of stays told of.
    assert_eq!(remembered(&loaded), ["x"]);
    let gone = Event::SensorRemoved {
        sensor: "landing".into(),
    };
    let loaded = taken(&mut store, &[gone.clone()]);
    assert!(!loaded.sensors["landing"].declared);
    assert!(refused(&mut store, &[gone]).contains("not declared"));
    assert!(refused(&mut store, &[told(tick(2, &["y"], None))]).contains("does not follow"));
    assert_eq!(sensors(&store, None, 10).unwrap().rows.len(), 1);
}

#[test]
fn what_is_forgotten_can_be_told_of_again() {
    let mut store = Store::in_memory().unwrap();
    taken(
        &mut store,
        &[
            declared("a", false),
            told(tick(1, &["x", "y"], None)),
            told(tick(2, &[], None)),
            told(tick(3, &["z"], None)),
            told(tick(4, &["w"], None)),
        ],
    );
    let forgot = Event::SensorForgot {
        sensor: "landing".into(),
        ticks: vec![(1, 3)],
    };
    let loaded = taken(&mut store, &[forgot]);
    let sensor = &loaded.sensors["landing"];
    assert_eq!((remembered(&loaded), sensor.ticks), (vec!["w"], 4));
    assert_eq!(sensor.told_at.keys().collect::<Vec<_>>(), [&4]);
    // The tick still says how much it told of.
    let ticks = sensor_ticks(&store, "landing", None, 9).unwrap().rows;
    let events: Vec<(u64, usize)> = ticks.iter().map(|row| (row.events, row.examples.len())).collect();
    assert_eq!(events, [(1, 1), (1, 0), (0, 0), (2, 0)]);
    let loaded = taken(&mut store, &[told(tick(5, &["x"], None))]);
    assert_eq!(remembered(&loaded), ["w", "x"]);
    assert!(refused(&mut store, &[told(tick(6, &["w"], None))]).contains("told of `w` before"));
}
