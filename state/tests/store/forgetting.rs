//! What sensors and alerts leave behind is removed, nothing else changes, and the tables still follow from the events.

use std::collections::BTreeMap;

use proptest::prelude::*;
use state::event::{Event, Micros};
use state::queries::alerts::messages;
use state::queries::sensors::sensor_ticks;
use state::schedule::TickStatus;
use state::sensor::{DeclaredSensor, SensorEvent, SensorTick};
use state::sqlite::loaded_alerts::MESSAGES;
use state::sqlite::retention::{RetentionPass, RetentionPolicy};
use state::status::RunStatus;
use state::{Store, fsck};

use crate::alerts::{self, ModelAlert};
use crate::words::{recorded, run, step, submitted};

/// Removes what is older than `before`, and looks after every slice whether all is well.
fn retire(store: &mut Store, before: Micros) -> u64 {
    let loaded = |store: &Store| format!("{:?}", store.load().unwrap());
    let known = loaded(store);
    let mut pass = RetentionPass::new(RetentionPolicy { before, keep_runs: 0 });
    let mut events = 0;
    while let Some(removed) = store.retire(&mut pass).unwrap() {
        events += removed.events;
        assert_eq!(fsck::check(store).unwrap(), vec![]);
    }
    assert_eq!(loaded(store), known);
    events
}

/// Numbers that look random.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// What one sensor told of, as its events say.
#[derive(Default)]
struct ModelSensor {
    ticks: u64,
    failures: u64,
    /// The keys of each tick that is remembered.
    remembered: BTreeMap<u64, Vec<String>>,
}

impl ModelSensor {
    fn next(&mut self, name: &str, chance: &mut Chance, runs: &mut Vec<u64>, newest_run: &mut u64) -> Vec<Event> {
        let declared = |scope: &str| Event::SensorDeclared {
            sensor: name.to_owned(),
            declared: DeclaredSensor {
                kind: "files".into(),
                watches: "landing/*.csv".into(),
                scope: scope.into(),
            },
            paused: false,
        };
        match (self.ticks, chance.below(10)) {
            (0, _) => {
                let first = [declared("a"), self.tick(name, &[], None)];
                first.into_iter().collect()
            }
            (_, 0) => {
                self.failures = 0;
                vec![declared(["a", "b"][chance.below(2)])]
            }
            (_, 1..=3) => vec![self.tick(name, &[], None)],
            (_, 4..=7) => {
                let known: Vec<&String> = self.remembered.values().flatten().collect();
                let new = (0..30).map(|number| format!("key {number}"));
                let new = new.filter(|key| !known.contains(&key)).skip(chance.below(20));
                let keys: Vec<String> = new.take(1 + chance.below(2)).collect();
                match (keys.is_empty(), chance.below(2)) {
                    (true, _) => Vec::new(),
                    (false, 0) => vec![self.tick(name, &keys, None)],
                    (false, _) => {
                        *newest_run += 1;
                        runs.push(*newest_run);
                        vec![
                            submitted(&run(*newest_run), &[step("gold.whole")]),
                            self.tick(name, &keys, Some(*newest_run)),
                        ]
                    }
                }
            }
            _ => {
                let goes: Vec<u64> = self
                    .remembered
                    .keys()
                    .copied()
                    .filter(|_| chance.below(3) > 0)
                    .collect();
                self.remembered.retain(|tick, _| !goes.contains(tick));
                match goes.is_empty() {
                    true => Vec::new(),
                    false => vec![Event::SensorForgot {
                        sensor: name.to_owned(),
                        ticks: goes.into_iter().map(|tick| (tick, tick)).collect(),
                    }],
                }
            }
        }
    }

    fn tick(&mut self, name: &str, keys: &[String], by: Option<u64>) -> Event {
        self.ticks += 1;
        self.failures = if keys.is_empty() { self.failures + 1 } else { 0 };
        if !keys.is_empty() {
            self.remembered.insert(self.ticks, keys.to_vec());
        }
        let event = |key: &String| SensorEvent {
            key: key.clone(),
            what: key.clone(),
            partitions: Vec::new(),
            payload: None,
        };
        Event::SensorTicked {
            tick: SensorTick {
                sensor: name.to_owned(),
                number: self.ticks,
                status: if by.is_some() {
                    TickStatus::Requested
                } else {
                    TickStatus::Failed
                },
                reason: by.is_none().then(|| "it does not answer".into()),
                run: by.map(run),
                asked_by: None,
                events: keys.iter().map(event).collect(),
                cursor: Some(self.ticks.to_string()),
                lag: self.ticks % 3,
                failures: keys.is_empty().then_some(self.failures),
            },
        }
    }
}

