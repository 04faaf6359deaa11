//! Sensors in the core, without a daemon: what becomes of each look, told by the events alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use assets::partition::Partitioning;
use assets::selection::Selection;
use assets::sensor::{FileIdentity, FilesSource, SensorSource};
use assets::{Asset, AssetGraph, Fingerprint, Location, PartitionKey, PartitionedBy, Sensor, WriteMode};
use orchestrator::core::{
    Answer, CoreSettings, Definitions, Effect, Input, SensorLook, SensorSight, World, check_same, turn, wait_of,
};
use state::Store;
use state::event::{Event, Micros, OwnerMode, PartitionChoice};
use state::schedule::TickStatus;
use state::sensor::{SensorEvent, SensorTick};

const SECOND: Micros = 1_000_000;

fn place() -> Location {
    Location {
        file: "millpond.toml".to_owned(),
        line: 1,
        column: 1,
    }
}

fn key(text: &str) -> PartitionKey {
    PartitionKey::new(text).unwrap()
}

fn asset(name: &str, partitioning: Option<Partitioning>) -> Asset {
    Asset {
        key: name.parse().unwrap(),
        kind: "sql".to_owned(),
        description: None,
        owner: None,
        tags: Vec::new(),
        partitions: partitioning.map(|partitioning| PartitionedBy {
            name: "set".to_owned(),
            column: "part".to_owned(),
            partitioning,
        }),
        key_columns: Vec::new(),
        sort_columns: Vec::new(),
        write: WriteMode::Replace,
        contract: assets::Contract::default(),
        inputs: Vec::new(),
        checks: Vec::new(),
        freshness: None,
        automation: None,
        rules: assets::StepRules::default(),
        fingerprint: Fingerprint::of([name]),
        config: serde_json::Value::Null,
        declared_at: place(),
    }
}

fn sensor(select: &str, path: &str) -> Sensor {
    Sensor {
        name: "landing".to_owned(),
        description: None,
        source: SensorSource::Files(FilesSource {
            path: path.to_owned(),
            settle_seconds: 5,
            rescan_seconds: 60,
            identity: FileIdentity::Stat,
        }),
        selection: Selection::parse(select).unwrap(),
        every_seconds: 30,
        deadline_seconds: 60,
        most_events: 100,
        remember_seconds: 90 * 24 * 3600,
        paused: false,
        location: place(),
    }
}

fn definitions(sensors: &[Sensor]) -> Arc<Definitions> {
    let ports = Partitioning::Fixed(["EWR", "JFK", "LGA"].map(key).to_vec());
    let graph = AssetGraph::new([asset("gold.whole", None), asset("gold.ports", Some(ports))]).unwrap();
    let settings = CoreSettings {
        slots: 0,
        ..CoreSettings::default()
    };
    let sensors: BTreeMap<String, Sensor> = sensors.iter().map(|one| (one.name.clone(), one.clone())).collect();
    Arc::new(Definitions::new(graph, settings).with_sensors(sensors))
}

/// A world without workers: runs that are requested wait.
struct Daemon {
    world: World,
    store: Store,
    now: Micros,
    told: Vec<Event>,
}

impl Daemon {
    fn start(sensors: &[Sensor]) -> Self {
        let mut daemon = Self {
            world: World::new(7),
            store: Store::in_memory().unwrap(),
            now: 1_772_000_000 * SECOND,
            told: Vec::new(),
        };
        daemon.restart(sensors, OwnerMode::Daemon);
        daemon
    }

    fn restart(&mut self, sensors: &[Sensor], mode: OwnerMode) {
        let definitions = definitions(sensors);
        self.world = World::from_loaded(self.store.load().unwrap(), Arc::clone(&definitions), 8);
        self.take(Input::DefinitionsLoaded(definitions));
        self.take(Input::Recover {
            boot: "boot".to_owned(),
            mode,
        });
    }

    /// The answer, if one was asked for.
    fn take(&mut self, input: Input) -> Option<Answer> {
        self.now += SECOND;
        let turn = turn(&mut self.world, self.now, input).unwrap();
        self.store.commit(&turn.events).unwrap();
        let loaded = self.store.load().unwrap();
        let recovered = World::from_loaded(loaded, Arc::clone(self.world.definitions()), 9);
        check_same(&self.world, &recovered).unwrap();
        self.told.extend(turn.events.into_iter().map(|recorded| recorded.event));
        turn.effects.into_iter().find_map(|effect| match effect {
            Effect::Reply { answer, .. } => Some(answer),
            _ => None,
        })
    }

