//! The queue in the core, without a daemon: who gets a worker, who waits for what, what is tried again and when.

use std::collections::BTreeMap;
use std::sync::Arc;

use assets::outcome::{Failure, FailureClass};
use assets::partition::Partitioning;
use assets::step_rules::{Backoff, Retry};
use assets::{Asset, AssetGraph, AssetKey, Fingerprint, Location, PartitionKey, PartitionedBy, StepRules, WriteMode};
use orchestrator::core::{
    Answer, CoreSettings, Definitions, Effect, Input, StartAttempt, WaitsFor, World, check_same, turn, waits,
};
use state::Store;
use state::event::{Event, Micros, OwnerMode, Pace, RunRequest};
use state::ids::{AttemptId, RunId};

const SECOND: Micros = 1_000_000;
const MINUTE: Micros = 60 * SECOND;

fn key(text: &str) -> AssetKey {
    text.parse().unwrap()
}

/// An asset with these partitions; none is one whole.
fn asset(name: &str, partitions: &[&str], rules: StepRules) -> Asset {
    let keys: Vec<PartitionKey> = partitions.iter().map(|key| PartitionKey::new(key).unwrap()).collect();
    Asset {
        key: key(name),
        kind: "sql".to_owned(),
        description: None,
        owner: None,
        tags: Vec::new(),
        partitions: (!keys.is_empty()).then(|| PartitionedBy {
            name: "set".to_owned(),
            column: "part".to_owned(),
            partitioning: Partitioning::Fixed(keys),
        }),
        key_columns: Vec::new(),
        sort_columns: Vec::new(),
        write: WriteMode::Replace,
        contract: assets::Contract::default(),
        inputs: Vec::new(),
        checks: Vec::new(),
        freshness: None,
        automation: None,
        rules,
        fingerprint: Fingerprint::of([name]),
        config: serde_json::Value::Null,
        declared_at: Location {
            file: "assets/a.toml".to_owned(),
            line: 1,
            column: 1,
        },
    }
}

fn pool(name: &str) -> StepRules {
    StepRules {
        pools: vec![name.to_owned()],
        ..StepRules::default()
    }
}

fn memory(bytes: u64) -> StepRules {
    StepRules {
        memory_bytes: Some(bytes),
        ..StepRules::default()
    }
}

/// A daemon whose workers do nothing until the test says so.
struct Daemon {
    world: World,
    store: Store,
    definitions: Arc<Definitions>,
    now: Micros,
    started: Vec<StartAttempt>,
    canceled: Vec<AttemptId>,
    events: Vec<Event>,
    answers: Vec<Answer>,
}

impl Daemon {
    fn new(assets: Vec<Asset>, settings: CoreSettings) -> Self {
        let definitions = Arc::new(Definitions::new(AssetGraph::new(assets).unwrap(), settings));
        let mut daemon = Self {
            world: World::new(7),
            store: Store::in_memory().unwrap(),
            definitions,
            now: 1_800_000_000 * SECOND,
            started: Vec::new(),
            canceled: Vec::new(),
            events: Vec::new(),
            answers: Vec::new(),
        };
        daemon.take(Input::DefinitionsLoaded(daemon.definitions.clone()));
        daemon.recover();
        daemon
    }

    fn recover(&mut self) {
        self.take(Input::Recover {
            boot: "boot".to_owned(),
            mode: OwnerMode::Daemon,
        });
    }

    fn take(&mut self, input: Input) {
        let turn = turn(&mut self.world, self.now, input).unwrap();
        self.store.commit(&turn.events).unwrap();
        self.events
            .extend(turn.events.into_iter().map(|recorded| recorded.event));
        for effect in turn.effects {
            match effect {
                Effect::Start(start) => self.started.push(*start),
                Effect::CancelAttempt { attempt } => self.canceled.push(attempt),
                Effect::KeepStaged(_) => {}
                Effect::Reply { answer, .. } => self.answers.push(answer),
                Effect::Prepare { .. } => {}
            }
        }
        let loaded = World::from_loaded(self.store.load().unwrap(), self.definitions.clone(), 7);
        check_same(&self.world, &loaded).unwrap();
    }

