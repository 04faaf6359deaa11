//! Alerts in the core, without a daemon: what is raised, when it is told and how often, told by the events alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use assets::alert::{Alert, Receiver, Trouble};
use assets::freshness::{Freshness, FreshnessRule};
use assets::outcome::{CheckResult, Failure, FailureClass, Severity, Staged};
use assets::partition::Partitioning;
use assets::selection::Selection;
use assets::{Asset, AssetGraph, Fingerprint, Location, PartitionKey, PartitionedBy, WriteMode};
use orchestrator::core::{
    CoreSettings, Definitions, Effect, Input, PreparedMember, StartAttempt, World, check_same, turn,
};
use state::Store;
use state::alert::{AlertEnd, AlertMessage};
use state::event::{Event, Micros, OwnerMode, Pace, PartitionChoice, RunRequest};

const SECOND: Micros = 1_000_000;

fn place() -> Location {
    Location {
        file: "millpond.toml".to_owned(),
        line: 1,
        column: 1,
    }
}

fn asset(key: &str, partitions: usize) -> Asset {
    let keys = (0..partitions).map(|n| PartitionKey::new(&format!("p{n:04}")).unwrap());
    Asset {
        key: key.parse().unwrap(),
        kind: "sql".to_owned(),
        description: None,
        owner: Some("data@example.com".to_owned()).filter(|_| key == "gold.owned"),
        tags: Vec::new(),
        partitions: (partitions > 0).then(|| PartitionedBy {
            name: "set".to_owned(),
            column: "part".to_owned(),
            partitioning: Partitioning::Fixed(keys.collect()),
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
        fingerprint: Fingerprint::of([key]),
        config: serde_json::Value::Null,
        declared_at: place(),
    }
}

fn alert(name: &str) -> Alert {
    Alert {
        name: name.to_owned(),
        description: None,
        on: Trouble::ALL.into_iter().collect(),
        recovered: true,
        selection: None,
        assets: None,
        receiver: Receiver::Command(vec!["tell".to_owned()]),
        group_wait_seconds: 30,
        most_per_hour: 3,
        location: place(),
    }
}

fn definitions(assets: &[Asset], alerts: &[Alert]) -> Arc<Definitions> {
    let graph = AssetGraph::new(assets.iter().cloned()).unwrap();
    let alerts: BTreeMap<String, Alert> = alerts
        .iter()
        .map(|alert| {
            let mut alert = alert.clone();
            if let Some(selection) = &alert.selection {
                let found = selection.resolve(&graph, &|_, _| true).unwrap();
                alert.assets = Some(found.into_iter().collect::<BTreeSet<_>>());
            }
            (alert.name.clone(), alert)
        })
        .collect();
    Arc::new(Definitions::new(graph, CoreSettings::default()).with_alerts(alerts))
}

/// What a worker does with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Succeed,
    Fail,
    FailItsCheck,
    Warn,
}

struct Daemon {
    world: World,
    store: Store,
    definitions: Arc<Definitions>,
    now: Micros,
    boots: u64,
    events: Vec<Event>,
    orders: VecDeque<StartAttempt>,
    prepare: VecDeque<Effect>,
    staged: BTreeMap<String, Box<Staged>>,
}

impl Daemon {
    fn start(definitions: Arc<Definitions>) -> Self {
        let mut daemon = Self {
            world: World::new(7),
            store: Store::in_memory().unwrap(),
            definitions,
            now: 1_700_000_000 * SECOND,
            boots: 0,
            events: Vec::new(),
            orders: VecDeque::new(),
            prepare: VecDeque::new(),
            staged: BTreeMap::new(),
        };
        daemon.restart(OwnerMode::Daemon);
        daemon
    }

    fn take(&mut self, input: Input) {
        let turn = turn(&mut self.world, self.now, input).unwrap();
        self.store.commit(&turn.events).unwrap();
        self.events
            .extend(turn.events.into_iter().map(|recorded| recorded.event));
        for effect in turn.effects {
            match effect {
                Effect::Start(order) => self.orders.push_back(*order),
                Effect::Prepare { .. } => self.prepare.push_back(effect),
                _ => {}
            }
        }
    }

    fn restart(&mut self, mode: OwnerMode) {
        self.boots += 1;
        let loaded = self.store.load().unwrap();
        let world = World::from_loaded(loaded, Arc::clone(&self.definitions), self.boots);
        if self.boots > 1 {
            check_same(&self.world, &world).unwrap();
        }
        self.world = world;
        self.take(Input::DefinitionsLoaded(Arc::clone(&self.definitions)));
        let boot = self.boots.to_string();
        self.take(Input::Recover { boot, mode });
    }

    /// Materializes a selection; each step does what is said of its partition.
    fn materialize(&mut self, selection: &str, partition: Option<&str>, does: impl Fn(&str) -> Does) {
        self.take(Input::Submit {
            request: 1,
            run: RunRequest {
                selection: selection.to_owned(),
                partitions: partition.map(|key| PartitionChoice::One(PartitionKey::new(key).unwrap())),
                force: true,
                only: None,
                pace: Pace::default(),
                owner: OwnerMode::Daemon,
                trigger: "test".to_owned(),
            },
        });
        while let Some(order) = self.orders.pop_front() {
            for part in &order.partitions {
                let key = part.key.as_ref().map_or("", |key| key.as_str());
                self.step(&order, part.key.clone(), does(key));
            }
            self.take(Input::AttemptEnded { attempt: order.attempt });
        }
        assert!(self.world.open_runs().next().is_none());
    }

    fn step(&mut self, order: &StartAttempt, partition: Option<PartitionKey>, does: Does) {
        let attempt = order.attempt.clone();
        if does == Does::Fail {
            let failure = Failure::new(FailureClass::Data, "line 7 of x.csv is no number");
            return self.take(Input::StepFailed {
                attempt,
                partition,
                failure,
            });
        }
        let check = |passed, severity| CheckResult {
            name: "not_null(x)".to_owned(),
            check: "not_null".to_owned(),
            severity,
            passed,
            figure: None,
            expected: "none".to_owned(),
            failing_rows: Some(3),
            sample: None,
            error: None,
        };
        let checks = match does {
            Does::FailItsCheck => vec![check(false, Severity::Error)],
            Does::Warn => vec![check(false, Severity::Warn)],
            Does::Succeed | Does::Fail => vec![check(true, Severity::Error)],
        };
        let staged = Box::new(Staged {
            partition: partition.clone(),
            tables: Vec::new(),
            model: None,
            checks,
            metadata: BTreeMap::new(),
            sources: Vec::new(),
            data_version: None,
        });
        self.staged.insert(
            partition.map_or_else(String::new, |key| key.to_string()),
            staged.clone(),
        );
        self.take(Input::Staged { attempt, staged });
        while let Some(Effect::Prepare { asset, members }) = self.prepare.pop_front() {
            let members = members.into_iter().map(|member| PreparedMember {
                staged: self.staged[member.step.partition.as_ref().map_or("", |key| key.as_str())].clone(),
                attempt: member.attempt,
                step: member.step,
            });
            let members = members.collect();
            self.take(Input::CommitPrepared {
                asset,
                tables: Vec::new(),
                members,
            });
        }
    }

    /// Time goes on; what is due is told.
    fn later(&mut self, seconds: i64) {
        self.now += seconds * SECOND;
        self.take(Input::AlertsDue);
    }

    /// The receiver of an alert takes its message, or does not.
    fn tries(&mut self, alert: &str, error: Option<&str>) {
        let message = self.waiting(alert).expect("a message waits").id;
        self.take(Input::AlertTried {
            alert: alert.to_owned(),
            message,
            error: error.map(str::to_owned),
        });
    }

    fn waiting(&self, alert: &str) -> Option<AlertMessage> {
        let record = self.world.alert(alert)?;
        record.waiting.as_ref().map(|waiting| waiting.message.clone())
    }

    /// What was raised (`+`) and what ended (`-`, `x` if silently) since it was last asked.
    fn changes(&mut self) -> Vec<String> {
        let events = std::mem::take(&mut self.events);
        let changes = events.into_iter().filter_map(|event| match event {
            Event::AlertRaised { raised } => Some(format!(
                "+ {} {} {}",
                raised.alert,
                raised.trouble.as_str(),
                raised.subject
            )),
            Event::AlertEnded { alert, line, tell, end } => {
                let mark = if tell { "-" } else { "x" };
                assert!(!tell || end == AlertEnd::Recovered);
                Some(format!("{mark} {alert} {} {}", line.trouble.as_str(), line.subject))
            }
            _ => None,
        });
        changes.collect()
    }
}

#[test]
fn what_fails_is_raised_once_until_it_is_well_again() {
    let mut daemon = Daemon::start(definitions(&[asset("gold.a", 2)], &[alert("team")]));
    daemon.materialize(
        "gold.a",
        None,
        |key| if key == "p0001" { Does::Fail } else { Does::Succeed },
    );
    assert_eq!(daemon.changes(), ["+ team run_failed gold.a@p0001"]);
    daemon.materialize("gold.a", None, |_| Does::Fail);
    assert_eq!(daemon.changes(), ["+ team run_failed gold.a@p0000"]);
    daemon.restart(OwnerMode::Daemon);
    daemon.materialize("gold.a", Some("p0001"), |_| Does::Fail);
    assert_eq!(daemon.changes(), [""; 0]);
    daemon.materialize("gold.a", None, |_| Does::Succeed);
    assert_eq!(
        daemon.changes(),
        ["- team run_failed gold.a@p0000", "- team run_failed gold.a@p0001"]
    );
    daemon.materialize("gold.a", None, |_| Does::Succeed);
    assert_eq!(daemon.changes(), [""; 0]);
}

#[test]
fn a_failed_check_is_told_as_one_and_a_warning_too() {
    let only_runs = Alert {
        on: BTreeSet::from([Trouble::RunFailed]),
        recovered: false,
        ..alert("runs")
    };
    let mut daemon = Daemon::start(definitions(&[asset("gold.a", 0)], &[alert("all"), only_runs]));
    daemon.materialize("gold.a", None, |_| Does::FailItsCheck);
    assert_eq!(
        daemon.changes(),
        ["+ all check_failed gold.a", "+ runs run_failed gold.a"]
    );
    let text = &daemon.world.alert("all").unwrap().lines[0].text;
    assert_eq!(text, "`not_null(x)`: 3 rows; nothing was published");
    // Published with a warning.
    daemon.materialize("gold.a", None, |_| Does::Warn);
    assert_eq!(
        daemon.changes(),
        [
            "x runs run_failed gold.a",
            "- all check_failed gold.a",
            "+ all check_warned gold.a"
        ]
    );
    daemon.materialize("gold.a", None, |_| Does::Warn);
    assert_eq!(daemon.changes(), [""; 0]);
    daemon.materialize("gold.a", None, |_| Does::Succeed);
    assert_eq!(daemon.changes(), ["- all check_warned gold.a"]);
}

#[test]
fn an_alert_is_about_the_assets_that_it_selects() {
    let by_owner = Alert {
        selection: Some(Selection::parse("owner:data@example.com").unwrap()),
        ..alert("owner")
    };
    let assets = [asset("gold.a", 0), asset("gold.owned", 0)];
    let mut daemon = Daemon::start(definitions(&assets, &[by_owner]));
    daemon.materialize("*", None, |_| Does::Fail);
    assert_eq!(daemon.changes(), ["+ owner run_failed gold.owned"]);
}

#[test]
fn a_thousand_failures_are_one_message_and_their_end_another() {
    let mut daemon = Daemon::start(definitions(&[asset("gold.a", 1000)], &[alert("team")]));
    daemon.materialize("gold.a", None, |_| Does::Fail);
    assert_eq!(daemon.changes().len(), 1000);
    daemon.later(29);
    assert_eq!(daemon.waiting("team"), None);
    daemon.later(1);
    let message = daemon.waiting("team").unwrap();
    assert_eq!((message.title(), message.more()), ("1000 failed".to_owned(), 980));
    // What comes while it is on its way waits for the next.
    daemon.materialize("gold.a", None, |_| Does::Succeed);
    daemon.later(60);
    assert_eq!(daemon.waiting("team").unwrap().id, message.id);
    daemon.tries("team", None);
    daemon.later(0);
    assert_eq!(daemon.waiting("team").unwrap().title(), "1000 recovered");
    daemon.tries("team", None);
    daemon.later(3600);
    assert_eq!(daemon.waiting("team"), None);
    assert_eq!(state::fsck::check(&daemon.store).unwrap(), []);
}

#[test]
fn no_more_messages_are_made_in_an_hour_than_declared() {
    let mut daemon = Daemon::start(definitions(&[asset("gold.a", 9)], &[alert("team")]));
    for n in 0..9 {
        let key = format!("p{n:04}");
        daemon.materialize("gold.a", Some(&key), |_| Does::Fail);
        daemon.later(30);
        if daemon.waiting("team").is_some() {
            daemon.tries("team", None);
        }
    }
    let made = |daemon: &Daemon| daemon.world.alert("team").unwrap().made.len();
    assert_eq!(made(&daemon), 3);
    // An hour after the first of them, all that waited is told at once.
    daemon.later(3600 - 8 * 30 - 1);
    assert_eq!(made(&daemon), 3);
    daemon.later(1);
    assert_eq!(daemon.waiting("team").unwrap().title(), "6 failed");
}

#[test]
fn a_message_is_tried_for_a_day_and_then_given_up() {
    let mut daemon = Daemon::start(definitions(&[asset("gold.a", 0)], &[alert("team")]));
    daemon.materialize("gold.a", None, |_| Does::Fail);
    daemon.later(30);
    let started = daemon.now;
    let mut waits = Vec::new();
    loop {
        daemon.tries("team", Some("the receiver is away"));
        let Some(next) = daemon.world.next_message(&std::collections::HashSet::new()) else {
            break;
        };
        waits.push((next - daemon.now) / SECOND);
        assert!(daemon.world.messages_to_send(daemon.now).is_empty());
        daemon.now = next;
        assert_eq!(daemon.world.messages_to_send(daemon.now).len(), 1);
        if waits.len() == 4 {
            daemon.restart(OwnerMode::Daemon);
        }
    }
    for (wait, least) in waits.iter().zip([10, 20, 40, 80, 160, 320, 640, 900, 900]) {
        assert!((least..=least * 6 / 5).contains(wait), "{waits:?}");
    }
    let hours = (daemon.now - started) / SECOND / 3600;
    assert!((22..=29).contains(&hours), "{hours}");
    let Some(Event::AlertFailed { tries, next_at, .. }) = daemon.events.last() else {
        panic!("{:?}", daemon.events.last());
    };
    assert_eq!((*tries, *next_at), (100, None));
    // What comes later is told in its own message.
    daemon.materialize("gold.a", None, |_| Does::Succeed);
    daemon.later(30);
    assert_eq!(daemon.waiting("team").unwrap().title(), "gold.a: recovered");
}

#[test]
fn what_is_no_longer_declared_is_no_longer_open_and_tells_nobody() {
    let assets = [asset("gold.a", 0), asset("gold.b", 0)];
    let mut daemon = Daemon::start(definitions(&assets, &[alert("pager"), alert("team")]));
    daemon.materialize("*", None, |_| Does::Fail);
    daemon.later(30);
    daemon.changes();
    // Both alerts go at once: one has a message on its way, the other something to tell.
    daemon.tries("pager", None);
    daemon.materialize("gold.a", None, |_| Does::Succeed);
    daemon.changes();
    daemon.definitions = definitions(&assets[..1], &[]);
    daemon.restart(OwnerMode::Daemon);
    let given_up: Vec<(String, u64)> = daemon
        .events
        .iter()
        .filter_map(|event| match event {
            Event::AlertFailed {
                alert, next_at: None, ..
            } => Some((alert.clone(), 1)),
            _ => None,
        })
        .collect();
    assert_eq!(given_up.len(), 3, "{given_up:?}");
    assert_eq!(
        daemon.changes(),
        ["x pager run_failed gold.b", "x team run_failed gold.b"]
    );
    assert_eq!(daemon.world.next_message(&std::collections::HashSet::new()), None);
    assert_eq!(state::fsck::check(&daemon.store).unwrap(), []);
}

#[test]
fn a_command_in_the_foreground_raises_nothing_and_ends_what_it_mends() {
    let mut daemon = Daemon::start(definitions(&[asset("gold.a", 2)], &[alert("team")]));
    daemon.materialize("gold.a", Some("p0000"), |_| Does::Fail);
    daemon.changes();
    daemon.restart(OwnerMode::Foreground);
    daemon.materialize("gold.a", Some("p0001"), |_| Does::Fail);
    assert_eq!(daemon.changes(), [""; 0]);
    daemon.materialize("gold.a", Some("p0000"), |_| Does::Succeed);
    assert_eq!(daemon.changes(), ["- team run_failed gold.a@p0000"]);
    daemon.later(3600);
    assert_eq!(daemon.waiting("team"), None);
    // The next daemon tells both.
    daemon.restart(OwnerMode::Daemon);
    daemon.later(0);
    assert_eq!(daemon.waiting("team").unwrap().title(), "1 failed, 1 recovered");
}

#[test]
fn an_asset_that_is_late_is_told_of_until_it_is_made() {
    let late = Asset {
        freshness: Some(Freshness {
            rule: FreshnessRule::Within { seconds: 3600 },
            warn_seconds: None,
        }),
        ..asset("gold.a", 0)
    };
    let mut daemon = Daemon::start(definitions(&[late, asset("gold.b", 0)], &[alert("team")]));
    daemon.materialize("*", None, |_| Does::Succeed);
    daemon.later(3599);
    assert_eq!(daemon.changes(), [""; 0]);
    daemon.later(2);
    assert_eq!(daemon.changes(), ["+ team freshness_late gold.a"]);
    let text = daemon.world.alert("team").unwrap().lines[0].text.clone();
    assert!(text.contains("has to be made within"), "{text}");
    daemon.restart(OwnerMode::Daemon);
    assert_eq!(daemon.changes(), [""; 0]);
    daemon.materialize("gold.a", None, |_| Does::Succeed);
    assert_eq!(daemon.changes(), ["- team freshness_late gold.a"]);
}