    fn look(&mut self, look: SensorLook, by: Option<&str>) -> Option<SensorTick> {
        let answer = self.take(Input::SensorLooked {
            request: Some(1),
            sensor: "landing".to_owned(),
            look: Box::new(look),
            by: by.map(str::to_owned),
        });
        match answer {
            Some(Answer::SensorTicked { tick }) => tick,
            other => panic!("{other:?}"),
        }
    }

    /// A look that begins now.
    fn sees(&mut self, events: &[SensorEvent], cursor: &str) -> Option<SensorTick> {
        let after = Some(self.world.sensor("landing").unwrap().ticks);
        self.look(seen(after, events, cursor), None)
    }

    fn runs(&self) -> usize {
        let runs = self
            .told
            .iter()
            .filter(|event| matches!(event, Event::RunSubmitted { .. }));
        runs.count()
    }

    /// What the newest run was asked for.
    fn asked_for(&self) -> Option<PartitionChoice> {
        let request = self.told.iter().rev().find_map(|event| match event {
            Event::RunSubmitted { request, .. } => Some(request),
            _ => None,
        });
        request.unwrap().partitions.clone()
    }
}

fn event(name: &str, partitions: &[&str]) -> SensorEvent {
    SensorEvent {
        key: name.to_owned(),
        what: format!("landing/{name}"),
        partitions: partitions.iter().map(|text| key(text)).collect(),
        payload: None,
    }
}

fn seen(after: Option<u64>, events: &[SensorEvent], cursor: &str) -> SensorLook {
    SensorLook {
        after,
        sight: Ok(SensorSight {
            events: events.to_vec(),
            cursor: Some(cursor.to_owned()),
            lag: 0,
            ..SensorSight::default()
        }),
        unseen: None,
    }
}

#[test]
fn what_is_new_starts_one_run_and_what_comes_twice_starts_none() {
    let mut daemon = Daemon::start(&[sensor("*", "in/*.csv")]);
    let look = seen(Some(0), &[event("a", &[]), event("b", &[]), event("a", &[])], "2");
    let tick = daemon.look(look.clone(), None).unwrap();
    assert_eq!(
        (tick.status, tick.number, tick.events.len()),
        (TickStatus::Requested, 1, 2)
    );
    assert!(tick.reason.unwrap().contains("1 event was told of before"));
    assert_eq!(daemon.asked_for(), None);
    assert_eq!(daemon.runs(), 1);
    // The same look once more, and one that began before that tick.
    assert_eq!(daemon.look(look, None), None);
    assert_eq!(daemon.look(seen(Some(0), &[event("c", &[])], "3"), None), None);
    assert_eq!(daemon.runs(), 1);
    // A later look sees an old event beside a new one.
    let tick = daemon.sees(&[event("a", &[]), event("c", &[])], "3").unwrap();
    assert_eq!((tick.events.len(), daemon.runs()), (1, 2));
    // Nothing new and nothing changed: no tick. A cursor that moved is one, without a run.
    assert_eq!(daemon.sees(&[], "3"), None);
    let tick = daemon.sees(&[event("b", &[])], "4").unwrap();
    assert_eq!((tick.status, daemon.runs()), (TickStatus::Skipped, 2));
    // All of it still holds after a crash.
    let sensors = [sensor("*", "in/*.csv")];
    daemon.restart(&sensors, OwnerMode::Daemon);
    let tick = daemon
        .sees(&[event("a", &[]), event("b", &[]), event("c", &[])], "5")
        .unwrap();
    assert_eq!(
        (tick.status, tick.events.len(), daemon.runs()),
        (TickStatus::Skipped, 0, 2)
    );
}

#[test]
fn a_push_is_told_apart_by_its_key_alone() {
    let mut daemon = Daemon::start(&[sensor("gold.whole", "in/*.csv")]);
    let tick = daemon.look(seen(None, &[event("a", &[])], "x"), None).unwrap();
    assert_eq!((tick.status, tick.cursor), (TickStatus::Requested, None));
    assert_eq!(daemon.look(seen(None, &[event("a", &[])], "x"), None), None);
    assert!(daemon.look(seen(None, &[event("b", &[])], "x"), None).is_some());
    assert_eq!(daemon.runs(), 2);
}