    /// The process died and starts again.
    fn restart(&mut self) {
        self.world = World::from_loaded(self.store.load().unwrap(), self.definitions.clone(), 8);
        self.started.clear();
        self.recover();
    }

    fn submit(&mut self, selection: &str, trigger: &str, pace: Pace) -> RunId {
        self.take(Input::Submit {
            request: 0,
            run: RunRequest {
                selection: selection.to_owned(),
                partitions: None,
                force: false,
                only: None,
                pace,
                owner: OwnerMode::Daemon,
                trigger: trigger.to_owned(),
            },
        });
        match self.answers.pop() {
            Some(Answer::Accepted { run, .. }) => run,
            other => panic!("{selection} is not accepted: {other:?}"),
        }
    }

    /// The asset of the newest attempt, and its number.
    fn newest(&self) -> (String, u32) {
        let newest = self.started.last().expect("an attempt was started");
        (newest.asset.key.to_string(), newest.number)
    }

    fn fail(&mut self, partition: Option<&str>, class: FailureClass) {
        let attempt = self.started.last().unwrap().attempt.clone();
        self.take(Input::StepFailed {
            attempt,
            partition: partition.map(|key| PartitionKey::new(key).unwrap()),
            failure: Failure::new(class, "it went wrong"),
        });
    }

    fn end(&mut self, attempt: usize) {
        let attempt = self.started[attempt].attempt.clone();
        self.take(Input::AttemptEnded { attempt });
    }

    /// Fails what the newest attempt works on, for good, and ends it.
    fn end_newest(&mut self) {
        self.end(self.started.len() - 1);
    }

    fn waits(&self, run: &RunId) -> Vec<(String, usize, WaitsFor)> {
        let told = waits(&self.world, self.now, run).into_iter();
        told.map(|wait| (wait.asset.to_string(), wait.steps, wait.waits_for))
            .collect()
    }

    fn is_over(&self, run: &RunId) -> bool {
        self.world.run(run).is_none()
    }
}

fn slots(slots: usize) -> CoreSettings {
    CoreSettings {
        slots,
        ..CoreSettings::default()
    }
}

fn retrying() -> StepRules {
    StepRules {
        retry: Some(Retry {
            max: 2,
            delay_seconds: 10,
            backoff: Backoff::Linear,
            jitter: 0.0,
            ..Retry::default()
        }),
        timeout_seconds: Some(60),
        ..StepRules::default()
    }
}

#[test]
fn a_failure_of_the_moment_is_tried_again_after_its_wait_and_not_for_ever() {
    let mut daemon = Daemon::new(vec![asset("a.x", &[], retrying())], slots(1));
    let run = daemon.submit("a.x", "cli", Pace::default());
    for (retry, wait) in [(1, 10 * SECOND), (2, 20 * SECOND)] {
        daemon.fail(None, FailureClass::Io);
        daemon.end_newest();
        let due = daemon.now + wait;
        let waiting = vec![("a.x".to_owned(), 1, WaitsFor::Retry { retry, due })];
        assert_eq!(daemon.waits(&run), waiting);
        assert_eq!(daemon.world.next_retry(), Some(due));
        // Neither another input nor an early wake-up starts it, and the wait outlives the daemon.
        daemon.now = due - 1;
        daemon.take(Input::RetriesDue { until: due - 1 });
        daemon.restart();
        assert_eq!(daemon.waits(&run), waiting);
        assert!(daemon.started.is_empty());
        daemon.now = due;
        daemon.take(Input::RetriesDue { until: due });
        assert_eq!(daemon.newest(), ("a.x".to_owned(), retry + 1));
    }
    daemon.fail(None, FailureClass::Io);
    daemon.end_newest();
    assert!(daemon.is_over(&run) && daemon.world.next_retry().is_none());
    let retries = daemon
        .events
        .iter()
        .filter(|event| matches!(event, Event::StepUpForRetry { .. }));
    assert_eq!(retries.count(), 2);
    assert!(matches!(daemon.events.last(), Some(Event::RunEnded { .. })));
}

