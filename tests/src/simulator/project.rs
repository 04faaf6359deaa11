//! Random projects: graphs of assets with partitions and mappings, and edits of them.

use std::collections::BTreeMap;

use assets::automation::{Automation, AutomationRule, Condition};
use assets::cron::{Cron, Repeated, Timetable};
use assets::freshness::{Freshness, FreshnessRule};
use assets::outcome::FailureClass;
use assets::partition::{Grain, PartitionMapping, Partitioning, TimePartitions, WindowEnd};
use assets::schedule::{CatchUp, CatchUpPolicy, Overlap, Schedule};
use assets::selection::Selection;
use assets::step_rules::{Backoff, Retry};
use assets::{
    Alert, Asset, AssetGraph, AssetInput, AssetKey, Fingerprint, InputRole, Location, ModelReference, PartitionKey,
    PartitionedBy, Sensor, StepRules, WriteMode,
};
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::alerts;
use super::dice::Dice;
use super::sensors;

const ZONE: &str = "America/New_York";

/// A project that can be edited.
#[derive(Clone)]
pub(super) struct Project {
    /// Every asset that was ever declared, upstream first, and whether it is declared now.
    assets: Vec<(Asset, bool)>,
    /// Every schedule that was ever declared, and whether it is declared now.
    schedules: Vec<(Schedule, bool)>,
    /// Every alert that was ever declared, and whether it is declared now.
    alerts: Vec<(Alert, bool)>,
    /// Every sensor that was ever declared, and whether it is declared now.
    sensors: Vec<(Sensor, bool)>,
    edits: u64,
}

/// Crons that are due often enough to meet what else happens, and on the morning on which clocks go forward.
const CRONS: [&str; 8] = [
    "*/20 * * * *",
    "30 2 * * *",
    "0 * * * *",
    "0,45 */2 * * *",
    "15 3 10-12 3 *",
    "10 * * * MON",
    "5 5 * * *",
    "*/5 1-4 * * *",
];

fn schedule(number: usize, names: &[AssetKey], dice: &mut Dice) -> Schedule {
    let asset = dice.pick(names).clone();
    let selection = match dice.below(4) {
        0 => "*".to_owned(),
        1 => format!("{asset}+"),
        2 => "stale".to_owned(),
        _ => format!("+{asset}"),
    };
    let policy = *dice.pick(&[CatchUpPolicy::Skip, CatchUpPolicy::Latest, CatchUpPolicy::All]);
    Schedule {
        name: format!("schedule{number}"),
        description: None,
        timetable: timetable(dice),
        zone: ZONE.to_owned(),
        selection: Selection::parse(&selection).expect("a plain selection"),
        catch_up: CatchUp {
            policy,
            window_seconds: *dice.pick(&[3600, 86_400]),
            most: 1 + dice.below(4) as u32,
        },
        overlap: *dice.pick(&[Overlap::Skip, Overlap::Queue, Overlap::CancelPrevious]),
        jitter_seconds: *dice.pick(&[0, 0, 200]),
        paused: dice.percent(15),
        location: Location {
            file: "millpond.toml".to_owned(),
            line: 1,
            column: 1,
        },
    }
}

fn automation(kind: &str, dice: &mut Dice) -> Option<Automation> {
    if !dice.percent(if kind == "ingest" { 20 } else { 50 }) {
        return None;
    }
    let condition = |text: &str| {
        let zone = TimeZone::get(ZONE).expect("a known zone");
        AutomationRule::When(Condition::parse(text, &zone).expect("a plain condition"))
    };
    let rule = match dice.below(9) {
        0..5 => AutomationRule::Eager,
        5 => AutomationRule::OnMissing,
        6 => AutomationRule::OnCron(timetable(dice)),
        7 => condition("upstream_updated and not any(failed)"),
        _ => condition("(missing or code_changed) and latest(2) or since(upstream_materialized, materialized)"),
    };
    Some(Automation {
        rule,
        latest: dice.percent(15).then(|| 1 + dice.below(3) as u32),
        zone: ZONE.to_owned(),
    })
}