#[test]
fn events_that_name_partitions_run_those() {
    let mut daemon = Daemon::start(&[sensor("gold.ports", "in/{partition}.csv")]);
    daemon.sees(&[event("a", &["LGA"]), event("b", &["EWR"])], "2");
    assert_eq!(
        daemon.asked_for(),
        Some(PartitionChoice::These(vec![key("EWR"), key("LGA")]))
    );
    let steps = daemon.world.open_runs().next().unwrap();
    assert_eq!(steps.steps.len(), 2);
    // One that does not exist keeps no other from running, and alone it is a failure; both are told of.
    let tick = daemon.sees(&[event("c", &["JFK"]), event("d", &["SFO"])], "4").unwrap();
    assert_eq!(tick.status, TickStatus::Requested);
    assert!(tick.reason.as_deref().unwrap_or_default().contains("SFO"), "{tick:?}");
    let tick = daemon.sees(&[event("e", &["ORD"])], "5").unwrap();
    assert_eq!(
        (tick.status, tick.events.len(), tick.is_to_be_repeated()),
        (TickStatus::Failed, 1, false)
    );
    assert!(tick.reason.unwrap().contains("ORD"));
    // One that names none means all.
    daemon.sees(&[event("f", &["LGA"]), event("g", &[])], "7");
    assert_eq!(daemon.asked_for(), None);
}

#[test]
fn a_look_that_failed_takes_nothing_in_and_pauses_longer_each_time() {
    let declared = sensor("*", "in/*.csv");
    let mut daemon = Daemon::start(std::slice::from_ref(&declared));
    let wait = |daemon: &Daemon| wait_of(&declared, daemon.world.sensor("landing").unwrap()) / SECOND;
    assert_eq!(wait(&daemon), 30);
    for number in 0..12 {
        let blind = SensorLook {
            after: Some(number),
            sight: Err("it does not answer".to_owned()),
            unseen: None,
        };
        let tick = daemon.look(blind, None).unwrap();
        assert!(tick.is_to_be_repeated());
        let (waits, plain) = (wait(&daemon), (30 << (number + 1)).min(600));
        assert!(
            (plain * 3 / 4..=plain * 5 / 4).contains(&waits),
            "{waits} after {number}"
        );
    }
    // Sources that cannot be looked at: the events come again.
    let mut look = seen(Some(12), &[event("a", &[])], "1");
    look.unseen = Some("failed to look at the sources".to_owned());
    let tick = daemon.look(look, None).unwrap();
    assert!(tick.is_to_be_repeated() && tick.cursor.is_none(), "{tick:?}");
    let tick = daemon.sees(&[event("a", &[])], "1").unwrap();
    assert_eq!(
        (tick.status, daemon.runs(), wait(&daemon)),
        (TickStatus::Requested, 1, 30)
    );
    // Works again without anything new: told once, so that the count ends.
    let blind = SensorLook {
        after: Some(14),
        sight: Err("again".to_owned()),
        unseen: None,
    };
    daemon.look(blind, None);
    let tick = daemon.sees(&[], "1").unwrap();
    assert_eq!(
        (tick.status, tick.reason.as_deref()),
        (TickStatus::Skipped, Some("nothing new"))
    );
    assert_eq!(daemon.sees(&[], "1"), None);
}

#[test]
fn a_paused_sensor_tells_of_nothing_unless_it_is_asked() {
    let mut daemon = Daemon::start(&[sensor("*", "in/*.csv")]);
    let pause = |pause| Input::PauseSensor {
        request: 1,
        sensor: "landing".to_owned(),
        pause,
        by: "me".to_owned(),
    };
    assert_eq!(daemon.take(pause(true)), Some(Answer::Sensor { paused: true }));
    assert_eq!(daemon.take(pause(true)), Some(Answer::Sensor { paused: true }));
    assert_eq!(daemon.sees(&[event("a", &[])], "1"), None);
    let tick = daemon.look(seen(Some(0), &[event("a", &[])], "1"), Some("me")).unwrap();
    assert_eq!(
        (tick.status, tick.asked_by.as_deref()),
        (TickStatus::Requested, Some("me"))
    );
    let tick = daemon.look(seen(Some(1), &[], "1"), Some("me")).unwrap();
    assert_eq!(tick.reason.as_deref(), Some("nothing new"));
    daemon.take(pause(false));
    assert!(daemon.sees(&[event("b", &[])], "2").is_some());
}