#[test]
fn what_would_be_the_same_again_is_not_tried_again() {
    for class in [
        FailureClass::Check,
        FailureClass::Declaration,
        FailureClass::Data,
        FailureClass::Memory,
    ] {
        let mut daemon = Daemon::new(vec![asset("a.x", &[], retrying())], slots(1));
        let run = daemon.submit("a.x", "cli", Pace::default());
        daemon.fail(None, class);
        daemon.end_newest();
        assert!(daemon.is_over(&run), "{class:?}");
    }
}

#[test]
fn a_run_that_is_canceled_waits_for_no_retry() {
    let mut daemon = Daemon::new(vec![asset("a.x", &[], retrying())], slots(1));
    let run = daemon.submit("a.x", "cli", Pace::default());
    daemon.fail(None, FailureClass::Crash);
    daemon.end_newest();
    daemon.take(Input::CancelRun {
        request: 0,
        run: run.clone(),
    });
    assert!(daemon.is_over(&run) && daemon.world.next_retry().is_none());
}

#[test]
fn a_timeout_blames_the_step_that_took_too_long_and_no_other() {
    let rules = StepRules {
        retry: None,
        ..retrying()
    };
    let mut daemon = Daemon::new(vec![asset("a.x", &["p", "q", "r"], rules)], slots(1));
    let run = daemon.submit("a.x", "cli", Pace::default());
    let attempt = daemon.started[0].attempt.clone();
    assert_eq!(daemon.started[0].partitions.len(), 3);
    let overdue = Input::AttemptTimedOut {
        attempt: attempt.clone(),
        working_on: Some(Some(PartitionKey::new("q").unwrap())),
    };
    daemon.take(overdue.clone());
    // The pool says it once; twice does no harm.
    daemon.take(overdue);
    assert_eq!(daemon.canceled, [attempt.clone()]);
    // Its worker does not answer and is killed.
    daemon.take(Input::WorkerLost {
        attempt: attempt.clone(),
        failure: Failure::new(FailureClass::Killed, "killed by signal 9"),
        working_on: Some(Some(PartitionKey::new("q").unwrap())),
    });
    let failed: Vec<_> = daemon
        .events
        .iter()
        .filter_map(|event| match event {
            Event::StepFailed { step, failure, .. } => Some((step.to_string(), failure.class)),
            _ => None,
        })
        .collect();
    assert_eq!(failed, [("a.x@q".to_owned(), FailureClass::Timeout)]);
    // The others are with a new attempt, and the old one has no say any more.
    assert_eq!(daemon.started.len(), 2);
    assert_eq!(daemon.started[1].partitions.len(), 2);
    let before = daemon.events.len();
    daemon.take(Input::StepFailed {
        attempt,
        partition: Some(PartitionKey::new("p").unwrap()),
        failure: Failure::new(FailureClass::Data, "late"),
    });
    assert_eq!(daemon.events.len(), before);
    daemon.end_newest();
    assert!(daemon.is_over(&run));
}

#[test]
fn a_timeout_is_tried_again_where_that_is_declared() {
    let mut daemon = Daemon::new(vec![asset("a.x", &[], retrying())], slots(1));
    daemon.submit("a.x", "cli", Pace::default());
    let attempt = daemon.started[0].attempt.clone();
    daemon.take(Input::AttemptTimedOut {
        attempt: attempt.clone(),
        working_on: Some(None),
    });
    daemon.take(Input::StepFailed {
        attempt,
        partition: None,
        failure: Failure::new(FailureClass::Canceled, "canceled on request"),
    });
    let put_off = daemon.events.iter().find_map(|event| match event {
        Event::StepUpForRetry { failure, .. } => Some(failure.class),
        _ => None,
    });
    assert_eq!(put_off, Some(FailureClass::Timeout));
}

