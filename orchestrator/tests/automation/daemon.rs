//! A daemon without processes: its workers do as they are told, when they are told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use assets::automation::{Automation, AutomationRule, Condition};
use assets::cron::{Cron, Repeated, Timetable};
use assets::freshness::{Freshness, FreshnessRule};
use assets::outcome::{CheckResult, Failure, FailureClass, Severity, Staged};
use assets::partition::{Grain, PartitionMapping, Partitioning, TimePartitions};
use assets::{
    Asset, AssetGraph, AssetInput, AssetKey, AssetPartition, Fingerprint, InputRole, Location, PartitionKey,
    PartitionedBy, WriteMode,
};
use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;
use orchestrator::core::{Answer, CoreSettings, Definitions, Effect, Input, StartAttempt, World, check_same, turn};
use state::Store;
use state::event::{Event, Micros, OwnerMode, Pace, PartitionChoice, Recorded, RunRequest};

pub(crate) const ZONE: &str = "America/New_York";

pub(crate) fn at(text: &str) -> Micros {
    text.parse::<Timestamp>().unwrap().as_microsecond()
}

/// Days of March 2024 from the first on, or `n` fixed partitions.
pub(crate) fn days() -> Option<Partitioning> {
    Some(Partitioning::Time(TimePartitions {
        grain: Grain::Day,
        start: date(2024, 3, 1).at(0, 0, 0, 0),
        end: None,
        zone: ZONE.to_owned(),
    }))
}

pub(crate) fn fixed(count: usize) -> Option<Partitioning> {
    let keys = (0..count).map(|number| PartitionKey::new(&format!("p{number:04}")).unwrap());
    Some(Partitioning::Fixed(keys.collect()))
}

/// An asset that reads others by the mapping that follows from the two.
pub(crate) fn asset(key: &str, partitioning: Option<Partitioning>, reads: &[&Asset]) -> Asset {
    let inputs = reads.iter().map(|upstream| {
        let up = upstream.partitions.as_ref().map(|by| &by.partitioning);
        AssetInput {
            asset: upstream.key.clone(),
            role: InputRole::Rows,
            mapping: PartitionMapping::inferred(partitioning.as_ref(), up).unwrap(),
            declared: false,
        }
    });
    Asset {
        key: key.parse().unwrap(),
        kind: "sql".to_owned(),
        description: None,
        owner: None,
        tags: Vec::new(),
        key_columns: Vec::new(),
        sort_columns: Vec::new(),
        write: WriteMode::Replace,
        contract: assets::Contract::default(),
        inputs: inputs.collect(),
        partitions: partitioning.map(|partitioning| PartitionedBy {
            name: "set".to_owned(),
            column: "part".to_owned(),
            partitioning,
        }),
        checks: Vec::new(),
        freshness: None,
        automation: None,
        config: serde_json::Value::Null,
        fingerprint: Fingerprint::of([key]),
        rules: assets::StepRules::default(),
        declared_at: Location {
            file: "a.toml".to_owned(),
            line: 1,
            column: 1,
        },
    }
}

pub(crate) fn timetable(cron: &str) -> Timetable {
    Timetable::new(
        vec![Cron::parse(cron).unwrap()],
        TimeZone::get(ZONE).unwrap(),
        Repeated::First,
    )
}

/// The same with automation: `eager`, `on_missing`, a cron, or a condition.
pub(crate) fn automated(mut asset: Asset, rule: &str) -> Asset {
    let rule = match rule {
        "eager" => AutomationRule::Eager,
        "on_missing" => AutomationRule::OnMissing,
        cron if Cron::parse(cron).is_ok() => AutomationRule::OnCron(timetable(cron)),
        condition => AutomationRule::When(Condition::parse(condition, &TimeZone::get(ZONE).unwrap()).unwrap()),
    };
    asset.automation = Some(Automation {
        rule,
        latest: None,
        zone: ZONE.to_owned(),
    });
    asset
}

/// The same with a freshness policy by age, in hours.
pub(crate) fn fresh_within(mut asset: Asset, hours: u64, warn: Option<u64>) -> Asset {
    asset.freshness = Some(Freshness {
        rule: FreshnessRule::Within { seconds: hours * 3600 },
        warn_seconds: warn.map(|hours| hours * 3600),
    });
    asset
}

pub(crate) struct Daemon {
    pub(crate) world: World,
    pub(crate) store: Store,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) now: Micros,
    boots: u64,
    slots: usize,
    orders: VecDeque<StartAttempt>,
    /// What the next attempts of an asset say that their rows are.
    pub(crate) versions: BTreeMap<AssetKey, String>,
    pub(crate) failing: BTreeSet<AssetPartition>,
    pub(crate) checks_fail: bool,
    pub(crate) events: Vec<Recorded>,
    pub(crate) answers: Vec<Answer>,
}

impl Daemon {
    pub(crate) fn start(assets: &[Asset], now: &str) -> Self {
        let mut daemon = Self {
            world: World::new(7),
            store: Store::in_memory().unwrap(),
            definitions: Arc::default(),
            now: at(now),
            boots: 0,
            slots: 2,
            orders: VecDeque::new(),
            versions: BTreeMap::new(),
            failing: BTreeSet::new(),
            checks_fail: false,
            events: Vec::new(),
            answers: Vec::new(),
        };
        daemon.define(assets);
        daemon.restart(OwnerMode::Daemon);
        daemon
    }