#[test]
fn a_sensor_that_watches_something_else_reads_from_the_beginning_and_tells_nothing_twice() {
    let mut daemon = Daemon::start(&[sensor("*", "in/*.csv")]);
    daemon.sees(&[event("a", &[])], "1");
    // Edited in what it starts: nothing is declared anew.
    let before = daemon.told.len();
    daemon.take(Input::DefinitionsLoaded(definitions(&[sensor(
        "gold.whole",
        "in/*.csv",
    )])));
    assert_eq!(daemon.told.len(), before);
    daemon.take(Input::DefinitionsLoaded(definitions(&[sensor("*", "other/*.csv")])));
    assert_eq!(daemon.world.sensor("landing").unwrap().cursor, None);
    let tick = daemon.sees(&[event("a", &[]), event("z", &[])], "2").unwrap();
    assert_eq!(tick.events, [event("z", &[])]);
    // Gone, a look of it counts for nothing, and its name is free again.
    daemon.take(Input::DefinitionsLoaded(definitions(&[])));
    let late = daemon.take(Input::SensorLooked {
        request: Some(1),
        sensor: "landing".to_owned(),
        look: Box::new(seen(Some(2), &[event("y", &[])], "3")),
        by: None,
    });
    assert!(matches!(late, Some(Answer::Refused { .. })), "{late:?}");
    daemon.take(Input::DefinitionsLoaded(definitions(&[sensor("*", "other/*.csv")])));
    assert!(daemon.sees(&[event("y", &[])], "3").is_some());
}

#[test]
fn one_that_is_declared_no_more_forgets_after_ninety_days() {
    const DAY: Micros = 24 * 3600 * SECOND;
    let watched = sensor("gold.whole", "landing/*.csv");
    let mut daemon = Daemon::start(std::slice::from_ref(&watched));
    daemon.look(seen(Some(0), &[event("a.csv", &[])], "1"), None).unwrap();
    daemon.now += 60 * DAY;
    daemon.look(seen(Some(1), &[event("b.csv", &[])], "2"), None).unwrap();
    daemon.take(Input::DefinitionsLoaded(definitions(&[])));
    let told = |daemon: &Daemon| daemon.world.sensor("landing").unwrap().told();
    daemon.now += 29 * DAY;
    daemon.restart(&[], OwnerMode::Daemon);
    assert_eq!(told(&daemon), 2, "neither was told of ninety days ago");
    daemon.now += 2 * DAY;
    daemon.restart(&[], OwnerMode::Foreground);
    assert_eq!(told(&daemon), 2, "only a daemon keeps sensors");
    daemon.restart(&[], OwnerMode::Daemon);
    let forgot = Event::SensorForgot {
        sensor: "landing".to_owned(),
        ticks: vec![(1, 1)],
    };
    assert_eq!((told(&daemon), daemon.told.contains(&forgot)), (1, true));
    daemon.now += 60 * DAY;
    daemon.take(Input::DefinitionsLoaded(definitions(&[])));
    assert_eq!(told(&daemon), 0);
    // Declared again it looks afresh, and what it forgot is news.
    daemon.take(Input::DefinitionsLoaded(definitions(std::slice::from_ref(&watched))));
    let tick = daemon.look(seen(Some(2), &[event("a.csv", &[])], "1"), None).unwrap();
    assert_eq!(tick.events.len(), 1);
}

#[test]
fn only_a_daemon_keeps_sensors() {
    let sensors = [sensor("*", "in/*.csv")];
    let mut daemon = Daemon::start(&sensors);
    daemon.restart(&sensors, OwnerMode::Foreground);
    let answer = daemon.take(Input::SensorLooked {
        request: Some(1),
        sensor: "landing".to_owned(),
        look: Box::new(seen(Some(0), &[event("a", &[])], "1")),
        by: None,
    });
    assert!(
        matches!(&answer, Some(Answer::Refused { reasons }) if reasons[0].contains("millpond up")),
        "{answer:?}"
    );
    assert_eq!(daemon.runs(), 0);
}