#[test]
fn whoever_asks_comes_before_schedules_and_those_before_backfills() {
    let assets = ["a.busy", "a.backfill", "a.scheduled", "a.asked", "a.urgent"];
    let assets = assets.map(|name| asset(name, &[], StepRules::default()));
    let mut daemon = Daemon::new(assets.to_vec(), slots(1));
    daemon.submit("a.busy", "cli", Pace::default());
    let backfill = daemon.submit("a.backfill", "backfill", Pace::default());
    daemon.submit("a.scheduled", "schedule nightly", Pace::default());
    daemon.submit("a.asked", "page", Pace::default());
    let urgent = Pace {
        priority: Some(100),
        ..Pace::default()
    };
    daemon.submit("a.urgent", "backfill", urgent);
    let worker = daemon.waits(&backfill);
    assert!(matches!(worker[0].2, WaitsFor::Worker { workers: 1, .. }), "{worker:?}");
    let mut order = Vec::new();
    for _ in 0..4 {
        daemon.end_newest();
        order.push(daemon.newest().0);
    }
    assert_eq!(order, ["a.urgent", "a.asked", "a.scheduled", "a.backfill"]);
}

#[test]
fn a_run_that_waits_gains_on_those_that_keep_coming() {
    let mut assets = vec![asset("a.backfill", &[], StepRules::default())];
    assets.extend((0..60).map(|number| asset(&format!("a.n{number:02}"), &[], StepRules::default())));
    let mut daemon = Daemon::new(assets, slots(1));
    daemon.submit("a.n00", "cli", Pace::default());
    daemon.submit("a.backfill", "backfill", Pace::default());
    // Someone asks for something every minute, and what runs takes a minute.
    let waited = (1..60).find(|number| {
        daemon.submit(&format!("a.n{number:02}"), "cli", Pace::default());
        daemon.now += MINUTE;
        daemon.end_newest();
        daemon.newest().0 == "a.backfill"
    });
    // -20 and a point a minute are level with the minute that the newest has waited after 21 minutes.
    assert_eq!(waited, Some(21));
}

#[test]
fn a_pool_lets_in_as_many_as_it_has_places_and_no_worker_idles_for_it() {
    let mut settings = slots(4);
    settings.pools = BTreeMap::from([("duckdb".to_owned(), 2)]);
    let assets = ["a.one", "a.two", "a.three", "a.four"].map(|name| asset(name, &[], pool("duckdb")));
    let mut assets = assets.to_vec();
    assets.push(asset("a.free", &[], StepRules::default()));
    let mut daemon = Daemon::new(assets, settings);
    let runs =
        ["a.one", "a.two", "a.three", "a.four", "a.free"].map(|name| daemon.submit(name, "cli", Pace::default()));
    let started: Vec<String> = daemon.started.iter().map(|start| start.asset.key.to_string()).collect();
    assert_eq!(started, ["a.one", "a.two", "a.free"]);
    let full = WaitsFor::Pool {
        pool: "duckdb".to_owned(),
        limit: 2,
        used: 2,
        runs: {
            let mut both = vec![runs[0].clone(), runs[1].clone()];
            both.sort();
            both
        },
    };
    assert_eq!(daemon.waits(&runs[2]), [("a.three".to_owned(), 1, full)]);
    // The place is free in the very turn that ends the attempt.
    let before = daemon.events.len();
    daemon.end(0);
    let ended = daemon.events[before..]
        .iter()
        .any(|event| matches!(event, Event::AttemptEnded { .. }));
    assert!(ended && daemon.newest().0 == "a.three");
    daemon.end(1);
    assert_eq!(daemon.newest().0, "a.four");
}