fn freshness(dice: &mut Dice) -> Option<Freshness> {
    if !dice.percent(30) {
        return None;
    }
    let rule = match dice.percent(50) {
        true => FreshnessRule::Within {
            seconds: *dice.pick(&[3600, 4 * 3600]),
        },
        false => FreshnessRule::ByDeadline {
            timetable: timetable(dice),
            zone: ZONE.to_owned(),
            within_seconds: dice.percent(50).then_some(1800),
        },
    };
    let warn_seconds = dice.percent(50).then_some(600);
    Some(Freshness { rule, warn_seconds })
}

fn timetable(dice: &mut Dice) -> Timetable {
    let crons = (0..1 + dice.below(2)).map(|_| *dice.pick(&CRONS)).collect::<Vec<_>>();
    let crons = crons.into_iter().map(|cron| Cron::parse(cron).expect("a plain cron"));
    let zone = TimeZone::get(ZONE).expect("a known zone");
    Timetable::new(crons.collect(), zone, *dice.pick(&Repeated::ALL))
}

fn key(text: &str) -> PartitionKey {
    PartitionKey::new(text).expect("a plain word is a partition key")
}

fn by_time(grain: Grain, start: DateTime, end: Option<DateTime>) -> Partitioning {
    Partitioning::Time(TimePartitions {
        grain,
        start,
        end,
        zone: ZONE.to_owned(),
    })
}

/// Sets of partitions around the morning of 2024-03-10, when New York's day has 23 hours.
fn partitioning(dice: &mut Dice) -> Option<Partitioning> {
    match dice.below(10) {
        0..3 => Some(by_time(Grain::Day, date(2024, 3, 6).at(0, 0, 0, 0), None)),
        3 => Some(by_time(
            Grain::Day,
            date(2024, 3, 5).at(0, 0, 0, 0),
            Some(date(2024, 3, 8).at(0, 0, 0, 0)),
        )),
        4 => Some(by_time(Grain::Week, date(2024, 2, 19).at(0, 0, 0, 0), None)),
        5 => Some(by_time(Grain::Hour, date(2024, 3, 9).at(20, 0, 0, 0), None)),
        6 | 7 => Some(Partitioning::Fixed(["EWR", "JFK", "LGA"].map(key).to_vec())),
        _ => None,
    }
}

fn mapping(dice: &mut Dice, down: Option<&Partitioning>, up: Option<&Partitioning>) -> PartitionMapping {
    let mut fitting: Vec<PartitionMapping> = PartitionMapping::inferred(down, up).into_iter().collect();
    let fixed = match up {
        Some(Partitioning::Fixed(keys)) => keys.iter().take(1 + dice.below(2)).cloned().collect(),
        Some(Partitioning::Time(_)) | None => Vec::new(),
    };
    let window = |length: &str, ending| PartitionMapping::Window {
        length: length.to_owned(),
        ending,
    };
    let mut others = vec![
        PartitionMapping::All,
        PartitionMapping::Latest,
        PartitionMapping::Covering,
        window("2 days", WindowEnd::Before),
        window("3 days", WindowEnd::With),
    ];
    if !fixed.is_empty() {
        others.push(PartitionMapping::Fixed(fixed));
    }
    fitting.extend(others.into_iter().filter(|mapping| mapping.validate(down, up).is_ok()));
    // The inferred one twice as often as any other.
    let choice = dice.below(fitting.len() + 1);
    fitting[choice.saturating_sub(1)].clone()
}

/// Pools that assets may need a place in; one of them the project never declares.
pub(super) const POOLS: [&str; 3] = ["database", "gone", "share"];

/// Some assets are tried again, some may not take long, some need a place or much memory.
fn rules(dice: &mut Dice) -> StepRules {
    let on = [
        FailureClass::Changed,
        FailureClass::Crash,
        FailureClass::Io,
        FailureClass::Killed,
        FailureClass::Timeout,
    ];
    let retry = Retry {
        max: 1 + dice.below(3) as u32,
        delay_seconds: *dice.pick(&[1, 60, 900]),
        backoff: *dice.pick(&[Backoff::Constant, Backoff::Linear, Backoff::Exponential]),
        max_delay_seconds: 1800,
        jitter: 0.3,
        on: on.to_vec(),
    };
    StepRules {
        retry: dice.percent(50).then_some(retry),
        timeout_seconds: dice.percent(40).then(|| *dice.pick(&[60, 600, 1800])),
        pools: POOLS
            .iter()
            .filter(|_| dice.percent(20))
            .map(|pool| (*pool).to_owned())
            .collect(),
        memory_bytes: dice.percent(50).then(|| 1 + dice.below(5) as u64),
        together: dice.percent(10),
        atomic_group: None,
    }
}

