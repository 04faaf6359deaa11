//! Sensors: up to where each has read, and which events it has told of.

use std::collections::{BTreeMap, BTreeSet};

use ::assets::Sensor;
use sha2::{Digest, Sha256};
use state::event::Micros;
use state::sensor::{DeclaredSensor, SensorTick, TickRange};

use super::super::invariants::InvariantId;
use super::World;
use super::apply::{Broken, illegal};

/// What is known of a sensor that was ever declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorRecord {
    /// What it watches, as last declared.
    pub watched: DeclaredSensor,
    /// Whether the project declares it.
    pub declared: bool,
    /// When and by whom it was paused, if it is.
    pub paused: Option<(Micros, String)>,
    /// Up to where it has read.
    pub cursor: Option<String>,
    /// How many ticks it had.
    pub ticks: u64,
    /// How many looks in a row failed.
    pub failures: u32,
    /// How many events were seen and are not told of yet.
    pub lag: u64,
    /// The keys of the events that it told of and remembers, by their hashes (a million files are a few megabytes), each with
    /// the number of its tick.
    told: BTreeMap<KeyHash, u64>,
    /// When those ticks were.
    told_at: BTreeMap<u64, Micros>,
}

/// The key of an event of a sensor: 128 bits of SHA-256, which no two keys of one sensor will ever share by chance.
pub type KeyHash = u128;

impl SensorRecord {
    /// Whether an event with this key was told of.
    pub fn has_told(&self, key: &str) -> bool {
        self.told.contains_key(&key_hash(key))
    }

    /// How many events that were told of are remembered.
    pub fn told(&self) -> usize {
        self.told.len()
    }

    /// When the oldest tick was of which events are remembered.
    pub fn oldest_told_at(&self) -> Option<Micros> {
        self.told_at.values().next().copied()
    }

    /// The ticks before an instant of which nothing is among what is shown still: what they told of need not be remembered.
    pub fn forgettable(&self, before: Micros, shown: &BTreeSet<KeyHash>) -> Vec<TickRange> {
        let mut old: BTreeSet<u64> = BTreeSet::new();
        old.extend(
            self.told_at
                .iter()
                .filter(|(_, at)| **at < before)
                .map(|(tick, _)| *tick),
        );
        if old.is_empty() {
            return Vec::new();
        }
        for (key, tick) in &self.told {
            if old.contains(tick) && shown.contains(key) {
                old.remove(tick);
            }
        }
        let mut ranges: Vec<TickRange> = Vec::new();
        let mut follows = false;
        for tick in self.told_at.keys() {
            let goes = old.contains(tick);
            match ranges.last_mut().filter(|_| goes && follows) {
                Some((_, last)) => *last = *tick,
                None => ranges.extend(goes.then_some((*tick, *tick))),
            }
            follows = goes;
        }
        ranges
    }

    pub(super) fn loaded(loaded: state::sqlite::loaded_sensors::LoadedSensor) -> Self {
        Self {
            watched: loaded.watched,
            declared: loaded.declared,
            paused: loaded.paused,
            cursor: loaded.cursor,
            ticks: loaded.ticks,
            failures: u32::try_from(loaded.failures).unwrap_or(u32::MAX),
            lag: loaded.lag,
            told: loaded.told.iter().map(|(key, tick)| (key_hash(key), *tick)).collect(),
            told_at: loaded.told_at,
        }
    }
}

/// The hash of a key.
pub fn key_hash(key: &str) -> KeyHash {
    let digest = Sha256::digest(key);
    let first: [u8; 16] = digest[..16].try_into().expect("a SHA-256 has 32 bytes");
    u128::from_be_bytes(first)
}

/// What a sensor watches, to tell whether that was changed.
pub(in super::super) fn watched_by(sensor: &Sensor) -> DeclaredSensor {
    DeclaredSensor {
        kind: sensor.kind().to_owned(),
        watches: sensor.watches(),
        scope: sensor.scope().as_str().to_owned(),
    }
}

impl World {
    /// What is known of a sensor.
    pub fn sensor(&self, name: &str) -> Option<&SensorRecord> {
        self.sensors.get(name)
    }