    fn define(&mut self, assets: &[Asset]) {
        let settings = CoreSettings {
            slots: self.slots,
            largest_batch: 4,
            ..CoreSettings::default()
        };
        let graph = AssetGraph::new(assets.iter().cloned()).unwrap();
        self.definitions = Arc::new(Definitions::new(graph, settings));
    }

    /// Other definitions come into force.
    pub(crate) fn edit(&mut self, assets: &[Asset]) {
        self.define(assets);
        self.take(Input::DefinitionsLoaded(Arc::clone(&self.definitions)));
    }

    /// The process died, and another one starts.
    pub(crate) fn restart(&mut self, mode: OwnerMode) {
        self.boots += 1;
        self.orders.clear();
        let loaded = self.store.load().unwrap();
        let again = World::from_loaded(loaded, Arc::clone(&self.definitions), self.boots);
        if self.boots > 1 {
            check_same(&self.world, &again).unwrap();
        }
        self.world = again;
        self.take(Input::DefinitionsLoaded(Arc::clone(&self.definitions)));
        self.take(Input::Recover {
            boot: self.boots.to_string(),
            mode,
        });
    }

    pub(crate) fn take(&mut self, input: Input) {
        self.now += 1;
        let turn = turn(&mut self.world, self.now, input).unwrap();
        self.store.commit(&turn.events).unwrap();
        self.events.extend(turn.events);
        for effect in turn.effects {
            match effect {
                Effect::Start(order) => self.orders.push_back(*order),
                Effect::KeepStaged(_) => {}
                Effect::Reply { answer, .. } => self.answers.push(answer),
                Effect::CancelAttempt { attempt } => {
                    self.orders.retain(|order| order.attempt != attempt);
                    self.take(Input::AttemptEnded { attempt });
                }
                Effect::Prepare { .. } => panic!("nothing of these assets is written"),
            }
        }
    }

    /// The time comes, and the ticker asks as long as something is due.
    pub(crate) fn wake(&mut self, now: &str) {
        self.now = at(now);
        for _ in 0..100 {
            self.take(Input::TimePassed);
            if self.world.next_alarm().is_none_or(|alarm| alarm > self.now) {
                return;
            }
        }
        panic!("what is due stays due");
    }

    /// Someone asks for a run.
    pub(crate) fn submit(&mut self, selection: &str, partitions: Option<(&str, &str)>) {
        let key = |text: &str| PartitionKey::new(text).unwrap();
        self.take(Input::Submit {
            request: 0,
            run: RunRequest {
                selection: selection.to_owned(),
                partitions: partitions.map(|(from, to)| PartitionChoice::Range(key(from), key(to))),
                force: false,
                only: None,
                pace: Pace::default(),
                owner: OwnerMode::Daemon,
                trigger: "test".to_owned(),
            },
        });
    }

    /// An asset's rows are others from the next attempt on: its code changes nothing but that.
    pub(crate) fn change(&mut self, key: &str, version: &str) {
        self.versions.insert(key.parse().unwrap(), version.to_owned());
    }

    /// One attempt is worked off; whether there was one.
    pub(crate) fn work_once(&mut self) -> bool {
        let Some(order) = self.orders.pop_front() else {
            return false;
        };
        let attempt = order.attempt.clone();
        for partition in &order.partitions {
            let step = AssetPartition::new(order.asset.key.clone(), partition.key.clone());
            if self.failing.contains(&step) && !self.checks_fail {
                self.take(Input::StepFailed {
                    attempt: attempt.clone(),
                    partition: partition.key.clone(),
                    failure: Failure::new(FailureClass::Data, "a row is wrong"),
                });
                continue;
            }
            let check = CheckResult {
                name: "row_count".to_owned(),
                check: "row_count".to_owned(),
                severity: Severity::Error,
                passed: !self.failing.contains(&step),
                figure: None,
                expected: "at least 1 row".to_owned(),
                failing_rows: None,
                sample: None,
                error: None,
            };
            self.take(Input::Staged {
                attempt: attempt.clone(),
                staged: Box::new(Staged {
                    partition: partition.key.clone(),
                    tables: Vec::new(),
                    model: None,
                    checks: vec![check],
                    metadata: BTreeMap::new(),
                    sources: Vec::new(),
                    data_version: self.versions.get(&order.asset.key).cloned(),
                }),
            });
        }
        self.take(Input::AttemptEnded { attempt });
        true
    }

    /// Everything that was requested is worked off, and all that follows.
    pub(crate) fn work(&mut self) {
        for _ in 0..10_000 {
            if !self.work_once() {
                return;
            }
        }
        panic!("there is always more to do");
    }

    /// What automation requested since this was asked last, a line for each asset of each decision.
    pub(crate) fn requested(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        for recorded in std::mem::take(&mut self.events) {
            if let Event::AutomationRequested { decision } = recorded.event {
                let requests = decision.requests.iter().map(|request| {
                    let keys = request.partitions.stretches.iter();
                    let keys = keys.map(|(first, last)| match first == last {
                        true => format!(" {first}"),
                        false => format!(" {first}..{last}"),
                    });
                    format!("{}{}", request.asset, keys.collect::<String>())
                });
                told.push(requests.collect::<Vec<_>>().join(", "));
            }
        }
        told
    }

    /// Someone edits an asset's rows at the source: it is made again by hand.
    pub(crate) fn update(&mut self, key: &str, version: &str) {
        self.change(key, version);
        self.take(Input::Submit {
            request: 0,
            run: RunRequest {
                selection: key.to_owned(),
                partitions: None,
                force: true,
                only: None,
                pace: Pace::default(),
                owner: OwnerMode::Daemon,
                trigger: "test".to_owned(),
            },
        });
    }
}