#[test]
fn memory_is_given_away_once_and_the_large_step_is_not_starved_by_small_ones() {
    let mut settings = slots(4);
    settings.memory_bytes = 4;
    settings.step_memory_bytes = 1;
    let mut assets = vec![asset("a.large", &[], memory(400))];
    assets.extend((0..60).map(|number| asset(&format!("a.n{number:02}"), &[], memory(2))));
    let mut daemon = Daemon::new(assets, settings);
    daemon.submit("a.n00", "cli", Pace::default());
    daemon.submit("a.n01", "cli", Pace::default());
    let large = daemon.submit("a.large", "cli", Pace::default());
    // It is given all there is, which is what it gets of the 400 that it wants.
    let told = daemon.waits(&large);
    let expected = |wait: &WaitsFor| {
        matches!(
            wait,
            WaitsFor::Memory {
                needs: 4,
                used: 4,
                total: 4,
                ..
            }
        )
    };
    assert!(expected(&told[0].2), "{told:?}");
    // One of two ends each minute, and another small one is there at once.
    let began = (2..60).find(|number| {
        let small = daemon.submit(&format!("a.n{number:02}"), "cli", Pace::default());
        daemon.now += MINUTE;
        let oldest = daemon
            .started
            .iter()
            .position(|start| daemon.world.attempt(&start.attempt).is_some());
        daemon.end(oldest.unwrap());
        let kept = daemon.waits(&small);
        if daemon.now - daemon.world.run(&small).map_or(daemon.now, |run| run.submitted_at) > 12 * MINUTE {
            assert!(
                kept.iter()
                    .any(|(_, _, wait)| matches!(wait, WaitsFor::KeptFree { .. })),
                "{kept:?}"
            );
        }
        daemon.newest().0 == "a.large"
    });
    let began = began.expect("the large step gets its turn");
    assert!((11..=14).contains(&began), "{began}");
}

#[test]
fn a_pool_that_was_made_smaller_lets_nobody_in_until_it_is_met() {
    let mut settings = slots(4);
    settings.pools = BTreeMap::from([("share".to_owned(), 2)]);
    let assets = ["a.one", "a.two", "a.three"]
        .map(|name| asset(name, &[], pool("share")))
        .to_vec();
    let mut daemon = Daemon::new(assets.clone(), settings.clone());
    for name in ["a.one", "a.two", "a.three"] {
        daemon.submit(name, "cli", Pace::default());
    }
    settings.pools.insert("share".to_owned(), 1);
    daemon.definitions = Arc::new(Definitions::new(AssetGraph::new(assets).unwrap(), settings));
    let (world, now) = (&mut daemon.world, daemon.now);
    turn(world, now, Input::DefinitionsLoaded(daemon.definitions.clone())).unwrap();
    assert_eq!(daemon.started.len(), 2);
    let first = daemon.started[0].attempt.clone();
    turn(&mut daemon.world, now, Input::AttemptEnded { attempt: first }).unwrap();
    let used: Vec<_> = orchestrator::core::InUse::of(&daemon.world).pools().collect();
    assert_eq!(used, [("share", 1)]);
    let second = daemon.started[1].attempt.clone();
    let next = turn(&mut daemon.world, now, Input::AttemptEnded { attempt: second }).unwrap();
    assert!(
        next.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Start(start) if start.asset.key == key("a.three")))
    );
}

#[test]
fn what_is_stopped_says_so_whatever_it_waits_for_beside() {
    let assets = ["a.busy", "a.one"].map(|name| asset(name, &[], StepRules::default()));
    let mut daemon = Daemon::new(assets.to_vec(), slots(1));
    daemon.submit("a.busy", "cli", Pace::default());
    let first = daemon.submit("a.one", "cli", Pace::default());
    let force = daemon.submit("a.one", "schedule nightly", Pace::default());
    let one = |waits_for| vec![("a.one".to_owned(), 1, waits_for)];
    let behind = |paused| {
        one(WaitsFor::Partition {
            run: first.clone(),
            paused,
        })
    };
    assert_eq!(daemon.waits(&force), behind(false));
    daemon.take(Input::PauseRun {
        request: 0,
        run: first.clone(),
        pause: true,
    });
    assert_eq!(daemon.waits(&first), one(WaitsFor::Resume));
    assert_eq!(daemon.waits(&force), behind(true));
    daemon.take(Input::Drain);
    // The next start does not let it go on.
    assert_eq!(daemon.waits(&first), one(WaitsFor::Resume));
    assert_eq!(daemon.waits(&force), one(WaitsFor::NextStart));
    daemon.restart();
    assert_eq!(daemon.waits(&force), behind(true));
}