fn commit(store: &mut Store, time: &mut Micros, events: Vec<Event>) {
    let one = |event| {
        *time += 10;
        recorded(*time, event)
    };
    let events: Vec<_> = events.into_iter().map(one).collect();
    store.commit(&events).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_a_sensor_stays_what_it_remembers(seed in any::<u64>()) {
        let (mut store, mut chance, mut time) = (Store::in_memory().unwrap(), Chance(seed), 0);
        let mut sensors = [("landing", ModelSensor::default()), ("mail", ModelSensor::default())];
        let (mut runs, mut newest_run) = (Vec::new(), 0);
        for _ in 0..6 {
            for _ in 0..40 {
                let (name, sensor) = &mut sensors[chance.below(2)];
                let mut events = sensor.next(name, &mut chance, &mut runs, &mut newest_run);
                if chance.below(3) == 0 && !runs.is_empty() {
                    let over = runs.swap_remove(chance.below(runs.len()));
                    events.push(Event::StepCanceled { run: run(over), step: step("gold.whole") });
                    events.push(Event::RunEnded { run: run(over), status: RunStatus::Failed });
                }
                commit(&mut store, &mut time, events);
            }
            retire(&mut store, time - chance.below(3_000) as Micros);
        }
        // Once nothing is open, all goes that is not remembered; the newest tick says how far the sensor is.
        // Another run is the newest: that one always stays.
        newest_run += 1;
        runs.push(newest_run);
        commit(&mut store, &mut time, vec![submitted(&run(newest_run), &[step("gold.whole")])]);
        for over in runs.drain(..) {
            let events = vec![
                Event::StepCanceled { run: run(over), step: step("gold.whole") },
                Event::RunEnded { run: run(over), status: RunStatus::Failed },
            ];
            commit(&mut store, &mut time, events);
        }
        commit(&mut store, &mut time, vec![Event::Started { boot: "b".into(), mode: state::event::OwnerMode::Daemon }]);
        retire(&mut store, time + 1);
        for (name, sensor) in &sensors {
            let left = sensor_ticks(&store, name, None, 1_000).unwrap().rows;
            let left: Vec<u64> = left.iter().rev().map(|row| row.number).collect();
            let mut expected: Vec<u64> = sensor.remembered.keys().copied().collect();
            expected.extend((!expected.contains(&sensor.ticks)).then_some(sensor.ticks));
            prop_assert_eq!(left, expected);
        }
    }

    #[test]
    fn of_an_alert_stays_what_is_open_and_its_newest_messages(seed in any::<u64>()) {
        let (mut store, mut chance, mut time) = (Store::in_memory().unwrap(), Chance(seed), 0);
        let mut model: BTreeMap<String, ModelAlert> = BTreeMap::new();
        let mut last = 0;
        let mut removed = 0;
        for _ in 0..12 {
            for _ in 0..120 {
                if let Some(event) = alerts::next_event(&model, time, &mut |limit| chance.below(limit)) {
                    time += 10;
                    last += 1;
                    let one = recorded(time, event);
                    alerts::apply(&mut model, last, &one);
                    store.commit(std::slice::from_ref(&one)).unwrap();
                }
            }
            removed += retire(&mut store, time - chance.below(3_000) as Micros);
        }
        prop_assert!(removed > 300, "only {} events were removed", removed);
        retire(&mut store, time + 1);
        for name in model.keys() {
            let left = messages(&store, Some(name), None, 10_000).unwrap().rows;
            prop_assert!(left.len() <= MESSAGES, "{} messages are left", left.len());
        }
        let rows = store.load().unwrap();
        for (name, alert) in &model {
            prop_assert_eq!(rows.alerts[name].open.len(), alert.open_count());
        }
    }
}