/// Lets some assets that are cut alike, and of which none needs another, be published together.
fn publish_together(assets: &mut [(Asset, bool)], dice: &mut Dice) {
    if dice.percent(40) {
        return;
    }
    for group in 0..1 + dice.below(2) {
        let first = dice.below(assets.len());
        let mut members = vec![first];
        for place in 0..assets.len() {
            let is_free = assets[place].0.rules.atomic_group.is_none() && !members.contains(&place);
            let alike = |other: &usize| {
                let cut = |place: usize| assets[place].0.partitions.as_ref().map(|by| &by.partitioning);
                cut(*other) == cut(place) && !needs(assets, place, *other) && !needs(assets, *other, place)
            };
            if is_free && members.iter().all(alike) && dice.percent(60) {
                members.push(place);
            }
        }
        if members.len() > 1 && assets[first].0.rules.atomic_group.is_none() {
            for place in &members {
                assets[*place].0.rules.atomic_group = Some(format!("group{group}"));
            }
            // Nor may two groups wait for each other, which the loader would refuse.
            if members.iter().any(|place| waits_for(assets, *place, &members)) {
                for place in members {
                    assets[place].0.rules.atomic_group = None;
                }
            }
        }
    }
}

/// Whether an asset waits for a member by way of what it reads and of what is published together with that.
fn waits_for(assets: &[(Asset, bool)], place: usize, members: &[usize]) -> bool {
    let named = |key: &AssetKey| assets.iter().position(|(other, _)| other.key == *key);
    let reads = |place: usize| assets[place].0.inputs.iter().filter_map(|input| named(&input.asset));
    let mut seen: Vec<usize> = reads(place).collect();
    let mut next = 0;
    while let Some(&above) = seen.get(next) {
        next += 1;
        if members.contains(&above) {
            return true;
        }
        let group = &assets[above].0.rules.atomic_group;
        let mates = (0..assets.len()).filter(|mate| group.is_some() && assets[*mate].0.rules.atomic_group == *group);
        for more in reads(above).chain(mates).collect::<Vec<_>>() {
            if !seen.contains(&more) {
                seen.push(more);
            }
        }
    }
    false
}

/// Whether one asset reads another, at any distance. Assets read only earlier ones.
fn needs(assets: &[(Asset, bool)], place: usize, other: usize) -> bool {
    let mut reads: Vec<&AssetKey> = assets[place].0.inputs.iter().map(|input| &input.asset).collect();
    while let Some(key) = reads.pop() {
        let Some((above, _)) = assets[..place].iter().find(|(above, _)| above.key == *key) else {
            continue;
        };
        if above.key == assets[other].0.key {
            return true;
        }
        reads.extend(above.inputs.iter().map(|input| &input.asset));
    }
    false
}

