//! What sensors watch, how they look at it, and what must hold of what they tell: every event is told of by exactly one tick,
//! and a run belongs to the tick that requested it.

use std::collections::{BTreeMap, BTreeSet};

use assets::selection::Selection;
use assets::sensor::{FileIdentity, FilesSource, SensorSource};
use assets::{AssetKey, Location, PartitionKey, Sensor};
use orchestrator::core::{Broken, Input, InvariantId, KeyHash, SensorLook, SensorSight, World, key_hash};
use state::event::{Event, Micros, Recorded};
use state::ids::RunId;
use state::schedule::TickStatus;
use state::sensor::{SensorEvent, TickRange};

use super::dice::Dice;

/// A random sensor.
pub(super) fn sensor(number: usize, names: &[AssetKey], dice: &mut Dice) -> Sensor {
    let asset = dice.pick(names).clone();
    let selection = match dice.below(3) {
        0 => "*".to_owned(),
        1 => format!("{asset}+"),
        _ => format!("+{asset}"),
    };
    Sensor {
        name: format!("sensor{number}"),
        description: None,
        source: source(dice),
        selection: Selection::parse(&selection).expect("a plain selection"),
        every_seconds: 60,
        deadline_seconds: 60,
        most_events: 1 + dice.below(4) as u32,
        remember_seconds: remember_seconds(number as u64),
        paused: dice.percent(15),
        location: Location {
            file: "millpond.toml".to_owned(),
            line: 1,
            column: 1,
        },
    }
}

fn remember_seconds(number: u64) -> u64 {
    (1 + number) * 3600
}

/// Something else to watch than before, now and then.
pub(super) fn source(dice: &mut Dice) -> SensorSource {
    SensorSource::Files(FilesSource {
        path: format!("landing{}/*.csv", dice.below(3)),
        settle_seconds: 5,
        rescan_seconds: 60,
        identity: FileIdentity::Stat,
    })
}

/// How a sensor knows what it has read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By a cursor: the number of events that it has read.
    Cursor,
    /// By what was told of, as for files.
    Keys,
    /// It is told, as a webhook is; the sender sends again what was not acknowledged, and sometimes what was.
    Pushed,
}

fn way(sensor: &str) -> Way {
    match sensor {
        "sensor0" => Way::Cursor,
        "sensor1" => Way::Keys,
        _ => Way::Pushed,
    }
}

/// What there is to see. It outlives the process that looks.
#[derive(Clone, Default)]
pub(super) struct Outside {
    things: BTreeMap<String, Vec<SensorEvent>>,
    /// How many of them, from the oldest, are not there any more.
    gone: BTreeMap<String, usize>,
}

impl Outside {
    /// Something happens that a sensor will see.
    pub(super) fn happen(&mut self, sensor: &str, keys: &[PartitionKey], dice: &mut Dice) {
        let things = self.things.entry(sensor.to_owned()).or_default();
        if way(sensor) == Way::Keys && dice.percent(40) {
            // Never the newest: a folder that is empty says nothing.
            self.gone.insert(sensor.to_owned(), dice.below(things.len().max(1)));
        }
        for _ in 0..1 + dice.below(4) {
            let number = things.len();
            let partitions = match dice.below(4) {
                0 if !keys.is_empty() => vec![dice.pick(keys).clone()],
                1 => vec![PartitionKey::new("nowhere").expect("a plain word")],
                _ => Vec::new(),
            };
            things.push(SensorEvent {
                key: format!("key {number}"),
                what: format!("thing {number}"),
                partitions,
                payload: None,
            });
        }
    }

    /// What a sensor reports that looks now; `None` if nobody keeps it, or nothing comes.
    pub(super) fn look(&self, world: &World, sensor: &str, share: u64, dice: &mut Dice) -> Option<Input> {
        let declared = world.definitions().sensors().get(sensor)?;
        let record = world.sensor(sensor)?;
        if !record.declared || !world.keeps_schedules() {
            return None;
        }
        let things = self.things.get(sensor).map(Vec::as_slice).unwrap_or_default();
        let most = declared.most_events as usize;
        let way = way(sensor);
        let gone = self.gone.get(sensor).copied().unwrap_or(0);
        let shown: Option<BTreeSet<KeyHash>> = match way {
            Way::Cursor => Some(BTreeSet::new()),
            Way::Keys => Some(things[gone..].iter().map(|event| key_hash(&event.key)).collect()),
            Way::Pushed => None,
        };
        let (events, lag, cursor) = match way {
            Way::Cursor => {
                let read: usize = record
                    .cursor
                    .as_ref()
                    .map_or(0, |cursor| cursor.parse().expect("a number"));
                let events: Vec<SensorEvent> = things.iter().skip(read).take(most).cloned().collect();
                let read = read + events.len();
                (events, things.len() - read, Some(read.to_string()))
            }
            Way::Keys => {
                let mut new: Vec<SensorEvent> = things[gone..]
                    .iter()
                    .filter(|event| !record.has_told(&event.key))
                    .cloned()
                    .collect();
                let lag = new.len().saturating_sub(most);
                new.truncate(most);
                (new, lag, None)
            }
            Way::Pushed => {
                let again = share > 0 && dice.percent(30);
                let unknown = |event: &&SensorEvent| again || !record.has_told(&event.key);
                let waiting: Vec<&SensorEvent> = things.iter().filter(unknown).collect();
                if waiting.is_empty() {
                    return None;
                }
                let event = SensorEvent::clone(waiting[dice.below(waiting.len())]);
                // In one request twice, now and then.
                let times = 1 + usize::from(dice.percent(share));
                (vec![event; times], 0, None)
            }
        };
        let sight = match dice.percent(share / 2) {
            true => Err("the share does not answer".to_owned()),
            false => Ok(SensorSight {
                events,
                cursor,
                lag: lag as u64,
                remark: None,
                shown,
            }),
        };
        Some(Input::SensorLooked {
            request: None,
            sensor: sensor.to_owned(),
            look: Box::new(SensorLook {
                after: (way != Way::Pushed).then_some(record.ticks),
                sight,
                unseen: dice.percent(share / 4).then(|| "the sources do not answer".to_owned()),
            }),
            by: dice.percent(10).then(|| "someone".to_owned()),
        })
    }