    /// Every sensor that was ever declared, by name.
    pub fn sensors(&self) -> impl Iterator<Item = (&String, &SensorRecord)> {
        self.sensors.iter()
    }

    pub(super) fn sensor_mut(&mut self, name: &str) -> Result<&mut SensorRecord, Broken> {
        let record = self.sensors.get_mut(name).filter(|record| record.declared);
        record.ok_or_else(|| illegal(format!("something happened to sensor {name}, which is not declared")))
    }

    pub(super) fn sensor_declared(&mut self, at: Micros, name: &str, watched: &DeclaredSensor, paused: bool) {
        let known = self.sensors.remove(name);
        let was_paused = known.as_ref().and_then(|known| known.paused.clone());
        let same = known.as_ref().is_some_and(|known| known.watched.scope == watched.scope);
        let before = known.as_ref().filter(|_| same);
        let record = SensorRecord {
            watched: watched.clone(),
            declared: true,
            paused: paused.then(|| was_paused.unwrap_or_else(|| (at, "the declaration".to_owned()))),
            cursor: before.and_then(|before| before.cursor.clone()),
            lag: before.map_or(0, |before| before.lag),
            ticks: known.as_ref().map_or(0, |known| known.ticks),
            failures: 0,
            told_at: known.as_ref().map(|known| known.told_at.clone()).unwrap_or_default(),
            told: known.map(|known| known.told).unwrap_or_default(),
        };
        self.sensors.insert(name.to_owned(), record);
    }

    pub(super) fn sensor_paused(&mut self, at: Micros, name: &str, by: &str) -> Result<(), Broken> {
        let record = self.sensor_mut(name)?;
        if record.paused.is_some() {
            return Err(illegal(format!("sensor {name} was paused twice")));
        }
        record.paused = Some((at, by.to_owned()));
        Ok(())
    }

    pub(super) fn sensor_resumed(&mut self, name: &str) -> Result<(), Broken> {
        let record = self.sensor_mut(name)?;
        if record.paused.take().is_none() {
            return Err(illegal(format!("sensor {name} was resumed and not paused")));
        }
        record.failures = 0;
        Ok(())
    }

    pub(super) fn sensor_ticked(&mut self, at: Micros, tick: &SensorTick) -> Result<(), Broken> {
        let record = self.sensor_mut(&tick.sensor)?;
        if tick.number != record.ticks + 1 {
            let found = format!("tick {} of {} follows {}", tick.number, tick.sensor, record.ticks);
            return Err(Broken::new(InvariantId::EventsAreToldOnce, found));
        }
        record.ticks = tick.number;
        record.cursor.clone_from(&tick.cursor);
        record.lag = tick.lag;
        record.failures = match (tick.is_to_be_repeated(), tick.failures) {
            (false, _) => 0,
            (true, None) => record.failures + 1,
            (true, Some(said)) => u32::try_from(said).unwrap_or(u32::MAX),
        };
        for event in &tick.events {
            if record.told.insert(key_hash(&event.key), tick.number).is_some() {
                let found = format!("{} told of `{}` twice", tick.sensor, event.key);
                return Err(Broken::new(InvariantId::EventsAreToldOnce, found));
            }
        }
        if !tick.events.is_empty() {
            record.told_at.insert(tick.number, at);
        }
        Ok(())
    }

    pub(super) fn sensor_forgot(&mut self, sensor: &str, ticks: &[TickRange]) -> Result<(), Broken> {
        // One that is declared no more forgets too.
        let known = self.sensors.get_mut(sensor);
        let record =
            known.ok_or_else(|| illegal(format!("sensor {sensor}, which was never declared, forgot something")))?;
        let mut forgotten: BTreeSet<u64> = BTreeSet::new();
        for (first, last) in ticks {
            let known = forgotten.len();
            forgotten.extend(record.told_at.range(first..=last).map(|(tick, _)| *tick));
            if forgotten.len() == known {
                return Err(illegal(format!(
                    "{sensor} forgot ticks {first} to {last}, which told of nothing"
                )));
            }
        }
        record.told_at.retain(|tick, _| !forgotten.contains(tick));
        record.told.retain(|_, tick| !forgotten.contains(tick));
        Ok(())
    }
}