impl Project {
    /// A project of 3 to 15 assets.
    pub(super) fn random(dice: &mut Dice) -> Self {
        let mut assets: Vec<(Asset, bool)> = Vec::new();
        let count = 3 + dice.below(13);
        for number in 0..count {
            let name: AssetKey = format!("layer.a{number:02}").parse().expect("a plain name is a key");
            let kind = match dice.below(12) {
                _ if number == 0 => "ingest",
                0 | 1 => "ingest",
                2 => "command",
                3 => "training",
                _ => "sql",
            };
            let partitions = if kind == "training" { None } else { partitioning(dice) };
            let mut inputs: Vec<AssetInput> = Vec::new();
            if kind != "ingest" {
                for _ in 0..1 + dice.below(3) {
                    let (upstream, _) = &assets[dice.below(assets.len())];
                    if inputs.iter().any(|input| input.asset == upstream.key) {
                        continue;
                    }
                    let up = upstream.partitions.as_ref().map(|by| &by.partitioning);
                    let (role, mapping) = if upstream.kind == "training" {
                        (
                            InputRole::Model(ModelReference::Alias("champion".to_owned())),
                            PartitionMapping::All,
                        )
                    } else {
                        (InputRole::Rows, mapping(dice, partitions.as_ref(), up))
                    };
                    inputs.push(AssetInput {
                        asset: upstream.key.clone(),
                        role,
                        mapping,
                        declared: true,
                    });
                }
            }
            let write = match kind {
                "sql" if dice.percent(25) => WriteMode::Merge,
                "ingest" => *dice.pick(&[
                    WriteMode::Replace,
                    WriteMode::Replace,
                    WriteMode::Append,
                    WriteMode::Merge,
                ]),
                _ => WriteMode::Replace,
            };
            let when = *dice.pick(&["score >= champion.score", "score > 30", "score >= 0"]);
            let config = match kind {
                "training" => json!({ "promote": { "alias": "champion", "when": when } }),
                _ => Value::Null,
            };
            let asset = Asset {
                fingerprint: Fingerprint::of([name.as_str(), "0"]),
                key: name,
                kind: kind.to_owned(),
                description: None,
                owner: None,
                tags: Vec::new(),
                partitions: partitions.map(|partitioning| PartitionedBy {
                    name: "set".to_owned(),
                    column: "part".to_owned(),
                    partitioning,
                }),
                key_columns: Vec::new(),
                sort_columns: Vec::new(),
                write,
                contract: assets::Contract::default(),
                inputs,
                checks: Vec::new(),
                freshness: freshness(dice),
                automation: automation(kind, dice),
                rules: rules(dice),
                config,
                declared_at: Location {
                    file: "assets/all.toml".to_owned(),
                    line: number as u32 + 1,
                    column: 1,
                },
            };
            assets.push((asset, true));
        }
        // Of dice of its own, so that everything else of a seed is as it was before there were groups.
        publish_together(&mut assets, &mut dice.clone());
        let names: Vec<AssetKey> = assets.iter().map(|(asset, _)| asset.key.clone()).collect();
        let schedules = (0..dice.below(4)).map(|number| (schedule(number, &names, dice), true));
        let schedules = schedules.collect();
        let sensors = (0..dice.below(4)).map(|number| (sensors::sensor(number, &names, dice), true));
        let sensors = sensors.collect();
        let alerts = (0..dice.below(4)).map(|number| (alerts::alert(number, &names, dice), true));
        Self {
            alerts: alerts.collect(),
            schedules,
            sensors,
            assets,
            edits: 0,
        }
    }

    /// The schedules that are declared now.
    pub(super) fn schedules(&self) -> BTreeMap<String, Schedule> {
        let declared = self.schedules.iter().filter(|(_, declared)| *declared);
        declared
            .map(|(schedule, _)| (schedule.name.clone(), schedule.clone()))
            .collect()
    }

    /// The alerts that are declared now.
    pub(super) fn alerts(&self) -> BTreeMap<String, Alert> {
        let graph = self.graph();
        let declared = self.alerts.iter().filter(|(_, declared)| *declared);
        declared
            .filter_map(|(alert, _)| Some((alert.name.clone(), alerts::resolved(alert, &graph)?)))
            .collect()
    }

    /// The sensors that are declared now.
    pub(super) fn sensors(&self) -> BTreeMap<String, Sensor> {
        let declared = self.sensors.iter().filter(|(_, declared)| *declared);
        declared
            .map(|(sensor, _)| (sensor.name.clone(), sensor.clone()))
            .collect()
    }

    /// The graph of what is declared now.
    pub(super) fn graph(&self) -> AssetGraph {
        let declared = self
            .assets
            .iter()
            .filter(|(_, declared)| *declared)
            .map(|(asset, _)| asset.clone());
        AssetGraph::new(declared).expect("assets read only earlier ones that are declared")
    }

    /// The assets that are declared now, upstream first.
    pub(super) fn declared(&self) -> impl Iterator<Item = &Asset> {
        self.assets
            .iter()
            .filter(|(_, declared)| *declared)
            .map(|(asset, _)| asset)
    }