    /// Whether a sensor has told of all that it can see, be it long ago.
    pub(super) fn is_told(&self, told: &Told, sensor: &str) -> bool {
        let things = self.things.get(sensor).map(Vec::as_slice).unwrap_or_default();
        let gone = self.gone.get(sensor).copied().unwrap_or(0);
        let told = |event: &SensorEvent| told.ever.contains(&(sensor.to_owned(), event.key.clone()));
        things[gone..].iter().all(told)
    }

    /// Nothing may be forgotten that is still there to be seen, and would be told of again.
    pub(super) fn is_gone(&self, sensor: &str, key: &str) -> bool {
        let things = self.things.get(sensor).map(Vec::as_slice).unwrap_or_default();
        let gone = self.gone.get(sensor).copied().unwrap_or(0);
        way(sensor) == Way::Cursor || things[gone..].iter().all(|event| event.key != key)
    }
}

/// What was told, by the events alone.
#[derive(Clone, Default)]
pub(super) struct Told {
    /// The tick of each event that is remembered, and when that was.
    events: BTreeMap<(String, String), (u64, Micros)>,
    /// Every event that was ever told of.
    ever: BTreeSet<(String, String)>,
    /// What was forgotten last: sensors and keys.
    pub(super) forgotten: Vec<(String, String)>,
    ticks: BTreeMap<String, u64>,
    paused: BTreeSet<String>,
    runs: BTreeSet<RunId>,
}

fn broken(found: String) -> Result<(), Broken> {
    Err(Broken::new(InvariantId::EventsAreToldOnce, found))
}

impl Told {
    /// How many events were told of.
    pub(super) fn events(&self) -> usize {
        self.ever.len()
    }

    /// The sensors that are paused.
    pub(super) fn paused(&self) -> Vec<String> {
        self.paused.iter().cloned().collect()
    }

    /// Takes in what is committed at once.
    pub(super) fn tell(&mut self, together: &[Recorded]) -> Result<(), Broken> {
        self.forgotten.clear();
        let mut submitted: BTreeSet<RunId> = BTreeSet::new();
        for recorded in together {
            match &recorded.event {
                Event::RunSubmitted { run, request, .. } if request.trigger.starts_with("sensor ") => {
                    submitted.insert(run.clone());
                }
                Event::SensorDeclared { sensor, paused, .. } => {
                    match paused {
                        true => self.paused.insert(sensor.clone()),
                        false => self.paused.remove(sensor),
                    };
                }
                Event::SensorPaused { sensor, .. } => {
                    self.paused.insert(sensor.clone());
                }
                Event::SensorResumed { sensor, .. } => {
                    self.paused.remove(sensor);
                }
                Event::SensorTicked { tick } => {
                    let before = self.ticks.insert(tick.sensor.clone(), tick.number).unwrap_or(0);
                    if tick.number != before + 1 {
                        return broken(format!("{} ticked {} after {before}", tick.sensor, tick.number));
                    }
                    if self.paused.contains(&tick.sensor) && tick.asked_by.is_none() {
                        return broken(format!("{} ticked while it was paused", tick.sensor));
                    }
                    for event in &tick.events {
                        let key = (tick.sensor.clone(), event.key.clone());
                        self.ever.insert(key.clone());
                        if let Some((first, _)) = self.events.insert(key, (tick.number, recorded.at)) {
                            let found = format!("{} told of {} in {first} and {}", tick.sensor, event.key, tick.number);
                            return broken(found);
                        }
                    }
                    match &tick.run {
                        Some(run) if tick.status != TickStatus::Requested || tick.events.is_empty() => {
                            return broken(format!("{run} was requested for nothing"));
                        }
                        Some(run) if !submitted.remove(run) || !self.runs.insert(run.clone()) => {
                            return broken(format!("{run} was not submitted with its tick"));
                        }
                        Some(_) | None => {}
                    }
                }
                Event::SensorForgot { sensor, ticks } => self.forget(recorded.at, sensor, ticks)?,
                _ => {}
            }
        }
        match submitted.first() {
            Some(run) => broken(format!("{run} was submitted without a tick")),
            None => Ok(()),
        }
    }

    fn forget(&mut self, at: Micros, name: &str, ticks: &[TickRange]) -> Result<(), Broken> {
        let number: u64 = name.trim_start_matches("sensor").parse().expect("a number");
        let latest = at - remember_seconds(number) as Micros * 1_000_000;
        let goes = |(sensor, _): &(String, String), (tick, _): &(u64, Micros)| {
            sensor == name && ticks.iter().any(|(first, last)| (first..=last).contains(&tick))
        };
        let gone: Vec<_> = self.events.extract_if(.., |key, told| goes(key, told)).collect();
        if let Some(((_, key), (tick, told))) = gone.iter().find(|(_, (_, told))| *told >= latest) {
            return broken(format!(
                "{name} forgot {key} of tick {tick}, which it told of at {told}"
            ));
        }
        if gone.is_empty() {
            return broken(format!("{name} forgot {ticks:?}, in which it told of nothing"));
        }
        self.forgotten.extend(gone.into_iter().map(|(key, _)| key));
        Ok(())
    }
}