    /// Changes the code of an asset, takes away one that nothing reads, or brings such a one back.
    pub(super) fn edit(&mut self, dice: &mut Dice) {
        self.edits += 1;
        if !self.schedules.is_empty() && dice.percent(30) {
            let at = dice.below(self.schedules.len());
            let (schedule, declared) = &mut self.schedules[at];
            match dice.below(3) {
                0 => *declared = !*declared,
                1 => schedule.jitter_seconds = *dice.pick(&[0, 100, 250]),
                _ => schedule.timetable = timetable(dice),
            }
            return;
        }
        if !self.alerts.is_empty() && dice.percent(20) {
            let at = dice.below(self.alerts.len());
            let (alert, declared) = &mut self.alerts[at];
            match dice.below(3) {
                0 => *declared = !*declared,
                1 => alert.on = alerts::on(dice),
                _ => alert.recovered = !alert.recovered,
            }
            return;
        }
        if !self.sensors.is_empty() && dice.percent(30) {
            let at = dice.below(self.sensors.len());
            let (sensor, declared) = &mut self.sensors[at];
            match dice.below(3) {
                0 => *declared = !*declared,
                1 => sensor.source = sensors::source(dice),
                _ => sensor.most_events = 1 + dice.below(4) as u32,
            }
            return;
        }
        let at = dice.below(self.assets.len());
        let name = self.assets[at].0.key.clone();
        let is_read = self
            .declared()
            .any(|other| other.inputs.iter().any(|input| input.asset == name));
        let reads_gone = self.assets[at].0.inputs.iter().any(|input| {
            self.assets
                .iter()
                .any(|(other, declared)| other.key == input.asset && !declared)
        });
        let (asset, declared) = &mut self.assets[at];
        if !*declared {
            *declared = !reads_gone;
        } else if !is_read && at > 0 && dice.percent(40) {
            *declared = false;
        } else {
            asset.fingerprint = Fingerprint::of([name.as_str(), &self.edits.to_string()]);
        }
    }

    /// Lets an asset have other partitions, where who reads it and what it reads go with them.
    pub(super) fn recut(&mut self, dice: &mut Dice) -> Option<AssetKey> {
        self.edits += 1;
        let at = dice.below(self.assets.len());
        let wanted = partitioning(dice);
        let (asset, _) = &self.assets[at];
        let of = |key: &AssetKey| {
            let known = self.assets.iter().find(|(other, _)| other.key == *key);
            known.and_then(|(other, _)| other.partitions.as_ref().map(|by| &by.partitioning))
        };
        let own = of(&asset.key);
        let changes = own.map(Partitioning::describe) != wanted.as_ref().map(Partitioning::describe);
        // Which files of an ingest asset hold rows of which partitions is not for the simulation to find out anew.
        let may = matches!(asset.kind.as_str(), "sql" | "command") && asset.rules.atomic_group.is_none();
        let reads = |input: &AssetInput| {
            let fits = input.mapping.validate(wanted.as_ref(), of(&input.asset)).is_ok();
            input.role != InputRole::Rows || fits
        };
        let is_read = |other: &(Asset, bool)| {
            let by = other.0.partitions.as_ref().map(|by| &by.partitioning);
            let mut inputs = other.0.inputs.iter().filter(|input| input.asset == asset.key);
            inputs.all(|input| input.mapping.validate(by, wanted.as_ref()).is_ok())
        };
        if !changes || !may || !asset.inputs.iter().all(reads) || !self.assets.iter().all(is_read) {
            return None;
        }
        let (asset, _) = &mut self.assets[at];
        asset.fingerprint = Fingerprint::of([asset.key.as_str(), &self.edits.to_string()]);
        asset.partitions = wanted.map(|partitioning| PartitionedBy {
            name: "set".to_owned(),
            column: "part".to_owned(),
            partitioning,
        });
        Some(asset.key.clone())
    }

    /// Brings back all that was taken away.
    pub(super) fn restore(&mut self) {
        self.assets.iter_mut().for_each(|(_, declared)| *declared = true);
    }
}
